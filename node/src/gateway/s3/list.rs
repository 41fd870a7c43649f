//! What is in a bucket: its datasets as prefixes, and the keys of one.

use std::sync::Arc;

use axum::{http::StatusCode, response::Response};
use opendag_protocol::http::{
    encode_path,
    s3::{List, has},
};

use super::{
    S3Error, version,
    xml::{self, Xml},
};
use crate::{
    gateway::{answer::digest, names},
    node::Shared,
    read::{Listed, ReadFault},
    store::Part,
};

/// Answers `GET` of a bucket that exists.
pub(super) async fn bucket_of(
    shared: &Arc<Shared>,
    bucket: &str,
    query: &str,
) -> Result<Response, S3Error> {
    if has(query, "location") {
        return Ok(Xml::new("LocationConstraint").response(StatusCode::OK));
    }
    if has(query, "versioning") {
        return Ok(Xml::new("VersioningConfiguration").response(StatusCode::OK));
    }
    let list = List::parse(query).ok_or_else(|| {
        let message = "a number of the query is none".to_owned();
        S3Error(StatusCode::BAD_REQUEST, "InvalidArgument", message)
    })?;
    let (keys, until) = match list.prefix.split_once('/') {
        Some(_) => (keys_of(shared, bucket, &list).await?, None),
        None => datasets(shared, bucket, &list).await?,
    };
    Ok(listed(bucket, &list, (&keys, until.as_deref())))
}

/// A key, or a prefix that many have.
enum Key {
    Object {
        key: String,
        etag: String,
        size: u64,
        modified: String,
    },
    Prefix(String),
}

impl Key {
    fn text(&self) -> &str {
        match self {
            Self::Object { key, .. } | Self::Prefix(key) => key,
        }
    }
}

/// One more key than is asked for tells that there are more.
async fn keys_of(shared: &Arc<Shared>, bucket: &str, list: &List) -> Result<Vec<Key>, S3Error> {
    let (version, prefix) = match version(shared, bucket, &list.prefix).await {
        Ok(found) => found,
        Err(S3Error(StatusCode::NOT_FOUND, ..)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let name = list.prefix.strip_suffix(prefix).unwrap_or_default();
    // What comes before the keys of this version is no bound, what comes behind leaves none.
    let after = list.after.as_deref().filter(|after| *after >= name);
    let after = after.map(|after| after.strip_prefix(name).unwrap_or("\u{10ffff}"));
    let delimiter = list.delimiter.as_deref();
    let found = version
        .list(prefix, delimiter, after, list.keys_max + 1)
        .await;
    let found = found.map_err(|fault| S3Error::of(&fault, &list.prefix))?;
    let modified = xml::date(version.version().manifest().fields().created_at);
    let key = |listed: Listed| match listed {
        Listed::File(_, entry) => Key::Object {
            key: format!("{name}{}", entry.path()),
            etag: format!("\"{}\"", digest(&entry)),
            size: entry.size(),
            modified: modified.clone(),
        },
        Listed::Prefix(prefix) => Key::Prefix(format!("{name}{prefix}")),
    };
    Ok(found.into_iter().map(key).collect())
}

/// The datasets of a bucket, as prefixes: a bucket of millions of files is not listed at once.
async fn datasets(
    shared: &Arc<Shared>,
    bucket: &str,
    list: &List,
) -> Result<(Vec<Key>, Option<String>), S3Error> {
    let (shared, bucket_of, list_of) = (shared.clone(), bucket.to_owned(), list.clone());
    let found = tokio::task::spawn_blocking(move || {
        let part = Part {
            prefix: &list_of.prefix,
            after: list_of.after.as_deref().unwrap_or_default(),
            max: list_of.keys_max + 1,
        };
        names::below(&shared, &bucket_of, &part)
    });
    let found = found.await;
    let found = found.map_err(|_| S3Error::of(&ReadFault::Failed, &list.prefix))?;
    let found = found.map_err(|error| S3Error::of_name(&error, bucket))?;
    let keys = found.names.into_iter().map(Key::Prefix).collect();
    Ok((keys, found.until))
}

/// `until`: how far was looked, if not everywhere.
fn listed(bucket: &str, list: &List, (keys, until): (&[Key], Option<&str>)) -> Response {
    let is_cut = keys.len() > list.keys_max;
    let keys = keys.get(..list.keys_max).unwrap_or(keys);
    let last = match is_cut {
        true => keys.last().map(Key::text),
        false => until,
    };
    let is_truncated = is_cut || until.is_some();
    let encode = |text: &str| match list.is_encoded {
        true => encode_path(text),
        false => text.to_owned(),
    };
    let mut xml = Xml::new("ListBucketResult");
    xml.text("Name", bucket);
    xml.text("Prefix", &encode(&list.prefix));
    xml.text("MaxKeys", &list.keys_max.to_string());
    xml.text("IsTruncated", if is_truncated { "true" } else { "false" });
    if let Some(delimiter) = &list.delimiter {
        xml.text("Delimiter", &encode(delimiter));
    }
    if list.is_encoded {
        xml.text("EncodingType", "url");
    }
    match (list.is_v2, last) {
        (true, Some(last)) => xml.text("NextContinuationToken", last),
        (false, Some(last)) => xml.text("NextMarker", &encode(last)),
        (_, None) => {}
    }
    if list.is_v2 {
        xml.text("KeyCount", &keys.len().to_string());
    }
    for key in keys {
        match key {
            Key::Object {
                key,
                etag,
                size,
                modified,
            } => {
                xml.open("Contents");
                xml.text("Key", &encode(key));
                xml.text("LastModified", modified);
                xml.text("ETag", etag);
                xml.text("Size", &size.to_string());
                xml.text("StorageClass", "STANDARD");
                xml.close("Contents");
            }
            Key::Prefix(prefix) => {
                xml.open("CommonPrefixes");
                xml.text("Prefix", &encode(prefix));
                xml.close("CommonPrefixes");
            }
        }
    }
    xml.response(StatusCode::OK)
}
