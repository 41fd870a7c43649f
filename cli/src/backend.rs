//! Who carries out operations: the running daemon of the data directory, or a node in this process.

use opendag_node::{
    api::ApiClient,
    ops::{Event, Operate, Operation},
};
use tokio::sync::mpsc;

use crate::{error::CliError, settings::Settings};

/// A running daemon or a node of our own.
#[derive(Clone, Debug)]
pub enum Backend {
    /// The daemon that runs on the data directory.
    Daemon(ApiClient),
    /// A node inside this process, for as long as the command lasts.
    Local(Node),
}

impl Backend {
    /// Finds the daemon of the data directory, or starts a node.
    ///
    /// # Errors
    /// The data directory or the configuration cannot be used.
    pub async fn open(settings: &Settings) -> Result<Self, CliError> {
        let daemon = ApiClient::from_data_dir(&settings.data_dir)
            .await
            .map_err(|error| CliError::failed("The running daemon cannot be asked", &error))?;
        match daemon {
            Some(daemon) => Ok(Self::Daemon(daemon)),
            None => Ok(Self::Local(start_node(settings).await?)),
        }
    }

    /// Ends what this process started. A daemon goes on.
    pub async fn close(self) {
        match self {
            Self::Daemon(_) => {}
            Self::Local(node) => node.shutdown().await,
        }
    }
}

impl Operate for Backend {
    async fn run(&self, operation: Operation, events: mpsc::Sender<Event>) {
        match self {
            Self::Daemon(daemon) => daemon.run(operation, events).await,
            Self::Local(node) => node.run(operation, events).await,
        }
    }
}

/// Stands where the node will.
#[derive(Clone, Debug)]
pub enum Node {}

impl Node {
    pub(crate) async fn ready(&self) -> Event {
        match *self {}
    }

    pub(crate) async fn shutdown(&self) {
        match *self {}
    }
}

impl Operate for Node {
    async fn run(&self, _: Operation, _: mpsc::Sender<Event>) {
        match *self {}
    }
}

impl opendag_node::api::GatewaySource for Node {
    async fn find(
        &self,
        _: opendag_protocol::RecordId,
        _: &str,
    ) -> Result<opendag_node::api::GatewayFile, opendag_node::api::GatewayError> {
        match *self {}
    }

    async fn read(
        &self,
        _: opendag_protocol::Hash,
        _: std::ops::Range<u64>,
    ) -> Result<opendag_node::api::gateway::Bytes, opendag_node::api::GatewayError> {
        match *self {}
    }
}

/// Starts a node on the data directory.
pub(crate) async fn start_node(_: &Settings) -> Result<Node, CliError> {
    Err(CliError::Failed(
        "Commands need a running daemon.".to_owned(),
    ))
}
