use tempfile::TempDir;

use super::*;

fn position() -> Position {
    Position {
        segment: 1,
        offset: 77,
    }
}

#[test]
fn an_index_of_another_version_makes_room_for_a_new_one() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("index");
    for format in [FORMAT, FORMAT - 1, FORMAT + 1] {
        let (index, (), _) = Index::open(&path, |_| Ok(())).unwrap();
        index.put(Table::Roots, b"key", b"value").unwrap();
        index.set_covers(position()).unwrap();
        let mut value = index.meta.get(b"covers").unwrap().unwrap().to_vec();
        value.truncate(value.len() - 4);
        value[0] = format;
        let crc = crc32fast::hash(&value);
        value.extend_from_slice(&crc.to_le_bytes());
        index.meta.insert(b"covers", value).unwrap();
        index.flush().unwrap();
        drop(index);
        let (index, (), state) = Index::open(&path, |_| Ok(())).unwrap();
        // Negative control: of this version it is kept.
        let kept = format == FORMAT;
        assert_eq!(state == State::CoversUntil(position()), kept, "{format}");
        assert_eq!(index.get(Table::Roots, b"key").unwrap().is_some(), kept);
        assert!(!path.with_extension("broken").exists());
    }
}

#[test]
fn an_incomplete_index_covers_nothing_until_it_is_rebuilt() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("index");
    let (index, (), _) = Index::open(&path, |_| Ok(())).unwrap();
    index.set_covers(position()).unwrap();
    assert_eq!(index.state().unwrap(), State::CoversUntil(position()));
    index.set_incomplete();
    index.set_covers(position()).unwrap();
    assert_eq!(index.state().unwrap(), State::Empty);
    index.clear().unwrap();
    index.set_covers(position()).unwrap();
    assert_eq!(index.state().unwrap(), State::CoversUntil(position()));
}
