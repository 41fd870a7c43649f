//! The document itself, from what is known of a version.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use opendag_protocol::{
    http::encode_path,
    record::{Derivation, ManifestFields},
    schema::Schema,
    table::{FileEntry, ShardIndex},
};
use serde_json::{Map, Value, json};

use super::{FILES_MAX, Urls, records::record_set};
use crate::{resolve::Version, schema::Format};

/// Fields in a document: each takes as long to check as a file.
const FIELDS_MAX: usize = 2000;
/// The version of Croissant.
const CONFORMS_TO: &str = "http://mlcommons.org/croissant/1.1";
/// What the names in the document mean: the context of the standard, and that of provenance (PROV-O).
const CONTEXT: &str = r#"{
"@language":"en","@vocab":"https://schema.org/","arrayShape":"cr:arrayShape","citeAs":"cr:citeAs",
"column":"cr:column","conformsTo":"dct:conformsTo","containedIn":"cr:containedIn",
"cr":"http://mlcommons.org/croissant/","data":{"@id":"cr:data","@type":"@json"},
"dataType":{"@id":"cr:dataType","@type":"@vocab"},"dct":"http://purl.org/dc/terms/",
"description":{"@container":"@language"},"equivalentProperty":"cr:equivalentProperty",
"examples":{"@id":"cr:examples","@type":"@json"},"extract":"cr:extract","field":"cr:field",
"fileObject":"cr:fileObject","fileProperty":"cr:fileProperty","fileSet":"cr:fileSet","format":"cr:format",
"includes":"cr:includes","isArray":"cr:isArray","isLiveDataset":"cr:isLiveDataset","jsonPath":"cr:jsonPath",
"key":"cr:key","md5":"cr:md5","name":{"@container":"@language"},"parentField":"cr:parentField",
"path":"cr:path","prov":"http://www.w3.org/ns/prov#","rai":"http://mlcommons.org/croissant/RAI/",
"recordSet":"cr:recordSet","references":"cr:references","regex":"cr:regex","repeated":"cr:repeated",
"replace":"cr:replace","samplingRate":"cr:samplingRate","sc":"https://schema.org/","separator":"cr:separator",
"source":"cr:source","subField":"cr:subField","transform":"cr:transform"}"#;

/// What a document is made of besides the manifest.
pub(super) struct Parts<'a> {
    /// The first files.
    pub(super) files: &'a [(ShardIndex, FileEntry)],
    /// Schemas by path.
    pub(super) schemas: &'a BTreeMap<String, Schema>,
    /// What is not in these.
    pub(super) left: Left,
}

/// Counts, from which follows what is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    /// Files of the version.
    pub(super) files: u64,
    /// Files among those that are named whose records could be.
    pub(super) tables: usize,
    /// Those of them that were to be read,
    pub(super) read: usize,
    /// and did not come in time.
    pub(super) late: usize,
}

/// The document as JSON.
pub(super) fn text(version: &Version, urls: &Urls, parts: &Parts<'_>) -> String {
    let mut without_sha256 = 0_usize;
    let mut distribution = Vec::with_capacity(parts.files.len());
    for (_, entry) in parts.files {
        match file_object(version, urls, entry) {
            Some(file) => distribution.push(file),
            None => without_sha256 += 1,
        }
    }
    let mut fields_left = FIELDS_MAX;
    let mut record_sets = Vec::new();
    for (path, schema) in parts.schemas {
        let Some(left) = fields_left.checked_sub(schema.count()) else {
            continue;
        };
        if let Some(set) = record_set(&encode_path(path), path, schema) {
            fields_left = left;
            record_sets.push(set);
        }
    }
    let mut document = metadata(version, urls);
    let comment = comment(parts, without_sha256, record_sets.len());
    document.extend(comment.map(|text| {
        let comment = json!({ "@type": "sc:Comment", "text": text });
        ("comment".to_owned(), comment)
    }));
    document.insert("distribution".to_owned(), distribution.into());
    if !record_sets.is_empty() {
        document.insert("recordSet".to_owned(), record_sets.into());
    }
    Value::Object(document).to_string()
}

