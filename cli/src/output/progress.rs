//! The progress bar of a terminal.

use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use opendag_node::ops::Progress;

use super::escape;

/// How often a bar without news still moves.
const TICK: Duration = Duration::from_millis(200);
/// A bar of bytes; what does not fit beside it is cut off, so the most important comes first. What stands behind it is our own text.
const TEMPLATE: &str = "{prefix:>9} [{bar:12}] {wide_msg}";
/// A line for a phase whose size is unknown.
const TEMPLATE_UNKNOWN: &str = "{prefix:>9} {spinner} {wide_msg}";

/// A bar that goes away when it is dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Shows how far it is.
    pub(super) fn show(&self, progress: &Progress) {
        let known = progress.bytes_total > 0;
        let template = if known { TEMPLATE } else { TEMPLATE_UNKNOWN };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style.progress_chars("=> "));
        }
        self.0.set_length(progress.bytes_total);
        self.0
            .set_position(progress.bytes.min(progress.bytes_total));
        self.0.set_prefix(escape(&progress.phase).into_owned());
        self.0.set_message(message(progress));
    }

    /// Runs `act`, which prints, with the bar out of the way.
    pub(super) fn suspend(&self, act: impl FnOnce()) {
        self.0.suspend(act);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn message(progress: &Progress) -> String {
    let mut parts = Vec::new();
    if progress.bytes_total > 0 {
        let (done, total) = (HumanBytes(progress.bytes), HumanBytes(progress.bytes_total));
        parts.push(format!("{done} of {total}"));
    } else if progress.bytes > 0 {
        parts.push(HumanBytes(progress.bytes).to_string());
    }
    if let Some(waiting_for) = &progress.waiting_for {
        parts.push(escape(waiting_for).into_owned());
    }
    if progress.bytes_per_second > 0 {
        parts.push(format!("{}/s", HumanBytes(progress.bytes_per_second)));
    }
    if let Some(seconds) = progress.seconds_left {
        parts.push(format!(
            "{:#} left",
            HumanDuration(Duration::from_secs(seconds))
        ));
    }
    match progress.peers {
        0 => {}
        1 => parts.push("1 peer".to_owned()),
        peers => parts.push(format!("{peers} peers")),
    }
    if progress.files_total > 0 {
        parts.push(format!(
            "{} of {} files",
            progress.files, progress.files_total
        ));
    } else if progress.files > 0 {
        parts.push(format!("{} files", progress.files));
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_bytes_speed_time_and_peers() {
        let progress = Progress {
            bytes: 1024,
            bytes_total: 4096,
            files: 1,
            files_total: 3,
            bytes_per_second: 1024,
            seconds_left: Some(3),
            peers: 2,
            waiting_for: Some("\u{1b}x".to_owned()),
            ..Progress::default()
        };
        let expected =
            "1.00 KiB of 4.00 KiB · \\u{1b}x · 1.00 KiB/s · 3s left · 2 peers · 1 of 3 files";
        assert_eq!(message(&progress), expected);
        assert_eq!(message(&Progress::default()), "");
    }
}
