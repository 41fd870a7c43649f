//! `env`: settings by which other programs read from this node.

use clap::{Args, ValueEnum};
use opendag_node::ops::{EnvRequest, Operation, Shell};

/// Arguments of `env`.
#[derive(Clone, Debug, Args)]
pub struct EnvArgs {
    /// How the settings are written
    #[arg(long, value_enum, default_value_t = ShellName::Sh)]
    pub shell: ShellName,
}

/// A kind of shell on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShellName {
    /// sh, bash, zsh
    Sh,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
}

impl EnvArgs {
    pub(super) fn operation(&self) -> Operation {
        let shell = match self.shell {
            ShellName::Sh => Shell::Sh,
            ShellName::Fish => Shell::Fish,
            ShellName::Powershell => Shell::Powershell,
        };
        Operation::Env(EnvRequest { shell })
    }
}