/// What is left out, if anything is.
fn comment(parts: &Parts<'_>, without_sha256: usize, record_sets: usize) -> Option<String> {
    let mut sentences = Vec::new();
    let (named, left) = (parts.files.len(), parts.left);
    if left.files > u64::try_from(named).unwrap_or(u64::MAX) {
        let files = left.files;
        sentences.push(format!(
            "Of {files} files the first {FILES_MAX} are named; all can be listed at the gateway."
        ));
    }
    if without_sha256 > 0 {
        sentences.push(format!(
            "{without_sha256} files are left out because their publisher gave no SHA-256."
        ));
    }
    if record_sets < left.tables {
        let (tables, read, late) = (left.tables, left.read, left.late);
        let mut sentence = format!(
            "Of {tables} files with records, those of {record_sets} are described; {read} were looked at, \
             some of each folder."
        );
        if late > 0 {
            sentence.push_str(&format!(" {late} of them did not come in time: ask again."));
        }
        sentences.push(sentence);
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// A file; `None` if it has no SHA-256, without which it is none in Croissant.
fn file_object(version: &Version, urls: &Urls, entry: &FileEntry) -> Option<Value> {
    let sha256 = data_encoding::HEXLOWER.encode(&entry.sha256()?);
    let path = entry.path().as_str();
    let media_types: Value = match Format::of(path) {
        Some(format) => match format.media_types().collect::<Vec<_>>().as_slice() {
            [one] => (*one).into(),
            several => several.to_vec().into(),
        },
        None => entry
            .media_type()
            .unwrap_or("application/octet-stream")
            .into(),
    };
    let url = match urls {
        Urls::Gateway(base) => format!("{base}/d/{}/{}", version.id, encode_path(path)),
        Urls::Beside => path.to_owned(),
    };
    Some(json!({
        "@type": "cr:FileObject",
        "@id": encode_path(path),
        "name": path,
        "contentUrl": url,
        "contentSize": format!("{} B", entry.size()),
        "encodingFormat": media_types,
        "sha256": sha256,
    }))
}

/// What the manifest says.
fn metadata(version: &Version, urls: &Urls) -> Map<String, Value> {
    let fields = version.manifest().fields();
    let name = version.name();
    let description = fields.description.clone().or_else(|| fields.title.clone());
    let description = description.unwrap_or_else(|| {
        let sequence = fields.sequence;
        format!("Version {sequence} of the dataset {name}.")
    });
    let uri = |id: &dyn std::fmt::Display| format!("opendag:{id}");
    let url = fields.homepage.clone().unwrap_or_else(|| match urls {
        Urls::Gateway(base) => format!("{base}/d/{}/", version.id),
        Urls::Beside => uri(&version.dataset()),
    });
    let owners = &version.state.owners().current().fields().owners;
    let creator = |owner: &dyn std::fmt::Display| json!({ "@type": "sc:Organization", "name": owner.to_string() });
    let creators: Vec<_> = owners.iter().map(|owner| creator(owner)).collect();
    let context: Value = serde_json::from_str(CONTEXT).unwrap_or_default();
    let document = json!({
        "@context": context,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": name,
        "alternateName": fields.title,
        "description": description,
        "license": fields.license.as_deref().map(license),
        "url": url,
        "identifier": uri(&version.id),
        "creator": creators,
        "datePublished": date(fields),
        "version": version_number(fields),
        "keywords": fields.tags,
        "inLanguage": fields.languages,
        "citeAs": citation(version),
        "prov:wasDerivedFrom": fields.derived_from.iter().map(derivation).collect::<Vec<_>>(),
    });
    let Value::Object(mut document) = document else {
        return Map::new();
    };
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    document.retain(|_, value| !is_empty(value));
    document
}

fn derivation(from: &Derivation) -> Value {
    let id = format!("opendag:{}", from.manifest);
    match &from.how {
        Some(how) => json!({ "@type": "prov:Entity", "@id": id, "description": how }),
        None => json!({ "@id": id }),
    }
}

/// The page of a licence of the SPDX list; an expression of several stays one.
fn license(license: &str) -> String {
    let is_one = license
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    match is_one && !license.starts_with("LicenseRef") {
        true => format!("https://spdx.org/licenses/{license}"),
        false => license.to_owned(),
    }
}

fn date(fields: &ManifestFields) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(fields.created_at.as_secs()));
    humantime::format_rfc3339_seconds(at.unwrap_or(UNIX_EPOCH)).to_string()
}

/// The label if it is a number as in Semantic Versioning, which Croissant wants; else the sequence as one.
fn version_number(fields: &ManifestFields) -> String {
    let label = fields.label.as_deref().unwrap_or_default();
    let label = label.strip_prefix('v').unwrap_or(label);
    let is_number = |part: &str| {
        let is_digits = !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        is_digits && (part == "0" || !part.starts_with('0'))
    };
    let parts = label.split('.').filter(|part| is_number(part)).count();
    match (label.split('.').count(), parts) {
        (1..=3, numbers) if numbers == label.split('.').count() => label.to_owned(),
        _ => format!("{}.0.0", fields.sequence),
    }
}

/// A reference in BibTeX: its id is what makes it exact.
fn citation(version: &Version) -> String {
    let fields = version.manifest().fields();
    let name = version.name();
    let text = fields.title.as_deref().unwrap_or(&name);
    let title: String = text.chars().filter(|c| !"{}\\".contains(*c)).collect();
    let key: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let year = date(fields)
        .split('-')
        .next()
        .unwrap_or_default()
        .to_owned();
    let id = version.id;
    format!(
        "@misc{{{key}{year}, title={{{title}}}, year={{{year}}}, howpublished={{OpenDAG}}, note={{opendag:{id}}}}}"
    )
}
