//! `daemon`: runs a node until it is told to stop.

use std::{io::Read as _, net::SocketAddr, path::Path};

use opendag_node::{
    Node, Role,
    api::ApiServer,
    gateway::{GatewayServer, S3Server},
    ops::Event,
};

use crate::{
    backend,
    commands::daemon::{DaemonTask, Stop},
    error::CliError,
    output::Output,
    run::CLOSE_TIMEOUT,
    settings::Settings,
    signals::Signals,
};

/// Runs the daemon; `Ok` after SIGTERM or SIGINT.
pub(crate) async fn run(
    task: &DaemonTask,
    settings: Settings,
    output: &Output,
) -> Result<(), CliError> {
    let mut signals = Signals::listen()?;
    let settings = settings.with_daemon(task);
    let config = settings.config()?;
    let listeners = Listeners {
        api: config.api,
        gateway: config.gateway,
        s3: config.s3,
    };
    let started = tokio::select! {
        started = backend::start_node(&settings, config, Role::Daemon) => started,
        _ = signals.next() => return Ok(()),
    };
    let node = started?;
    let served = serve(&node, &settings.data_dir, listeners, output, async {
        tokio::select! {
            _ = signals.next() => {}
            () = stdin_ends(task.stop) => {}
        }
    })
    .await;
    tokio::select! {
        _ = tokio::time::timeout(CLOSE_TIMEOUT, node.shutdown()) => {}
        _ = signals.next() => {}
    }
    served
}

/// Where a daemon listens for programs of this machine; what is `None` is left out, or on a free port.
struct Listeners {
    api: Option<SocketAddr>,
    gateway: Option<SocketAddr>,
    s3: Option<SocketAddr>,
}

/// Serves the API, the gateway and S3 until `stop` comes.
async fn serve(
    node: &Node,
    data_dir: &Path,
    Listeners { api, gateway, s3 }: Listeners,
    output: &Output,
    stop: impl Future<Output = ()>,
) -> Result<(), CliError> {
    let failed = |error| CliError::failed("The daemon cannot start", &error);
    let gateway = match gateway {
        Some(address) => Some(GatewayServer::start(node, address).await.map_err(failed)?),
        None => None,
    };
    let s3 = match s3 {
        Some(address) => Some(S3Server::start(node, address).await.map_err(failed)?),
        None => None,
    };
    let api = ApiServer::start(node.clone(), data_dir, api)
        .await
        .map_err(failed)?;
    let mut ready = node.ready().await;
    if let Event::Ready {
        api: api_url,
        gateway: gateway_url,
        s3: s3_url,
        ..
    } = &mut ready
    {
        *api_url = Some(api.url());
        *s3_url = s3.as_ref().map(S3Server::url);
        *gateway_url = gateway.as_ref().map(GatewayServer::url);
    }
    output.event(&ready);
    stop.await;
    output.note("Stopping.");
    Ok(())
}

/// Waits for the end of standard input, if that is to stop the daemon.
async fn stdin_ends(stop: Stop) {
    match stop {
        Stop::Signal => std::future::pending().await,
        Stop::SignalOrStdin => {
            let read = tokio::task::spawn_blocking(|| {
                let mut buffer = [0; 64];
                while matches!(std::io::stdin().read(&mut buffer), Ok(1..)) {}
            });
            drop(read.await);
        }
    }
}
