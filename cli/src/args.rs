//! Arguments as they are written: clap's types, without meaning yet.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::commands::{
    alias::AliasCommand,
    daemon::DaemonArgs,
    denylist::DenylistCommand,
    env::EnvArgs,
    fetch::FetchArgs,
    follow::{FollowArgs, UnfollowArgs},
    keep::{GcArgs, LinkArg, PinArgs, QuotaArgs, RmArgs, VerifyArgs},
    key::KeyCommand,
    lineage::LineageArgs,
    lock::LockArgs,
    manifest::ManifestCommand,
    mirror::{MirrorArgs, UnmirrorArgs},
    mount::{MountArgs, UnmountArgs},
    owners::{OwnersCommand, SignArgs},
    pages::{CompletionsArgs, ManArgs},
    publish::PublishArgs,
    receipt::ReceiptArgs,
    review::ReviewArgs,
    search::SearchArgs,
    testnet::TestnetCommand,
    versions::{DiffArgs, LogArgs, LsArgs, ShowArgs},
};

/// Publish, seed and fetch datasets without a server.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "opendag",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 bad input, 3 not found in time, 4 refused \
                        (signature, hash, policy), 130 interrupted."
)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Folder of keys, records and the index [default: opendag in the user's data folder]
    #[arg(
        long,
        value_name = "DIR",
        env = "OPENDAG_DATA_DIR",
        global = true,
        hide_env_values = true
    )]
    pub data_dir: Option<PathBuf>,
    /// Name of the network; nodes of different names never meet
    #[arg(
        long,
        value_name = "NAME",
        env = "OPENDAG_NETWORK",
        global = true,
        hide_env_values = true
    )]
    pub network: Option<String>,
    /// Addresses to listen on, comma-separated, such as /ip4/127.0.0.1/tcp/0
    #[arg(
        long,
        value_name = "MULTIADDR",
        env = "OPENDAG_LISTEN",
        value_delimiter = ',',
        global = true,
        hide_env_values = true
    )]
    pub listen: Vec<String>,
    /// Configuration file [default: config.toml in the data directory]
    #[arg(
        long,
        value_name = "FILE",
        env = "OPENDAG_CONFIG",
        global = true,
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Print one JSON object per line on standard output; text and progress go to standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Log more; twice: much more
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Print nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run a node: seed what is here, stay reachable
    Daemon(DaemonArgs),
    /// Publish a folder or file as the next version of a dataset
    Publish(Box<PublishArgs>),
    /// Fetch a version, verify each byte, and put it in place
    Fetch(FetchArgs),
    /// Write down which versions a project uses, in opendag.lock
    Lock(LockArgs),
    /// List the versions that are here, or the files of one
    Ls(LsArgs),
    /// Show what a version is
    Show(ShowArgs),
    /// Show the history of a dataset
    Log(LogArgs),
    /// Show what changed between two versions
    Diff(DiffArgs),
    /// Find datasets that this node knows of, by words and facets such as license:mit
    Search(SearchArgs),
    /// Draw what a version was made from, and what was made from it
    Lineage(LineageArgs),
    /// Say what you think of a dataset or a version
    Review(ReviewArgs),
    /// Hash again what is on disk, report, and repair from peers
    Verify(VerifyArgs),
    /// Hash again what lies here of a version, and sign that it is as it should be
    Receipt(ReceiptArgs),
    /// Have the versions of a dataset or publisher here for others, and those that come, as far as there is
    /// room
    Mirror(MirrorArgs),
    /// Mirror no longer; what came stays until its room is needed
    Unmirror(UnmirrorArgs),
    /// Never let a dataset or version go unasked; without LINK, list what is pinned
    Pin(PinArgs),
    /// Let a dataset or version go: `gc` may free it
    Unpin(LinkArg),
    /// Let a version go and free what only it needs
    Rm(RmArgs),
    /// Free what is not kept
    Gc(GcArgs),
    /// Show what lies here, and how much may; set that
    Quota(QuotaArgs),
    /// List, make, export, import and rotate publisher keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show and change who owns a dataset, and how many of them must sign
    #[command(subcommand)]
    Owners(OwnersCommand),
    /// Sign a draft of another owner: a version, or a change of owners
    Sign(SignArgs),
    /// Name publishers: NAME/DATASET is a link, in the gateway and mounts too
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Learn of new versions of a dataset or publisher as they come, and fetch them
    Follow(FollowArgs),
    /// Follow a dataset or publisher no longer
    Unfollow(UnfollowArgs),
    /// Say what this node must neither fetch, serve, pass on nor list, and heed the lists of others
    #[command(subcommand)]
    Denylist(DenylistCommand),
    /// Show who this node is
    Id,
    /// Show whom this node sees
    Peers,
    /// Show what goes on
    Status,
    /// Print settings by which other programs read from this node: eval "$(opendag env)"
    Env(EnvArgs),
    /// Show the datasets of this node as a read-only tree of files, until Ctrl-C (Linux)
    Mount(MountArgs),
    /// End a mount
    Unmount(UnmountArgs),
    /// Carry the signed records of a version as a file
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// Rebuild the index from records and blobs
    Reindex,
    /// Run a local network of real nodes for development
    #[command(subcommand)]
    Testnet(TestnetCommand),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one per command into a folder
    Man(ManArgs),
}

#[cfg(test)]
mod tests;
