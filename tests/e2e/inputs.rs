//! Bad inputs on the command line and in the configuration: a sentence, the right exit code,
//! nothing lost, nothing written.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use opendag_protocol::{Hash, ManifestId};
use opendag_tests::{MIB, Signal, Tree, tree, world::COMMAND_TIME_MAX};

use crate::common::{Swarm, ensure_equal, ensure_says, node, opendag, world};

#[test]
fn p8_garbage_on_the_command_line_ends_with_two() -> Result<()> {
    let world = world()?;
    let node = world.node("node");
    let id = ManifestId::from_hash(Hash::of(b"x")).to_string();
    let upper = id.to_uppercase();
    let cut = id.get(..id.len() - 3).unwrap_or_default();
    let cases: &[&[&str]] = &[
        &[],
        &["no-such-command"],
        &["publish"],
        &["publish", "."],
        &["publish", "/no/such/folder", "--name", "x"],
        &["publish", ".", "--name", "", "--license", "CC0-1.0"],
        &["publish", ".", "--name", "x"],
        &["publish", ".", "--name", "a/b", "--license", "CC0-1.0"],
        &["publish", ".", "--name", "..", "--license", "CC0-1.0"],
        &["publish", ".", "--name", "CON", "--license", "CC0-1.0"],
        &["publish", ".", "--name", "x", "--name", "y"],
        &[
            "publish",
            ".",
            "--name",
            "x",
            "--license",
            "CC0-1.0",
            "--exclude",
            "[a",
        ],
        &[
            "publish",
            ".",
            "--name",
            "x",
            "--license",
            "CC0-1.0",
            "--derived-from",
            "nonsense:",
        ],
        &["fetch"],
        &["fetch", ""],
        &["fetch", "opendag:"],
        &["fetch", "opendag:garbage"],
        &["fetch", "https://example.org/x"],
        &["fetch", &upper],
        &["fetch", cut],
        &["fetch", &id, "--peer", "not-a-multiaddr"],
        &["fetch", &id, "--timeout", "soon"],
        &["fetch", &id, "--include", "[a"],
        &["show", "no-such-name"],
        &["daemon", "--upload-limit", "fast"],
        &["daemon", "--bootstrap", "not-a-multiaddr"],
        &["testnet", "up", "--nodes", "0"],
        &["key", "export", "no-such-key", "/tmp"],
    ];
    for case in cases {
        let finished = node.run(*case)?;
        ensure!(
            finished.code == Some(2),
            "{case:?} ended with {:?}\n{}",
            finished.code,
            finished.stderr
        );
        ensure!(!finished.stderr.trim().is_empty(), "{case:?} said nothing");
        ensure!(
            !finished.stderr.contains("panicked"),
            "{case:?} panicked: {}",
            finished.stderr
        );
    }
    Ok(())
}

#[test]
fn help_version_completions_and_man_pages_come_from_both_names() -> Result<()> {
    let world = world()?;
    for binary in [opendag(), node()] {
        let node = world.node("node").with_binary(binary);
        for args in [
            &["--help"][..],
            &["--version"],
            &["fetch", "--help"],
            &["completions", "bash"],
            &["man"],
        ] {
            let output = node.command(args).output()?;
            ensure!(
                output.status.success() && !output.stdout.is_empty(),
                "{args:?}: {output:?}"
            );
        }
    }
    ensure!(
        !world.node("node").data_dir().exists(),
        "asking for help wrote a data directory"
    );
    Ok(())
}

#[test]
fn a_bad_configuration_is_refused_with_the_name_of_the_key() -> Result<()> {
    let world = world()?;
    let cases = [
        ("no_such_key = 1\n", "no_such_key"),
        ("upload_limit = 5\n", "upload_limit"),
        ("upload_limit = \"fast\"\n", "upload_limit"),
        (
            "download_limit = \"99999999999999999999999GB\"\n",
            "download_limit",
        ),
        ("listen = \"not a list\"\n", "listen"),
        ("bootstrap = [\"nonsense\"]\n", "bootstrap"),
        ("mdns = \"yes\"\n", "mdns"),
        ("not toml", "config.toml"),
    ];
    for (index, (text, word)) in cases.into_iter().enumerate() {
        let node = world.node(&format!("node{index}"));
        node.config(text)?;
        let finished = node.run(["ls"])?.code(2).with_context(|| text.to_owned())?;
        ensure_says(&finished, &[word]).with_context(|| text.to_owned())?;
    }
    Ok(())
}

#[test]
fn a_key_file_that_others_can_read_is_refused() -> Result<()> {
    let world = world()?;
    let source = Tree::new(106).file("x", 10).write(&world.path("source"))?;
    let node = world.node("node");
    node.publish(&source, "data")?;
    for folder in ["keys", "identity"] {
        for path in tree::paths(&node.data_dir().join(folder))?
            .iter()
            .chain([&node.data_dir().join(folder)])
        {
            let mode = fs::metadata(path)?.permissions().mode();
            ensure!(
                mode & 0o077 == 0,
                "others may read {}: {mode:o}",
                path.display()
            );
        }
    }
    let key = tree::paths(&node.data_dir().join("keys"))?
        .pop()
        .context("a publisher key")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
    fs::write(source.join("y"), b"y")?;
    let finished = node.run([
        "publish",
        &source.display().to_string(),
        "--name",
        "data",
        "--license",
        "CC0-1.0",
    ])?;
    ensure!(matches!(finished.code, Some(1 | 2 | 4)), "{finished:?}");
    let name = key
        .file_name()
        .context("a file name")?
        .to_string_lossy()
        .into_owned();
    ensure_says(&finished, &[&name])
}

