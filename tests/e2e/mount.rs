//! `mount`: programs read a dataset as files while it comes from peers, and get no wrong byte.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    Daemon, MIB, Node, Running, Signal, Tree, World,
    hostile::{Author, Conduct, Library, Peer},
    skipped,
    world::{START_TIME_MAX, STOP_TIME_MAX, number, text},
};
use rustix::mount::{UnmountFlags, unmount};

use crate::common::{Swarm, ensure_equal, ensure_says, world};

/// A program that reads a mount ends within this, or hangs.
const READ_TIME_MAX: Duration = Duration::from_secs(60);

/// Can this machine mount? Otherwise it is told that a test was left out.
fn can_mount(test: &str) -> bool {
    let open = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse");
    let reason = match open {
        Err(error) => format!("/dev/fuse cannot be opened: {error}"),
        Ok(_) if !rustix::process::geteuid().is_root() => "mounting is tested as root".to_owned(),
        Ok(_) => return true,
    };
    skipped(test, &reason);
    false
}

/// A running mount; nothing of it remains when it is dropped.
struct Mount {
    running: Option<Running>,
    dir: PathBuf,
}

impl Mount {
    /// Mounts what a node has at an own folder.
    fn start(world: &World, node: &Node, options: &[&str]) -> Result<Self> {
        let dir = world.path("mount");
        fs::create_dir_all(&dir)?;
        let text = dir.to_str().context("a path in UTF-8")?;
        let mut args = vec!["mount", text];
        args.extend(options);
        let mut running = node.start(args)?;
        let running_at = running.wait_event("mounted", START_TIME_MAX);
        let mount = Self {
            running: Some(running),
            dir,
        };
        ensure!(running_at?["dir"] == mount.dir.display().to_string());
        Ok(mount)
    }

    fn running(&mut self) -> Result<Running> {
        self.running.take().context("it was not stopped before")
    }

    /// SIGTERM, and the end.
    fn stop(mut self) -> Result<()> {
        let stopped = self.running()?.stop(STOP_TIME_MAX)?.ok()?;
        stopped.event("unmounted")?;
        ensure!(!is_mounted(&self.dir)?);
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(self.running.take());
        // Only a mount that was not ended in order is still there.
        let _ = unmount(&self.dir, UnmountFlags::DETACH);
    }
}

fn is_mounted(dir: &Path) -> Result<bool> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let dir = dir.display().to_string();
    Ok(mounts
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(&dir)))
}

/// What a shell command prints; an error if it fails.
fn shell(command: &str) -> Result<String> {
    let mut sh = Command::new("sh");
    sh.arg("-c").arg(format!("set -e; {command}"));
    let finished = Running::start(command, sh)?.finish(READ_TIME_MAX)?.ok()?;
    Ok(finished.lines.join("\n"))
}

/// A daemon that holds nothing and knows some peers.
fn reader(world: &World, peers: &[&str]) -> Result<Daemon> {
    let args = peers.iter().flat_map(|peer| ["--bootstrap", peer]);
    world.node("reader").daemon(args)
}

