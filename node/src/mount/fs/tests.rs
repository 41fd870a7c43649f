use std::{collections::BTreeMap, path::Path};

use axum::body::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use opendag_protocol::RecordId;
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};

use super::*;
use crate::{
    Node as RunningNode, NodeOptions, Role,
    config::Config,
    ops::{Event, KeyRequest, Operate as _, Operation, PublishRequest},
};

/// A node that is on no network, and a mounted tree of it without a mount.
struct Scene {
    node: RunningNode,
    fs: Fs,
    dir: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = RunningNode::start(NodeOptions {
            data_dir: dir.path().join("data"),
            config: Config {
                listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
                dht: false,
                mdns: false,
                ..Config::default()
            },
            role: Role::Command,
        });
        let node = node.await.unwrap();
        let fs = Fs::new(node.shared.clone(), Duration::from_secs(5));
        Self { node, fs, dir }
    }

    /// Publishes files; returns the ids of the dataset and the version.
    async fn publish(&self, folder: &str, name: &str, files: &[(&str, &[u8])]) -> (String, String) {
        let path = self.dir.path().join(folder);
        for (file, bytes) in files {
            let file = path.join(file);
            std::fs::create_dir_all(file.parent().unwrap_or(Path::new("/"))).unwrap();
            std::fs::write(file, bytes).unwrap();
        }
        let request = PublishRequest {
            path,
            name: name.to_owned(),
            label: Some(format!("of-{folder}")),
            license: Some("CC0-1.0".to_owned()),
            ..PublishRequest::default()
        };
        self.published(request).await
    }

    async fn published(&self, request: PublishRequest) -> (String, String) {
        let (events, mut told) = mpsc::channel(1000);
        self.node.run(Operation::Publish(request), events).await;
        while let Some(event) = told.recv().await {
            if let Event::Published {
                dataset, manifest, ..
            } = event
            {
                return (dataset.to_string(), manifest.to_string());
            }
        }
        panic!("nothing was published");
    }

    /// Publishes a file as somebody else; returns the id of the dataset.
    async fn publish_as(&self, key: &str, folder: &str, name: &str) -> String {
        let request = KeyRequest {
            name: key.to_owned(),
        };
        let (events, _told) = mpsc::channel(10);
        self.node.run(Operation::KeyNew(request), events).await;
        let path = self.dir.path().join(folder);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("theirs"), "x").unwrap();
        let request = PublishRequest {
            path,
            name: name.to_owned(),
            license: Some("CC0-1.0".to_owned()),
            key: Some(key.to_owned()),
            ..PublishRequest::default()
        };
        self.published(request).await.0
    }

    /// What a path of several names leads to.
    async fn walk(&self, path: &str) -> Result<Attributes, ReadFault> {
        let mut found = self.fs.top();
        for name in path.split('/') {
            found = self.fs.lookup(found.inode.number(), name).await?;
        }
        Ok(found)
    }

    async fn list(&self, attributes: &Attributes, at_once: usize) -> Vec<String> {
        let handle = self.fs.open(attributes.inode.number()).await.unwrap();
        let (mut names, mut from) = (Vec::new(), 0);
        loop {
            let (before, start) = (names.len(), from);
            let each = |entry: &Entry| {
                from = entry.next;
                names.push(entry.name.clone());
                names.len() - before < at_once
            };
            self.fs.list(handle, start, each).await.unwrap();
            if names.len() == before {
                self.fs.release(handle);
                return names;
            }
        }
    }

    /// Opens a file for reads.
    async fn file(&self, path: &str) -> Arc<OpenFile> {
        let found = self.walk(path).await.unwrap();
        let handle = self.fs.open(found.inode.number()).await.unwrap();
        match self.fs.handle(handle) {
            Some(Handle::File(file)) => file,
            _ => panic!("{path} is a file"),
        }
    }
}

