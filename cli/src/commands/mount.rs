//! `mount`, `unmount`: datasets as files.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use opendag_node::ops::{MountRequest, Operation, UnmountRequest};

use crate::{error::CliError, link::absolute_path};

/// Arguments of `mount`.
#[derive(Clone, Debug, Args)]
pub struct MountArgs {
    /// An empty folder
    pub dir: PathBuf,
    /// Let other users of this machine read it; /etc/fuse.conf must allow that
    #[arg(long)]
    pub allow_other: bool,
    /// Let a read fail when bytes did not come for so long [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
}

impl MountArgs {
    pub(super) fn request(self) -> Result<MountRequest, CliError> {
        let millis = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        Ok(MountRequest {
            dir: absolute_path(&self.dir)?,
            allow_other: self.allow_other,
            timeout_ms: self.timeout.map(millis),
        })
    }
}

/// Arguments of `unmount`.
#[derive(Clone, Debug, Args)]
pub struct UnmountArgs {
    /// The folder
    pub dir: PathBuf,
}

impl UnmountArgs {
    pub(super) fn operation(self) -> Result<Operation, CliError> {
        let dir = absolute_path(&self.dir)?;
        Ok(Operation::Unmount(UnmountRequest { dir }))
    }
}
