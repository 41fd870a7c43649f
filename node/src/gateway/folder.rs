//! The list of a folder, a page of it, as HTML for people and as JSON for programs.

mod html;

use std::sync::Arc;

use axum::{
    Json,
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use opendag_protocol::{DatasetId, DatasetPath, Hash, ManifestId, http::accept::prefers_json};
use serde::Serialize;

use super::answer::{self, set};
use crate::read::{Listed, ReadFault, ReadVersion};

/// Entries in one answer, and in each unless fewer are asked for: the page stays below a megabyte.
const ENTRIES_MAX: usize = 1000;

/// A page of a folder's list, as JSON says it.
#[derive(Debug, Serialize)]
struct List {
    dataset: DatasetId,
    manifest: ManifestId,
    /// The dataset's name.
    name: String,
    /// Number of the version.
    sequence: u64,
    /// The folder with its slash; empty for the root.
    path: String,
    entries: Vec<Entry>,
    /// The query of the next page; `None`: this is the last.
    next: Option<String>,
}

/// A file or folder.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Entry {
    Folder {
        /// Its path, with the slash.
        path: String,
    },
    File {
        path: String,
        size: u64,
        blake3: Hash,
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
}

impl Entry {
    fn path(&self) -> &str {
        match self {
            Self::Folder { path } | Self::File { path, .. } => path,
        }
    }
}

/// Is there anything below a path?
pub(super) async fn exists(version: &ReadVersion, path: &DatasetPath) -> Result<bool, ReadFault> {
    let below = version.list(&format!("{path}/"), None, None, 1).await?;
    Ok(!below.is_empty())
}

/// Answers a request for a folder; `path` is empty or ends with a slash.
pub(super) async fn answer(
    version: &Arc<ReadVersion>,
    path: &str,
    parts: &Parts,
) -> Result<Response, ReadFault> {
    let (after, limit) = page(parts.uri.query().unwrap_or_default());
    let listed = version
        .list(path, Some("/"), after.as_deref(), limit + 1)
        .await?;
    // The root is there however little is in it, and a page behind the last is empty.
    if listed.is_empty() && !path.is_empty() {
        let is_there = after.is_some() && !version.list(path, None, None, 1).await?.is_empty();
        if !is_there {
            return Err(ReadFault::NoFile);
        }
    }
    let list = list(version, path, listed, limit);
    let mut response = match wants_json(&parts.headers) {
        true => Json(&list).into_response(),
        false => html::page(&list),
    };
    if let Some(next) = &list.next {
        set(
            &mut response,
            header::LINK,
            &format!("<{next}>; rel=\"next\""),
        );
    }
    set(&mut response, header::VARY, "Accept");
    set(&mut response, header::CACHE_CONTROL, "no-cache");
    answer::name_version(&mut response, version.version().id);
    Ok(response)
}

/// Where a page begins and how long it is at most; nonsense is ignored.
fn page(query: &str) -> (Option<String>, usize) {
    let (mut after, mut limit) = (None, ENTRIES_MAX);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "after" => after = Some(value.into_owned()).filter(|after| !after.is_empty()),
            "limit" => limit = value.parse().unwrap_or(limit),
            _ => {}
        }
    }
    (after, limit.clamp(1, ENTRIES_MAX))
}

/// One more entry than a page has tells that there is a next one.
fn list(version: &ReadVersion, path: &str, mut listed: Vec<Listed>, limit: usize) -> List {
    let has_more = listed.len() > limit;
    listed.truncate(limit);
    let entries: Vec<_> = listed.into_iter().map(entry).collect();
    let last = entries.last().filter(|_| has_more);
    let next = last.map(|last| {
        let mut query = form_urlencoded::Serializer::new("?".to_owned());
        query.append_pair("after", last.path());
        if limit != ENTRIES_MAX {
            query.append_pair("limit", &limit.to_string());
        }
        query.finish()
    });
    let version = version.version();
    List {
        dataset: version.dataset(),
        manifest: version.id,
        name: version.name(),
        sequence: version.manifest().fields().sequence,
        path: path.to_owned(),
        entries,
        next,
    }
}

fn entry(listed: Listed) -> Entry {
    match listed {
        Listed::Prefix(path) => Entry::Folder { path },
        Listed::File(_, file) => Entry::File {
            path: file.path().to_string(),
            size: file.size(),
            blake3: file.hash(),
            sha256: file
                .sha256()
                .map(|sha256| data_encoding::HEXLOWER.encode(&sha256)),
        },
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    let texts: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
    prefers_json(&texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_bounded_whatever_is_asked_for() {
        assert_eq!(page(""), (None, ENTRIES_MAX));
        assert_eq!(page("after=&limit="), (None, ENTRIES_MAX));
        assert_eq!(
            page("after=a%2Fb+c%2B&limit=2"),
            (Some("a/b c+".to_owned()), 2)
        );
        for (query, limit) in [
            ("limit=0", 1),
            ("limit=-1", ENTRIES_MAX),
            ("limit=99999999999999999999999", ENTRIES_MAX),
            ("limit=1001", ENTRIES_MAX),
        ] {
            assert_eq!(page(query).1, limit, "{query}");
        }
    }
}
