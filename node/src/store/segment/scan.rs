//! Reading segments from end to end, over whatever a crash or a bad disk left in them.

use std::path::Path;

use super::{
    Damage, ENTRY_HEADER_BYTES, ENTRY_MAGIC, EntryKind, MAGIC, PAYLOAD_BYTES_MAX, Position,
    SEGMENT_HEADER_BYTES, copy_damage, numbers, segment_path,
};
use crate::disk::DiskError;

/// What a scan found beside the entries.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// The end of the last entry.
    pub(crate) end: Position,
    /// Bytes behind it.
    pub(crate) tail_bytes: u64,
    /// The salt of the last segment, if its header is whole.
    pub(crate) salt: Option<[u8; 16]>,
    /// What was no entry. Copies lie in the quarantine folder.
    pub(crate) damages: Vec<Damage>,
}

/// Shows all whole entries from `from` on, in order.
///
/// Bytes that are no entry are copied to `quarantine` and reported, with one exception: zeros at the
/// very end, which a crash leaves behind on many file systems.
pub(crate) fn scan(
    folder: &Path,
    quarantine: &Path,
    from: Position,
    mut entry: impl FnMut(Position, EntryKind, &[u8]),
) -> Result<Scanned, DiskError> {
    let mut scanned = Scanned {
        end: from,
        ..Scanned::default()
    };
    for number in numbers(folder)? {
        if number < from.segment {
            continue;
        }
        let path = segment_path(folder, number);
        let bytes = std::fs::read(&path).map_err(DiskError::io("read", &path))?;
        let start = if number == from.segment {
            from.offset
        } else {
            0
        };
        let walk = Walk::over(&bytes, start, |offset, kind, payload| {
            entry(
                Position {
                    segment: number,
                    offset,
                },
                kind,
                payload,
            );
        });
        for (offset, len) in walk.holes {
            let range = offset..offset.saturating_add(len);
            let damaged = bytes.get(range).unwrap_or_default();
            if damaged.iter().all(|byte| *byte == 0) && offset + len == bytes.len() {
                continue;
            }
            let copy = copy_damage(quarantine, &format!("{number:08}-{offset}.bytes"), damaged)?;
            scanned.damages.push(Damage {
                path: path.clone(),
                offset: to_u64(offset),
                len_bytes: to_u64(len),
                copy,
            });
        }
        scanned.salt = walk.salt;
        scanned.end = Position {
            segment: number,
            offset: to_u64(walk.end),
        };
        scanned.tail_bytes = to_u64(bytes.len() - walk.end);
    }
    Ok(scanned)
}

/// Shows the entries of one segment; false if some of its bytes are none.
pub(super) fn walk(bytes: &[u8], entry: impl FnMut(u64, EntryKind, &[u8])) -> bool {
    let walk = Walk::over(bytes, 0, entry);
    walk.salt.is_some() && walk.holes.is_empty()
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// What was found in one segment.
struct Walk {
    salt: Option<[u8; 16]>,
    /// The end of the last whole entry, or of the header.
    end: usize,
    /// Offset and length of all that is no entry.
    holes: Vec<(usize, usize)>,
}

impl Walk {
    fn over(bytes: &[u8], start: u64, mut entry: impl FnMut(u64, EntryKind, &[u8])) -> Self {
        let salt = bytes
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.first_chunk::<16>())
            .copied();
        let mut walk = Self {
            salt,
            end: 0,
            holes: Vec::new(),
        };
        let Some(salt) = salt else {
            walk.holes.push((0, bytes.len()));
            return walk;
        };
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let mut at = start.max(SEGMENT_HEADER_BYTES).min(bytes.len());
        walk.end = at;
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            if let Some((kind, payload)) = parse(&salt, rest) {
                entry(to_u64(at), kind, payload);
                at += ENTRY_HEADER_BYTES + payload.len();
                walk.end = at;
                continue;
            }
            let skipped = next_entry(&salt, rest);
            walk.holes.push((at, skipped.unwrap_or(rest.len())));
            match skipped {
                Some(skipped) => at += skipped,
                None => break,
            }
        }
        walk
    }
}

/// How far away the next whole entry is; `rest` does not begin with one.
fn next_entry(salt: &[u8; 16], rest: &[u8]) -> Option<usize> {
    (1..rest.len()).find(|skip| {
        rest.get(*skip..)
            .is_some_and(|rest| rest.starts_with(ENTRY_MAGIC) && parse(salt, rest).is_some())
    })
}

/// The entry at the beginning of `bytes`, if there is a whole one.
pub(super) fn parse<'b>(salt: &[u8; 16], bytes: &'b [u8]) -> Option<(EntryKind, &'b [u8])> {
    let (header, rest) = bytes.split_first_chunk::<ENTRY_HEADER_BYTES>()?;
    let payload = rest.get(..payload_len(header)?)?;
    let (_, kind, _, crc) = fields(header);
    (super::checksum(salt, kind, payload) == crc).then(|| (EntryKind::from_byte(kind), payload))
}

/// The length of the payload that a header announces, if it is a header.
pub(super) fn payload_len(header: &[u8; ENTRY_HEADER_BYTES]) -> Option<usize> {
    let (magic, _, len, _) = fields(header);
    let len = usize::try_from(len).ok()?;
    (magic == *ENTRY_MAGIC && len <= PAYLOAD_BYTES_MAX).then_some(len)
}

fn fields(header: &[u8; ENTRY_HEADER_BYTES]) -> ([u8; 4], u8, u32, u32) {
    let [a, b, c, d, kind, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
    (
        [a, b, c, d],
        kind,
        u32::from_le_bytes([l0, l1, l2, l3]),
        u32::from_le_bytes([c0, c1, c2, c3]),
    )
}
