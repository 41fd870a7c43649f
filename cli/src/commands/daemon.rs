//! `daemon`: a node that stays.

use std::net::SocketAddr;

use clap::Args;

use crate::error::CliError;

/// Arguments of `daemon`.
#[derive(Clone, Debug, Args)]
pub struct DaemonArgs {
    /// Address of a node to begin with, with /p2p/PEER; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub bootstrap: Vec<String>,
    /// Serve the local API on this address of loopback instead of a free port, such as 127.0.0.1:8482
    #[arg(long, value_name = "ADDR")]
    pub api: Option<SocketAddr>,
    /// Serve datasets over HTTP, as the Hugging Face Hub does, on this address, such as 127.0.0.1:8480
    #[arg(long, value_name = "ADDR")]
    pub gateway: Option<SocketAddr>,
    /// Serve files of datasets as a read-only S3 on this address
    #[arg(long, value_name = "ADDR")]
    pub s3: Option<SocketAddr>,
    /// Send at most so much a second, such as 20MB
    #[arg(long, value_name = "RATE")]
    pub upload_limit: Option<String>,
    /// Receive at most so much a second
    #[arg(long, value_name = "RATE")]
    pub download_limit: Option<String>,
    /// Stop when standard input ends: the daemon does not outlive who started it
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// A daemon to run: what of its configuration the command line replaces.
#[derive(Clone, Debug)]
pub struct DaemonTask {
    /// Nodes to begin with, besides those of the configuration.
    pub bootstrap: Vec<String>,
    /// Where the API listens.
    pub api: Option<SocketAddr>,
    /// Where the gateway listens.
    pub gateway: Option<SocketAddr>,
    /// Where the read-only S3 listens.
    pub s3: Option<SocketAddr>,
    /// Cap on sending, as text.
    pub upload_limit: Option<String>,
    /// Cap on receiving, as text.
    pub download_limit: Option<String>,
    /// Stop when standard input ends?
    pub stop: Stop,
}

/// What ends a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM or SIGINT.
    Signal,
    /// The end of standard input too.
    SignalOrStdin,
}

impl DaemonArgs {
    pub(super) fn task(self) -> Result<DaemonTask, CliError> {
        Ok(DaemonTask {
            bootstrap: self.bootstrap,
            api: self.api,
            gateway: self.gateway,
            s3: self.s3,
            upload_limit: self.upload_limit,
            download_limit: self.download_limit,
            stop: if self.stop_with_stdin {
                Stop::SignalOrStdin
            } else {
                Stop::Signal
            },
        })
    }
}
