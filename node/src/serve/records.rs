//! Answering `/opendag/<net>/records/1`: records by id, and all that is known of a dataset.

use opendag_protocol::{
    DatasetId, RecordId,
    wire::{RecordBytes, RecordsRequest, RecordsResponse},
};

use crate::{
    frames::{FrameError, read_frame, write_frame},
    limits::ANSWER_DEADLINE,
    net::Stream,
    node::Shared,
};

/// Answers one request.
pub(super) async fn answer(shared: &Shared, stream: &mut Stream) -> Result<(), FrameError> {
    let Some(request) = read_frame::<RecordsRequest>(stream, ANSWER_DEADLINE).await? else {
        return Ok(());
    };
    match request {
        RecordsRequest::Get { ids } => {
            for id in ids {
                let answer = match record(shared, &id) {
                    Some(record) => answer_of(record),
                    None => RecordsResponse::NotFound(id),
                };
                write_frame(stream, &answer, ANSWER_DEADLINE).await?;
            }
        }
        RecordsRequest::Dataset { dataset } => {
            for record in of_dataset(shared, &dataset) {
                write_frame(stream, &answer_of(record), ANSWER_DEADLINE).await?;
            }
        }
    }
    write_frame(stream, &RecordsResponse::End, ANSWER_DEADLINE).await
}

fn answer_of(record: Vec<u8>) -> RecordsResponse {
    // A record that was kept is never longer than a record may be.
    RecordBytes::try_from(record).map_or(RecordsResponse::End, RecordsResponse::Record)
}

/// Whoever asked verifies the signatures.
fn record(shared: &Shared, id: &RecordId) -> Option<Vec<u8>> {
    match shared.store.envelope(id) {
        Ok(found) => {
            let (bytes, record) = found?;
            (!shared.is_withheld_record(&record)).then_some(bytes)
        }
        Err(error) => {
            tracing::warn!(record = %id, %error, "cannot read a record");
            None
        }
    }
}

/// Owners in order, the newest head, its manifest, then what proves that owners contradicted themselves.
fn of_dataset(shared: &Shared, dataset: &DatasetId) -> Vec<Vec<u8>> {
    let state = match shared.store.dataset(dataset) {
        Ok(Some(state)) if shared.denial_of_dataset(&state).is_some() => return Vec::new(),
        Ok(Some(state)) => state,
        Ok(None) => return Vec::new(),
        Err(error) => {
            tracing::warn!(%dataset, %error, "cannot read a dataset");
            return Vec::new();
        }
    };
    let mut records: Vec<_> = state
        .owners()
        .records()
        .map(|record| record.bytes().to_vec())
        .collect();
    records.extend(state.newest_record().map(|head| head.bytes().to_vec()));
    let manifest = state.newest_manifest().map(RecordId::from);
    let proofs = state
        .equivocations()
        .iter()
        .flat_map(|proof| [proof.first, proof.second]);
    let others = manifest
        .into_iter()
        .chain(proofs)
        .filter_map(|id| record(shared, &id));
    records.extend(others);
    records
}
