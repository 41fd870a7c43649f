//! What arguments mean: each command becomes a [`Task`], complete and checked as far as that needs no
//! node. One file per group of commands.

pub mod alias;
pub mod daemon;
pub mod denylist;
pub mod env;
pub mod fetch;
pub mod follow;
pub mod keep;
pub mod key;
pub mod lineage;
pub mod lock;
pub mod manifest;
pub mod mirror;
pub mod mount;
pub mod owners;
pub mod pages;
pub mod publish;
pub mod receipt;
pub mod review;
pub mod search;
pub mod testnet;
pub mod versions;

use std::path::PathBuf;

use opendag_node::ops::{GcRequest, LinkRequest, MountRequest, Operation};
use opendag_protocol::exchange::Encoding;

use crate::{args::Command, error::CliError};

/// What a command asks for.
#[derive(Clone, Debug)]
pub enum Task {
    /// One operation of a node.
    Operation(Operation),
    /// The records of a version, or a receipt, written to a file or standard output.
    Export(Operation, Written, Option<PathBuf>),
    /// A mount, until it is ended.
    Mount(MountRequest),
    /// A daemon, until it is stopped.
    Daemon(daemon::DaemonTask),
    /// A local network.
    Testnet(TestnetCommand),
    /// Completions for a shell.
    Completions(clap_complete::Shell),
    /// Manual pages, to standard output or into a folder.
    Man(Option<PathBuf>),
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// As the node gives it.
    AsItIs,
    /// In an exchange format.
    In(Encoding),
}

pub use testnet::TestnetCommand;

impl TryFrom<Command> for Task {
    type Error = CliError;

    fn try_from(command: Command) -> Result<Self, CliError> {
        let operation = match command {
            Command::Daemon(args) => return args.task().map(Self::Daemon),
            Command::Testnet(command) => return Ok(Self::Testnet(command)),
            Command::Completions(args) => return Ok(Self::Completions(args.shell)),
            Command::Man(args) => return Ok(Self::Man(args.dir)),
            Command::Manifest(command) => return command.task(),
            Command::Receipt(args) => return args.task(),
            Command::Mount(args) => return args.request().map(Self::Mount),
            Command::Search(args) => args.operation(),
            Command::Lineage(args) => Operation::Lineage(args.request()?),
            Command::Publish(args) => (*args).operation()?,
            Command::Sign(args) => Operation::Sign(args.request()?),
            Command::Owners(command) => command.operation()?,
            Command::Fetch(args) => args.operation()?,
            Command::Lock(args) => args.operation()?,
            Command::Mirror(args) => args.operation()?,
            Command::Unmirror(args) => args.operation()?,
            Command::Pin(args) => args.operation()?,
            Command::Ls(args) => args.operation()?,
            Command::Show(args) => args.operation()?,
            Command::Log(args) => Operation::Log(args.request()?),
            Command::Review(args) => args.operation()?,
            Command::Diff(args) => Operation::Diff(args.request()?),
            Command::Verify(args) => args.operation()?,
            Command::Unpin(args) => Operation::Unpin(args.request()?),
            Command::Rm(args) => Operation::Rm(args.request()?),
            Command::Quota(args) => args.operation()?,
            Command::Gc(args) => Operation::Gc(GcRequest { plan: args.plan }),
            Command::Key(command) => command.operation()?,
            Command::Alias(command) => command.operation(),
            Command::Follow(args) => args.operation()?,
            Command::Unfollow(args) => args.operation()?,
            Command::Denylist(command) => command.operation()?,
            Command::Id => Operation::Id,
            Command::Peers => Operation::Peers,
            Command::Status => Operation::Status,
            Command::Env(args) => args.operation(),
            Command::Unmount(args) => args.operation()?,
            Command::Reindex => Operation::Reindex,
        };
        Ok(Self::Operation(operation))
    }
}

/// A request about `link` that asks nobody else.
fn local(link: String) -> Result<LinkRequest, CliError> {
    Ok(LinkRequest {
        link: Some(crate::link::resolve(link)?),
        ..LinkRequest::default()
    })
}
