use proptest::prelude::*;

use super::*;
use crate::{DatasetPath, table::FileFields};

/// A file whose content is told by one letter; `-` is empty.
fn file(path: &str, content: char) -> FileEntry {
    let bytes = content.to_string();
    let bytes = if content == '-' { "" } else { &bytes };
    let size = u64::try_from(bytes.len()).unwrap();
    let path = DatasetPath::parse(path).unwrap();
    let fields = FileFields::new(path, size, Hash::of(bytes.as_bytes()));
    FileEntry::new(fields).unwrap()
}

fn files(list: &[(&str, char)]) -> Vec<FileEntry> {
    list.iter()
        .map(|(path, content)| file(path, *content))
        .collect()
}

fn paths(entries: &[FileEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.path().as_str()).collect()
}

fn moved(moves: &Moves) -> Vec<(&str, &str)> {
    let moved = moves.moved.iter();
    moved
        .map(|(old, new)| (old.path().as_str(), new.path().as_str()))
        .collect()
}

#[test]
fn the_same_content_at_another_path_has_moved() {
    let moves = Moves::find(
        files(&[("b/x", 'x'), ("new", 'n')]),
        files(&[("a/x", 'x'), ("old", 'o')]),
    );
    assert_eq!(moved(&moves), [("a/x", "b/x")]);
    assert_eq!(
        (paths(&moves.added), paths(&moves.removed)),
        (vec!["new"], vec!["old"])
    );
}

#[test]
fn a_file_of_the_same_name_is_taken_before_an_earlier_path() {
    let moves = Moves::find(
        files(&[("n/first", 'x'), ("n/two", 'x')]),
        files(&[("o/one", 'x'), ("o/two", 'x')]),
    );
    assert_eq!(moved(&moves), [("o/one", "n/first"), ("o/two", "n/two")]);
    // Also where the file of the same name comes behind one that could have had it.
    let moves = Moves::find(files(&[("n/a", 'x'), ("n/b", 'x')]), files(&[("o/b", 'x')]));
    assert_eq!(moved(&moves), [("o/b", "n/b")]);
    assert_eq!(paths(&moves.added), ["n/a"]);
}

#[test]
fn more_copies_are_added_and_fewer_are_removed() {
    let moves = Moves::find(files(&[("b", 'x'), ("c", 'x')]), files(&[("a", 'x')]));
    assert_eq!(moved(&moves), [("a", "b")]);
    assert_eq!(paths(&moves.added), ["c"]);
    let moves = Moves::find(files(&[("d", 'x')]), files(&[("a", 'x'), ("b", 'x')]));
    assert_eq!(moved(&moves), [("a", "d")]);
    assert_eq!(paths(&moves.removed), ["b"]);
}

#[test]
fn empty_files_never_move() {
    let moves = Moves::find(files(&[("b", '-')]), files(&[("a", '-')]));
    assert!(moves.moved.is_empty());
    assert_eq!(
        (paths(&moves.added), paths(&moves.removed)),
        (vec!["b"], vec!["a"])
    );
}

proptest! {
    #[test]
    fn nothing_is_lost_or_used_twice(
        old in prop::collection::btree_map("[a-c]/[a-d]", prop::sample::select(vec!['x', 'y', '-']), 0..12),
        new in prop::collection::btree_map("[e-g]/[a-d]", prop::sample::select(vec!['x', 'y', '-']), 0..12),
    ) {
        let list = |map: &BTreeMap<String, char>| -> Vec<FileEntry> {
            map.iter().map(|(path, content)| file(path, *content)).collect()
        };
        let (added, removed) = (list(&new), list(&old));
        let moves = Moves::find(added.clone(), removed.clone());
        let by_path = |mut entries: Vec<FileEntry>| {
            entries.sort_by(|one, other| one.path().cmp(other.path()));
            entries
        };
        let (from, to): (Vec<_>, Vec<_>) = moves.moved.iter().cloned().unzip();
        prop_assert!(from.iter().zip(&to).all(|(old, new)| old.hash() == new.hash() && old.size() > 0));
        prop_assert_eq!(by_path([from, moves.removed.clone()].concat()), removed);
        prop_assert_eq!(by_path([to, moves.added.clone()].concat()), added);
        // What is left on both sides has nothing in common but emptiness.
        let left = |old: &FileEntry| moves.added.iter().any(|new| new.hash() == old.hash());
        prop_assert!(!moves.removed.iter().any(|old| old.size() > 0 && left(old)));
    }
}
