//! Datasets that others describe in Croissant 1.0 or 1.1: what of such a document can become a version here.
//!
//! A document is a stranger's word. Of its metadata that is taken which a manifest can say; what does not
//! fit is left out and named. Of its files those are taken that it gives a SHA-256 of: nothing else tells
//! whether a file on a disk is the one that is meant.
//! Source: the Croissant format specification, versions 1.0 and 1.1; `specs/croissant.md`, *Import*.

mod files;
mod license;

use serde::Deserialize;
use serde_json::Value;

pub use self::files::{DescribedFile, Unfit, Why};
use crate::{
    DatasetPath, ManifestId,
    limits::{
        CROISSANT_BYTES_MAX, CROISSANT_FILES_MAX, DERIVATIONS_MAX, DESCRIPTION_BYTES_MAX,
        LABEL_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX, TITLE_BYTES_MAX,
    },
    record::{FieldProblem, Shape, check_language, check_name, check_text, check_url},
};

/// What the documents of versions that can be read say they conform to.
const CONFORMS_TO: [&str; 2] = ["mlcommons.org/croissant/1.0", "mlcommons.org/croissant/1.1"];

/// Why a document is not read.
#[derive(Debug, thiserror::Error)]
pub enum CroissantError {
    /// More than is read.
    #[error("it has more than {CROISSANT_BYTES_MAX} bytes, which is too large for a description")]
    TooLarge,
    /// Not JSON, or not of that form.
    #[error("it is not a description in Croissant")]
    Form(#[source] serde_json::Error),
    /// Another version, or none.
    #[error("it conforms to {found}, not to Croissant 1.0 or 1.1")]
    Version {
        /// What it says.
        found: String,
    },
    /// More files than are read.
    #[error("it describes more than {CROISSANT_FILES_MAX} files and file sets")]
    TooManyFiles,
    /// Two files that would lie at one place.
    #[error("it describes two files that would be \"{path}\"")]
    SamePath {
        /// Which place.
        path: DatasetPath,
    },
}

/// What a document says of a dataset, as far as it can become a version here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// What the dataset is called, if that can be the name of one here.
    pub name: Option<String>,
    /// Label, from its version.
    pub label: Option<String>,
    /// One line.
    pub title: Option<String>,
    /// Some paragraphs.
    pub description: Option<String>,
    /// An SPDX expression, or `LicenseRef-` and what it says instead.
    pub license: Option<String>,
    /// Languages.
    pub languages: Vec<String>,
    /// Words to search by.
    pub tags: Vec<String>,
    /// A URL.
    pub homepage: Option<String>,
    /// Versions that it was made from, if they are of OpenDAG.
    pub derived_from: Vec<ManifestId>,
    /// Files that it gives a SHA-256 of.
    pub files: Vec<DescribedFile>,
    /// Files and file sets that cannot be taken.
    pub unfit: Vec<Unfit>,
    /// What of the metadata was left out or changed, a sentence each.
    pub remarks: Vec<String>,
}

/// The properties that are read. What they may be is a matter of taste in JSON-LD.
#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "conformsTo", default)]
    conforms_to: Value,
    #[serde(default)]
    name: Value,
    #[serde(rename = "alternateName", default)]
    alternate_name: Value,
    #[serde(default)]
    description: Value,
    #[serde(default)]
    license: Value,
    #[serde(default)]
    url: Value,
    #[serde(default)]
    identifier: Value,
    #[serde(default)]
    version: Value,
    #[serde(default)]
    keywords: Value,
    #[serde(rename = "inLanguage", default)]
    in_language: Value,
    #[serde(rename = "prov:wasDerivedFrom", default)]
    derived_from: Value,
    #[serde(default)]
    distribution: Value,
}

/// Is it a JSON document with `@context`, whatever else?
#[must_use]
pub fn looks_like(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        #[serde(rename = "@context")]
        _context: serde::de::IgnoredAny,
    }
    bytes.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<Probe>(bytes).is_ok()
}

