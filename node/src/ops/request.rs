//! What a node can be asked, operation by operation.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LineageFormat;

/// Publish a folder or file as the next version of a dataset. Ends in [`super::Event::Published`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PublishRequest {
    /// Absolute path of a folder or a regular file.
    pub path: PathBuf,
    /// The dataset's name; with the publisher's key it says which dataset gets a version.
    pub name: String,
    /// Label of the version, such as `v1.1`.
    pub label: Option<String>,
    /// One line.
    pub title: Option<String>,
    /// A paragraph.
    pub description: Option<String>,
    /// SPDX expression; default: that of the version before, and there must be one.
    pub license: Option<String>,
    /// Languages as BCP 47 tags.
    pub languages: Vec<String>,
    /// Free words to search by.
    pub tags: Vec<String>,
    /// URL.
    pub homepage: Option<String>,
    /// README card (Markdown); default: `README.md` at the root of the folder.
    pub card: Option<PathBuf>,
    /// Write `README.md` into the folder if it has none.
    pub write_card: bool,
    /// Links of the versions that this one was made from.
    pub derived_from: Vec<String>,
    /// Globs of paths to leave out.
    pub exclude: Vec<String>,
    /// Copy the files into the data directory instead of referring to them in place.
    pub copy: bool,
    /// Name of the publisher key; default `default`, made at the first use.
    pub key: Option<String>,
    /// Do not compute SHA-256, which other clients (Hugging Face, S3, Croissant) want.
    pub no_sha256: bool,
    /// Do not make chunk maps, by which a fetch of a later version takes what it has from the earlier.
    pub no_chunk_maps: bool,
    /// Paths to publish and no others, each with the SHA-256 in hexadecimal digits that the file must have;
    /// none: all that is in the folder.
    pub only: BTreeMap<String, String>,
    /// Absolute path of a new file: write a draft to it for others to sign, and publish nothing yet. Ends
    /// in [`super::Event::Draft`].
    pub draft: Option<PathBuf>,
    /// Leave the draft without signatures, also where this node has keys that have a say.
    pub unsigned: bool,
}

/// Apply a draft that enough owners have signed. Ends in [`super::Event::Published`] or
/// [`super::Event::Rotated`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FinishRequest {
    /// Absolute paths of copies of one draft, signed by different owners.
    pub files: Vec<PathBuf>,
}

/// Sign a draft. Ends in [`super::Event::Draft`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignRequest {
    /// Absolute paths of copies of one draft; all signatures go into the first.
    pub files: Vec<PathBuf>,
    /// Local names of the keys; none: all that have a say.
    pub keys: Vec<String>,
    /// Only say what is to be signed.
    pub show: bool,
}

/// Fetch a version into a folder. Ends in [`super::Event::Fetched`], or [`super::Event::Plan`] with `plan`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FetchRequest {
    /// A link, a bare id, the path of an exported manifest, or the name of a dataset known here; behind each
    /// but a path perhaps `@` and a label, a sequence number or a commit.
    pub link: String,
    /// Absolute path of the target folder; `None`: the dataset's name below `cwd`.
    pub output: Option<PathBuf>,
    /// Where the command runs, absolute.
    pub cwd: PathBuf,
    /// Globs of paths to fetch; none: all.
    pub include: Vec<String>,
    /// Globs of paths to leave out.
    pub exclude: Vec<String>,
    /// Multiaddrs of peers to ask first, with `/p2p/<peer>`.
    pub peers: Vec<String>,
    /// Only say what would move.
    pub plan: bool,
    /// Do not serve what was fetched, neither during nor after.
    pub no_seed: bool,
    /// Fetch changed files whole, also where older versions of them are here.
    pub no_delta: bool,
    /// Replace files at the target that differ and that were not put there by us.
    pub overwrite: bool,
    /// Fetch into the data directory and keep (what `mirror` does with one version); `output` is ignored.
    pub mirror: bool,
    /// With `mirror`: what comes is held by a mirror, and not kept for good.
    #[serde(skip)]
    pub for_mirror: bool,
    /// Give up after so long without any source or progress, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Fetch the newest version although the owners signed two with its number.
    pub accept_fork: bool,
    /// Fetch it although it is denied here. It is still neither served nor listed.
    pub ignore_denylists: bool,
}

