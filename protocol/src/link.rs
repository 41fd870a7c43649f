//! Links: the text that a user pastes to get a dataset or one version of it.
//!
//! `opendag:<id>@<revision>?name=<name>&peer=<multiaddr>&peer=…`, or the bare id. The id is that of a
//! dataset or of a manifest; the record tells which. The name and the peers are hints that nobody signed.
//! Source: `specs/links.md`.

use std::{fmt, fmt::Write as _, str::FromStr};

use crate::{
    DatasetId, ManifestId, RecordId,
    id::IdError,
    limits::{LINK_BYTES_MAX, LINK_PEER_BYTES_MAX, LINK_PEERS_MAX},
    record::{FieldProblem, check_name},
    revision::Revision,
};

/// What every link but a bare id begins with.
const SCHEME: &str = "opendag:";

/// Why a text is no link, or a link cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Longer than a link may be.
    #[error("a link of {bytes} bytes is longer than {LINK_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// No id after the scheme, or a bare text that is no id.
    #[error("a link is opendag:<id> or an id: {0}")]
    Id(#[source] IdError),
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("a value of the link is not percent-encoded UTF-8")]
    Encoding,
    /// A character that must be percent-encoded.
    #[error("the link has a character that must be percent-encoded")]
    Character,
    /// A name that no dataset can have, or two of them.
    #[error("the name in the link is not valid: {0}")]
    Name(FieldProblem),
    /// A revision that no version can have.
    #[error("the revision behind the @ of the link is not valid: {0}")]
    Revision(FieldProblem),
    /// An address that is not a multiaddr with a peer id.
    #[error("an address of a peer in the link is not of the form /…/p2p/<peer>")]
    Peer,
    /// More addresses than a link may hold.
    #[error("a link has at most {LINK_PEERS_MAX} addresses of peers")]
    TooManyPeers,
}

/// What a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkTarget {
    /// A dataset (its newest version) or a manifest (that version): the record with this id tells.
    Id(RecordId),
}

impl LinkTarget {
    /// The id.
    #[must_use]
    pub const fn id(&self) -> RecordId {
        match self {
            Self::Id(id) => *id,
        }
    }
}

/// A link.
///
/// Invariants: the name could be one of a dataset; at most 16 addresses, each of printable ASCII that
/// begins with `/`; the text form has at most 2,048 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    target: LinkTarget,
    revision: Option<Revision>,
    name: Option<String>,
    peers: Vec<String>,
}

impl Link {
    /// A link with hints: what the dataset is called, and addresses of peers that hold it, each a
    /// multiaddr that ends in `/p2p/<peer>`.
    ///
    /// # Errors
    /// [`LinkError`] if a hint is not valid or all is longer than a link may be.
    pub fn new(
        target: RecordId,
        name: Option<String>,
        peers: Vec<String>,
    ) -> Result<Self, LinkError> {
        if let Some(name) = &name {
            check_name(name).map_err(LinkError::Name)?;
        }
        if peers.len() > LINK_PEERS_MAX {
            return Err(LinkError::TooManyPeers);
        }
        if !peers.iter().all(|peer| is_peer(peer)) {
            return Err(LinkError::Peer);
        }
        let link = Self {
            target: LinkTarget::Id(target),
            revision: None,
            name,
            peers,
        };
        link.checked()
    }

    /// The same link to another version of the dataset.
    ///
    /// # Errors
    /// [`LinkError::TooLong`].
    pub fn at(self, revision: Revision) -> Result<Self, LinkError> {
        let revision = Some(revision);
        Self { revision, ..self }.checked()
    }

    fn checked(self) -> Result<Self, LinkError> {
        let bytes = self.to_string().len();
        if bytes > LINK_BYTES_MAX {
            Err(LinkError::TooLong { bytes })
        } else {
            Ok(self)
        }
    }

    /// What it leads to.
    #[must_use]
    pub const fn target(&self) -> LinkTarget {
        self.target
    }

    /// The id of what it leads to.
    #[must_use]
    pub const fn id(&self) -> RecordId {
        self.target.id()
    }

