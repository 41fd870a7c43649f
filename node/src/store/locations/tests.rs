use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

use tempfile::TempDir;

use super::*;
use crate::{
    disk::Fingerprint,
    store::{
        index::State as Opened,
        segment::Position,
        testing::{bytes, copy_folder, path},
    },
};

/// Small enough that a few hundred rows make drafts and runs.
const SMALL: Limits = Limits {
    saved: 10,
    recent: 40,
};

type Model = BTreeMap<Key, (Hash, ShardLocation)>;

struct Home {
    dir: TempDir,
    locations: Locations,
}

impl Home {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let (locations, _) = open(&dir.path().join("index"));
        Self { dir, locations }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("index")
    }

    fn runs(&self) -> Vec<PathBuf> {
        let numbers = numbers(&self.locations.folder).unwrap();
        numbers
            .into_iter()
            .map(|number| run_path(&self.locations.folder, number))
            .collect()
    }

    /// Closes it, lets `damage` change its files, and opens it again.
    fn reopened(self, damage: impl FnOnce(&Path)) -> (Self, Opened) {
        let Self { dir, locations } = self;
        drop(locations);
        let folder = dir.path().join("index");
        damage(&folder);
        let (locations, state) = open(&folder);
        (Self { dir, locations }, state)
    }

    fn check(&self, model: &Model) {
        check(&self.locations, model);
    }
}

fn open(folder: &Path) -> (Locations, Opened) {
    let (_, locations, state) = Index::open(folder, |index| {
        Locations::open_with(index, folder.join("runs"), SMALL)
    })
    .unwrap();
    (locations, state)
}

fn check(locations: &Locations, model: &Model) {
    for hash in (0..60).map(hash) {
        let expected: Vec<_> = model
            .values()
            .filter(|(of, _)| *of == hash)
            .map(|(_, location)| location.clone())
            .collect();
        let fresh = expected.iter().any(|location| !location.stale);
        assert_eq!(locations.any(hash, ShardLocation::is_fresh).unwrap(), fresh);
        assert_eq!(locations.any(hash, |_| true).unwrap(), !expected.is_empty());
        assert_eq!(locations.find(hash).unwrap(), expected);
    }
}

fn hash(number: u64) -> Hash {
    Hash::of(&number.to_le_bytes())
}

fn row(number: u64, version: u64) -> (Hash, ShardLocation) {
    let location = ShardLocation {
        root: RootId([u8::try_from(number % 5).unwrap(); 8]),
        path: path(&format!("folder/{number}")),
        fingerprint: Fingerprint {
            size: version,
            mtime_ns: -1,
            inode: number,
        },
        stale: version.is_multiple_of(3),
    };
    (hash(number % 60), location)
}

fn put(home: &Home, model: &mut Model, rows: impl IntoIterator<Item = (Hash, ShardLocation)>) {
    let rows: Vec<_> = rows.into_iter().collect();
    model.extend(
        rows.iter()
            .map(|(hash, location)| (location.key(*hash), (*hash, location.clone()))),
    );
    home.locations.put(rows).unwrap();
}

fn drop_root(home: &Home, model: &mut Model, root: u8) {
    home.locations
        .drop_roots(|found| found.0 == [root; 8])
        .unwrap();
    model.retain(|_, (_, location)| location.root.0 != [root; 8]);
}

/// What a program does in any order leads to what a map would hold; what was flushed survives a kill.
#[test]
fn rows_are_found_whatever_happened_to_them() {
    for seed in 1..=12 {
        let mut home = Home::new();
        let mut model = Model::new();
        let mut durable = Model::new();
        let choices = bytes(4 * 120, seed);
        for choice in choices.as_chunks::<4>().0 {
            let [what, from, version, count] = choice.map(u64::from);
            match what % 16 {
                0..=7 => put(
                    &home,
                    &mut model,
                    (0..count % 64).map(|n| row(from * 3 + n, version)),
                ),
                8..=11 => home.locations.flush().unwrap(),
                12 => drop_root(&home, &mut model, u8::try_from(from % 5).unwrap()),
                13 => {
                    home.locations.flush().unwrap();
                    home = home.reopened(|_| ()).0;
                    assert!(!home.folder().with_extension("broken").exists());
                }
                _ => {
                    let copy = home.dir.path().join("killed");
                    copy_folder(&home.folder(), &copy);
                    let (killed, _) = open(&copy);
                    for (key, (hash, _)) in &durable {
                        let found = killed.find(*hash).unwrap();
                        // It is there, perhaps as it was put later.
                        assert!(
                            found.iter().any(|found| found.key(*hash) == *key),
                            "seed {seed}"
                        );
                    }
                    drop(killed);
                    fs::remove_dir_all(copy).unwrap();
                }
            }
            match what % 16 {
                8..=11 | 13 => durable.clone_from(&model),
                _ => durable.retain(|key, _| model.contains_key(key)),
            }
        }
        home.check(&model);
        assert!(home.locations.read().runs.len() < 12, "seed {seed}");
    }
}