async fn read(file: &OpenFile, range: (u64, u32)) -> Result<Bytes, ReadFault> {
    let (tell, told) = oneshot::channel();
    let answer = Box::new(|given| drop(tell.send(given)));
    file.read(&runtime::Handle::current(), range, answer);
    told.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_at_the_top_lead_to_versions_and_new_ones_do_not_change_what_is_open() {
    let scene = Scene::new().await;
    let (dataset, first) = scene
        .publish("one", "data", &[("a/b.txt", b"old"), ("c", b"")])
        .await;
    let top = scene.fs.top();
    assert_eq!(scene.list(&top, 1).await, ["data"]);
    let open = scene.file("data/a/b.txt").await;
    let before = scene.walk("data/a/b.txt").await.unwrap();
    assert_eq!(before.size, 3);

    let (same, second) = scene
        .publish("two", "data", &[("a/b.txt", b"newer"), ("d", b"x")])
        .await;
    assert_eq!(same, dataset);
    let after = scene.walk("data/a/b.txt").await.unwrap();
    assert_ne!(after.inode, before.inode);
    assert_eq!(after.size, 5);
    assert_eq!(
        scene.fs.attributes(before.inode.number()).await.unwrap(),
        before
    );
    assert_eq!(read(&open, (0, 100)).await.unwrap(), "old");
    assert_eq!(
        scene.list(&scene.walk("data").await.unwrap(), 1).await,
        ["a", "d"]
    );

    // Other names of the same, each a folder of its own.
    let mut inodes = BTreeMap::new();
    for (name, size) in [
        ("data".to_owned(), 5),
        (dataset.clone(), 5),
        (second.clone(), 5),
        (first.clone(), 3),
        ("data@of-one".to_owned(), 3),
        ("data@0".to_owned(), 3),
        (format!("{dataset}@1"), 5),
    ] {
        let file = scene.walk(&format!("{name}/a/b.txt")).await.unwrap();
        assert_eq!(file.size, size, "{name}");
        assert!(file.is_file());
        let folder = scene.walk(&name).await.unwrap();
        assert_eq!(scene.walk(&name).await.unwrap(), folder, "a number stays");
        assert!(!folder.is_file());
        assert_eq!(inodes.insert(folder.inode.number(), name), None);
    }
    for nothing in [
        "no",
        "data@9",
        "data/b",
        "data/a/b.txt/c",
        "data/c",
        ".git",
        "data@",
    ] {
        assert_eq!(
            scene.walk(nothing).await,
            Err(ReadFault::NoFile),
            "{nothing}"
        );
    }
    // A time is that of the version.
    let state = scene
        .fs
        .shared
        .store
        .dataset(&dataset.parse().unwrap())
        .unwrap()
        .unwrap();
    let newest = resolve::version(&scene.fs.shared, state.newest_manifest().unwrap());
    let created = newest
        .unwrap()
        .unwrap()
        .manifest()
        .fields()
        .created_at
        .as_secs();
    assert_eq!(
        after.time,
        SystemTime::UNIX_EPOCH + Duration::from_secs(created)
    );
    scene.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datasets_of_one_name_stand_beside_each_other_under_the_ends_of_their_ids() {
    let scene = Scene::new().await;
    let (ours, _) = scene.publish("one", "data", &[("ours", b"xyz")]).await;
    let theirs = scene.publish_as("second", "two", "data").await;
    assert_ne!(ours, theirs);
    let name = |id: &str| format!("data~{}", &id[id.len() - 8..]);
    let mut names = vec![name(&ours), name(&theirs)];
    names.sort();
    assert_eq!(scene.list(&scene.fs.top(), 1).await, names);
    let file = scene.walk(&format!("{}/ours", name(&ours))).await.unwrap();
    assert_eq!(file.size, 3);
    let file = scene
        .walk(&format!("{}@0/theirs", name(&theirs)))
        .await
        .unwrap();
    assert_eq!(file.size, 1);
    for nothing in ["data", "data@0", "data~12345678"] {
        assert_eq!(
            scene.walk(nothing).await,
            Err(ReadFault::NoFile),
            "{nothing}"
        );
    }
    scene.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_give_the_bytes_of_the_file_however_they_are_asked_for() {
    let scene = Scene::new().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    scene
        .publish("one", "data", &[("large.bin", &bytes), ("empty", b"")])
        .await;
    let file = scene.file("data/large.bin").await;
    let part = |(offset, len): (u64, u32)| {
        let at = |number: u64| usize::try_from(number).unwrap().min(bytes.len());
        &bytes[at(offset)..at(offset + u64::from(len))]
    };
    // In order, in the sizes that kernels ask for; with two more readers in between, and ends beyond the file's.
    let mut at = 0;
    for size in [
        4096,
        131_072,
        131_072,
        1 << 20,
        1 << 20,
        5000,
        1 << 20,
        262_144,
    ]
    .repeat(3)
    {
        assert_eq!(
            read(&file, (at, size)).await.unwrap(),
            part((at, size)),
            "{at}"
        );
        at += u64::from(size);
        let other = (at * 7919) % 12_000_000;
        assert_eq!(read(&file, (other, 777)).await.unwrap(), part((other, 777)));
    }
    for range in [
        (11_999_999, 4096),
        (12_000_000, 4096),
        (90_000_000, 1),
        (5, 0),
    ] {
        assert_eq!(read(&file, range).await.unwrap(), part(range), "{range:?}");
    }
    // Many at once, more than there are places to remember.
    let mut reads = FuturesUnordered::new();
    for n in 0..200_u64 {
        let range = ((n * 131_072 * 37) % 12_000_000, 131_072);
        let file = &file;
        reads.push(async move { (range, read(file, range).await.unwrap()) });
    }
    while let Some((range, given)) = reads.next().await {
        assert_eq!(given, part(range), "{range:?}");
    }
    assert_eq!(
        read(&*scene.file("data/empty").await, (0, 4096))
            .await
            .unwrap(),
        ""
    );
    scene.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_do_not_come_are_an_error_after_the_deadline_and_soon_after_it_at_once() {
    let mut scene = Scene::new().await;
    scene.fs.patience = Duration::from_secs(1);
    scene
        .publish("one", "data", &[("a.bin", &[7; 500_000])])
        .await;
    let file = scene.file("data/a.bin").await;
    assert_eq!(read(&file, (0, 10)).await.unwrap(), [7; 10].as_slice());
    std::fs::write(scene.dir.path().join("one/a.bin"), vec![8; 500_000]).unwrap();
    let file = scene.file("data/a.bin").await;
    let began = std::time::Instant::now();
    let (one, next) = tokio::join!(read(&file, (0, 131_072)), read(&file, (131_072, 131_072)));
    assert!(
        matches!(
            one,
            Err(ReadFault::NotYet { .. } | ReadFault::Nobody { .. })
        ),
        "{one:?}"
    );
    assert_eq!(next, one, "who waits for the same place fails with it");
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(10)).contains(&took),
        "{took:?}"
    );
    let began = std::time::Instant::now();
    assert!(read(&file, (0, 4096)).await.is_err());
    assert!(
        began.elapsed() < Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
    scene.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_a_publisher_has_the_publishers_datasets_and_nobody_elses() {
    let scene = Scene::new().await;
    let (mine, _) = scene.publish("one", "data", &[("mine", b"1")]).await;
    let theirs = scene.publish_as("bob", "theirs", "data").await;
    scene.publish_as("bob", "more", "more@home").await;
    let shared = &scene.node.shared;
    let owner = |dataset: &str| {
        let id = dataset.parse::<RecordId>().unwrap();
        let state = shared.store.dataset(&id.into()).unwrap().unwrap();
        *state.owners().current().fields().owners.first().unwrap()
    };
    let aliases = shared.data_dir.aliases();
    for (alias, dataset) in [("alice", &mine), ("bob", &theirs), ("data", &theirs)] {
        aliases
            .set(&alias.parse().unwrap(), &owner(dataset))
            .unwrap();
    }
    let listed = |path: &'static str| async {
        let found = scene.walk(path).await.unwrap();
        scene.list(&found, 1).await
    };
    assert_eq!(listed("alice").await, ["data"]);
    assert_eq!(listed("bob").await, ["data", "more@home"]);
    for path in [
        "alice/data/mine",
        "alice/data@0/mine",
        "alice/data@of-one/mine",
        "bob/data/theirs",
        "bob/more@home/theirs",
        "bob/more@home@0/theirs",
    ] {
        assert!(scene.walk(path).await.unwrap().is_file(), "{path}");
    }
    for path in [
        "alice/data/theirs",
        "bob/data@of-one",
        "bob/data/mine",
        "nobody/data",
        "bob/bob/data",
    ] {
        assert_eq!(scene.walk(path).await, Err(ReadFault::NoFile), "{path}");
    }
    let bob = scene.walk("bob").await.unwrap();
    assert_eq!(
        scene.fs.attributes(bob.inode.number()).await.unwrap(),
        bob,
        "a number stays"
    );
    assert_ne!(scene.walk("alice").await.unwrap().inode, bob.inode);

    // A dataset that lies here hides a publisher of its name; what others call theirs does not.
    scene.publish_as("bob", "hidden", "alice").await;
    assert_eq!(listed("alice").await, ["theirs"]);
    aliases.remove(&"bob".parse().unwrap()).unwrap();
    assert_eq!(scene.walk("bob").await, Err(ReadFault::NoFile));
    let gone = scene.fs.lookup(bob.inode.number(), "data").await;
    assert_eq!(gone, Err(ReadFault::NoFile));
}
