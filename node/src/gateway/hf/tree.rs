//! Lists of files in the Hub's form.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use opendag_protocol::{
    DatasetPath, Hash,
    http::{encode_path, hf::Repo},
    table::FileEntry,
};
use serde_json::{Value, json};

use super::{described, fields, is_on, no_entry};
use crate::{
    gateway::{
        answer::{digest, set},
        refusal,
        repo::commit,
    },
    read::{Listed, ReadFault, ReadVersion},
};

/// Entries in one answer, as on the Hub.
const PAGE_ENTRIES_MAX: usize = 1000;
/// Bytes of a pointer of Git LFS, which the clients want to know and do not use.
const POINTER_BYTES: u64 = 134;

/// A version and all its files: written as it is read, since there may be millions.
pub(super) async fn info(repo: &Repo, version: &Arc<ReadVersion>, query: &str) -> Response {
    let with_blobs = is_on(query, "blobs");
    let mut head = described(repo, version.version()).to_string();
    // The object goes on with the files.
    head.pop();
    head.push_str(",\"siblings\":[");
    let first = match version.list("", None, None, PAGE_ENTRIES_MAX).await {
        Ok(first) => first,
        Err(fault) => return refusal(&fault),
    };
    let state = Some((version.clone(), Some(first), head));
    let body = stream::unfold(state, move |state| async move {
        let (version, listed, mut text) = state?;
        let listed = listed?;
        let last = listed.last().map(|last| last.path().to_owned());
        for file in &listed {
            if !text.ends_with('[') {
                text.push(',');
            }
            text.push_str(&sibling(file, with_blobs).to_string());
        }
        if listed.len() < PAGE_ENTRIES_MAX {
            text.push_str("]}");
            return Some((Ok::<_, ReadFault>(Bytes::from(text)), None));
        }
        let more = version
            .list("", None, last.as_deref(), PAGE_ENTRIES_MAX)
            .await;
        match more {
            // A comma goes before what follows: an empty rest needs none.
            Ok(more) => Some((
                Ok(Bytes::from(text)),
                Some((version, Some(more), String::new())),
            )),
            Err(fault) => Some((Err(fault), None)),
        }
    });
    let mut response = Body::from_stream(body).into_response();
    set(&mut response, header::CONTENT_TYPE, "application/json");
    response
}

fn sibling(file: &Listed, with_blobs: bool) -> Value {
    let mut sibling = json!({ "rfilename": file.path() });
    if let (Listed::File(_, entry), true, Some(fields)) =
        (file, with_blobs, sibling.as_object_mut())
    {
        fields.insert("size".to_owned(), entry.size().into());
        fields.insert("blobId".to_owned(), oid(&entry.hash()).into());
        fields.extend(lfs(entry, "sha256").map(|lfs| ("lfs".to_owned(), lfs)));
    }
    sibling
}

/// The files and folders below a folder, a page of them.
pub(super) async fn tree(
    repo: &Repo,
    (version, revision): (&Arc<ReadVersion>, &str),
    folder: &str,
    (query, base): (&str, &str),
) -> Response {
    let one = |name: &str| fields(query.as_bytes(), name).next();
    let is_recursive = is_on(query, "recursive");
    let limit = one("limit").and_then(|limit| limit.parse().ok());
    let limit = limit.unwrap_or(PAGE_ENTRIES_MAX).clamp(1, PAGE_ENTRIES_MAX);
    let after = one("cursor");
    let prefix = match folder {
        "" => String::new(),
        folder => format!("{folder}/"),
    };
    let delimiter = (!is_recursive).then_some("/");
    let listed = match version
        .list(&prefix, delimiter, after.as_deref(), limit)
        .await
    {
        Ok(listed) if listed.is_empty() && after.is_none() && !prefix.is_empty() => {
            return no_entry(version, folder);
        }
        Ok(listed) => listed,
        Err(fault) => return refusal(&fault),
    };
    let listed = match is_recursive {
        true => with_folders(&prefix, after.as_deref(), listed, limit),
        false => listed,
    };
    let next = listed.last().filter(|_| listed.len() == limit);
    let next = next.map(Listed::path);
    let next = next.map(|last| {
        let cursor: String = form_urlencoded::byte_serialize(last.as_bytes()).collect();
        let folder = if folder.is_empty() { String::new() } else { format!("/{}", encode_path(folder)) };
        let revision = encode_path(revision).replace('/', "%2F");
        let repo = encode_path(&repo.to_string());
        format!(
            "<{base}/api/datasets/{repo}/tree/{revision}{folder}?recursive={is_recursive}&limit={limit}&cursor={cursor}>; rel=\"next\""
        )
    });
    let entries: Vec<_> = listed.iter().map(entry).collect();
    let mut response = Json(entries).into_response();
    if let Some(next) = next {
        set(&mut response, header::LINK, &next);
    }
    set(
        &mut response,
        header::HeaderName::from_static("x-repo-commit"),
        &commit(version.version().id),
    );
    response
}

