//! Folders that a user may ask to publish: what is odd but good, and what is refused by name.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Write,
    os::unix::{
        ffi::OsStringExt,
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context, Result, ensure};
use opendag_tests::{MIB, Tree};

use crate::common::{ensure_equal, ensure_says, world};

#[test]
fn an_empty_folder_cannot_be_published() -> Result<()> {
    let world = world()?;
    let empty = world.path("empty");
    fs::create_dir_all(empty.join("only/folders"))?;
    let finished = world.node("node").run([
        OsStr::new("publish"),
        empty.as_os_str(),
        "--name".as_ref(),
        "x".as_ref(),
        "--license".as_ref(),
        "CC0-1.0".as_ref(),
    ])?;
    ensure_says(&finished.code(2)?, &["empty"])
}

#[test]
fn what_is_no_file_is_refused_by_name() -> Result<()> {
    let world = world()?;
    let node = world.node("node");
    for kind in ["fifo", "socket", "symlink", "loop"] {
        let folder = Tree::new(101).file("good", 10).write(&world.path(kind))?;
        let odd = folder.join("odd-one");
        match kind {
            "fifo" => ensure!(Command::new("mkfifo").arg(&odd).status()?.success()),
            "socket" => drop(UnixListener::bind(&odd)?),
            "symlink" => symlink("/etc/passwd", &odd)?,
            _ => symlink("odd-one", &odd)?,
        }
        let path = folder.display().to_string();
        let finished = node.run(["publish", &path, "--name", kind, "--license", "CC0-1.0"])?;
        ensure_says(
            &finished.code(2).with_context(|| kind.to_owned())?,
            &["odd-one"],
        )?;
        // The way out that the sentence names.
        node.run([
            "publish",
            &path,
            "--name",
            kind,
            "--license",
            "CC0-1.0",
            "--exclude",
            "odd-one",
        ])?
        .ok()?;
    }
    let device = node
        .run([
            "publish",
            "/dev/null",
            "--name",
            "device",
            "--license",
            "CC0-1.0",
        ])?
        .code(2)?;
    ensure_says(&device, &["/dev/null"])
}

#[test]
fn names_that_other_systems_cannot_hold_are_refused() -> Result<()> {
    let world = world()?;
    let node = world.node("node");
    let names: [&[u8]; 7] = [
        b"not-utf8-\xff",
        b"CON",
        b"trailing.",
        b"back\\slash",
        b"colon:x",
        b"bell\x07",
        "e\u{301}".as_bytes(),
    ];
    for (index, name) in names.into_iter().enumerate() {
        let folder = Tree::new(102)
            .file("good", 10)
            .write(&world.path(format!("n{index}")))?;
        fs::write(folder.join(OsString::from_vec(name.to_vec())), b"x")?;
        let finished = node.run([
            "publish",
            &folder.display().to_string(),
            "--name",
            "x",
            "--license",
            "CC0-1.0",
        ])?;
        let finished = finished.code(2).with_context(|| format!("{name:?}"))?;
        ensure!(
            !finished.stderr.contains('\u{7}'),
            "a control character reached the terminal"
        );
    }
    let folder = world.path("case");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("Name"), b"1")?;
    fs::write(folder.join("name"), b"2")?;
    ensure_says(
        &node
            .run([
                "publish",
                &folder.display().to_string(),
                "--name",
                "x",
                "--license",
                "CC0-1.0",
            ])?
            .code(2)?,
        &["name"],
    )
}

#[test]
fn odd_but_good_files_are_published_as_they_are() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(103).write(&world.path("source"))?;
    fs::hard_link(source.join("sizes/1024.bin"), source.join("hard-link.bin"))?;
    fs::File::create(source.join("sparse.bin"))?.set_len(3 * MIB + 1)?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let published = publisher.node().publish(&source, "data")?;
    let output = world.path("fetched");
    let link = opendag_tests::world::text(&published, "link")?;
    world.node("fetcher").fetch(&link, &output, &[])?.ok()?;
    ensure_equal(&source, &output)?;

    let single = world.path("single file.bin");
    fs::write(&single, b"one")?;
    let published = publisher.node().publish(&single, "single")?;
    let output = world.path("fetched-single");
    let link = opendag_tests::world::text(&published, "link")?;
    world.node("fetcher").fetch(&link, &output, &[])?.ok()?;
    ensure!(fs::read(output.join("single file.bin"))? == b"one");
    Ok(())
}

#[test]
fn p2_a_file_that_changes_while_it_is_published_stops_the_publish() -> Result<()> {
    let world = world()?;
    let source = Tree::new(104)
        .file("changing.bin", 256 * MIB)
        .file("still.txt", 10)
        .write(&world.path("source"))?;
    let file = fs::OpenOptions::new()
        .append(true)
        .open(source.join("changing.bin"))?;
    let done = AtomicBool::new(false);
    let finished = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && (&file).write_all(b"x").is_ok() {
                thread::yield_now();
            }
        });
        let finished = world.node("node").run([
            "publish",
            &source.display().to_string(),
            "--name",
            "x",
            "--license",
            "CC0-1.0",
        ]);
        done.store(true, Ordering::Relaxed);
        finished
    })?;
    ensure!(matches!(finished.code, Some(1 | 2)), "{finished:?}");
    ensure_says(&finished, &["changing.bin"])
}

#[test]
fn an_unreadable_file_stops_the_publish_with_its_name() -> Result<()> {
    let world = world()?;
    let source = Tree::new(105)
        .file("secret.txt", 10)
        .file("open.txt", 10)
        .write(&world.path("source"))?;
    fs::set_permissions(source.join("secret.txt"), fs::Permissions::from_mode(0o000))?;
    let Some(node) = world.stranger("stranger")? else {
        opendag_tests::skipped(
            "an_unreadable_file_stops_the_publish",
            "this user cannot become another",
        );
        return Ok(());
    };
    let finished = node.run([
        "publish",
        &source.display().to_string(),
        "--name",
        "x",
        "--license",
        "CC0-1.0",
    ])?;
    ensure!(matches!(finished.code, Some(1 | 2)), "{finished:?}");
    ensure_says(&finished, &["secret.txt"])
}
