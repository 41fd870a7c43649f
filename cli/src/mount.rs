//! `mount`: lasts until a signal or somebody else ends it.

use std::time::Duration;

use opendag_node::{
    api::ApiServer,
    ops::{MountRequest, Operate as _, Operation, UnmountRequest},
};
use tokio::sync::mpsc;

use crate::{
    backend::Backend,
    error::CliError,
    output::Output,
    run::{CLOSE_TIMEOUT, EVENTS_QUEUED_MAX, print},
    settings::Settings,
    signals::Signals,
};

/// How long other commands that go through a mount may take to end with it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Mounts, by the daemon if one runs; `Ok` when it was unmounted, by SIGINT or SIGTERM too.
pub(crate) async fn run(
    request: MountRequest,
    settings: &Settings,
    output: &Output,
) -> Result<(), CliError> {
    let mut signals = Signals::listen()?;
    let backend = tokio::select! {
        backend = Backend::open(settings) => backend?,
        _ = signals.next() => return Ok(()),
    };
    let result = mount(request, &backend, (settings, output), &mut signals).await;
    tokio::select! {
        _ = tokio::time::timeout(CLOSE_TIMEOUT, backend.close()) => {}
        _ = signals.next() => {}
    }
    result
}

async fn mount(
    request: MountRequest,
    backend: &Backend,
    (settings, output): (&Settings, &Output),
    signals: &mut Signals,
) -> Result<(), CliError> {
    // It may last for days: other commands on the data directory go through it, as through a daemon.
    let failed = |error| CliError::failed("The mount cannot start", &error);
    let api = match backend {
        Backend::Daemon(_) => None,
        Backend::Local(node) => {
            let api = ApiServer::start(node.clone(), &settings.data_dir, None).await;
            Some(api.map_err(failed)?)
        }
    };
    let result = until_unmounted(request, backend, output, signals).await;
    if let Some(api) = api {
        // Whoever asked for the end waits for an answer.
        api.close(ANSWER_TIME_MAX).await;
    }
    result
}

async fn until_unmounted(
    request: MountRequest,
    backend: &Backend,
    output: &Output,
    signals: &mut Signals,
) -> Result<(), CliError> {
    let unmount = Operation::Unmount(UnmountRequest {
        dir: request.dir.clone(),
    });
    let (sender, events) = mpsc::channel(EVENTS_QUEUED_MAX);
    let run = backend.run(Operation::Mount(request), sender);
    let printed = print(events, output, &None);
    // Boxed: an operation's future is large.
    let mut running = Box::pin(async { tokio::join!(printed, run).0 });
    tokio::select! {
        result = &mut running => return result,
        _ = signals.next() => {}
    }
    // What the other operation says, the mount says too. Without an end in time the mount ends with this process.
    let (sender, _ignored) = mpsc::channel(EVENTS_QUEUED_MAX);
    let stop = backend.run(unmount, sender);
    let stopping = Box::pin(async { tokio::join!(stop, running).1 });
    tokio::select! {
        stopped = tokio::time::timeout(CLOSE_TIMEOUT, stopping) => stopped.unwrap_or(Ok(())),
        _ = signals.next() => Ok(()),
    }
}
