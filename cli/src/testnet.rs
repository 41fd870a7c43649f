//! `testnet`: asks the library `opendag-testnet` and prints what it says.

mod sim;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use opendag_testnet::{
    DemoOptions, DemoReport, Keep, NodeInfo, Source, State, Testnet, UpOptions, default_source,
};
use serde_json::json;

use crate::{
    commands::testnet::{DemoArgs, JoinArgs, TestnetCommand, UpArgs},
    error::CliError,
    link::absolute_path,
    output::Output,
    settings::Settings,
    signals::Signals,
};

/// Runs a command below `testnet`.
pub(crate) async fn run(
    command: TestnetCommand,
    settings: Settings,
    output: &Output,
) -> Result<(), CliError> {
    let signals = Signals::listen()?;
    let here = Here {
        executable: std::env::current_exe().map_err(|error| {
            CliError::failed("This program does not know where it lies", &error)
        })?,
        default_dir: settings.data_dir.join("testnet"),
    };
    match command {
        TestnetCommand::Sweep(args) => {
            let removed = opendag_testnet::remove(&absolute_path(&args.folder)?);
            removed.map_err(|error| failed(&error))
        }
        TestnetCommand::Up(args) => up(args, here, signals, output).await,
        TestnetCommand::Join(args) => join(args, here, signals, output).await,
        TestnetCommand::Demo(args) => demo(args, here, signals, output).await,
        TestnetCommand::Sim(args) => sim::run(&args, signals, output).await,
    }
}

/// What all commands below `testnet` need.
struct Here {
    executable: PathBuf,
    default_dir: PathBuf,
}

async fn up(
    args: UpArgs,
    here: Here,
    mut signals: Signals,
    output: &Output,
) -> Result<(), CliError> {
    let keep = if args.dir.is_some() {
        Keep::Data
    } else {
        Keep::Nothing
    };
    let dir = folder(args.dir.as_deref(), &here)?;
    output.note(&format!("Starting {} nodes.", args.nodes));
    let options = UpOptions {
        executable: here.executable,
        dir: dir.clone(),
        nodes: args.nodes,
        keep,
    };
    let mut testnet = tokio::select! {
        started = Testnet::up(options) => started.map_err(|error| failed(&error))?,
        _ = signals.next() => return Ok(()),
    };
    let state = testnet.state();
    let event = json!({
        "event": "testnet",
        "network": state.network,
        "dir": dir,
        "nodes": state.nodes,
    });
    output.object(&event, &usage(&state));
    let watched = watch(&mut testnet, &mut signals, output).await;
    output.note("Stopping all nodes.");
    testnet.down().await.map_err(|error| failed(&error))?;
    watched
}

/// Waits for a signal, and tells when a node ends.
async fn watch(
    testnet: &mut Testnet,
    signals: &mut Signals,
    output: &Output,
) -> Result<(), CliError> {
    loop {
        let ended = tokio::select! {
            // Ctrl-C in a terminal reaches the nodes as well: that is no news.
            biased;
            _ = signals.next() => return Ok(()),
            ended = testnet.watch() => ended.map_err(|error| failed(&error))?,
        };
        output.note(&format!("{} has ended.", ended.name));
        if testnet.daemons().is_empty() {
            return Err(CliError::Failed(
                "All nodes have ended; their logs say why.".to_owned(),
            ));
        }
    }
}

async fn join(
    args: JoinArgs,
    here: Here,
    mut signals: Signals,
    output: &Output,
) -> Result<(), CliError> {
    let dir = folder(args.dir.as_deref(), &here)?;
    let mut daemon = tokio::select! {
        started = opendag_testnet::join(here.executable, &dir) => started.map_err(|error| failed(&error))?,
        _ = signals.next() => return Ok(()),
    };
    let info = daemon.info();
    let event = json!({ "event": "joined", "node": info });
    output.object(
        &event,
        &format!("{}\n{}", table(std::slice::from_ref(info)), hint(info)),
    );
    tokio::select! {
        biased;
        _ = signals.next() => daemon.stop().await.map_err(|error| failed(&error)),
        ended = daemon.wait() => {
            ended.map_err(|error| failed(&error))?;
            Err(CliError::Failed("The node has ended; its log says why.".to_owned()))
        }
    }
}

