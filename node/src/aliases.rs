//! The user's names for publishers: set, listed, removed.

use opendag_protocol::{
    http::alias::{Alias, AliasError},
    key::{KeyError, PublicKey},
};

use crate::{
    disk::DiskError,
    fault::Fault,
    node::Shared,
    ops::{AliasInfo, AliasNameRequest, AliasRequest, Event},
    store::DataDirError,
};

/// Aliases of a node: each is a bucket, and all of them are listed in one answer.
const ALIASES_MAX: usize = 1000;

/// Why an alias is not set or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AliasesError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] AliasError),
    /// The key is none.
    #[error(
        "\"{text}\" is not the public key of a publisher: {source}; `opendag show LINK` names the owners of a dataset"
    )]
    Key {
        /// What was given, cut.
        text: String,
        /// Why it is none.
        source: KeyError,
    },
    /// There is no such alias.
    #[error("there is no alias {0}; see: opendag alias list")]
    NotFound(Alias),
    /// More than a listing has room for.
    #[error("there are {ALIASES_MAX} aliases already; remove one with: opendag alias rm NAME")]
    TooMany,
    /// They cannot be read.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// They cannot be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl AliasesError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Name(_) | Self::Key { .. } | Self::NotFound(_) | Self::TooMany => Fault::Input,
            Self::DataDir(_) | Self::Disk(_) => Fault::Local,
        }
    }
}

/// All aliases.
pub(crate) fn list(shared: &Shared) -> Result<Event, AliasesError> {
    let all = shared.data_dir.aliases().all()?;
    let aliases = all.iter().map(|(alias, key)| info(alias, key)).collect();
    Ok(Event::Aliases { aliases })
}

/// Lets an alias stand for a publisher.
pub(crate) fn set(shared: &Shared, request: &AliasRequest) -> Result<Event, AliasesError> {
    let alias: Alias = request.name.parse()?;
    let key: PublicKey = request.key.parse().map_err(|source| AliasesError::Key {
        text: request.key.chars().take(64).collect(),
        source,
    })?;
    let aliases = shared.data_dir.aliases();
    let is_new = !aliases.is_set(&alias);
    if is_new && aliases.all()?.len() >= ALIASES_MAX {
        return Err(AliasesError::TooMany);
    }
    aliases.set(&alias, &key)?;
    let aliases = vec![info(&alias, &key)];
    Ok(Event::Aliases { aliases })
}

/// Forgets an alias.
pub(crate) fn remove(shared: &Shared, request: &AliasNameRequest) -> Result<Event, AliasesError> {
    let alias: Alias = request.name.parse()?;
    if !shared.data_dir.aliases().remove(&alias)? {
        return Err(AliasesError::NotFound(alias));
    }
    Ok(Event::Changed {
        message: format!("the alias {alias} stands for nobody any more"),
        freed_bytes: 0,
    })
}

fn info(alias: &Alias, key: &PublicKey) -> AliasInfo {
    AliasInfo {
        name: alias.to_string(),
        key: key.to_string(),
    }
}
