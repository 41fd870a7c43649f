//! Versions that several owners sign: a draft leaves, and comes back with their signatures.
//!
//! What the draft does not say, because it is nobody else's business, is noted in the data directory:
//! where the files lie, and how they were read. When the draft comes back they are read again (those
//! that did not change are not), and must still be what it describes.

use std::{path::Path, sync::Arc};

use opendag_protocol::{
    ManifestId,
    draft::Draft,
    record::{Derivation, Manifest, SignedRecord},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{PublishError, Read, Signed, blocking, keep, read, remember, version};
use crate::{
    disk::{self, Access},
    drafts::{self, Signing},
    node::Shared,
    ops::{Event, FinishRequest, PublishRequest},
    report::Reporter,
};

/// Reads the folder and writes a draft of its version to a new file.
pub(super) async fn make(
    shared: &Arc<Shared>,
    (request, file): (&PublishRequest, &Path),
    derived_from: Vec<Derivation>,
    report: (&Reporter, &CancellationToken),
) -> Result<Event, PublishError> {
    drafts::check_new(file)?;
    // It is copied when the draft comes back, if it does.
    let in_place = PublishRequest {
        copy: false,
        ..request.clone()
    };
    let read = read(shared, &in_place, report).await?;
    let (shared, request, file) = (shared.clone(), request.clone(), file.to_owned());
    blocking(move || {
        let unsigned = version::next(&shared, &request, &read.described, derived_from)?;
        let mut draft = version::draft(&shared, &unsigned)?;
        let signed = match request.unsigned {
            true => Vec::new(),
            false => drafts::sign_with(&shared, &mut draft, Signing::AllHere)?,
        };
        note(&shared, &draft, &request)?;
        remember(&shared, read);
        drafts::write_new(&file, &draft)?;
        let draft = drafts::info(&shared, &draft, file, &signed)?;
        Ok(Event::Draft(Box::new(draft)))
    })
    .await
}

/// Applies a draft that is complete, puts its files in their place if they lie here, and announces it.
pub(crate) async fn finish(
    shared: &Arc<Shared>,
    request: &FinishRequest,
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<Event, PublishError> {
    let start = Instant::now();
    let _working = shared.store.work().await;
    let (asked, files) = (shared.clone(), request.files.clone());
    let (draft, records) = blocking(move || Ok(drafts::complete(&asked, &files)?)).await?;
    let Some(head) = draft.head().filter(|_| draft.next_owners().is_none()) else {
        return Ok(drafts::apply_owners(shared, &draft, &records).await?);
    };
    let (manifest, sequence) = (head.manifest(), head.sequence());
    let here = match noted(shared, manifest)? {
        Some(noted) => Some(again(shared, &draft, &noted, (report, cancel)).await?),
        None => None,
    };
    let is_here = here.is_some() || !shared.store.places_of(&manifest)?.is_empty();
    let bytes_read = here.as_ref().map_or(0, |read| read.files.bytes_read);
    let asked = shared.clone();
    let (signed, license) = blocking(move || {
        drafts::learn(&asked, &draft, &records)?;
        let version = asked.store.manifest_of(&manifest)?;
        let version = version.as_ref().and_then(SignedRecord::as_manifest);
        let fields = version.map(Manifest::fields);
        let signed = Signed {
            dataset: draft.dataset_id(),
            manifest,
            name: draft.owners().name().to_owned(),
            sequence,
            files: fields.map_or(0, |fields| fields.files),
            bytes: fields.map_or(0, |fields| fields.bytes),
            new: draft.manifest().is_some(),
            records: Vec::new(),
        };
        if let Some(read) = here {
            keep(&asked, &signed, read)?;
        }
        disk::remove_file(&note_path(&asked, manifest))?;
        Ok((signed, fields.and_then(|fields| fields.license.clone())))
    })
    .await?;
    if !is_here && signed.new {
        report
            .warn("the files of this version are not on this node: keep the node that has them reachable, and finish the draft there, too")
            .await;
    }
    let link = shared.announce(&signed).await;
    Ok(Event::Published {
        dataset: signed.dataset,
        manifest,
        sequence,
        link,
        license,
        license_kept: false,
        files: signed.files,
        bytes: signed.bytes,
        bytes_read,
        seconds: start.elapsed().as_secs_f64(),
        new: signed.new,
    })
}

/// Reads the folder of a draft again.
async fn again(
    shared: &Arc<Shared>,
    draft: &Draft,
    noted: &PublishRequest,
    report: (&Reporter, &CancellationToken),
) -> Result<Read, PublishError> {
    let read = read(shared, noted, report).await?;
    let (table, card) = (read.described.table, read.described.card);
    match draft.manifest() {
        Some(manifest) if (manifest.table(), manifest.card()) != (table, card) => {
            Err(PublishError::Changed {
                path: noted.path.clone(),
            })
        }
        Some(_) | None => Ok(read),
    }
}

fn note_path(shared: &Shared, manifest: ManifestId) -> std::path::PathBuf {
    shared.data_dir.drafts_path().join(manifest.to_string())
}

/// Notes where the files of a draft lie. Blocks.
fn note(shared: &Shared, draft: &Draft, request: &PublishRequest) -> Result<(), PublishError> {
    let Some(manifest) = draft.manifest() else {
        return Ok(());
    };
    // What a request says can always be written as JSON.
    let bytes = serde_json::to_vec(request).unwrap_or_default();
    disk::write_durable(&note_path(shared, manifest.id()), &bytes, Access::Owner)?;
    Ok(())
}

/// What was noted of a draft; a note that cannot be read counts as none.
fn noted(shared: &Shared, manifest: ManifestId) -> Result<Option<PublishRequest>, PublishError> {
    let path = note_path(shared, manifest);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk::DiskError::io("read", &path)(error).into()),
    }
}
