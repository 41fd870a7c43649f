//! Where a node lives and how it is configured: the global options with their meaning.

use std::path::PathBuf;

use etcetera::BaseStrategy as _;

use crate::{args::GlobalArgs, commands::daemon::DaemonTask, error::CliError, link::absolute_path};

/// The data directory, and what the command line says against the configuration file.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The data directory, absolute.
    pub data_dir: PathBuf,
    /// The configuration file, absolute; `None`: `config.toml` of the data directory, if it is there.
    pub config: Option<PathBuf>,
    /// Name of the network.
    pub network: Option<String>,
    /// Addresses to listen on; empty: those of the configuration.
    pub listen: Vec<String>,
    /// Nodes to begin with, besides those of the configuration.
    pub bootstrap: Vec<String>,
    /// Where the gateway listens.
    pub gateway: Option<std::net::SocketAddr>,
    /// Cap on sending, as text.
    pub upload_limit: Option<String>,
    /// Cap on receiving, as text.
    pub download_limit: Option<String>,
}

impl Settings {
    /// The settings of the global options.
    ///
    /// # Errors
    /// There is no data directory to be found, or a path cannot be used.
    pub fn new(global: GlobalArgs) -> Result<Self, CliError> {
        let data_dir = match global.data_dir {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            Some(_) | None => default_data_dir().ok_or_else(|| {
                CliError::Input(
                    "The user's data folder is unknown (is HOME set?). Name a folder with --data-dir."
                        .to_owned(),
                )
            })?,
        };
        Ok(Self {
            data_dir: absolute_path(&data_dir)?,
            config: global.config.as_deref().map(absolute_path).transpose()?,
            network: global.network.filter(|network| !network.is_empty()),
            listen: global
                .listen
                .into_iter()
                .filter(|address| !address.is_empty())
                .collect(),
            ..Self::default()
        })
    }

    /// These settings with what a daemon's own options say.
    #[must_use]
    pub fn with_daemon(mut self, task: &DaemonTask) -> Self {
        self.bootstrap.clone_from(&task.bootstrap);
        self.gateway = task.gateway;
        self.upload_limit.clone_from(&task.upload_limit);
        self.download_limit.clone_from(&task.download_limit);
        self
    }
}

/// `opendag` in the folder where this system keeps a user's data.
fn default_data_dir() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    let home = etcetera::home_dir().ok()?;
    // Without HOME some systems answer with the root.
    home.is_absolute()
        .then(|| strategy.data_dir().join("opendag"))
}
