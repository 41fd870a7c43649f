use std::fs;

use super::*;
use crate::store::testing::Home;

#[tokio::test(flavor = "multi_thread")]
async fn p1_pins_survive_a_kill_and_the_loss_of_the_index() {
    let home = Home::new().await;
    let published = home.publish("set", &[("file", b"content".to_vec())]).await;
    let nobody_knows = RecordId::from_hash(Hash::of(b"never heard of"));
    let pinned = [published.dataset.into(), nobody_knows];
    for id in pinned {
        assert!(home.store.pin(id).unwrap());
        assert!(!home.store.pin(id).unwrap());
    }
    assert!(home.store.pin(published.manifest.into()).unwrap());
    assert!(home.store.unpin(published.manifest.into()).unwrap());
    assert!(!home.store.unpin(published.manifest.into()).unwrap());
    let expected = Pins(BTreeSet::from(pinned));
    assert_eq!(home.store.pins().unwrap(), expected);
    let home = home.reopened(|_| ()).await;
    assert_eq!(home.store.pins().unwrap(), expected);
    let home = home
        .reopened(|data| fs::remove_dir_all(data.join("index")).unwrap())
        .await;
    assert_eq!(home.store.pins().unwrap(), expected);
}

#[test]
fn a_dataset_stands_for_its_versions() {
    let [dataset, other] =
        ["one", "two"].map(|text| DatasetId::from_hash(Hash::of(text.as_bytes())));
    let [old, new] = ["old", "new"].map(|text| ManifestId::from_hash(Hash::of(text.as_bytes())));
    let pins = Pins(BTreeSet::from([dataset.into(), old.into()]));
    assert!(pins.hold(Some(dataset), new) && pins.hold(Some(other), old) && pins.hold(None, old));
    assert!(!pins.hold(Some(other), new) && !pins.hold(None, new));
}
