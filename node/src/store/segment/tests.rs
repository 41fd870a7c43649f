use std::{fs, path::Path};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::store::testing::flip_bit;

const HEADER: usize = SEGMENT_HEADER_BYTES;

struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
        }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("records")
    }

    fn quarantine(&self) -> PathBuf {
        self.dir.path().join("quarantine")
    }

    fn file(&self, number: u32) -> PathBuf {
        segment_path(&self.folder(), number)
    }

    fn open(&self) -> (Segments, Vec<Damage>) {
        Segments::open(&self.folder(), &self.quarantine()).unwrap()
    }

    fn write(&self, payloads: &[Vec<u8>]) -> Vec<Position> {
        let (mut segments, _) = self.open();
        let positions = payloads
            .iter()
            .map(|payload| segments.append(EntryKind::Record, payload).unwrap())
            .collect();
        segments.sync().unwrap();
        positions
    }

    /// The payloads that are found, and what was damaged.
    fn read(&self) -> (Vec<Vec<u8>>, Vec<Damage>) {
        let mut payloads = Vec::new();
        let scanned = scan(
            &self.folder(),
            &self.quarantine(),
            Position::default(),
            |_, _, payload| {
                payloads.push(payload.to_vec());
            },
        );
        (payloads, scanned.unwrap().damages)
    }
}

fn payloads() -> Vec<Vec<u8>> {
    [0, 1, 100, 1000, PAYLOAD_BYTES_MAX]
        .iter()
        .map(|len| vec![b'x'; *len])
        .collect()
}

#[test]
fn what_is_appended_is_found_again() {
    let fixture = Fixture::new();
    let positions = fixture.write(&payloads());
    fixture.write(&[b"later".to_vec()]);
    let mut expected = payloads();
    for (position, payload) in positions.iter().zip(&expected) {
        let entry = read_entry(&fixture.folder(), *position).unwrap();
        assert_eq!(entry, Some((EntryKind::Record, payload.clone())));
    }
    expected.push(b"later".to_vec());
    assert_eq!(fixture.read(), (expected, Vec::new()));
}

#[test]
fn a_payload_that_is_too_long_is_refused_and_nothing_is_written() {
    let fixture = Fixture::new();
    let (mut segments, _) = fixture.open();
    let before = segments.position();
    assert!(
        segments
            .append(EntryKind::Record, &vec![0; PAYLOAD_BYTES_MAX + 1])
            .is_err()
    );
    assert_eq!(segments.position(), before);
}

#[test]
fn a_full_segment_is_followed_by_another() {
    let fixture = Fixture::new();
    let many = vec![vec![7; PAYLOAD_BYTES_MAX]; 300];
    fixture.write(&many);
    assert!(fixture.file(2).exists());
    assert_eq!(fixture.read(), (many, Vec::new()));
    let (segments, _) = fixture.open();
    assert_eq!(segments.position().segment, 2);
}

/// A kill in the middle of an append: at any length of the tail, all before it is there, and appending goes on.
#[test]
fn p1_p9_a_torn_tail_is_cut_off() {
    let whole = Fixture::new();
    let positions = whole.write(&[b"first".to_vec(), b"second".to_vec()]);
    let content = fs::read(whole.file(1)).unwrap();
    let start = usize::try_from(positions[1].offset).unwrap();
    for end in start..content.len() {
        let fixture = Fixture::new();
        fs::create_dir(fixture.folder()).unwrap();
        fs::write(fixture.file(1), &content[..end]).unwrap();
        let (_, damages) = fixture.open();
        // What was cut is not lost without a trace.
        assert_eq!(damages.len(), usize::from(end > start));
        assert_eq!(fs::read(fixture.file(1)).unwrap().len(), start);
        fixture.write(&[b"third".to_vec()]);
        assert_eq!(
            fixture.read(),
            (vec![b"first".to_vec(), b"third".to_vec()], Vec::new())
        );
    }
}

#[test]
fn p9_zeros_at_the_end_are_cut_off_without_an_alarm() {
    let fixture = Fixture::new();
    fixture.write(&[b"first".to_vec()]);
    let mut content = fs::read(fixture.file(1)).unwrap();
    content.extend(vec![0; 5000]);
    fs::write(fixture.file(1), content).unwrap();
    let (_, damages) = fixture.open();
    assert_eq!(damages, []);
    fixture.write(&[b"second".to_vec()]);
    assert_eq!(fixture.read().0.len(), 2);
}

#[test]
fn p9_a_segment_whose_header_is_lost_is_left_and_another_begins() {
    let fixture = Fixture::new();
    fixture.write(&payloads());
    flip_bit(&fixture.file(1), 3);
    let (segments, damages) = fixture.open();
    assert_eq!((segments.position().segment, damages.len()), (2, 1));
    assert!(fixture.file(1).exists());
    fixture.write(&[b"new".to_vec()]);
    assert_eq!(fixture.read().0, [b"new".to_vec()]);
}

/// A record whose bytes look like an entry must not become one when the entry around it is damaged.
#[test]
fn p7_entries_inside_a_strangers_record_are_never_found() {
    let fixture = Fixture::new();
    let mut inner = ENTRY_MAGIC.to_vec();
    inner.push(EntryKind::Unplace.to_byte());
    inner.extend_from_slice(&4_u32.to_le_bytes());
    // The stranger knows the format, but not the salt.
    inner.extend_from_slice(
        &checksum(&[0; 16], EntryKind::Unplace.to_byte(), b"evil").to_le_bytes(),
    );
    inner.extend_from_slice(b"evil");
    // Negative control: with the salt it would be one.
    assert!(scan::parse(&[0; 16], &inner).is_some());
    fixture.write(&[inner, b"after".to_vec()]);
    flip_bit(&fixture.file(1), HEADER);
    let (payloads, damages) = fixture.read();
    assert_eq!((payloads, damages.len()), (vec![b"after".to_vec()], 1));
}

fn damage_copy_is_complete(damage: &Damage, file: &Path) -> bool {
    let content = fs::read(file).unwrap();
    let start = usize::try_from(damage.offset).unwrap();
    let end = start + usize::try_from(damage.len_bytes).unwrap();
    fs::read(&damage.copy).unwrap() == content[start..end]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// One flipped bit anywhere: all other entries are found, the damage is reported and kept.
    #[test]
    fn p9_a_flipped_bit_costs_one_entry_and_is_reported(
        lens in prop::collection::vec(0_usize..300, 2..8),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let fixture = Fixture::new();
        let payloads: Vec<Vec<u8>> = (0_u8..).zip(&lens).map(|(n, len)| vec![n; *len]).collect();
        let positions = fixture.write(&payloads);
        let mut content = fs::read(fixture.file(1)).unwrap();
        let position = HEADER + at.index(content.len() - HEADER);
        content[position] ^= 1 << bit;
        fs::write(fixture.file(1), content).unwrap();
        let hit = positions.partition_point(|p| p.offset <= u64::try_from(position).unwrap()) - 1;
        let (found, damages) = fixture.read();
        let mut expected = payloads;
        expected.remove(hit);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(damages.len(), 1);
        prop_assert_eq!(damages[0].offset, positions[hit].offset);
        prop_assert!(damage_copy_is_complete(&damages[0], &fixture.file(1)));
        prop_assert_eq!(read_entry(&fixture.folder(), positions[hit]).unwrap(), None);
    }
}