/// Which dataset or version an operation is about.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinkRequest {
    /// As [`FetchRequest::link`]; `None`: all that is here, where the operation allows it.
    pub link: Option<String>,
    /// As [`FetchRequest::peers`].
    pub peers: Vec<String>,
    /// As [`FetchRequest::timeout_ms`].
    pub timeout_ms: Option<u64>,
    /// Ask others for a newer version also where one is known here.
    pub newest: bool,
}

/// What a version was made from, and what was made from it. Ends in [`super::Event::Lineage`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LineageRequest {
    /// The version.
    pub about: LinkRequest,
    /// Steps in each direction; `None`: as far as it goes.
    pub depth: Option<u32>,
    /// How it is to be drawn.
    pub format: LineageFormat,
}

/// Describe a version in the vocabulary of Croissant. Ends in [`super::Event::Described`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DescribeRequest {
    /// As [`FetchRequest::link`].
    pub link: String,
    /// As [`FetchRequest::peers`].
    pub peers: Vec<String>,
    /// As [`FetchRequest::timeout_ms`].
    pub timeout_ms: Option<u64>,
    /// URL of the gateway where the files are; `None`: they lie beside the document.
    pub gateway: Option<String>,
}

/// Two versions to compare. Ends in [`super::Event::Diff`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffRequest {
    /// The older one.
    pub from: LinkRequest,
    /// The newer one.
    pub to: LinkRequest,
    /// Compare the schemas of files, too: parts of some are read for it.
    #[serde(default)]
    pub schema: bool,
}

/// Hash again what is on disk. Ends in [`super::Event::Verified`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyRequest {
    /// As [`LinkRequest::link`]; `None`: all.
    pub link: Option<String>,
    /// Fetch bad shards again from peers (never into published folders).
    pub repair: bool,
}

/// Change who owns a dataset. Ends in [`super::Event::Rotated`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RotateRequest {
    /// Link or name of the dataset.
    pub link: String,
    /// Names of local keys, or public keys as text, that own it from now on.
    pub owners: Vec<String>,
    /// How many of them must sign.
    pub threshold: u8,
    /// As [`PublishRequest::draft`].
    pub draft: Option<PathBuf>,
}

/// Change one thing about who owns a dataset. Ends in [`super::Event::Rotated`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnersRequest {
    /// Link or name of the dataset.
    pub link: String,
    /// What changes.
    pub change: OwnersChange,
    /// As [`PublishRequest::draft`].
    #[serde(default)]
    pub draft: Option<PathBuf>,
}

/// What changes about who owns a dataset. Keys are names of local keys, or public keys as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnersChange {
    /// One more owner.
    Add(String),
    /// One less.
    Remove(String),
    /// How many must sign.
    Threshold(u8),
    /// None: sign again that the newest version is the newest.
    Renew,
}

/// A publisher key, by its local name. Ends in [`super::Event::Keys`] with that key.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeyRequest {
    /// Local name of the key.
    pub name: String,
}

/// A publisher key and the file that it goes to or comes from. Ends in [`super::Event::Keys`] with that key.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeyFileRequest {
    /// Local name of the key.
    pub name: String,
    /// Absolute path. An export never replaces a file and makes it readable by its owner only; an
    /// import refuses a file that others can read, and a name that is taken.
    pub file: PathBuf,
}

/// Let a name stand for a publisher in what clients of the gateway ask for, whatever it stood for before.
/// Ends in [`super::Event::Aliases`] with that one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AliasRequest {
    /// The name: 3 to 63 of `a-z`, `0-9` and `-`.
    pub name: String,
    /// The publisher's public key, as text.
    pub key: String,
}

/// An alias by its name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AliasNameRequest {
    /// The name.
    pub name: String,
}

/// What programs need in their environment to read from this node. Ends in [`super::Event::Env`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnvRequest {
    /// How it is to be written.
    pub shell: Shell,
}

/// Show datasets as a read-only tree of files, for as long as the operation runs. Sends
/// [`super::Event::Mounted`] and ends in [`super::Event::Unmounted`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MountRequest {
    /// Absolute path of an empty folder.
    pub dir: PathBuf,
    /// Let other users of this machine read it.
    pub allow_other: bool,
    /// A read fails when bytes did not come for so long, in milliseconds; default 60 s.
    pub timeout_ms: Option<u64>,
}

/// End a mount of this node. Ends in [`super::Event::Unmounted`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnmountRequest {
    /// Absolute path of the folder.
    pub dir: PathBuf,
}

/// A kind of shell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shell {
    /// `sh`, `bash`, `zsh` and their like.
    #[default]
    Sh,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
}