#[test]
fn p2_programs_read_a_mounted_dataset_of_an_honest_peer_and_a_liar() -> Result<()> {
    if !can_mount("p2_programs_read_a_mounted_dataset_of_an_honest_peer_and_a_liar") {
        return Ok(());
    }
    let world = world()?;
    let tree = Tree::new(171)
        .file("large.bin", 12 * MIB + 5)
        .file("dir/small.txt", 5000)
        .file("dir/empty", 0)
        .file("dir/deeper/ü b+c%.bin", MIB + 1)
        .file("dir.txt", 17);
    let source = tree.write(&world.path("source"))?;
    let version = Author::new(72, "handmade")?.version(0, None, &tree.read()?)?;
    let library = || Library::from(version.clone());
    let honest = Peer::start(world.network(), 72, library(), Conduct::Honest)?;
    let liar = Peer::start(world.network(), 200, library(), Conduct::WrongFirst)?;
    let daemon = reader(&world, &[liar.address(), honest.address()])?;
    let mut mount = Mount::start(&world, daemon.node(), &[])?;
    let status = daemon.node().run(["status"])?.ok()?.event("status")?;
    ensure!(
        status["running"].to_string().contains("mount at"),
        "{status}"
    );

    // An id that nobody listed opens what it names.
    let dir = mount.dir.join(version.dataset.to_string());
    let (at, from) = (dir.display().to_string(), source.display().to_string());
    let listed = shell(&format!("cd {at} && find . | LC_ALL=C sort"))?;
    ensure!(
        listed == shell(&format!("cd {from} && find . | LC_ALL=C sort"))?,
        "{listed}"
    );
    // A part of a file, then what begins before it, by eight at once.
    let tail = shell(&format!("tail -c 100 {at}/large.bin | sha256sum"))?;
    ensure!(tail == shell(&format!("tail -c 100 {from}/large.bin | sha256sum"))?);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| shell(&format!("cmp {at}/large.bin {from}/large.bin"))))
            .collect();
        readers.into_iter().try_for_each(|reader| {
            reader
                .join()
                .map_err(|_| anyhow::anyhow!("a reader died"))?
                .map(drop)
        })
    })?;
    let sums = "find . -type f | LC_ALL=C sort | xargs -d '\\n' sha256sum";
    ensure!(shell(&format!("cd {at} && {sums}"))? == shell(&format!("cd {from} && {sums}"))?);
    let copy = world.path("copy");
    shell(&format!("cp -r {at} {}", copy.display()))?;
    ensure_equal(&source, &copy)?;
    let mapped = "import mmap, sys; f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); \
                  assert m[:] == open(sys.argv[2], 'rb').read() and m[7000000:7000009] == m[:][7000000:7000009]";
    match Command::new("python3").arg("--version").output() {
        Ok(_) => drop(shell(&format!(
            "python3 -c \"{mapped}\" {at}/large.bin {from}/large.bin"
        ))?),
        Err(error) => skipped("a mapped file of a mount", &format!("python3: {error}")),
    }
    ensure!(liar.counts().asked() > 0, "the liar was never asked");

    // What `ls -l` shows.
    let file = fs::metadata(dir.join("dir/deeper/ü b+c%.bin"))?;
    let folder = fs::metadata(dir.join("dir"))?;
    ensure!(file.len() == MIB + 1 && file.permissions().mode() == 0o100_444);
    ensure!(folder.is_dir() && folder.permissions().mode() == 0o040_555);
    ensure!(file.uid() == rustix::process::geteuid().as_raw() && file.blocks() == 2049);
    let shown = daemon
        .node()
        .run(["show", &version.dataset.to_string()])?
        .ok()?;
    let created = number(&shown.event("versions")?["versions"][0], "created_at")?;
    ensure!(file.modified()? == UNIX_EPOCH + Duration::from_secs(created));
    for (what, written) in [
        ("write", fs::write(dir.join("dir.txt"), "x")),
        ("new file", fs::write(dir.join("new"), "x")),
        ("new folder", fs::create_dir(mount.dir.join("new"))),
        ("remove", fs::remove_file(dir.join("dir.txt"))),
        (
            "rename",
            fs::rename(dir.join("dir.txt"), dir.join("other.txt")),
        ),
        (
            "mode",
            fs::set_permissions(dir.join("dir.txt"), PermissionsExt::from_mode(0o777)),
        ),
    ] {
        let error = written
            .err()
            .with_context(|| format!("{what} went through"))?;
        ensure!(
            error.kind() == std::io::ErrorKind::ReadOnlyFilesystem,
            "{what}: {error}"
        );
    }

    // A signal ends it, also while a file is open, which is read on; the daemon goes on.
    let open = fs::File::open(dir.join("large.bin"))?;
    let stopped = mount.running()?.stop(STOP_TIME_MAX)?.ok()?;
    stopped.event("unmounted")?;
    ensure!(!is_mounted(&mount.dir)? && fs::read_dir(&mount.dir)?.next().is_none());
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut { open }, &mut bytes)?;
    ensure!(bytes == fs::read(source.join("large.bin"))?);
    daemon.node().run(["status"])?.ok()?;
    // The end of the daemon ends it too, and is told.
    let mut mount = Mount::start(&world, daemon.node(), &[])?;
    daemon.stop()?;
    let ended = mount.running()?.finish(STOP_TIME_MAX)?.code(1)?;
    ensure_says(&ended, &["daemon"])?;
    ensure!(!is_mounted(&mount.dir)?);
    Ok(())
}

