//! Carries a command out.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use opendag_node::{
    export,
    ops::{Event, Operate, Operation},
};
use tokio::sync::mpsc;

use crate::{
    args::Cli,
    backend::Backend,
    commands::{Task, Written},
    daemon,
    error::CliError,
    link::absolute_path,
    mount,
    output::Output,
    pages,
    settings::Settings,
    signals::Signals,
    testnet,
};

/// Events that wait until they are printed.
pub(crate) const EVENTS_QUEUED_MAX: usize = 64;
/// A node of our own ends within this, or is left to the end of the process.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(4);

/// Runs the command to its end.
pub(crate) fn run(cli: Cli, output: &Output) -> Result<(), CliError> {
    let task = Task::try_from(cli.command)?;
    match &task {
        Task::Completions(shell) => return pages::completions(*shell, output),
        Task::Man(dir) => return pages::man(dir.as_deref(), output),
        Task::Operation(_)
        | Task::Export(..)
        | Task::Mount(_)
        | Task::Daemon(_)
        | Task::Testnet(_) => {}
    }
    let settings = Settings::new(cli.global)?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| CliError::failed("This process cannot start its threads", &error))?;
    let result = runtime.block_on(dispatch(task, settings, output));
    // What still blocks holds no promise: whatever was acknowledged is on disk.
    runtime.shutdown_background();
    result
}

async fn dispatch(task: Task, settings: Settings, output: &Output) -> Result<(), CliError> {
    match task {
        Task::Operation(operation) => {
            operate(operation, &settings, output, None).await?;
            Ok(())
        }
        Task::Export(operation, written, file) => {
            let file = file.as_deref().map(absolute_path).transpose()?;
            operate(operation, &settings, output, Some((written, file))).await
        }
        Task::Mount(request) => mount::run(request, &settings, output).await,
        Task::Daemon(task) => daemon::run(&task, settings, output).await,
        Task::Testnet(command) => testnet::run(command, settings, output).await,
        Task::Completions(_) | Task::Man(_) => Ok(()),
    }
}

/// Where an export goes: the outer `None` prints events as they are.
pub(crate) type ExportTo = Option<(Written, Option<PathBuf>)>;

async fn operate(
    operation: Operation,
    settings: &Settings,
    output: &Output,
    export_to: ExportTo,
) -> Result<(), CliError> {
    let mut signals = Signals::listen()?;
    let backend = tokio::select! {
        backend = Backend::open(settings) => backend?,
        signal = signals.next() => return Err(CliError::Interrupted { signal }),
    };
    let (sender, events) = mpsc::channel(EVENTS_QUEUED_MAX);
    let result = tokio::select! {
        (result, ()) = async { tokio::join!(print(events, output, &export_to), backend.run(operation, sender)) } => result,
        signal = signals.next() => Err(CliError::Interrupted { signal }),
    };
    output.end_progress();
    tokio::select! {
        _ = tokio::time::timeout(CLOSE_TIMEOUT, backend.close()) => {}
        _ = signals.next() => {}
    }
    result
}

/// Prints events until the operation has no more; its last word decides.
pub(crate) async fn print(
    mut events: mpsc::Receiver<Event>,
    output: &Output,
    export_to: &ExportTo,
) -> Result<(), CliError> {
    let mut outcome = None;
    while let Some(event) = events.recv().await {
        let exported = match export_to {
            Some((written, to)) => exported(&event, *written)?.map(|bytes| (bytes, to)),
            None => None,
        };
        match exported {
            Some((bytes, Some(file))) => {
                write_new(file, &bytes)?;
                output.note(&format!("Written to {}.", file.display()));
                outcome = Some(Ok(()));
            }
            Some((bytes, None)) => {
                output.document(&bytes);
                outcome = Some(Ok(()));
            }
            None => {
                output.event(&event);
                outcome = end(&event).or(outcome);
            }
        }
    }
    outcome.unwrap_or_else(|| {
        Err(CliError::Failed(
            "The operation ended without a word. The log says more (run it again with -v)."
                .to_owned(),
        ))
    })
}

/// What an event has for a file.
fn exported(event: &Event, written: Written) -> Result<Option<Vec<u8>>, CliError> {
    let text = match (event, written) {
        (Event::Exported { records, blobs, .. }, Written::In(encoding)) => {
            let written = export::exchanged(records, blobs, encoding);
            let failed = |error| CliError::failed("The version cannot be exported", &error);
            return written.map(Some).map_err(failed);
        }
        (Event::Exported { records, .. }, Written::AsItIs) => export::to_text(records),
        (Event::Described { document, .. }, _) => format!("{document}\n"),
        (Event::Receipt(info), _) => match &info.text {
            Some(text) => text.clone(),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(text.into_bytes()))
}

/// How an operation ends with `event`; `None`: it goes on.
fn end(event: &Event) -> Option<Result<(), CliError>> {
    match event {
        Event::Ready { .. }
        | Event::Progress(_)
        | Event::Found(_)
        | Event::Warning { .. }
        | Event::BadPeer { .. }
        | Event::Card { .. }
        | Event::Mounted { .. } => None,
        Event::Failed { message, exit_code } => Some(Err(CliError::Operation {
            message: message.clone(),
            exit_code: *exit_code,
        })),
        Event::Verified { bad, .. } if bad.iter().any(|shard| !shard.repaired) => {
            Some(Err(CliError::Failed(
                "Some files are not as they should be. Mend or publish again those that were published \
                 here; fetch the others again."
                    .to_owned(),
            )))
        }
        Event::Receipt(info) if !info.bad.is_empty() => Some(Err(CliError::Failed(
            "The receipt holds, but some of the files here are not any more what it states.".to_owned(),
        ))),
        Event::Published { .. }
        | Event::Plan { .. }
        | Event::Fetched { .. }
        | Event::Versions { .. }
        | Event::Files { .. }
        | Event::Diff(_)
        | Event::Verified { .. }
        | Event::Locked { .. }
        | Event::Restored { .. }
        | Event::Receipt(_)
        | Event::Exported { .. }
        | Event::Imported(_)
        | Event::Sources(_)
        | Event::Described { .. }
        | Event::Changed { .. }
        | Event::Rotated { .. }
        | Event::Owners(_)
        | Event::Reviewed(_)
        | Event::Lineage(_)
        | Event::Searched { .. }
        | Event::Draft(_)
        | Event::Keys { .. }
        | Event::Aliases { .. }
        | Event::Freed(_)
        | Event::Mirrors { .. }
        | Event::Quota(_)
        | Event::Pins { .. }
        | Event::Id { .. }
        | Event::Peers { .. }
        | Event::Status { .. }
        | Event::Env { .. }
        | Event::Follows { .. }
        | Event::Denylists { .. }
        | Event::Unmounted { .. } => Some(Ok(())),
    }
}

fn write_new(file: &Path, bytes: &[u8]) -> Result<(), CliError> {
    use std::io::Write as _;
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
    written.map_err(|error| {
        CliError::Failed(format!(
            "\"{}\" cannot be written: {error}.",
            file.display()
        ))
    })
}
