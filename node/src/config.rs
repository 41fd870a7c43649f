//! The configuration file: `config.toml` in the data directory, every key optional.
//!
//! ```toml
//! network = "main"
//! listen = ["/ip4/0.0.0.0/tcp/4840", "/ip4/0.0.0.0/udp/4840/quic-v1"]
//! bootstrap = ["/ip4/203.0.113.5/tcp/4840/p2p/12D3KooW…"]
//! upload_limit = "20MB"
//! download_limit = "100MB"
//! head_lifetime = "30d"
//! mdns = true
//! dht = true
//! api = "127.0.0.1:8482"
//! gateway = "127.0.0.1:8480"
//! s3 = "127.0.0.1:8481"
//! gateway_cors_origins = ["https://app.example"]
//! cache_limit = "20GB"
//! catalogue_limit = "1GiB"
//! quota = "500GB"
//! ```

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use libp2p::Multiaddr;
use opendag_protocol::units;
use serde::{Deserialize, Deserializer, de};

use crate::store::CATALOGUE_LIMIT;

/// A configuration file is never larger.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Longest name of a network.
const NETWORK_BYTES_MAX: usize = 32;
/// A head must live long enough to be signed again in time.
const HEAD_LIFETIME_MIN: Duration = Duration::from_secs(10 * 60);

/// A tenth of a common disk: enough for what a training run reads again.
const CACHE_LIMIT: u64 = 20_000_000_000;

/// How a node is set up.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the network: 1 to 32 characters of `a-z`, `0-9`, `-`. Nodes of different networks never meet.
    #[serde(deserialize_with = "network")]
    pub network: String,
    /// Where to listen. With loopback addresses alone, nothing is sent to any other machine.
    #[serde(deserialize_with = "addresses")]
    pub listen: Vec<Multiaddr>,
    /// Nodes to stay connected to.
    #[serde(deserialize_with = "addresses")]
    pub bootstrap: Vec<Multiaddr>,
    /// Most bytes a second to all peers together; `None`: no cap.
    #[serde(deserialize_with = "optional_bytes")]
    pub upload_limit: Option<u64>,
    /// Most bytes a second from all peers together; `None`: no cap.
    #[serde(deserialize_with = "optional_bytes")]
    pub download_limit: Option<u64>,
    /// How long a head that this node signs is valid; it is signed again well before.
    #[serde(deserialize_with = "head_lifetime")]
    pub head_lifetime: Duration,
    /// Find peers on the local network.
    pub mdns: bool,
    /// Take part in the DHT.
    pub dht: bool,
    /// Where the API listens, on loopback; `None`: a free port.
    pub api: Option<SocketAddr>,
    /// Where the read-only gateway listens; `None`: nowhere.
    pub gateway: Option<SocketAddr>,
    /// Where the read-only S3 listens; `None`: nowhere.
    pub s3: Option<SocketAddr>,
    /// Web sites whose pages may read from the gateway and S3, as browsers write an origin; none: no site.
    #[serde(deserialize_with = "origins")]
    pub gateway_cors_origins: Vec<String>,
    /// Most bytes of files that were read and are not kept.
    #[serde(deserialize_with = "bytes")]
    pub cache_limit: u64,
    /// Most bytes of records: what is known of datasets, here or not, and statements.
    #[serde(deserialize_with = "bytes")]
    pub catalogue_limit: u64,
    /// Most bytes of all that this node keeps, unless `opendag quota` said otherwise; `None`: no budget.
    #[serde(deserialize_with = "optional_bytes")]
    pub quota: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            network: "main".to_owned(),
            listen: default_listen(),
            bootstrap: Vec::new(),
            upload_limit: None,
            download_limit: None,
            head_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            mdns: true,
            dht: true,
            api: None,
            gateway: None,
            s3: None,
            gateway_cors_origins: Vec::new(),
            cache_limit: CACHE_LIMIT,
            catalogue_limit: CATALOGUE_LIMIT,
            quota: None,
        }
    }
}

/// Any free port on all interfaces.
fn default_listen() -> Vec<Multiaddr> {
    let texts = [
        "/ip4/0.0.0.0/tcp/0",
        "/ip4/0.0.0.0/udp/0/quic-v1",
        "/ip6/::/tcp/0",
        "/ip6/::/udp/0/quic-v1",
    ];
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An unknown key, a wrong type or value. The text names the key and its line.
    #[error("the configuration {path} is not valid: {problem}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        problem: String,
    },
    /// A text is no number of bytes, such as `20MB` or `512KiB`.
    #[error("\"{text}\" is not a number of bytes; write it like 500kB, 20MB or 2GiB")]
    NotBytes {
        /// The text.
        text: String,
    },
    /// A text is no name of a network.
    #[error("\"{text}\" is no name of a network: take 1 to 32 of a-z, 0-9 and -")]
    NotANetwork {
        /// The text.
        text: String,
    },
}

impl Config {
    /// Reads a configuration file; `None` if there is none. Blocks.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Invalid`].
    pub fn load(path: &Path) -> Result<Option<Self>, ConfigError> {
        use std::io::Read;
        let mut text = String::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => Self::parse(&text, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ConfigError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Reads the text of a configuration; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Invalid {
            path: path.to_owned(),
            problem: error.to_string(),
        })
    }
}

/// Is this a name for a network?
///
/// # Errors
/// [`ConfigError::NotANetwork`].
pub fn check_network(text: &str) -> Result<(), ConfigError> {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.is_empty() && text.len() <= NETWORK_BYTES_MAX && text.bytes().all(fine) {
        Ok(())
    } else {
        Err(ConfigError::NotANetwork {
            text: text.to_owned(),
        })
    }
}

/// A number of bytes, or of bytes a second: `500kB`, `20 MB`, `2GiB`, `20MB/s`. At least 1.
///
/// # Errors
/// [`ConfigError::NotBytes`].
pub fn parse_bytes(text: &str) -> Result<u64, ConfigError> {
    let not_bytes = || ConfigError::NotBytes {
        text: text.to_owned(),
    };
    let trimmed = text.trim();
    units::bytes(trimmed.strip_suffix("/s").unwrap_or(trimmed)).ok_or_else(not_bytes)
}

fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    check_network(&text).map_err(de::Error::custom)?;
    Ok(text)
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Multiaddr>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: String| {
        text.parse().map_err(|_| {
            de::Error::custom(format!(
                "\"{text}\" is not an address; write it like /ip4/192.0.2.1/tcp/4840"
            ))
        })
    };
    texts.into_iter().map(parse).collect()
}

/// Origins as browsers send them: scheme, host and perhaps a port, in lower case. No `*`: a page of any site
/// could make this node read from the network and see what it has.
fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let is_origin = |text: &String| {
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let fine = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]_".contains(&byte)
        };
        host.is_some_and(|host| !host.is_empty() && host.bytes().all(fine))
    };
    match texts.iter().find(|text| !is_origin(text)) {
        None => Ok(texts),
        Some(text) => Err(de::Error::custom(format!(
            "\"{text}\" is not an origin; write it like https://app.example, without a path and in lower case"
        ))),
    }
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_bytes(&text).map_err(de::Error::custom)
}

fn optional_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_bytes(&text).map(Some).map_err(de::Error::custom)
}

fn head_lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match humantime::parse_duration(&text) {
        Ok(span) if span >= HEAD_LIFETIME_MIN => Ok(span),
        Ok(_) => Err(de::Error::custom("a head must live at least 10m")),
        Err(_) => Err(de::Error::custom(format!(
            "\"{text}\" is not a length of time; write it like 5m, 12h or 30d"
        ))),
    }
}

#[cfg(test)]
mod tests;
