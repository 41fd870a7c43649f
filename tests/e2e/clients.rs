//! Programs that know nothing of OpenDAG read from a gateway that holds nothing, beside a peer that lies.
//!
//! The scripts in `tests/clients` run them and compare what they got with the published folder.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use opendag_tests::{
    Daemon, Finished, Running, Signal, World,
    hostile::{Author, Conduct, Library, Peer},
    http,
    python::Environment,
    skipped,
    tree::paths,
    world::text,
};

use crate::common::{ensure_equal, world};

/// A script that takes longer is stuck: the slowest takes 10 s on an idle machine.
const SCRIPT_TIME_MAX: Duration = Duration::from_secs(240);
/// What a download that is to be killed may receive: it takes some seconds then.
const SLOW: &[&str] = &["--download-limit", "6MB"];
/// Packages of gigabytes and those of other years are tested when this variable is `all`.
const WHICH: &str = "OPENDAG_TEST_CLIENTS";

/// The interpreter of an environment with the packages of `tests/clients/<name>.txt`.
pub(crate) fn python(name: &str) -> Result<Option<PathBuf>> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    match Environment::of(&cache, &scripts().join(format!("{name}.txt")))? {
        Environment::Ready(python) => Ok(Some(python)),
        Environment::Missing(reason) => {
            skipped(&format!("clients ({name})"), &reason);
            Ok(None)
        }
    }
}

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients")
}

/// A published folder, an honest daemon that has it, and a peer that gives wrong bytes of it.
struct Scene {
    world: World,
    source: PathBuf,
    dataset: String,
    honest: Daemon,
    liar: Peer,
}

impl Scene {
    /// The folder is written by a script, which needs `python` with `pyarrow`, then made ready.
    fn new(python: &Path, script: &str, ready: fn(&World, &Path) -> Result<()>) -> Result<Self> {
        let world = world()?;
        let source = world.path("source");
        let mut command = Command::new(python);
        command.arg(scripts().join(script)).arg(&source);
        Running::start(script, command)?
            .finish(SCRIPT_TIME_MAX)?
            .ok()?;
        ready(&world, &source)?;
        let mut files = BTreeMap::new();
        for path in paths(&source)?.into_iter().filter(|path| path.is_file()) {
            let name = path
                .strip_prefix(&source)?
                .to_str()
                .context("a name in UTF-8")?;
            files.insert(name.to_owned(), fs::read(&path)?);
        }
        let version = Author::new(71, "rows")?.version(0, None, &files)?;
        let library = || Library::from(version.clone());
        let liar = Peer::start(world.network(), 200, library(), Conduct::WrongFirst)?;
        let first = Peer::start(world.network(), 71, library(), Conduct::Honest)?;
        let honest = world.node("honest").daemon::<&str>([])?;
        let (dataset, copy) = (version.dataset.to_string(), world.path("copy"));
        let options = ["--peer", first.address()];
        honest.node().fetch(&dataset, &copy, &options)?.ok()?;
        ensure_equal(&source, &copy)?;
        Ok(Self {
            world,
            source,
            dataset,
            honest,
            liar,
        })
    }

    /// Runs a script with a gateway of its own, which holds nothing at first.
    fn run(&self, python: &Path, script: &str, options: &[&str]) -> Result<()> {
        let name = named(python, script)?;
        let gateway = self.gateway(&name, options)?;
        let running = self.start(python, script, &gateway)?;
        finish(&name, running)?;
        gateway.stop()?;
        Ok(())
    }

    fn gateway(&self, name: &str, options: &[&str]) -> Result<Daemon> {
        let peers = [self.liar.address(), self.honest.address()?];
        let mut args = vec!["--gateway", "127.0.0.1:0", "--s3", "127.0.0.1:0"];
        args.extend(peers.iter().flat_map(|peer| ["--bootstrap", peer]));
        args.extend(options);
        self.world.node(name).daemon(args)
    }

    fn start(&self, python: &Path, script: &str, gateway: &Daemon) -> Result<Running> {
        let name = named(python, script)?;
        let work = self.world.path(format!("{name}.work"));
        fs::create_dir_all(work.join("home"))?;
        let mut command = Command::new(python);
        command
            .arg(scripts().join(format!("{script}.py")))
            .arg(format!("opendag/{}", self.dataset))
            .args([&self.source, &work])
            .current_dir(&work)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", work.join("home"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HF_ENDPOINT", text(&gateway.ready, "gateway")?)
            .env("HF_HUB_DISABLE_TELEMETRY", "1")
            .env("AWS_ENDPOINT_URL", text(&gateway.ready, "s3")?)
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env("AWS_DEFAULT_REGION", "us-east-1");
        Running::start(&name, command)
    }

    /// Runs scripts at the same time; all of them, even if one fails.
    fn run_all(&self, python: &Path, which: &[(&str, &[&str])]) -> Result<()> {
        let failed: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = which
                .iter()
                .map(|(script, options)| scope.spawn(|| self.run(python, script, options)))
                .collect();
            let ends = running.into_iter().map(std::thread::ScopedJoinHandle::join);
            ends.filter_map(|end| match end {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{error:#}")),
                Err(_) => Some("a script's thread panicked".to_owned()),
            })
            .collect()
        });
        if !failed.is_empty() {
            bail!("{}", failed.join("\n\n"));
        }
        ensure!(self.liar.counts().asked() > 0, "the liar was never asked");
        Ok(())
    }
}

