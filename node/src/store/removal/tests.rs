use std::fs;

use opendag_protocol::DatasetPath;

use super::*;
use crate::{
    disk::Fingerprint,
    store::{
        PlaceKind,
        testing::{Home, bytes},
    },
};

const LARGE: usize = 2 * 1024 * 1024 + 11;

/// A place right in the folder of copies, with hard links to these files.
fn mirror(home: &Home, of: &Place, name: &str, files: &[(&str, &[u8])]) -> Place {
    let root = home.store.data_dir().copies_path().join(name);
    fs::create_dir_all(&root).unwrap();
    let place = Place {
        root: root.clone(),
        kind: PlaceKind::Mirrored,
        ..of.clone()
    };
    home.store.place(&place).unwrap();
    let rows = files.iter().map(|(path, content)| {
        let kept = root.parent().unwrap().join(Hash::of(content).to_string());
        if !kept.exists() {
            fs::write(&kept, content).unwrap();
        }
        fs::hard_link(&kept, root.join(path)).unwrap();
        let file = fs::File::open(root.join(path)).unwrap();
        let path = DatasetPath::parse(path).unwrap();
        (Hash::of(content), path, Fingerprint::of(&file).unwrap())
    });
    let rows: Vec<_> = rows.collect();
    home.store.shards_put(place.root_id(), rows).unwrap();
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_counts_what_a_removal_frees_and_touches_nothing() {
    let home = Home::new().await;
    let (shared, only) = (bytes(LARGE, 1), bytes(LARGE, 2));
    let one = home.publish("one", &[("a", shared.clone())]).await;
    let two = home
        .publish("two", &[("b", shared.clone()), ("c", only.clone())])
        .await;
    let old = mirror(&home, &one.place, "old", &[("a", &shared)]);
    let new = mirror(&home, &two.place, "new", &[("b", &shared), ("c", &only)]);
    // The names that the test made its links from.
    for content in [&shared, &only] {
        let name = Hash::of(content).to_string();
        fs::remove_file(home.store.data_dir().copies_path().join(name)).unwrap();
    }
    // A new process, in which nothing counts as in use.
    let home = home.reopened(|_| ()).await;
    let size = u64::try_from(LARGE).unwrap();
    let plan = async |places: &[&Place]| {
        let places: Vec<_> = places.iter().map(|place| (*place).clone()).collect();
        home.store.plan_removal(&places).await.unwrap()
    };
    let nothing = plan(&[]).await;
    assert_eq!((nothing.outboards, nothing.descriptions), (0, 0));
    // A shared file goes with the last of its names; the user's files stay.
    assert_eq!(plan(&[&old]).await.files, [0]);
    assert_eq!(plan(&[&new]).await.files, [size]);
    assert_eq!(plan(&[&old, &new]).await.files, [0, 2 * size]);
    assert_eq!(plan(&[&one.place]).await.files, [0]);
    assert_eq!(plan(&[&old, &one.place]).await.outboards, 0);
    let all = [&new, &two.place];
    let planned = plan(&all).await;
    assert!(planned.outboards > 0 && planned.descriptions > 0);
    assert!(new.root.join("c").exists(), "a plan touched something");

    let outboards = || -> u64 {
        let hashes = home.store.inner.outboards.hashes().unwrap();
        let sizes = hashes
            .iter()
            .map(|hash| home.store.inner.outboards.bytes_of(*hash));
        sizes.sum()
    };
    let before = outboards();
    for place in all {
        home.store.remove_place(place).await.unwrap();
    }
    assert_eq!(before - outboards(), planned.outboards);
    assert!(!new.root.exists() && old.root.join("a").exists());
    let after = plan(&[]).await;
    assert_eq!((after.outboards, after.descriptions), (0, 0));
}
