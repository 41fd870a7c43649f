//! Who carries out operations: the running daemon of the data directory, or a node in this process.

use opendag_node::{
    Node, NodeOptions, Role,
    api::ApiClient,
    config::Config,
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
        let daemon = ApiClient::from_data_dir(&settings.data_dir).await;
        let failed = |error| CliError::failed("The running daemon cannot be asked", &error);
        match daemon.map_err(failed)? {
            Some(daemon) => Ok(Self::Daemon(daemon)),
            None => {
                let config = settings.config()?;
                Ok(Self::Local(
                    start_node(settings, config, Role::Command).await?,
                ))
            }
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

/// Starts a node on the data directory.
pub(crate) async fn start_node(
    settings: &Settings,
    config: Config,
    role: Role,
) -> Result<Node, CliError> {
    let data_dir = settings.data_dir.clone();
    Node::start(NodeOptions {
        data_dir,
        config,
        role,
    })
    .await
    .map_err(|error| CliError::Start {
        message: format!(
            "The node cannot start: {}.",
            opendag_node::with_causes(&error)
        ),
        exit_code: error.fault().exit_code(),
    })
}
