//! Where a node lives and how it is configured: the global options with their meaning.

use std::{path::PathBuf, str::FromStr};

use etcetera::BaseStrategy as _;

use opendag_node::config::{self, Config, ConfigError};

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
    /// Where the API listens.
    pub api: Option<std::net::SocketAddr>,
    /// Where the gateway listens.
    pub gateway: Option<std::net::SocketAddr>,
    /// Where the read-only S3 listens.
    pub s3: Option<std::net::SocketAddr>,
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
        self.api = task.api;
        self.gateway = task.gateway;
        self.s3 = task.s3;
        self.upload_limit.clone_from(&task.upload_limit);
        self.download_limit.clone_from(&task.download_limit);
        self
    }

    /// The configuration: the file's, with what the command line says in its place.
    ///
    /// # Errors
    /// The file or an option is not valid.
    pub fn config(&self) -> Result<Config, CliError> {
        let path = self
            .config
            .clone()
            .unwrap_or_else(|| self.data_dir.join("config.toml"));
        let file = Config::load(&path).map_err(|error| invalid(&error))?;
        if file.is_none() && self.config.is_some() {
            let message = format!("There is no configuration file \"{}\".", path.display());
            return Err(CliError::Input(message));
        }
        let mut config = file.unwrap_or_default();
        if let Some(network) = &self.network {
            config::check_network(network).map_err(|error| invalid(&error))?;
            config.network.clone_from(network);
        }
        if !self.listen.is_empty() {
            config.listen = addresses("--listen", &self.listen)?;
        }
        config
            .bootstrap
            .extend(addresses("--bootstrap", &self.bootstrap)?);
        for (limit, text) in [
            (&mut config.upload_limit, &self.upload_limit),
            (&mut config.download_limit, &self.download_limit),
        ] {
            if let Some(text) = text {
                *limit = Some(config::parse_bytes(text).map_err(|error| invalid(&error))?);
            }
        }
        config.api = self.api.or(config.api);
        config.gateway = self.gateway.or(config.gateway);
        config.s3 = self.s3.or(config.s3);
        Ok(config)
    }
}

fn invalid(error: &ConfigError) -> CliError {
    CliError::Input(format!(
        "The configuration cannot be used: {}.",
        opendag_node::with_causes(error)
    ))
}

fn addresses<A: FromStr>(option: &str, texts: &[String]) -> Result<Vec<A>, CliError> {
    let parse = |text: &String| {
        text.parse().map_err(|_| {
            CliError::Input(format!(
                "\"{text}\" ({option}) is not an address. Write it like /ip4/192.0.2.1/tcp/4840, for a \
                 peer with /p2p/<its id> behind it."
            ))
        })
    };
    texts.iter().map(parse).collect()
}

/// `opendag` in the folder where this system keeps a user's data.
fn default_data_dir() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    let home = etcetera::home_dir().ok()?;
    // Without HOME some systems answer with the root.
    home.is_absolute()
        .then(|| strategy.data_dir().join("opendag"))
}

#[cfg(test)]
mod tests;