async fn demo(
    args: DemoArgs,
    here: Here,
    mut signals: Signals,
    output: &Output,
) -> Result<(), CliError> {
    let source = match args.dir {
        Some(dir) => Source::folder(&absolute_path(&dir)?),
        None => default_source(),
    };
    let source = source.map_err(|error| CliError::Input(format!("{error:#}.")))?;
    let options = DemoOptions {
        executable: here.executable,
        source,
        dir: here.default_dir,
    };
    let report = tokio::select! {
        report = opendag_testnet::demo(options, |step| output.note(step)) => report,
        signal = signals.next() => return Err(CliError::Interrupted { signal }),
    };
    let report = report.map_err(|error| failed(&error))?;
    let mut event = json!({ "event": "demo" });
    if let (Some(event), Ok(serde_json::Value::Object(fields))) =
        (event.as_object_mut(), serde_json::to_value(&report))
    {
        event.extend(fields);
    }
    output.object(&event, &summary(&report));
    output.note("The data of its nodes is being removed in the background.");
    if report.equal {
        Ok(())
    } else {
        Err(CliError::Failed(
            "The fetched folder is not equal to the published one.".to_owned(),
        ))
    }
}

fn folder(dir: Option<&Path>, here: &Here) -> Result<PathBuf, CliError> {
    dir.map_or_else(|| Ok(here.default_dir.clone()), absolute_path)
}

fn failed(error: &opendag_testnet::Error) -> CliError {
    CliError::Failed(format!("The testnet failed: {error:#}."))
}

fn table(nodes: &[NodeInfo]) -> String {
    let mut text = String::new();
    for node in nodes {
        // Writing into a string never fails.
        let _ = writeln!(text, "{}\n  id       {}", node.name, node.peer);
        for address in &node.addresses {
            let _ = writeln!(text, "  address  {address}");
        }
        let _ = writeln!(text, "  API      {}\n  gateway  {}", node.api, node.gateway);
        let _ = writeln!(text, "  data     {}", node.data_dir.display());
    }
    text
}

fn usage(state: &State) -> String {
    let hint = state.nodes.first().map(hint).unwrap_or_default();
    format!(
        "Network {} runs.\n{}\n{hint}",
        state.network,
        table(&state.nodes)
    )
}

fn hint(node: &NodeInfo) -> String {
    format!(
        "Use {} with: opendag --data-dir {} status\nAdd a node with: opendag testnet join\nStop \
         with Ctrl-C.",
        node.name,
        node.data_dir.display()
    )
}

fn summary(report: &DemoReport) -> String {
    let mut text = String::new();
    if report.equal {
        let _ = writeln!(
            text,
            "Equal: {} files, {} bytes.",
            report.files, report.bytes
        );
    } else {
        for path in &report.different {
            let _ = writeln!(text, "Different: {}", path.display());
        }
    }
    let _ = writeln!(
        text,
        "Published in {:.1} s, mirrored twice in {:.1} s, fetched in {:.1} s; {:.1} s in all.",
        report.publish_seconds, report.mirror_seconds, report.fetch_seconds, report.seconds
    );
    let _ = writeln!(text, "Received {} bytes:", report.received_bytes);
    for share in &report.shares {
        let _ = writeln!(
            text,
            "  {:>3} % from {} ({} bytes)",
            share.percent, share.name, share.bytes
        );
    }
    match &report.killed {
        Some(killed) => {
            let (name, percent) = (&killed.name, killed.percent);
            let _ = writeln!(text, "{name} was killed when {percent} % had come.");
        }
        None => {
            let _ = writeln!(text, "No seed was killed: the fetch was over too soon.");
        }
    }
    text
}
