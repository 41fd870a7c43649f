use opendag_protocol::table::{FileFields, ShardIndex};

use super::*;

const FILES: [&str; 7] = ["a.txt", "a/b", "a/b.c", "a/d/e/f", "a/d/e0", "a0", "b/c/d"];
const ALL: [&str; 12] = [
    "a.txt", "a/", "a/b", "a/b.c", "a/d/", "a/d/e/", "a/d/e/f", "a/d/e0", "a0", "b/", "b/c/",
    "b/c/d",
];

/// What [`ReadVersion::list`] gives of [`FILES`].
fn files(prefix: &str, after: Option<&str>, limit: usize) -> Vec<Listed> {
    let below = FILES.iter().filter(|path| path.starts_with(prefix));
    let behind = below.filter(|path| after.is_none_or(|after| **path > after));
    let entry = |path: &&str| {
        let path = DatasetPath::parse(path).unwrap();
        let fields = FileFields::new(path, 1, Hash::of(b"x"));
        Listed::File(ShardIndex(0), FileEntry::new(fields).unwrap())
    };
    behind.take(limit).map(entry).collect()
}

#[test]
fn pages_of_any_size_give_each_file_and_folder_once() {
    for prefix in ["", "a/", "a/d/", "b/"] {
        let below = ALL
            .iter()
            .filter(|path| path.starts_with(prefix) && **path != prefix);
        let expected: Vec<_> = below.copied().collect();
        for limit in 1..14 {
            let mut found: Vec<String> = Vec::new();
            loop {
                let after = found.last().cloned();
                let page = files(prefix, after.as_deref(), limit);
                let page = with_folders(prefix, after.as_deref(), page, limit);
                found.extend(page.iter().map(|listed| listed.path().to_owned()));
                if page.len() < limit {
                    break;
                }
            }
            assert_eq!(found, expected, "{prefix:?} in pages of {limit}");
        }
    }
}
