//! Versions that are carried as files: exported by one node, taken in by another that never heard of them.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    Daemon, Running, Tree, World,
    world::{COMMAND_TIME_MAX, text},
};

use crate::{
    clients::{python, scripts},
    common::{ensure_equal, ensure_says, world},
};

/// A version with all that a command line can say of one, and the daemon that has it.
struct Scene {
    world: World,
    seed: Daemon,
    manifest: String,
}

impl Scene {
    fn new() -> Result<Self> {
        let world = world()?;
        let tree = Tree::new(71).file("a/one", 100_000).file("two.txt", 10);
        let source = tree.write(&world.path("source"))?;
        fs::write(source.join("README.md"), "# A corpus\n")?;
        let author = world.node("author");
        let first = text(&author.publish(&source, "corpus")?, "manifest")?;
        fs::write(source.join("two.txt"), "changed")?;
        let options = [
            "--name=corpus",
            "--license=CC-BY-4.0 OR LicenseRef-own",
            "--label=v1.1",
            "--title=<A> corpus & more",
            "--description=One\n\n\t\"Two\" ]]> \u{1f600}",
            "--language=en",
            "--tag=text",
            "--tag=a < b",
            "--homepage=https://example.org/?a=1&b=2",
            "--derived-from",
            &first,
        ];
        let path = source.to_str().context("UTF-8")?;
        let args = [&["publish", path][..], &options].concat();
        let published = author.run(args)?.ok()?.event("published")?;
        Ok(Self {
            manifest: text(&published, "manifest")?,
            seed: author.daemon::<&str>([])?,
            world,
        })
    }

    /// The version as a new file of this format, with its file table.
    fn export(&self, format: &str) -> Result<String> {
        let file = self.world.path(format!("carried.{format}"));
        let file = file.to_str().context("UTF-8")?.to_owned();
        let args = ["manifest", "export", "corpus", "-o", &file, "--format"];
        let format = match format {
            "records" => &["records"][..],
            other => &[other, "--files"],
        };
        self.seed.node().run([&args[..], format].concat())?.ok()?;
        Ok(file)
    }
}

#[test]
fn a_version_is_carried_as_a_file_and_fetched_where_nobody_knew_it() -> Result<()> {
    let scene = Scene::new()?;
    for format in ["json", "xml", "protobuf", "records"] {
        let file = scene.export(format)?;
        let node = scene.world.node(format);
        let imported = node.run(["manifest", "import", &file])?.ok()?;
        let imported = imported.event("imported")?;
        ensure!(imported["manifest"] == scene.manifest.as_str() && imported["new"] == true);
        ensure!(imported["table"] == (format != "records"), "{imported}");
        let again = node.run(["manifest", "import", &file])?.ok()?;
        ensure!(again.event("imported")?["new"] == false);

        // With the file table came the list of its files: nobody is asked.
        let shown = node.run(["show", "corpus"])?.ok()?.event("versions")?;
        ensure!(shown["versions"][0]["label"] == "v1.1", "{shown}");
        if format != "records" {
            let files = node.run(["ls", "corpus"])?.ok()?.event("files")?;
            ensure!(
                files["files"].as_array().map(Vec::len) == Some(3),
                "{files}"
            );
        }
        // The same version written here says the same, byte for byte.
        if format != "records" {
            let back = scene.world.path(format!("back.{format}"));
            let back = back.to_str().context("UTF-8")?;
            let args = [
                "manifest", "export", "corpus", "--files", "-o", back, "--format", format,
            ];
            node.run(args)?.ok()?;
            ensure!(fs::read(back)? == fs::read(&file)?, "{format} differs");
        }
        let output = scene.world.path(format!("fetched.{format}"));
        node.fetch("corpus", &output, &["--peer", scene.seed.address()?])?
            .ok()?;
        ensure_equal(&scene.world.path("source"), &output)?;
        // A file is a link, too.
        let linked = scene.world.node(&format!("{format}-linked"));
        let shown = linked.run(["show", &file])?.ok()?.event("versions")?;
        ensure!(shown["versions"][0]["manifest"] == scene.manifest.as_str());
    }
    Ok(())
}

#[test]
fn s7_an_altered_export_is_refused_and_nothing_is_stored() -> Result<()> {
    let scene = Scene::new()?;
    let node = scene.world.node("reader");
    let file = scene.world.path("altered");
    let path = file.to_str().context("UTF-8")?;
    let refuse = |bytes: &[u8], code: i32, words: &[&str]| -> Result<()> {
        fs::write(&file, bytes)?;
        let refused = node.run(["manifest", "import", path])?.code(code)?;
        ensure_says(&refused, words)?;
        node.run(["show", "corpus"])?.code(2)?;
        Ok(())
    };
    for format in ["json", "xml", "protobuf"] {
        let whole = fs::read(scene.export(format)?)?;
        let at = whole
            .windows(4)
            .position(|part| part == b"v1.1")
            .context("the label")?;
        let mut altered = whole.clone();
        altered[at + 3] = b'2';
        refuse(&altered, 4, &["the manifest is refused", "signature"])?;
        let cut = whole.get(..whole.len() / 2).context("a half")?;
        refuse(cut, 2, &["is refused"])?;
        let version = whole
            .windows(18)
            .position(|part| part == b"opendag-manifest/1")
            .context("the format")?;
        let mut other = whole.clone();
        other[version + 17] = b'9';
        refuse(&other, 2, &["opendag-manifest/9", "does not know"])?;
    }
    let text = fs::read_to_string(scene.export("records")?)?;
    let forged = text.replacen("\"records\":[\"", "\"records\":[\"AAAA\",\"", 1);
    refuse(forged.as_bytes(), 4, &["record 0", "is refused"])?;
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"aa\">]><opendag-manifest>&a;</opendag-manifest>";
    refuse(bomb.as_bytes(), 2, &["a document type"])?;
    let large = fs::File::create(&file)?;
    large.set_len(33 * 1024 * 1024)?;
    let refused = node.run(["manifest", "import", path])?.code(2)?;
    ensure_says(&refused, &["too large"])?;
    let missing = node
        .run(["manifest", "import", "/nowhere/at/all"])?
        .code(2)?;
    ensure_says(&missing, &["cannot read /nowhere/at/all"])?;
    // What exists is not replaced, and what cannot carry a file table says so.
    let taken = [
        "manifest", "export", "corpus", "--format", "xml", "-o", path,
    ];
    scene.seed.node().run(taken)?.code(1)?;
    let no = ["manifest", "export", "corpus", "--files"];
    scene.seed.node().run(no)?.code(2)?;
    Ok(())
}

#[test]
fn the_schemas_say_what_the_exchange_formats_are() -> Result<()> {
    let Some(python) = python("exchange")? else {
        return Ok(());
    };
    let scene = Scene::new()?;
    let mut command = Command::new(python);
    command
        .arg(scripts().join("exchange.py"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs"));
    for format in ["json", "xml", "protobuf"] {
        command.arg(scene.export(format)?);
    }
    Running::start("exchange.py", command)?
        .finish(COMMAND_TIME_MAX)?
        .ok()?;
    Ok(())
}
