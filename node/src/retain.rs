//! What stays on disk: pins, letting go, freeing.
//!
//! Kept is what the user put here, until they let it go. A pin keeps a version, or all versions of a dataset that are
//! here or come, whatever else asks for their room. The disk budget bounds all of it but what the user published in
//! place: [`mod@quota`]; what goes first is decided by `opendag_protocol::retain`.

mod free;
mod holds;
pub(crate) mod mirror;
mod pin;
mod quota;
mod usage;

use self::holds::Holds;
pub(crate) use self::{
    free::{gc, let_go, rm, unpin},
    mirror::Mirrors,
    pin::{keep_places, pin, pins},
    quota::{Needs, Quota, QuotaError, admit, quota, settle},
};
