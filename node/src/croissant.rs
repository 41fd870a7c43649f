//! A version as a Croissant document: JSON-LD by which programs find its files and read its records.
//!
//! Made of the manifest, the file table, and the schemas that are read out of some files ([`crate::schema`]);
//! `specs/croissant.md` says what stands where. A document that the publisher wrote is given as it is.
//! Bounded in files, fields and time: what is left out is said in the document.

mod document;
mod documents;
mod records;

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use opendag_protocol::{
    schema::Schema,
    table::{FileEntry, ShardIndex},
};
use tokio::time::{Instant, timeout_at};

use self::document::{Left, Parts};
pub(crate) use self::documents::Documents;
use crate::{
    read::{Listed, ReadFault, ReadVersion},
    schema::{self, Format},
};

/// Files that a document names: mlcroissant takes some 8 s to check so many.
const FILES_MAX: usize = 10_000;
/// Files whose fields it names, spread over the folders: each is read for it.
const TABLES_MAX: usize = 64;
/// Files that are read for it at once.
const READS_MAX: usize = 8;
/// Files that are taken from the table at a time.
const PAGE_FILES: usize = 1000;

/// Where the document says that the files are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urls {
    /// At a gateway with this URL, which has no slash at its end.
    Gateway(String),
    /// Beside the document.
    Beside,
}

/// A document.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// JSON.
    pub(crate) text: String,
    /// Will it be the same next time? Not if some files did not come in time.
    pub(crate) is_final: bool,
}

/// Describes a version, and reads files for it for so long.
///
/// # Errors
/// The description of the version cannot be read. A file that does not come is only left out.
pub(crate) async fn describe(
    version: &Arc<ReadVersion>,
    urls: &Urls,
    within: Duration,
) -> Result<Document, ReadFault> {
    let deadline = Instant::now() + within;
    if let Some(blob) = version.version().manifest().fields().croissant {
        let bytes = version.blob(blob).await?;
        if let Some(text) = publishers(&bytes) {
            let is_final = true;
            return Ok(Document { text, is_final });
        }
        tracing::debug!(%blob, "what the publisher gives as Croissant is no JSON object");
    }
    let files = files(version).await?;
    let (tables, tables_all) = tables(&files);
    let read = tables.len();
    let (schemas, late) = schemas(version, tables, deadline).await;
    let left = Left {
        files: version.version().manifest().fields().files,
        tables: tables_all,
        read,
        late,
    };
    let parts = Parts {
        files: &files,
        schemas: &schemas,
        left,
    };
    let text = document::text(version.version(), urls, &parts);
    Ok(Document {
        text,
        is_final: late == 0,
    })
}

/// A publisher's document, if it is one.
fn publishers(bytes: &[u8]) -> Option<String> {
    let object: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    object.get("@context")?;
    String::from_utf8(bytes.to_vec()).ok()
}

/// The first files of a version.
async fn files(version: &ReadVersion) -> Result<Vec<(ShardIndex, FileEntry)>, ReadFault> {
    let mut files: Vec<(ShardIndex, FileEntry)> = Vec::new();
    while files.len() < FILES_MAX {
        let limit = PAGE_FILES.min(FILES_MAX - files.len());
        let after = files.last().map(|(_, entry)| entry.path().as_str());
        let listed = version.list("", None, after, limit).await?;
        let is_end = listed.len() < limit;
        files.extend(listed.into_iter().filter_map(|listed| match listed {
            Listed::File(shard, entry) => Some((shard, entry)),
            Listed::Prefix(_) => None,
        }));
        if is_end {
            break;
        }
    }
    Ok(files)
}

/// A file whose schema is to be read.
struct Table {
    shard: ShardIndex,
    entry: FileEntry,
    format: Format,
}

/// The files to read: of each folder and format the first, then the second, and so on; and how many there
/// would be.
fn tables(files: &[(ShardIndex, FileEntry)]) -> (Vec<Table>, usize) {
    let mut groups: BTreeMap<(&str, Format), Vec<Table>> = BTreeMap::new();
    let mut all = 0_usize;
    for (shard, entry) in files {
        // Without SHA-256 it is no file of the document.
        let (Some(format), Some(_)) = (Format::of(entry.path().as_str()), entry.sha256()) else {
            continue;
        };
        all += 1;
        let folder = entry.path().as_str().rsplit_once('/');
        let group = (folder.map_or("", |(folder, _)| folder), format);
        let table = Table {
            shard: *shard,
            entry: entry.clone(),
            format,
        };
        groups.entry(group).or_default().push(table);
    }
    let mut groups: Vec<_> = groups.into_values().map(Vec::into_iter).collect();
    let mut tables = Vec::new();
    while tables.len() < TABLES_MAX.min(all) {
        tables.extend(groups.iter_mut().filter_map(Iterator::next));
    }
    tables.truncate(TABLES_MAX);
    (tables, all)
}

/// The schemas of files by their paths, and how many of these files did not come in time.
async fn schemas(
    version: &Arc<ReadVersion>,
    tables: Vec<Table>,
    deadline: Instant,
) -> (BTreeMap<String, Schema>, usize) {
    let mut left = tables.len();
    let version = version.clone();
    let reads = stream::iter(tables).map(move |table| {
        let version = version.clone();
        async move {
            let file = (table.shard, &table.entry);
            let schema = schema::of_file(&version, file, table.format, deadline).await;
            (table.entry.path().as_str().to_owned(), schema)
        }
    });
    let mut reads = pin!(reads.buffer_unordered(READS_MAX));
    let mut schemas = BTreeMap::new();
    let mut late = 0;
    while let Ok(Some((path, schema))) = timeout_at(deadline, reads.next()).await {
        left = left.saturating_sub(1);
        match schema {
            Ok(Some(schema)) => drop(schemas.insert(path, schema)),
            Ok(None) => tracing::debug!(path, "a file has no schema that can be read"),
            Err(fault) => {
                late += 1;
                tracing::debug!(path, %fault, "a file did not come for its schema");
            }
        }
    }
    (schemas, late + left)
}

#[cfg(test)]
mod tests;
