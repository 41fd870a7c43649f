use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use opendag_protocol::{
    BlobId, Hash,
    table::{FileFields, TableTotals, TableWriter},
};

use super::*;

/// A table in memory that keeps one page decoded and counts how often it had to decode one.
struct Memory {
    index: TableIndex,
    pages: BTreeMap<BlobId, Vec<u8>>,
    at_hand: Mutex<Option<(BlobId, Arc<Page>)>>,
    decoded: AtomicUsize,
}

impl Memory {
    fn of(files: impl Iterator<Item = (String, u64)>) -> Self {
        let mut writer = TableWriter::new();
        let mut pages = BTreeMap::new();
        let mut totals = TableTotals::default();
        for (path, size) in files {
            let content = if size > 0 { path.as_bytes() } else { b"" };
            let fields = FileFields::new(path.parse_path(), size, Hash::of(content));
            totals.files += 1;
            totals.bytes += size;
            if let Some(page) = writer.push(FileEntry::new(fields).unwrap()).unwrap() {
                pages.insert(page.id, page.bytes);
            }
        }
        let (last, index, _) = writer.finish().unwrap();
        pages.extend(last.map(|page| (page.id, page.bytes)));
        Self {
            index: TableIndex::decode(&index.bytes, totals).unwrap(),
            pages,
            at_hand: Mutex::default(),
            decoded: AtomicUsize::new(0),
        }
    }

    fn decoded(&self) -> usize {
        self.decoded.swap(0, Ordering::Relaxed)
    }
}

trait ParsePath {
    fn parse_path(&self) -> DatasetPath;
}

impl ParsePath for String {
    fn parse_path(&self) -> DatasetPath {
        DatasetPath::parse(self).unwrap()
    }
}

impl Table for Memory {
    async fn index(&self) -> Result<&TableIndex, ReadFault> {
        Ok(&self.index)
    }

    async fn page(&self, page: &PageRef) -> Result<Arc<Page>, ReadFault> {
        let mut at_hand = self.at_hand.lock().unwrap();
        if let Some((id, kept)) = &*at_hand
            && *id == page.page()
        {
            return Ok(kept.clone());
        }
        self.decoded.fetch_add(1, Ordering::Relaxed);
        let decoded = Arc::new(Page::decode(&self.pages[&page.page()], page).unwrap());
        *at_hand = Some((page.page(), decoded.clone()));
        Ok(decoded)
    }
}

/// All children, as the kernel asks for them: some at a time, each time from where the last one ended.
async fn children(table: &Memory, folder: &Folder, at_once: usize) -> Vec<Child> {
    let (mut all, mut from) = (Vec::new(), folder.first());
    loop {
        let before = all.len();
        let each = |child: Child| {
            all.push(child);
            all.len() - before < at_once
        };
        folder.list(table, from, each).await.unwrap();
        match all.last() {
            Some(last) if all.len() > before => from = last.next,
            _ => return all,
        }
    }
}

async fn root(table: &Memory) -> Folder {
    Folder::open(table, (0, ShardIndex(0))).await.unwrap()
}

fn names(children: &[Child]) -> Vec<&str> {
    children.iter().map(|child| child.name.as_str()).collect()
}

#[tokio::test]
async fn folders_are_found_between_names_that_sort_around_the_slash() {
    let paths = ["a-b", "a/b/c", "a/b/d/e", "a/b0", "a0", "b/x", "é/ü"];
    let table = Memory::of(
        paths
            .iter()
            .zip(1..)
            .map(|(path, size)| ((*path).to_owned(), size)),
    );
    let top = root(&table).await;
    for at_once in [1, 2, 100] {
        let all = children(&table, &top, at_once).await;
        assert_eq!(names(&all), ["a-b", "a", "a0", "b", "é"]);
    }
    for name in ["", ".", "..", "a/b", "a-", "a/", "c", "é/", "\0"] {
        assert_eq!(top.find(&table, name).await.unwrap(), None, "{name:?}");
    }
    let found = top.find(&table, "a-b").await.unwrap().unwrap();
    assert_eq!((found.node, found.size), (Node::File(ShardIndex(0)), 1));

    let Node::Folder { depth, first } = top.find(&table, "a").await.unwrap().unwrap().node else {
        panic!("a folder");
    };
    assert_eq!((depth, first), (1, ShardIndex(1)));
    let folder = Folder::open(&table, (depth, first)).await.unwrap();
    let all = children(&table, &folder, 1).await;
    assert_eq!(names(&all), ["b", "b0"]);
    let Node::Folder { depth, first } = all[0].node else {
        panic!("a folder");
    };
    assert_eq!(
        folder.find(&table, "b").await.unwrap().unwrap().node,
        all[0].node
    );
    let below = Folder::open(&table, (depth, first)).await.unwrap();
    assert_eq!(names(&children(&table, &below, 9).await), ["c", "d"]);
    assert_eq!(
        entry(&table, ShardIndex(6)).await.unwrap().unwrap().size(),
        7
    );
    assert_eq!(entry(&table, ShardIndex(7)).await.unwrap(), None);
    // Numbers that nobody was given.
    for wrong in [(1, ShardIndex(0)), (3, ShardIndex(1)), (1, ShardIndex(9))] {
        assert_eq!(Folder::open(&table, wrong).await, Err(ReadFault::NoFile));
    }
}

#[tokio::test]
async fn an_empty_version_is_an_empty_folder() {
    let table = Memory::of(std::iter::empty());
    let top = root(&table).await;
    assert_eq!(children(&table, &top, 3).await, []);
    assert_eq!(top.find(&table, "a").await.unwrap(), None);
}

#[tokio::test]
async fn a_million_entries_are_listed_in_one_pass_over_the_table_whatever_the_kernel_asks_at_once()
{
    let path = |n: u64| match n {
        // Half a million in one folder, the others in folders of a hundred.
        0..500_000 => format!("flat/{n:07}.bin"),
        n => format!("tree/{:05}/{n:07}.bin", n / 100),
    };
    let table = Memory::of((0..1_000_000).map(|n| (path(n), n % 7)));
    let pages = table.index.pages().len();
    let top = root(&table).await;
    let began = Instant::now();
    let all = children(&table, &top, 10).await;
    assert_eq!(names(&all), ["flat", "tree"]);
    assert!(table.decoded() < 10, "what lies below is not read");

    let open = async |child: &Child| match child.node {
        Node::Folder { depth, first } => Folder::open(&table, (depth, first)).await.unwrap(),
        Node::File(_) => panic!("a folder"),
    };
    let flat = open(&all[0]).await;
    table.decoded();
    let listed = children(&table, &flat, 30).await;
    assert_eq!(listed.len(), 500_000);
    assert!(names(&listed).is_sorted());
    assert!(table.decoded() <= pages, "a page is read once");

    let tree = open(&all[1]).await;
    table.decoded();
    let folders = children(&table, &tree, 30).await;
    assert_eq!(folders.len(), 5_000);
    let mut files = 0;
    for folder in &folders {
        files += children(&table, &open(folder).await, 30).await.len();
    }
    assert_eq!(files, 500_000);
    // Twice: for the folders and for what is in them, and where a folder goes over to another page again.
    assert!(table.decoded() <= 4 * pages, "{pages} pages");

    // As `ls -l` asks for each of them.
    for child in listed.iter().step_by(100) {
        let found = flat.find(&table, &child.name).await.unwrap().unwrap();
        assert_eq!((found.node, found.size), (child.node, child.size));
    }
    assert!(
        table.decoded() <= pages,
        "names in order are found in pages in order"
    );
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "it took {took:?}");
}
