//! The files that a document describes.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{CroissantError, items, text};
use crate::{DatasetPath, http, limits::CROISSANT_FILES_MAX};

/// A file whose SHA-256 the document gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedFile {
    /// Where it lies in the dataset.
    pub path: DatasetPath,
    /// Where it can be had, unless it lies beside the document.
    pub url: Option<String>,
    /// Its size in bytes, if the document says it exactly.
    pub size: Option<u64>,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// A file or file set that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// What the document calls it, cut at 128 characters.
    pub name: String,
    /// Why.
    pub why: Why,
}

/// Why a file or file set cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A set that says by patterns which files it has.
    #[error("it is a file set: which files it has, and their hashes, the document does not say")]
    Set,
    /// Something inside of another file.
    #[error("it lies inside of another file, which is taken as a whole if it can be")]
    Inside,
    /// Only MD5.
    #[error("it has an MD5 only, by which nobody can tell a file from a forged one")]
    Md5,
    /// No SHA-256.
    #[error("it has no SHA-256")]
    NoHash,
    /// No path that a dataset can have.
    #[error("it has no path that a dataset can have")]
    Path,
    /// Neither file nor file set.
    #[error("it is neither a file nor a file set")]
    Other,
}

/// All files of a distribution, and what is none that can be taken.
pub(super) fn all(
    distribution: &Value,
) -> Result<(Vec<DescribedFile>, Vec<Unfit>), CroissantError> {
    let entries = items(distribution);
    if entries.len() > CROISSANT_FILES_MAX {
        return Err(CroissantError::TooManyFiles);
    }
    let (mut files, mut unfit) = (Vec::new(), Vec::new());
    let mut paths = BTreeSet::new();
    for entry in entries {
        match file(entry) {
            Ok(file) if !paths.insert(file.path.clone()) => {
                return Err(CroissantError::SamePath { path: file.path });
            }
            Ok(file) => files.push(file),
            Err(why) => {
                let name = entry.get("name").or_else(|| entry.get("@id"));
                let name = name.and_then(text).unwrap_or_default();
                unfit.push(Unfit {
                    name: name.chars().take(128).collect(),
                    why,
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((files, unfit))
}

fn file(entry: &Value) -> Result<DescribedFile, Why> {
    let entry = entry.as_object().ok_or(Why::Other)?;
    let is = |name: &str| {
        let mut types = items(entry.get("@type").unwrap_or(&Value::Null)).iter();
        types.any(|said| {
            let said = said.as_str().unwrap_or_default();
            said.rsplit([':', '/', '#']).next() == Some(name)
        })
    };
    if is("FileSet") {
        return Err(Why::Set);
    }
    if !is("FileObject") {
        return Err(Why::Other);
    }
    if entry.contains_key("containedIn") {
        return Err(Why::Inside);
    }
    let sha256 = entry.get("sha256").and_then(text).and_then(|digits| {
        let digits = digits.to_ascii_lowercase();
        let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).ok()?;
        bytes.try_into().ok()
    });
    let Some(sha256) = sha256 else {
        return Err(match entry.contains_key("md5") {
            true => Why::Md5,
            false => Why::NoHash,
        });
    };
    let (path, url) = place(entry).ok_or(Why::Path)?;
    Ok(DescribedFile {
        path,
        url,
        size: entry.get("contentSize").and_then(size),
        sha256,
    })
}

/// Where a file lies, and where it can be had: behind a relative URL beside the document, at its path; else
/// under its name if that ends like the URL, and if not under the last part of the URL.
fn place(entry: &Map<String, Value>) -> Option<(DatasetPath, Option<String>)> {
    let url = entry.get("contentUrl").and_then(text)?;
    let Some((scheme, rest)) = url.split_once("://") else {
        let path = url.strip_prefix("./").unwrap_or(&url);
        return Some((DatasetPath::parse(path).ok()?, None));
    };
    let is_web = ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str());
    let is_sayable = url.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_web || !is_sayable {
        return None;
    }
    let (_, below) = rest.split(['?', '#']).next()?.split_once('/')?;
    let last = http::decode(below.rsplit('/').next()?)?;
    let name = entry.get("name").and_then(text);
    let named = name.filter(|name| name.rsplit('/').next() == Some(&last));
    let path = DatasetPath::parse(named.as_deref().unwrap_or(&last)).ok()?;
    Some((path, Some(url)))
}

/// A size that is exact: a number, perhaps with the unit byte.
fn size(value: &Value) -> Option<u64> {
    if let Some(bytes) = value.as_u64() {
        return Some(bytes);
    }
    let text = text(value)?;
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?;
    let is_byte = ["", "B", "byte", "bytes"].contains(&unit);
    is_byte.then(|| digits.trim().parse().ok()).flatten()
}
