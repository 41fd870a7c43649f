//! What is said of lineage and licences.

use opendag_protocol::{DatasetId, ManifestId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a lineage is drawn for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineageFormat {
    /// As trees.
    #[default]
    Text,
    /// As a graph in the DOT language of Graphviz.
    Dot,
}

/// How the licence of a derived version stands to that of what it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LicenseFit {
    /// Nothing that is known speaks against it.
    Fits,
    /// This program does not know what one of them asks, or there is none.
    Unknown,
    /// More is offered than was given.
    Contradicts,
}

/// A hint on licences, not legal advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LicenseHint {
    /// What it was made from.
    pub made_from: ManifestId,
    /// How the licences stand to each other.
    pub fit: LicenseFit,
    /// Why: a part of a sentence.
    pub reason: String,
}

/// A version in a lineage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineageVersion {
    /// Its manifest.
    pub manifest: ManifestId,
    /// Is its record known? If not, all that follows is empty.
    pub known: bool,
    /// Its dataset.
    pub dataset: Option<DatasetId>,
    /// The dataset's name.
    pub name: Option<String>,
    /// Its number.
    pub sequence: Option<u64>,
    /// Label.
    pub label: Option<String>,
    /// SPDX expression.
    pub license: Option<String>,
    /// When the publisher says that it was made.
    pub created_at: Option<Timestamp>,
}

/// One version was made from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineageEdge {
    /// What was made.
    pub version: ManifestId,
    /// What it was made from.
    pub made_from: ManifestId,
    /// How, as its publisher says.
    pub how: Option<String>,
    /// How the licences stand to each other.
    pub license: LicenseFit,
    /// Why, unless it fits.
    pub reason: Option<String>,
}

/// What a version was made from, and what is known to have been made from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineageInfo {
    /// The version that was asked for.
    pub root: ManifestId,
    /// All versions, the root first, those that were made from it last.
    pub versions: Vec<LineageVersion>,
    /// All steps.
    pub edges: Vec<LineageEdge>,
    /// Is there more, which was too far or too much?
    pub cut: bool,
    /// How it is to be drawn.
    pub format: LineageFormat,
}