#[test]
fn a_second_process_on_one_data_directory_says_so() -> Result<()> {
    let world = world()?;
    let node = world.node("node");
    let daemon = node.daemon::<&str>([])?;
    let second = node.run(["daemon"])?;
    ensure!(matches!(second.code, Some(1 | 2)), "{second:?}");
    ensure_says(&second, &[&daemon.running.pid().to_string()])?;
    // Commands go through the daemon instead.
    let id = node.run(["id"])?.ok()?.event("id")?;
    ensure!(
        id["peer"] == daemon.peer.as_str() && id["addresses"][0] == daemon.addresses[0].as_str(),
        "{id}"
    );
    daemon.stop()?;
    // What a killed daemon leaves behind stops nobody.
    node.daemon::<&str>([])?.kill()?;
    let id = node.run(["id"])?.ok()?.event("id")?;
    ensure!(
        id["addresses"].as_array().is_some_and(Vec::is_empty),
        "{id}"
    );
    Ok(())
}

#[test]
fn p8_a_full_disk_ends_in_a_sentence_and_goes_on_when_there_is_room() -> Result<()> {
    let swarm = Swarm::start(&Tree::new(107).file("large.bin", 12 * MIB), 1, "100MB")?;
    let small = swarm.world.path("small-disk");
    fs::create_dir_all(&small)?;
    let Some(_mount) = Mount::tmpfs(&small, "8m") else {
        opendag_tests::skipped(
            "p8_a_full_disk_ends_in_a_sentence",
            "this user cannot mount a small disk",
        );
        return Ok(());
    };
    let (node, output) = (swarm.world.node("fetcher"), small.join("fetched"));
    let finished = node
        .fetch(&swarm.link, &output, &["--timeout", "5s"])?
        .code(1)?;
    ensure_says(&finished, &["space"])?;
    ensure!(!output.join("large.bin").exists());
    ensure!(
        Command::new("mount")
            .args(["-o", "remount,size=64m"])
            .arg(&small)
            .status()?
            .success()
    );
    node.fetch(&swarm.link, &output, &[])?.ok()?;
    ensure_equal(&swarm.source, &output)
}

#[test]
fn p8_a_read_only_target_ends_in_a_sentence() -> Result<()> {
    let swarm = Swarm::start(&Tree::new(109).file("x", 100_000), 1, "100MB")?;
    let folder = swarm.world.path("read-only");
    fs::create_dir_all(&folder)?;
    let Some(_mount) = Mount::tmpfs(&folder, "8m,ro") else {
        opendag_tests::skipped("p8_a_read_only_target", "this user cannot mount a disk");
        return Ok(());
    };
    let finished = swarm
        .world
        .node("fetcher")
        .fetch(&swarm.link, &folder.join("fetched"), &[])?;
    ensure!(matches!(finished.code, Some(1 | 2)), "{finished:?}");
    ensure_says(&finished, &["read-only"])
}

#[test]
fn p8_two_fetches_into_one_folder_do_not_mix() -> Result<()> {
    let swarm = Swarm::start(&Tree::new(110).file("large.bin", 12 * MIB), 1, "4MB")?;
    let output = swarm.world.path("fetched");
    let mut first = swarm
        .world
        .node("first")
        .start_fetch(&swarm.link, &output, &[])?;
    first.wait_for("bytes", COMMAND_TIME_MAX, |event| {
        event["received_bytes"].as_u64() > Some(0)
    })?;
    // It cannot end before the second has seen it.
    first.signal(Signal::STOP)?;
    let second = swarm
        .world
        .node("second")
        .fetch(&swarm.link, &output, &[])?;
    first.signal(Signal::CONT)?;
    ensure!(matches!(second.code, Some(1 | 2)), "{second:?}");
    ensure_says(&second, &["another fetch"])?;
    first.finish(COMMAND_TIME_MAX)?.ok()?;
    ensure_equal(&swarm.source, &output)
}

/// A mounted folder; unmounted when dropped.
struct Mount(std::path::PathBuf);

impl Mount {
    fn tmpfs(path: &std::path::Path, size: &str) -> Option<Self> {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
        status
            .is_ok_and(|status| status.success())
            .then(|| Self(path.to_path_buf()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // What cannot be unmounted stays until the machine ends.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn p8_a_closed_standard_output_is_no_crash() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(108).write(&world.path("source"))?;
    let node = world.node("node");
    node.publish(&source, "data")?;
    for args in [&["ls"][..], &["--json", "show", "data"], &["--help"]] {
        let mut child = node
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        drop(child.stdout.take());
        let output = child.wait_with_output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code().is_some() && !stderr.contains("panicked"),
            "{args:?}: {stderr}"
        );
    }
    Ok(())
}

#[test]
fn without_a_home_it_asks_for_a_data_directory() -> Result<()> {
    let world = world()?;
    let Some(node) = world.stranger("homeless")? else {
        opendag_tests::skipped(
            "without_a_home_it_asks_for_a_data_directory",
            "this user cannot become another",
        );
        return Ok(());
    };
    let mut command = node.command(["--json", "ls"]);
    command.env_remove("HOME").env_remove("OPENDAG_DATA_DIR");
    let finished = opendag_tests::Running::start("ls without a home", command)?;
    let finished = finished
        .finish(opendag_tests::world::COMMAND_TIME_MAX)?
        .code(2)?;
    ensure_says(&finished, &["--data-dir"])
}