/// What a script is called that runs in an environment.
fn named(python: &Path, script: &str) -> Result<String> {
    let environment = python.ancestors().nth(2).context("an environment")?;
    let environment = environment.file_name().unwrap_or_default();
    Ok(format!("{script}-{}", environment.display()))
}

/// Waits for a script, and tells what it left out.
fn finish(name: &str, running: Running) -> Result<()> {
    let finished = running.finish(SCRIPT_TIME_MAX)?.ok()?;
    for line in &finished.lines {
        if let Some((what, reason)) = line
            .strip_prefix("SKIPPED ")
            .and_then(|line| line.split_once(": "))
        {
            skipped(&format!("{what} ({name})"), reason);
        }
    }
    Ok(())
}

#[test]
fn p2_unchanged_clients_end_with_the_right_data_beside_a_liar() -> Result<()> {
    let Some(python) = python("current")? else {
        return Ok(());
    };
    let scripts: &[(&str, &[&str])] = &[
        ("snapshot", &[]),
        ("resume", SLOW),
        ("load", &[]),
        ("files", &[]),
        ("s3", &[]),
        ("rclone", &[]),
        ("croissant", &[]),
        ("examples", &[]),
    ];
    Scene::new(&python, "data.py", |_, _| Ok(()))?.run_all(&python, scripts)
}

/// Publishes a folder for the hints, and again with the card that they advise.
fn write_card(world: &World, source: &Path) -> Result<()> {
    let author = world.node("author");
    let folder = source.to_str().context("a path in UTF-8")?;
    let publish = ["publish", folder, "--name", "mixed", "--license", "MIT"];
    let says = |finished: &Finished, text: &str| {
        let mut lines = finished.lines.iter();
        lines.any(|line| line.contains("\"event\":\"warning\"") && line.contains(text))
    };
    let plain = author.run(publish)?.ok()?;
    for hint in ["--write-card", "Files of several formats"] {
        ensure!(says(&plain, hint), "no {hint}: {:?}", plain.lines);
    }
    let carded = author
        .run(publish.into_iter().chain(["--write-card"]))?
        .ok()?;
    ensure!(!says(&carded, ""), "warned: {:?}", carded.lines);
    ensure!(carded.event("card")?["configs"] == serde_json::json!(["default"]));
    Ok(())
}

#[test]
fn p2_a_mixed_folder_loads_by_the_card_that_publish_wrote() -> Result<()> {
    let Some(python) = python("current")? else {
        return Ok(());
    };
    Scene::new(&python, "mixed.py", write_card)?.run_all(&python, &[("card", &[])])
}

#[test]
fn p2_clients_of_other_years_and_large_ones_end_with_the_right_data() -> Result<()> {
    if std::env::var_os(WHICH).is_none_or(|which| which != "all") {
        let reason = format!("gigabytes to install; {WHICH}=all runs it");
        skipped("clients of 2024 and 2025, PyTorch, Ray, Spark", &reason);
        return Ok(());
    }
    let Some(current) = python("current")? else {
        return Ok(());
    };
    let scene = Scene::new(&current, "data.py", |_, _| Ok(()))?;
    for year in ["hub-2024", "hub-2025-early", "hub-2025"] {
        if let Some(python) = python(year)? {
            let scripts: &[(&str, &[&str])] = &[("snapshot", &[]), ("resume", SLOW), ("load", &[])];
            scene.run_all(&python, scripts).context(year)?;
        }
    }
    if let Some(python) = python("large")? {
        // One after another: each starts processes of its own.
        for script in ["torch_loader", "ray_data", "spark"] {
            scene.run_all(&python, &[(script, &[])])?;
        }
    }
    Ok(())
}

#[test]
fn clients_of_all_years_wait_for_a_file_that_comes_late() -> Result<()> {
    if std::env::var_os(WHICH).is_none_or(|which| which != "all") {
        let reason =
            format!("other years to install, and a minute of waiting; {WHICH}=all runs it");
        skipped("a file that comes late", &reason);
        return Ok(());
    }
    let Some(current) = python("current")? else {
        return Ok(());
    };
    let scene = Scene::new(&current, "data.py", |_, _| Ok(()))?;
    let mut waiting = Vec::new();
    for year in ["hub-2024", "hub-2025-early", "hub-2025", "current"] {
        let Some(python) = python(year)? else {
            continue;
        };
        let name = named(&python, "late")?;
        let gateway = scene.gateway(&name, &[])?;
        // The description comes, and no byte of a file.
        let info = format!("/api/datasets/opendag/{}?blobs=true", scene.dataset);
        let url = text(&gateway.ready, "gateway")?;
        ensure!(http::request(&url, "GET", &info, &[], "")?.status == 200);
        waiting.push((name, python, gateway));
    }
    scene.honest.running.signal(Signal::STOP)?;
    let mut running = Vec::new();
    for (name, python, gateway) in &waiting {
        running.push((name, scene.start(python, "late", gateway)?));
    }
    // A request of our own beside theirs: its answer has begun and no byte has come, as with theirs.
    for (name, _, gateway) in &waiting {
        let path = format!("/datasets/opendag/{}/resolve/main/table.csv", scene.dataset);
        let status = http::status_line(&text(&gateway.ready, "gateway")?, &path)?;
        ensure!(status.contains(" 200 "), "{name}: {status}");
    }
    scene.honest.running.signal(Signal::CONT)?;
    for (name, script) in running {
        finish(name, script)?;
    }
    Ok(())
}
