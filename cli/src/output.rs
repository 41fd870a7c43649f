//! The only module that prints.
//!
//! Results go to standard output, as text or with `--json` as one object per line; warnings, errors
//! and progress go to standard error. A closed standard output ends nothing: whoever listened has
//! heard enough. Text of strangers is printed with its control characters escaped.

mod escape;
mod progress;
mod text;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Mutex,
};

use opendag_node::ops::Event;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

pub use escape::{escape, escape_json};
use progress::Bar;

use crate::{args::GlobalArgs, error::CliError};

/// Prints what a command says.
pub struct Output {
    json: bool,
    quiet: bool,
    bar: Mutex<Option<Bar>>,
}

impl Output {
    /// As `--json` and `--quiet` say.
    #[must_use]
    pub fn new(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            bar: Mutex::new(None),
        }
    }

    /// Prints an event of an operation.
    pub fn event(&self, event: &Event) {
        if self.json {
            self.json_line(event);
        }
        match event {
            Event::Progress(progress) => self.with_bar(|bar| bar.show(progress)),
            Event::Warning { message } => self.warning(message),
            Event::BadPeer { peer, path, reason } => {
                self.warning(&format!(
                    "Peer {peer} did not give {path} as it should: {reason}."
                ));
            }
            // The error that the command ends in says it.
            Event::Failed { .. } => {}
            _ if self.json => self.end_progress(),
            _ => {
                self.end_progress();
                write_out(&text::of(event));
            }
        }
    }

    /// Prints an error, as text and with `--json` as an event too.
    pub fn error(&self, error: &CliError) {
        self.end_progress();
        let said = matches!(error, CliError::Operation { .. });
        if self.json && !said {
            let failed = Event::Failed {
                message: error.to_string(),
                exit_code: error.exit_code(),
            };
            self.json_line(&failed);
        }
        write_err(&format!("opendag: {}\n", escape(&error.to_string())));
    }

    /// Prints any other object as a JSON line, or else `text`.
    pub fn object<T: Serialize>(&self, object: &T, text: &str) {
        if self.json {
            self.json_line(object);
        } else {
            write_out(&format!("{}\n", text.trim_end()));
        }
    }

    /// Prints what is the result itself, such as completions, whatever `--json` says.
    pub fn document(&self, content: impl AsRef<[u8]>) {
        self.end_progress();
        write_bytes(content.as_ref());
    }

    /// Tells what goes on, unless `--quiet`.
    pub fn note(&self, sentence: &str) {
        if !self.quiet {
            self.beside_bar(&format!("{}\n", escape(sentence)));
        }
    }

    /// Warns, also with `--quiet`.
    fn warning(&self, sentence: &str) {
        self.beside_bar(&format!("Warning: {}\n", escape(sentence)));
    }

    /// Removes the progress bar.
    pub fn end_progress(&self) {
        if let Ok(mut bar) = self.bar.lock() {
            bar.take();
        }
    }

    fn beside_bar(&self, text: &str) {
        match self.bar.lock() {
            Ok(bar) if bar.is_some() => {
                if let Some(bar) = &*bar {
                    bar.suspend(|| write_err(text));
                }
            }
            Ok(_) | Err(_) => write_err(text),
        }
    }

    fn with_bar(&self, act: impl FnOnce(&mut Bar)) {
        if self.quiet || !io::stderr().is_terminal() {
            return;
        }
        if let Ok(mut bar) = self.bar.lock() {
            act(bar.get_or_insert_with(Bar::new));
        }
    }

    fn json_line<T: Serialize>(&self, object: &T) {
        match serde_json::to_string(object) {
            Ok(line) => write_out(&format!("{}\n", escape_json(&line))),
            Err(error) => write_err(&format!(
                "opendag: an event cannot be written as JSON: {error}\n"
            )),
        }
    }
}

/// Writes to standard output. An error means that nobody reads it.
fn write_out(text: &str) {
    write_bytes(text.as_bytes());
}

fn write_bytes(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    drop(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Writes to standard error. An error means that nobody reads it.
fn write_err(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

/// Prints what is wrong with the arguments, or the help that they asked for; returns the exit code.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // As everywhere: an error means that nobody reads it.
    drop(error.print());
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Sends the log to standard error: warnings, or what `-v`, `-q` or `RUST_LOG` say.
pub(crate) fn start_log(global: &GlobalArgs) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn,libp2p=error,yamux=off",
        (false, 1) => "warn,libp2p=error,yamux=off,opendag_node=info,opendag_cli=info",
        (false, 2) => "info,opendag_node=debug,opendag_cli=debug",
        (false, _) => "debug",
    };
    let chosen = global.quiet || global.verbose > 0;
    let filter = match EnvFilter::try_from_default_env() {
        Ok(filter) if !chosen => filter,
        Ok(_) | Err(_) => EnvFilter::new(level),
    };
    let ansi = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_writer(io::stderr);
    // It fails only if a test in the same process has started one.
    drop(log.try_init());
}
