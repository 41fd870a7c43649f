use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;

fn key(leading: u64, rest: u8) -> Key {
    let mut key = [rest; KEY_BYTES];
    key[..8].copy_from_slice(&leading.to_be_bytes());
    key
}

/// Rows of several blocks: short and long ones, and many with the same beginning.
fn rows() -> BTreeMap<Key, Box<[u8]>> {
    let few = (0..150).map(|n| (key(n * 1000, 7), vec![1; usize::try_from(n).unwrap()]));
    let same = (0..200).map(|n| (key(60_000, n), vec![n; 60]));
    let long = [
        (key(5, 5), vec![9; 3 * BLOCK_BYTES]),
        (key(6, 0), Vec::new()),
    ];
    let all = few.chain(same).chain(long);
    all.map(|(key, value)| (key, value.into())).collect()
}

fn written(dir: &TempDir, rows: &BTreeMap<Key, Box<[u8]>>) -> Run {
    let mut writer = RunWriter::create(&dir.path().join(disk::temp_name())).unwrap();
    for (key, value) in rows {
        writer.push(key, value).unwrap();
    }
    writer.finish(3).unwrap()
}

fn found(run: &Run, prefix: &[u8]) -> Result<Vec<Row>, IndexError> {
    let mut found = Vec::new();
    let end = run.visit(prefix, &mut |key, value| {
        found.push((*key, value.into()));
        ControlFlow::Continue(())
    })?;
    assert!(end.is_continue());
    Ok(found)
}

fn all(run: &Run) -> Result<Vec<Row>, IndexError> {
    run.rows().collect()
}

#[test]
fn what_was_written_is_read() {
    let dir = TempDir::new().unwrap();
    let rows = rows();
    let written = written(&dir, &rows);
    let opened = Run::open(&written.path).unwrap();
    for run in [written, opened] {
        assert!(run.blocks.len() > 5, "{}", run.blocks.len());
        assert_eq!((run.len(), run.replaces()), (bytes_in(rows.len()), 3));
        assert!(all(&run).unwrap().into_iter().eq(rows.clone()));
        for leading in (0..160_000).step_by(500).chain([5, 6, u64::MAX]) {
            for len in [8, 9, KEY_BYTES] {
                let prefix = &key(leading, 7)[..len];
                let expected = rows.iter().filter(|(key, _)| key.starts_with(prefix));
                let expected = expected.map(|(key, value)| (*key, value.clone()));
                assert!(
                    found(&run, prefix).unwrap().into_iter().eq(expected),
                    "{leading}"
                );
            }
        }
    }
}

#[test]
fn a_visit_ends_when_there_is_enough() {
    let dir = TempDir::new().unwrap();
    let run = written(&dir, &rows());
    let mut seen = 0;
    let end = run.visit(&60_000_u64.to_be_bytes(), &mut |_, _| {
        seen += 1;
        if seen == 90 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(end.unwrap().is_break());
    assert_eq!(seen, 90);
}

#[test]
fn an_empty_run_has_no_rows() {
    let dir = TempDir::new().unwrap();
    let path = written(&dir, &BTreeMap::new()).path;
    let run = Run::open(&path).unwrap();
    assert_eq!(run.len(), 0);
    assert!(all(&run).unwrap().is_empty() && found(&run, &[0; 8]).unwrap().is_empty());
}

#[test]
fn no_damage_passes_for_rows() {
    let dir = TempDir::new().unwrap();
    let rows = rows();
    let path = written(&dir, &rows).path;
    let whole = std::fs::read(&path).unwrap();
    let damaged = dir.path().join("damaged");
    for at in (0..whole.len())
        .step_by(97)
        .chain(whole.len() - 60..whole.len())
    {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&damaged, bytes).unwrap();
        let Ok(run) = Run::open(&damaged) else {
            continue;
        };
        assert!(run.check(u64::MAX).is_err(), "byte {at}");
        assert!(all(&run).is_err(), "byte {at}");
        // The other blocks can be read.
        let left: Vec<_> = run.rows().filter_map(Result::ok).collect();
        assert!(!left.is_empty() && left.len() < rows.len(), "byte {at}");
        assert!(left.iter().all(|(key, value)| rows.get(key) == Some(value)));
    }
    for len in (0..whole.len()).rev().step_by(211) {
        std::fs::write(&damaged, &whole[..len]).unwrap();
        assert!(Run::open(&damaged).is_err(), "{len} bytes");
    }
    // Negative control.
    std::fs::write(&damaged, &whole).unwrap();
    assert_eq!(
        Run::open(&damaged).unwrap().check(u64::MAX).unwrap(),
        u64::MAX - whole_rows(&whole)
    );
}

/// Bytes of the rows of a run.
fn whole_rows(run: &[u8]) -> u64 {
    let end = run.len() - END_BYTES;
    let list_at = u64::from_le_bytes(run[end..end + 8].try_into().unwrap());
    let blocks = (end - usize::try_from(list_at).unwrap() - TOTALS_BYTES) / LISTED_BYTES;
    list_at - 8 - 4 * bytes_in(blocks)
}

#[test]
fn of_rows_with_one_key_the_newest_is_taken() {
    let row = |leading: u64, value: u8| Ok((key(leading, 0), vec![value].into()));
    let damaged = || {
        Err(IndexError::Damaged {
            path: PathBuf::new(),
        })
    };
    let sources: Vec<Source<'_>> = vec![
        Box::new([row(2, 1), row(9, 1)].into_iter()),
        Box::new([row(1, 2), row(2, 2), damaged(), row(3, 2)].into_iter()),
        Box::new([row(1, 3), row(3, 3), row(4, 3), row(9, 3)].into_iter()),
    ];
    let merged: Vec<_> = merge(sources).collect();
    let errors = merged.iter().filter(|row| row.is_err()).count();
    assert_eq!(errors, 1);
    let rows: Vec<_> = merged.into_iter().filter_map(Result::ok).collect();
    let expected = [row(1, 2), row(2, 1), row(3, 2), row(4, 3), row(9, 1)].map(Result::unwrap);
    assert_eq!(rows, expected);
}
