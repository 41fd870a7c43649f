use tempfile::TempDir;

use super::*;

#[test]
fn what_is_changed_is_there_after_a_restart_and_what_is_refused_is_not() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("numbers");
    let saved = Saved::<Vec<u32>>::open(path.clone()).unwrap();
    assert!(saved.get().is_empty());
    let change = |numbers: &mut Vec<u32>| {
        numbers.push(7);
        Ok::<_, DiskError>(numbers.len())
    };
    assert_eq!(saved.change(change).unwrap(), 1);
    let refuse = |numbers: &mut Vec<u32>| {
        numbers.clear();
        Err::<(), _>(DiskError::io("read", dir.path())(ErrorKind::Other.into()))
    };
    assert!(saved.change(refuse).is_err());
    assert_eq!(*saved.get(), [7]);
    assert_eq!(*Saved::<Vec<u32>>::open(path).unwrap().get(), [7]);
}

#[test]
fn p8_what_is_damaged_does_not_pass_for_nothing() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("numbers");
    fs::write(&path, "[1, 2").unwrap();
    let opened = Saved::<Vec<u32>>::open(path);
    assert!(matches!(opened, Err(DataDirError::Damaged { .. })));
}
