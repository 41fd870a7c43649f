//! Following: what is asked, and how it is shown.

use std::path::PathBuf;

use opendag_protocol::{DatasetId, ManifestId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Watched;

/// Learn of new versions as they come, and fetch them if that is asked for. Ends in [`super::Event::Changed`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FollowRequest {
    /// A link, id or name of a dataset, a publisher's public key, or an alias.
    pub what: String,
    /// Fetch new versions.
    pub auto_fetch: bool,
    /// Absolute path: the newest version goes there, of a publisher each dataset into a folder of its name. `None`: each
    /// version goes into a folder of its own in the data directory.
    pub output: Option<PathBuf>,
    /// Let go of all but the newest so many versions that came by following. `None`: of none.
    pub keep: Option<u32>,
    /// As [`super::FetchRequest::include`].
    pub include: Vec<String>,
    /// As [`super::FetchRequest::exclude`].
    pub exclude: Vec<String>,
}

/// Follow no longer. What was fetched stays. Ends in [`super::Event::Changed`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnfollowRequest {
    /// As [`FollowRequest::what`].
    pub what: String,
}

/// Who or what is followed, and how far that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowInfo {
    /// Who or what.
    pub what: Watched,
    /// Are new versions fetched?
    pub auto_fetch: bool,
    /// Where they go; `None`: into the data directory.
    pub output: Option<PathBuf>,
    /// How many of them stay; `None`: all.
    pub keep: Option<u32>,
    /// Globs of paths that are fetched; none: all.
    pub include: Vec<String>,
    /// Globs of paths that are left out.
    pub exclude: Vec<String>,
    /// The datasets that this means, as far as they are known here.
    pub datasets: Vec<FollowedInfo>,
}

/// A dataset that is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowedInfo {
    /// Its id.
    pub dataset: DatasetId,
    /// Its name, if it is known here.
    pub name: Option<String>,
    /// The newest version that is known here.
    pub newest: Option<ManifestId>,
    /// Is nothing left to do for it?
    pub here: bool,
    /// Why it is not, at the last try.
    pub problem: Option<String>,
    /// Seconds until the next try.
    pub retry_in: Option<u64>,
}