impl Described {
    /// Reads a document.
    ///
    /// # Errors
    /// [`CroissantError`].
    pub fn read(bytes: &[u8]) -> Result<Self, CroissantError> {
        if bytes.len() > CROISSANT_BYTES_MAX {
            return Err(CroissantError::TooLarge);
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(CroissantError::Form)?;
        check_version(&raw.conforms_to)?;
        let (files, unfit) = files::all(&raw.distribution)?;
        let mut described = Self {
            files,
            unfit,
            ..Self::default()
        };
        described.take_names(&raw);
        described.take_texts(&raw);
        described.take_lists(&raw);
        Ok(described)
    }

    fn take_names(&mut self, raw: &Raw) {
        let said = text(&raw.name);
        self.name = said.clone().filter(|name| check_name(name).is_ok());
        let title = text(&raw.alternate_name);
        // What cannot be the name is a title, if there is no other.
        let title = title.or_else(|| said.filter(|_| self.name.is_none()));
        self.title = self.fitting("title", title, |title| {
            check_text(title, TITLE_BYTES_MAX, Shape::Line)
        });
        // Here a version is a number of its own, which need not be said again.
        if own_id(raw).is_none() {
            self.label = self.fitting("version", text(&raw.version), |label| {
                check_text(label, LABEL_BYTES_MAX, Shape::Line)
            });
        }
    }

    fn take_texts(&mut self, raw: &Raw) {
        let description = text(&raw.description)
            .map(|text| text.replace("\r\n", "\n").trim().to_owned())
            .filter(|text| !text.is_empty() && !self.stands_in(raw, text));
        self.description = self.fitting("description", description, |description| {
            check_text(description, DESCRIPTION_BYTES_MAX, Shape::Paragraphs)
        });
        let url = text(&raw.url).filter(|url| !is_own_url(raw, url));
        self.homepage = self.fitting("url", url, check_url);
        self.license = match license_text(&raw.license) {
            Ok(None) => None,
            Ok(Some(said)) => {
                let license = license::expression(&said);
                if license.starts_with("LicenseRef-") && license != said {
                    self.remarks.push(format!(
                        "the licence {said:?} is not one of the SPDX list, and becomes {license}"
                    ));
                }
                Some(license)
            }
            Err(count) => {
                self.remarks.push(format!(
                    "it names {count} licences, and not whether all of them hold or one may be chosen"
                ));
                None
            }
        };
    }

    /// Is a description one that an export here made up?
    fn stands_in(&self, raw: &Raw, description: &str) -> bool {
        let Some(name) = own_id(raw).and(self.name.as_deref()) else {
            return false;
        };
        let (first, last) = ("Version ", format!(" of the dataset {name}."));
        let number = description
            .strip_prefix(first)
            .and_then(|rest| rest.strip_suffix(&last));
        self.title.as_deref() == Some(description)
            || number.is_some_and(|number| number.parse::<u64>().is_ok())
    }

    fn take_lists(&mut self, raw: &Raw) {
        let mut tags = Vec::new();
        for said in texts(&raw.keywords) {
            // One text with commas is a list, too.
            tags.extend(said.split(',').map(|tag| tag.trim().to_owned()));
        }
        self.tags = self.fitting_all("keywords", tags, |tag| {
            check_text(tag, TAG_BYTES_MAX, Shape::Line)
        });
        let languages = texts(&raw.in_language);
        self.languages = self.fitting_all("inLanguage", languages, check_language);
        let ids = items(&raw.derived_from).iter().filter_map(|item| {
            let id = item.get("@id").or(Some(item)).and_then(Value::as_str)?;
            id.strip_prefix("opendag:")?.parse().ok()
        });
        for id in ids.take(DERIVATIONS_MAX) {
            if !self.derived_from.contains(&id) {
                self.derived_from.push(id);
            }
        }
    }

    /// A text, if it holds a rule of records.
    fn fitting(
        &mut self,
        what: &str,
        text: Option<String>,
        check: impl Fn(&str) -> Result<(), FieldProblem>,
    ) -> Option<String> {
        let text = text?;
        match check(&text) {
            Ok(()) => Some(text),
            Err(problem) => {
                let sentence = format!("its {what} is left out: {problem}");
                self.remarks.push(sentence);
                None
            }
        }
    }

    /// The texts that hold a rule of records, each once.
    fn fitting_all(
        &mut self,
        what: &str,
        texts: Vec<String>,
        check: impl Fn(&str) -> Result<(), FieldProblem>,
    ) -> Vec<String> {
        let mut fitting: Vec<String> = Vec::new();
        let mut left = 0_usize;
        for text in texts.into_iter().filter(|text| !text.is_empty()) {
            if fitting.contains(&text) {
                continue;
            }
            match check(&text) {
                Ok(()) if fitting.len() < TAGS_MAX => fitting.push(text),
                Ok(()) | Err(_) => left += 1,
            }
        }
        if left > 0 {
            let sentence = format!("{left} of its {what} are left out: no record can say them");
            self.remarks.push(sentence);
        }
        fitting
    }
}

fn check_version(said: &Value) -> Result<(), CroissantError> {
    let said = items(said)
        .iter()
        .filter_map(|item| item.get("@id").or(Some(item)).and_then(Value::as_str))
        .collect::<Vec<_>>();
    let is_known = |said: &&str| {
        let rest = said.split_once("://").map_or(*said, |(_, rest)| rest);
        CONFORMS_TO.contains(&rest.trim_end_matches('/'))
    };
    if said.iter().any(is_known) {
        return Ok(());
    }
    let found = said
        .first()
        .map_or("nothing".to_owned(), |said| said.chars().take(64).collect());
    Err(CroissantError::Version { found })
}

/// The version that an export here describes.
fn own_id(raw: &Raw) -> Option<ManifestId> {
    let identifier = raw.identifier.as_str()?;
    identifier.strip_prefix("opendag:")?.parse().ok()
}

/// Is a URL what an export here says where there is no homepage?
fn is_own_url(raw: &Raw, url: &str) -> bool {
    let at_gateway = |id: ManifestId| url.ends_with(&format!("/d/{id}/"));
    url.starts_with("opendag:") || own_id(raw).is_some_and(at_gateway)
}

/// The one licence that is named, or how many there are.
fn license_text(value: &Value) -> Result<Option<String>, usize> {
    match items(value) {
        [] => Ok(None),
        [one] => {
            let link = ["@id", "url"].into_iter().find_map(|key| one.get(key));
            Ok(link.and_then(text).or_else(|| text(one)))
        }
        more => Err(more.len()),
    }
}

/// A property as a list: one value is a list of it, and none is none.
fn items(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

fn texts(value: &Value) -> Vec<String> {
    items(value).iter().filter_map(text).collect()
}

/// The text of a property: itself, the first of a list, a value of JSON-LD, what it is called, or the one in
/// English, else in any language.
fn text(value: &Value) -> Option<String> {
    let value = items(value).first()?;
    let found = match value {
        Value::String(text) => Some(text.as_str()),
        Value::Object(map) => ["@value", "name", "en"]
            .into_iter()
            .find_map(|key| map.get(key))
            .or_else(|| map.values().next())
            .and_then(Value::as_str),
        Value::Number(number) => return Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) => None,
    };
    let found = found?.trim();
    (!found.is_empty()).then(|| found.to_owned())
}

#[cfg(test)]
mod tests;
