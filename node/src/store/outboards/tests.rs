use std::fs;

use tempfile::TempDir;

use super::*;

#[test]
fn a_disk_that_takes_no_outboard_is_not_blamed_on_the_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, vec![7; 3 << 20]).unwrap();
    let file = File::open(&path).unwrap();
    let wanted = (Digests::Blake3, Chunks::Skipped);
    let describe = |outboard: &Path| {
        let into = fs::OpenOptions::new().write(true).open(outboard).unwrap();
        describe_into((&into, outboard), (&file, &path), wanted, &mut |_| {})
    };
    let full = Path::new("/dev/full");
    let Err(HashError::Disk(error)) = describe(full) else {
        panic!("a full disk took the outboard");
    };
    assert!(error.is_full(), "{error}");
    assert!(error.to_string().contains("write /dev/full"), "{error}");
    assert!(describe(Path::new("/dev/null")).is_ok());
}
