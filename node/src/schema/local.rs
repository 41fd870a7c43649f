//! The schema of a file on this machine.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use opendag_protocol::schema::Schema;

use super::{Format, Probe, Step};

/// The schema of a local file; `None` if it has none or cannot be read. Blocks.
pub(crate) fn of_local_file(path: &Path, format: Format) -> Option<Schema> {
    let mut file = File::open(path).ok()?;
    let mut probe = Probe::new(format, file.metadata().ok()?.len());
    loop {
        let bytes = read(&mut file, probe.wants()).ok()?;
        match probe.got(&bytes) {
            Step::Read(_) => {}
            Step::Done(schema) => return schema.ok(),
        }
    }
}

fn read(file: &mut File, range: std::ops::Range<u64>) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(range.start))?;
    let mut bytes = Vec::new();
    file.take(range.end.saturating_sub(range.start))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
