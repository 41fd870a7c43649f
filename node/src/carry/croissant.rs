//! A dataset that others describe in Croissant becomes a draft of a version here.
//!
//! Nothing is downloaded. Without files it is said which ones are needed and where they can be had; with a
//! folder of them each must be what the description says, by size and SHA-256, before a draft is written.
//! Nobody signs it here: what it says is a stranger's word until an owner has looked at it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::HEXLOWER;
use opendag_protocol::croissant::{Described, DescribedFile};
use tokio_util::sync::CancellationToken;

use super::CarryError;
use crate::{
    node::Shared,
    ops::{Event, ImportRequest, LeftInfo, PublishRequest, SourceInfo, SourcesInfo},
    publish,
    report::Reporter,
};

/// Things that are left out, and files that are missing, of which each is named.
const NAMED_MAX: usize = 10;

/// Takes in a description.
pub(super) async fn import(
    shared: &Arc<Shared>,
    request: &ImportRequest,
    described: Described,
    (report, cancel): (&Reporter, &CancellationToken),
) -> Result<Event, CarryError> {
    tell(&described, report).await;
    if described.files.is_empty() {
        return Err(CarryError::NoFiles {
            path: request.file.clone(),
        });
    }
    let Some(folder) = &request.files else {
        return Ok(Event::Sources(Box::new(sources(described))));
    };
    let draft = request.draft.clone().ok_or(CarryError::NoDraft)?;
    let name = request.name.clone().or(described.name);
    let name = name.ok_or(CarryError::NoName)?;
    let (files, folder) = (described.files, folder.clone());
    let checked = tokio::task::spawn_blocking(move || {
        check(&folder, &files)?;
        Ok::<_, CarryError>((folder, files))
    });
    let (folder, files) = checked.await.map_err(|_| CarryError::Stopped)??;
    let only = files
        .into_iter()
        .map(|file| (file.path.to_string(), HEXLOWER.encode(&file.sha256)));
    let publish = PublishRequest {
        path: folder,
        name,
        label: request.label.clone().or(described.label),
        title: described.title,
        description: described.description,
        license: request.license.clone().or(described.license),
        languages: described.languages,
        tags: described.tags,
        homepage: described.homepage,
        derived_from: described
            .derived_from
            .iter()
            .map(ToString::to_string)
            .collect(),
        key: request.key.clone(),
        only: only.collect(),
        draft: Some(draft),
        unsigned: true,
        ..PublishRequest::default()
    };
    Ok(publish::publish(shared, &publish, report, cancel).await?)
}

/// Tells what of the description cannot be taken.
async fn tell(described: &Described, report: &Reporter) {
    for remark in &described.remarks {
        report.warn(format!("in the description {remark}")).await;
    }
    for unfit in described.unfit.iter().take(NAMED_MAX) {
        let sentence = format!("{:?} is left out: {}", unfit.name, unfit.why);
        report.warn(sentence).await;
    }
    let more = described.unfit.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        report.warn(format!("{more} more are left out")).await;
    }
}

fn sources(described: Described) -> SourcesInfo {
    let file = |file: DescribedFile| SourceInfo {
        path: file.path.to_string(),
        url: file.url,
        size: file.size,
        sha256: HEXLOWER.encode(&file.sha256),
    };
    SourcesInfo {
        name: described.name,
        title: described.title,
        license: described.license,
        files: described.files.into_iter().map(file).collect(),
        left: described
            .unfit
            .into_iter()
            .map(|unfit| LeftInfo {
                name: unfit.name,
                why: unfit.why.to_string(),
            })
            .collect(),
    }
}

/// Is each file there, with the size that it should have? Their hashes are checked as they are read.
fn check(folder: &Path, files: &[DescribedFile]) -> Result<(), CarryError> {
    let mut wrong = Vec::new();
    for file in files {
        let problem = match fs::metadata(folder.join(file.path.as_str())) {
            Ok(found) if file.size.is_some_and(|size| size != found.len()) => {
                format!("{} (it has {} bytes)", file.path, found.len())
            }
            Ok(_) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => file.path.to_string(),
            Err(error) => format!("{} ({error})", file.path),
        };
        wrong.push(problem);
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let count = wrong.len();
    wrong.truncate(NAMED_MAX);
    Err(CarryError::Missing {
        folder: PathBuf::from(folder),
        count,
        named: wrong.join(", "),
    })
}