#[test]
fn few_rows_are_saved_and_many_are_sorted() {
    let home = Home::new();
    let mut model = Model::new();
    put(&home, &mut model, (0..10).map(|n| row(n, 1)));
    home.locations.flush().unwrap();
    assert!(home.runs().is_empty());
    put(&home, &mut model, [row(10, 1)]);
    home.locations.flush().unwrap();
    assert_eq!(home.runs().len(), 1);
    assert_eq!(home.locations.index.rows(Table::Shards, &[]).count(), 0);
    let (home, _) = home.reopened(|_| ());
    home.check(&model);
    // A thousand rows at once are one run with those before.
    put(&home, &mut model, (0..1000).map(|n| row(n, 2)));
    assert!(!home.locations.read().drafts.is_empty());
    home.check(&model);
    home.locations.flush().unwrap();
    assert_eq!(home.runs().len(), 1);
    let (home, _) = home.reopened(|_| ());
    home.check(&model);
    let files = fs::read_dir(&home.locations.folder).unwrap().count();
    assert_eq!(files, 1, "what was replaced is gone");
}

#[test]
fn what_a_crash_left_of_replaced_runs_does_not_come_back() {
    let home = Home::new();
    let mut model = Model::new();
    for batch in 0..3 {
        put(
            &home,
            &mut model,
            (0..50 << (6 - 2 * batch)).map(|n| row(n, batch)),
        );
        home.locations.flush().unwrap();
    }
    let old = home.runs();
    assert!(old.len() > 1);
    let kept = home.dir.path().join("kept");
    copy_folder(&home.locations.folder, &kept);
    drop_root(&home, &mut model, 2);
    let (home, _) = home.reopened(|folder| {
        for run in &old {
            fs::copy(kept.join(run.file_name().unwrap()), run).unwrap();
        }
        fs::write(folder.join("runs/tmp-00000099"), b"a torn draft").unwrap();
    });
    home.check(&model);
    assert!(home.locations.find(hash(2)).unwrap().is_empty());
    assert_eq!(home.runs().len(), 1);
    assert_eq!(fs::read_dir(&home.locations.folder).unwrap().count(), 1);
}

#[test]
fn p9_a_damaged_run_makes_the_index_be_rebuilt() {
    let home = Home::new();
    let mut model = Model::new();
    put(&home, &mut model, (0..300).map(|n| row(n, 1)));
    home.locations.flush().unwrap();
    home.locations
        .index
        .set_covers(Position::default())
        .unwrap();
    home.locations.index.flush().unwrap();
    let run = home.runs().remove(0);
    // Negative control: as it is it covers what it did.
    let (home, state) = home.reopened(|_| ());
    assert_eq!(state, Opened::CoversUntil(Position::default()));
    let (home, state) = home.reopened(|_| flip(&run, 5000));
    assert_eq!(state, Opened::Empty);
    assert!(home.runs().is_empty());
    home.check(&Model::new());
}

#[test]
fn p9_damage_that_is_found_later_costs_the_rows_in_it_until_the_next_start() {
    let home = Home::new();
    let mut model = Model::new();
    put(&home, &mut model, (0..600).map(|n| row(n, 1)));
    home.locations.flush().unwrap();
    let covers = |home: &Home| {
        home.locations
            .index
            .set_covers(Position::default())
            .unwrap();
        home.locations.index.flush().unwrap();
    };
    covers(&home);
    flip(&home.runs()[0], 5000);
    let found: usize = (0..60)
        .map(|n| home.locations.find(hash(n)).unwrap().len())
        .sum();
    assert!((300..600).contains(&found), "{found}");
    // What is put goes on being found, and merging passes over the damage.
    put(&home, &mut Model::new(), (1000..2000).map(|n| row(n, 1)));
    home.locations.flush().unwrap();
    let (hash, location) = row(1001, 1);
    assert!(home.locations.find(hash).unwrap().contains(&location));
    covers(&home);
    let (_, state) = home.reopened(|_| ());
    assert_eq!(state, Opened::Empty);
}

fn flip(file: &Path, at: usize) {
    let mut content = fs::read(file).unwrap();
    content[at] ^= 1;
    fs::write(file, content).unwrap();
}

#[test]
fn readers_find_what_was_put_while_runs_are_merged() {
    const ROWS: u64 = 3000;
    let home = Home::new();
    let known = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for seed in 1..=2 {
            let (locations, known) = (&home.locations, &known);
            scope.spawn(move || {
                let mut draws = bytes(1 << 16, seed).into_iter().map(u64::from).cycle();
                let mut draw = || draws.next().unwrap() * 256 + draws.next().unwrap();
                loop {
                    let put = known.load(Ordering::SeqCst);
                    if put == ROWS {
                        return;
                    }
                    if put > 0 {
                        let (hash, location) = row(draw() % put, 1);
                        assert!(locations.find(hash).unwrap().contains(&location));
                    }
                }
            });
        }
        for number in 0..ROWS {
            home.locations.put([row(number, 1)]).unwrap();
            known.store(number + 1, Ordering::SeqCst);
            if number % 70 == 69 {
                home.locations.flush().unwrap();
            }
        }
    });
}