#[test]
fn a_mount_without_a_daemon_shows_new_versions_and_ends_when_it_is_unmounted() -> Result<()> {
    if !can_mount("a_mount_without_a_daemon_shows_new_versions_and_ends_when_it_is_unmounted") {
        return Ok(());
    }
    let world = world()?;
    let source = Tree::new(172)
        .file("a.bin", 300_000)
        .write(&world.path("source"))?;
    let other = Tree::new(173)
        .file("b.bin", 3)
        .write(&world.path("other"))?;
    let node = world.node("node");
    let first = node.publish(&source, "data")?;
    let mut mount = Mount::start(&world, &node, &[])?;
    let file = mount.dir.join("data/a.bin");
    let old = fs::read(source.join("a.bin"))?;
    ensure!(fs::read(&file)? == old);
    let open = fs::File::open(&file)?;

    // Other commands go through it, as through a daemon.
    fs::write(source.join("a.bin"), "new")?;
    node.publish(&source, "data")?;
    node.publish(&other, "other")?;
    let deadline = Instant::now() + READ_TIME_MAX;
    while fs::read(&file)? != b"new" {
        ensure!(Instant::now() < deadline, "the new version is not shown");
        thread::yield_now();
    }
    let mut names: Vec<_> = fs::read_dir(&mount.dir)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    names.sort();
    ensure!(names == ["data", "other"], "{names:?}");
    ensure!(
        open.metadata()?.len() == 300_000,
        "what is open stays of its version"
    );
    let manifest = text(&first, "manifest")?;
    for name in [manifest.as_str(), "data@0"] {
        ensure!(
            fs::metadata(mount.dir.join(name).join("a.bin"))?.len() == 300_000,
            "{name}"
        );
    }
    ensure!(fs::metadata(mount.dir.join("nothing")).is_err());

    let dir = mount.dir.to_str().context("a path in UTF-8")?.to_owned();
    let again = node.run(["mount", &dir])?.code(2)?;
    ensure_says(&again, &["mounted already"])?;
    drop(open);
    match Command::new("fusermount3").args(["-u", &dir]).output() {
        Ok(output) => ensure!(output.status.success(), "{output:?}"),
        Err(_) => unmount(&mount.dir, UnmountFlags::empty())?,
    }
    let ended = mount.running()?.finish(STOP_TIME_MAX)?.ok()?;
    ended.event("unmounted")?;

    // From elsewhere.
    let mut mount = Mount::start(&world, &node, &[])?;
    node.run(["unmount", &dir])?.ok()?.event("unmounted")?;
    mount.running()?.finish(STOP_TIME_MAX)?.ok()?;
    ensure!(!is_mounted(&mount.dir)?);
    ensure_says(&node.run(["unmount", &dir])?.code(2)?, &["mounted nothing"])?;
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_mounted_on_is_told() -> Result<()> {
    if !can_mount("a_folder_that_cannot_be_mounted_on_is_told") {
        return Ok(());
    }
    let world = world()?;
    let node = world.node("node");
    let full = Tree::new(174).file("a", 1).write(&world.path("full"))?;
    let file = full.join("a");
    for (dir, words) in [
        (&world.path("missing"), "there is no folder"),
        (&full, "not empty"),
        (&file, "cannot look at"),
    ] {
        let refused = node.run([Path::new("mount"), dir])?.code(2)?;
        ensure_says(&refused, &[words])?;
    }
    // A killed mount leaves a folder that nobody can look into.
    let mut mount = Mount::start(&world, &node, &[])?;
    mount.running()?.kill()?;
    let refused = node.run([Path::new("mount"), &mount.dir])?.code(2)?;
    ensure_says(&refused, &["fusermount3 -u"])?;
    unmount(&mount.dir, UnmountFlags::empty())?;
    Mount::start(&world, &node, &[])?.stop()
}

#[test]
fn what_nobody_has_is_an_input_output_error_and_a_killed_reader_ends_at_once() -> Result<()> {
    if !can_mount("what_nobody_has_is_an_input_output_error_and_a_killed_reader_ends_at_once") {
        return Ok(());
    }
    let tree = Tree::new(175).file("a.bin", 2 * MIB);
    let mut swarm = Swarm::start(&tree, 1, "100MB")?;
    let peer = swarm.seeds[0].address()?.to_owned();
    let daemon = reader(&swarm.world, &[&peer])?;
    let mount = Mount::start(&swarm.world, daemon.node(), &["--timeout", "3s"])?;
    let dataset = text(&swarm.published, "dataset")?;
    let file = mount.dir.join(&dataset).join("a.bin");
    ensure!(fs::metadata(&file)?.len() == 2 * MIB);
    swarm.seeds.remove(0).stop()?;

    let began = Instant::now();
    let error = fs::read(&file).err().context("bytes from nowhere")?;
    ensure!(error.raw_os_error() == Some(5), "{error}");
    let took = began.elapsed();
    ensure!(
        took >= Duration::from_secs(3) && took < Duration::from_secs(30),
        "{took:?}"
    );

    // A reader that waits is killed and is gone, long before its bytes were given up.
    mount.stop()?;
    let mount = Mount::start(&swarm.world, daemon.node(), &["--timeout", "10m"])?;
    let file = mount.dir.join(&dataset).join("a.bin");
    let mut cat = Command::new("cat");
    let mut cat = cat
        .arg(&file)
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()?;
    let waits = format!("/proc/{}/syscall", cat.id());
    let deadline = Instant::now() + READ_TIME_MAX;
    // Until it reads the file: the system call 0, of the descriptor 3.
    while !fs::read_to_string(&waits)?.starts_with("0 0x3 ") && cfg!(target_arch = "x86_64") {
        ensure!(Instant::now() < deadline, "it does not read");
        thread::yield_now();
    }
    cat.kill()?;
    let began = Instant::now();
    while cat.try_wait()?.is_none() {
        ensure!(
            began.elapsed() < Duration::from_secs(10),
            "a killed reader hangs"
        );
        thread::yield_now();
    }
    Ok(())
}

#[test]
fn thousands_of_files_are_listed_once_each() -> Result<()> {
    if !can_mount("thousands_of_files_are_listed_once_each") {
        return Ok(());
    }
    let world = world()?;
    let mut tree = Tree::new(176).file("b/last", 1);
    for index in 0..5000 {
        tree = tree.file(
            &format!("a/{index:05}.with-a-name-of-some-length"),
            index % 3,
        );
    }
    let source = tree.write(&world.path("source"))?;
    let node = world.node("node");
    node.publish(&source, "data")?;
    let mut mount = Mount::start(&world, &node, &[])?;
    let list = |dir: &Path| {
        shell(&format!(
            "cd {} && find . -printf '%p %s %y\\n' | grep -v ' d$' | LC_ALL=C sort",
            dir.display()
        ))
    };
    ensure!(list(&mount.dir.join("data"))? == list(&source)?);
    let lines = shell(&format!("ls -l {}/data/a | wc -l", mount.dir.display()))?;
    ensure!(lines.trim() == "5001", "{lines}");
    let running = mount.running()?;
    running.signal(Signal::INT)?;
    running.finish(STOP_TIME_MAX)?.ok()?;
    ensure!(!is_mounted(&mount.dir)?);
    Ok(())
}
