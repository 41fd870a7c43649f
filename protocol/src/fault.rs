//! Who is to blame when something fails: from this alone follow retries, blame and exit codes.

use crate::score::Offence;

/// Who is to blame for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer that sent it.
    Peer(Offence),
    /// Nobody: it may work later, or elsewhere.
    Transient,
    /// This node: its disk, its clock, its age.
    Local,
    /// Whoever asked for it.
    Input,
}
