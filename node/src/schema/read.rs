//! The schema of a file of a version, here or with peers.

use std::{pin::pin, sync::Arc};

use futures::StreamExt;
use opendag_protocol::{
    schema::Schema,
    table::{FileEntry, ShardIndex},
};
use tokio::time::Instant;

use super::{Format, Probe, Step};
use crate::read::{ReadFault, ReadVersion};

/// The schema of a file; `None` if it has none.
///
/// # Errors
/// [`ReadFault`] if its bytes do not come before the deadline.
pub(crate) async fn of_file(
    version: &Arc<ReadVersion>,
    (shard, entry): (ShardIndex, &FileEntry),
    format: Format,
    deadline: Instant,
) -> Result<Option<Schema>, ReadFault> {
    let mut probe = Probe::new(format, entry.size());
    loop {
        let reader = version.reader(shard, entry);
        let patience = deadline.saturating_duration_since(Instant::now());
        let mut pieces = pin!(reader.read(probe.wants(), patience, patience));
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
        }
        let looked = tokio::task::spawn_blocking(move || {
            let step = probe.got(&bytes);
            (probe, step)
        });
        let (same, step) = looked.await.map_err(|_| ReadFault::Failed)?;
        probe = same;
        if let Step::Done(schema) = step {
            return Ok(schema.ok());
        }
    }
}