    /// Which version of the dataset; `None`: the newest, or exactly the one that the id names.
    #[must_use]
    pub const fn revision(&self) -> Option<&Revision> {
        self.revision.as_ref()
    }

    /// What the dataset is said to be called: to show, never to believe.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Addresses of peers that are said to hold it.
    #[must_use]
    pub fn peers(&self) -> &[String] {
        &self.peers
    }
}

impl From<RecordId> for Link {
    fn from(id: RecordId) -> Self {
        Self {
            target: LinkTarget::Id(id),
            revision: None,
            name: None,
            peers: Vec::new(),
        }
    }
}

impl From<DatasetId> for Link {
    fn from(id: DatasetId) -> Self {
        RecordId::from(id).into()
    }
}

impl From<ManifestId> for Link {
    fn from(id: ManifestId) -> Self {
        RecordId::from(id).into()
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.id())?;
        if let Some(revision) = &self.revision {
            f.write_char('@')?;
            encode(revision.as_str(), f)?;
        }
        let name = self.name.iter().map(|name| ("name", name));
        let peers = self.peers.iter().map(|peer| ("peer", peer));
        for (position, (key, value)) in name.chain(peers).enumerate() {
            let before = if position == 0 { '?' } else { '&' };
            write!(f, "{before}{key}=")?;
            encode(value, f)?;
        }
        Ok(())
    }
}

impl FromStr for Link {
    type Err = LinkError;

    /// Parses a link or a bare id, each with a revision or without. Parameters that this program does not
    /// know are ignored.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        if text.len() > LINK_BYTES_MAX {
            return Err(LinkError::TooLong { bytes: text.len() });
        }
        let Some(rest) = text.strip_prefix(SCHEME) else {
            // As people type it, nothing is encoded.
            let (id, revision) = split(text);
            let link = Self::from(id.parse::<RecordId>().map_err(LinkError::Id)?);
            return match revision {
                Some(revision) => link.at(revision.parse().map_err(LinkError::Revision)?),
                None => Ok(link),
            };
        };
        let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (id, revision) = split(target);
        let id = id.parse().map_err(LinkError::Id)?;
        let (mut name, mut peers) = (None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = decode(value)?;
            match key {
                "name" if name.is_some() => return Err(LinkError::Name(FieldProblem::Order)),
                "name" => name = Some(value),
                "peer" => peers.push(value),
                _ => {}
            }
        }
        let link = Self::new(id, name, peers)?;
        match revision {
            Some(revision) => link.at(decode(revision)?.parse().map_err(LinkError::Revision)?),
            None => Ok(link),
        }
    }
}

/// What stands before the first `@`, and what behind it.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once('@') {
        Some((id, revision)) => (id, Some(revision)),
        None => (text, None),
    }
}

/// Printable ASCII of the form `/…/p2p/<peer>`; whoever dials it parses the rest.
fn is_peer(text: &str) -> bool {
    let peer = text.rsplit_once("/p2p/").map(|(_, peer)| peer);
    text.len() <= LINK_PEER_BYTES_MAX
        && text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && peer.is_some_and(|peer| !peer.is_empty() && !peer.contains('/'))
}

/// May stand for itself in a value: unreserved characters of RFC 3986 and what multiaddrs need.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte)
}

fn encode(value: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in value.bytes() {
        if is_plain(byte) {
            f.write_char(byte.into())?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// Takes what [`encode`] gives and any other printable ASCII, as browsers and chats may rewrite it.
fn decode(value: &str) -> Result<String, LinkError> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.unwrap_or_default());
                let decoded = data_encoding::HEXLOWER_PERMISSIVE
                    .decode(&digits)
                    .map_err(|_| LinkError::Encoding)?;
                bytes.extend(decoded);
            }
            byte if byte.is_ascii_graphic() => bytes.push(byte),
            _ => return Err(LinkError::Character),
        }
    }
    String::from_utf8(bytes).map_err(|_| LinkError::Encoding)
}

#[cfg(test)]
mod tests;
