//! Telling whoever asked how an operation goes.

use std::{collections::VecDeque, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use crate::ops::{Event, Progress};

/// Speed is measured over so long: shorter jumps, longer lags.
const SPEED_WINDOW: Duration = Duration::from_secs(5);
/// Progress is told at most so often.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// A number of bytes for people, such as `3.2 GB`.
pub(crate) fn size(bytes: u64) -> String {
    let units = [
        ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
    ];
    for (unit, factor) in units {
        if let Some(tenths) = bytes.checked_div(factor / 10)
            && tenths >= 10
        {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

/// Sends events of one operation. Progress is dropped when nobody keeps up; all else waits.
#[derive(Clone, Debug)]
pub(crate) struct Reporter(mpsc::Sender<Event>);

impl Reporter {
    /// Reports into `events`.
    pub(crate) fn new(events: mpsc::Sender<Event>) -> Self {
        Self(events)
    }

    /// Reports to nobody.
    pub(crate) fn nobody() -> Self {
        Self(mpsc::channel(1).0)
    }

    /// Sends what must arrive. Somebody who hangs up is found out by the one who runs the operation.
    pub(crate) async fn send(&self, event: Event) {
        let _ = self.0.send(event).await;
    }

    /// Sends what is good to know, from code that must not wait; dropped if nobody keeps up.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.0.try_send(event);
    }

    /// Something that the user should know.
    pub(crate) async fn warn(&self, message: impl Into<String>) {
        self.send(Event::Warning {
            message: message.into(),
        })
        .await;
    }

    /// How far it is; may be dropped.
    pub(crate) fn progress(&self, progress: Progress) {
        let _ = self.0.try_send(Event::Progress(progress));
    }

    /// Says what an operation waits for before anything moves.
    pub(crate) async fn waiting(&self, phase: &str, what: &str) {
        let (phase, waiting_for) = (phase.to_owned(), Some(what.to_owned()));
        self.send(Event::Progress(Progress {
            phase,
            waiting_for,
            ..Progress::default()
        }))
        .await;
    }
}

/// Measures a phase and reports it now and then.
#[derive(Debug)]
pub(crate) struct Meter {
    reporter: Reporter,
    /// What is reported next; the caller keeps its counts up to date.
    pub(crate) now: Progress,
    samples: VecDeque<(Instant, u64)>,
    told: Option<Instant>,
}

impl Meter {
    /// A phase with these totals.
    pub(crate) fn new(reporter: Reporter, phase: &str, files_total: u64, bytes_total: u64) -> Self {
        let now = Progress {
            phase: phase.to_owned(),
            files_total,
            bytes_total,
            ..Progress::default()
        };
        Self {
            reporter,
            now,
            samples: VecDeque::new(),
            told: None,
        }
    }

    /// Reports if it is time to.
    pub(crate) fn tick(&mut self) {
        if self
            .told
            .is_none_or(|told| told.elapsed() >= PROGRESS_EVERY)
        {
            self.tell();
        }
    }

    /// Reports now.
    pub(crate) fn tell(&mut self) {
        let now = Instant::now();
        self.told = Some(now);
        self.samples.push_back((now, self.now.bytes));
        while self
            .samples
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > SPEED_WINDOW)
        {
            self.samples.pop_front();
        }
        if let Some((at, bytes)) = self.samples.front() {
            let millis = u64::try_from(now.duration_since(*at).as_millis()).unwrap_or(u64::MAX);
            let moved = self.now.bytes.saturating_sub(*bytes);
            self.now.bytes_per_second = moved.saturating_mul(1000).checked_div(millis).unwrap_or(0);
        }
        let left = self.now.bytes_total.saturating_sub(self.now.bytes);
        self.now.seconds_left = left.checked_div(self.now.bytes_per_second);
        self.reporter.progress(self.now.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short_and_never_more_than_they_are() {
        let sizes = [0, 999, 1000, 1999, 3_250_000_000, u64::MAX].map(size);
        let expected = [
            "0 B",
            "999 B",
            "1.0 kB",
            "1.9 kB",
            "3.2 GB",
            "18446744.0 TB",
        ];
        assert_eq!(sizes, expected);
    }
}