/// Files with the folders that they are in behind `prefix`, each before the first file in it, as the Hub
/// lists them; a folder that is no later than `after` was listed already.
fn with_folders(
    prefix: &str,
    after: Option<&str>,
    files: Vec<Listed>,
    limit: usize,
) -> Vec<Listed> {
    let mut before = after.unwrap_or_default().to_owned();
    let mut listed = Vec::new();
    for file in files {
        let path = file.path().to_owned();
        let ends = path.match_indices('/').map(|(at, slash)| at + slash.len());
        let folders = ends
            .filter(|end| *end > prefix.len())
            .filter_map(|end| path.get(..end));
        let new = folders.filter(|folder| !before.starts_with(folder));
        listed.extend(new.map(|folder| Listed::Prefix(folder.to_owned())));
        listed.push(file);
        before = path;
    }
    listed.truncate(limit);
    listed
}

/// Some files and folders by their paths; unknown ones are left out.
pub(super) async fn paths_info(version: &Arc<ReadVersion>, paths: Vec<String>) -> Response {
    let mut found = Vec::new();
    for path in paths {
        let trimmed = path.trim_matches('/');
        let file = match DatasetPath::parse(trimmed) {
            Ok(path) => version.file(&path).await,
            Err(_) => Err(ReadFault::NoFile),
        };
        match file {
            Ok((shard, file)) => found.push(entry(&Listed::File(shard, file))),
            Err(ReadFault::NoFile) => {
                match version.list(&format!("{trimmed}/"), None, None, 1).await {
                    Ok(below) if below.is_empty() => {}
                    Ok(_) => found.push(entry(&Listed::Prefix(format!("{trimmed}/")))),
                    Err(fault) => return refusal(&fault),
                }
            }
            Err(fault) => return refusal(&fault),
        }
    }
    Json(found).into_response()
}

fn entry(listed: &Listed) -> Value {
    match listed {
        Listed::Prefix(prefix) => {
            let path = prefix.trim_end_matches('/');
            let oid = oid(&Hash::of(path.as_bytes()));
            json!({ "type": "directory", "path": path, "oid": oid, "size": 0 })
        }
        Listed::File(_, file) => {
            let mut entry = json!({
                "type": "file",
                "path": file.path().as_str(),
                "size": file.size(),
                "oid": oid(&file.hash()),
            });
            if let (Some(lfs), Some(fields)) = (lfs(file, "oid"), entry.as_object_mut()) {
                fields.insert("lfs".to_owned(), lfs);
            }
            entry
        }
    }
}

/// What the Hub says of a large file; the digest is called differently from route to route.
fn lfs(file: &FileEntry, name: &str) -> Option<Value> {
    file.sha256()?;
    Some(json!({ name: digest(file), "size": file.size(), "pointerSize": POINTER_BYTES }))
}

/// 40 hexadecimal digits that name content.
fn oid(hash: &Hash) -> String {
    let bytes = hash.as_bytes().get(..20).unwrap_or_default();
    data_encoding::HEXLOWER.encode(bytes)
}
