//! A full disk pauses a fetch: it says what is full and how much is needed, and goes on when there is room.
//!
//! What arrived is kept by then, so going on is what running the command again would do: look at the target, and fetch
//! the rest. Nothing that failed to be written is ever counted as here.

use std::{error::Error, io, path::Path, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{FetchError, writer::WriteError};
use crate::{
    disk::DiskError,
    node::Shared,
    ops::{Event, FetchRequest, Progress},
    report::Reporter,
    store::{TargetError, index_is_full},
};

/// Bytes of the disk that a fetch leaves free: a full disk hurts everything else on it, our own index and records too.
pub(super) const SPARED_BYTES: u64 = 4 * 1024 * 1024;
/// What a file takes besides its bytes, as most file systems round it.
const BLOCK_BYTES: u64 = 4096;
/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A disk that seems to have room and is full all the same (quotas, other file systems) is tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// How often a fetch that is about to end is waited for.
const BUSY_MAX: u32 = 40;

/// Room that a file of `size` bytes needs.
pub(super) fn room_for(size: u64) -> u64 {
    size.checked_next_multiple_of(BLOCK_BYTES)
        .unwrap_or(u64::MAX)
}

/// Fetches as [`super::fetch`] does; waits for room when the disk fills up meanwhile.
///
/// # Errors
/// As [`super::fetch`]. A disk that is too small from the beginning is an error at once.
pub(crate) async fn fetch(
    shared: &Arc<Shared>,
    request: &FetchRequest,
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<Event, FetchError> {
    let mut pause: Option<Pause<'_>> = None;
    let mut busy = 0;
    loop {
        let error = match super::fetch(shared, request, report, cancel).await {
            Ok(event) => return Ok(event),
            Err(error) => error,
        };
        let full = error.is_full();
        // Threads of the paused fetch may still hold the target for a moment.
        let held = matches!(
            error,
            FetchError::Running | FetchError::Target(TargetError::Busy { .. })
        );
        match &mut pause {
            None if full && !matches!(error, FetchError::Space { .. }) => {
                pause = Some(Pause::new(report, cancel, request));
            }
            Some(pause) if full => pause.wait(error).await?,
            Some(pause) if held && busy < BUSY_MAX => {
                busy += 1;
                pause.nap().await?;
            }
            None | Some(_) => return Err(error),
        }
    }
}

struct Pause<'a> {
    report: &'a Reporter,
    cancel: &'a CancellationToken,
    /// Since when nothing was written; starts anew whenever there was room.
    since: Instant,
    stalled_max: Option<Duration>,
    warned: bool,
}

impl<'a> Pause<'a> {
    fn new(report: &'a Reporter, cancel: &'a CancellationToken, request: &FetchRequest) -> Self {
        Self {
            report,
            cancel,
            since: Instant::now(),
            stalled_max: request.timeout_ms.map(Duration::from_millis),
            warned: false,
        }
    }

    /// Waits until there may be room.
    async fn wait(&mut self, error: FetchError) -> Result<(), FetchError> {
        let began = Instant::now();
        let sentence = sentence(&error);
        if !self.warned {
            self.warned = true;
            self.report.warn(format!("paused: {sentence}")).await;
        }
        loop {
            let room = match &error {
                FetchError::Space { path, needed, .. } => {
                    free(path).is_none_or(|free| free >= *needed)
                }
                _ => began.elapsed() >= TRY_AGAIN,
            };
            if room {
                self.warned = false;
                return Ok(());
            }
            if self
                .stalled_max
                .is_some_and(|most| self.since.elapsed() >= most)
            {
                return Err(error);
            }
            self.report.progress(Progress {
                phase: "paused".to_owned(),
                waiting_for: Some(sentence.clone()),
                ..Progress::default()
            });
            self.nap().await?;
        }
    }

    async fn nap(&self) -> Result<(), FetchError> {
        let slept = self.cancel.run_until_cancelled(sleep(LOOK_EVERY)).await;
        slept.ok_or(FetchError::Cancelled)
    }
}

/// What is full, and how much is needed.
fn sentence(error: &FetchError) -> String {
    match error {
        FetchError::Space { path, free, needed } => format!(
            "space on the disk of {}: {free} bytes are free and {needed} are needed; it goes on by itself when there is room",
            path.display()
        ),
        error => format!("space on a full disk, to go on by itself ({error})"),
    }
}

fn free(path: &Path) -> Option<u64> {
    let folder = std::fs::File::open(path).ok()?;
    crate::disk::free_bytes(&folder).ok()
}

impl FetchError {
    /// Was a disk full?
    fn is_full(&self) -> bool {
        if matches!(self, Self::Space { .. }) {
            return true;
        }
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let io = error.downcast_ref::<io::Error>();
            if io.is_some_and(crate::disk::is_full) || index_is_full(error) {
                return true;
            }
            // Errors of the disk stand in others that pass their cause on as their own.
            cause = error.source();
        }
        false
    }
}

/// The disk of a target is as full as it may become.
pub(super) fn full(path: &Path) -> WriteError {
    let error = io::Error::from(io::ErrorKind::StorageFull);
    WriteError::Disk(DiskError::io("write below", path)(error))
}

#[cfg(test)]
mod tests {
    use opendag_protocol::DatasetPath;

    use super::*;
    use crate::store::{BatchError, PartialError};

    #[test]
    fn p8_a_full_disk_is_known_wherever_it_shows() {
        let disk = || DiskError::io("write", Path::new("x"))(io::ErrorKind::StorageFull.into());
        let path = DatasetPath::parse("a").unwrap();
        let source = disk();
        let all = [
            WriteError::Disk(disk()),
            WriteError::Batch(BatchError::Disk(disk())),
            WriteError::Batch(BatchError::Lost { files: 3, source }),
            WriteError::Partial(PartialError::Disk(disk())),
            WriteError::InTheWay {
                path,
                source: disk(),
            },
            WriteError::Store(crate::store::StoreError::Disk(disk())),
            full(Path::new("x")),
        ];
        for error in all {
            let error = FetchError::Write(error);
            assert!(error.is_full(), "{error:?}");
        }
        // Negative control.
        let other = DiskError::io("write", Path::new("x"))(io::ErrorKind::PermissionDenied.into());
        assert!(!FetchError::Write(WriteError::Disk(other)).is_full());
        assert!(!FetchError::Cancelled.is_full());
    }

    #[test]
    fn files_need_whole_blocks() {
        let rooms = [0, 1, 4096, 4097, u64::MAX].map(room_for);
        assert_eq!(rooms, [0, 4096, 4096, 8192, u64::MAX]);
    }
}
