//! The beginning of a text, unpacked as far as it goes.

use std::io::Read;

use opendag_protocol::schema::SchemaError;

/// Bytes of text out of a packed beginning: a few bytes can stand for gigabytes.
const UNPACKED_BYTES_MAX: u64 = 1024 * 1024;
/// A window of Zstandard, which is held in memory: what its own program accepts unless told otherwise.
const WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// What some programs begin a text in UTF-8 with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a file is packed into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstandard,
    Bzip2,
}

impl Packing {
    /// The packing that a name in lower case ends in, and the name without it.
    pub(super) fn of(name: &str) -> (&str, Self) {
        match name.rsplit_once('.') {
            Some((name, "gz")) => (name, Self::Gzip),
            Some((name, "zst")) => (name, Self::Zstandard),
            Some((name, "bz2")) => (name, Self::Bzip2),
            Some(_) | None => (name, Self::None),
        }
    }

    /// Its media type.
    pub(super) const fn media_type(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("application/gzip"),
            Self::Zstandard => Some("application/zstd"),
            Self::Bzip2 => Some("application/x-bzip2"),
        }
    }
}

/// The beginning of a text.
#[derive(Debug)]
pub(super) struct Sample {
    text: Vec<u8>,
    is_whole: bool,
}

impl Sample {
    /// Out of the first bytes of a file, or all of them.
    pub(super) fn of(bytes: &[u8], packing: Packing, is_whole: bool) -> Result<Self, SchemaError> {
        let (text, is_all) = match packing {
            Packing::None => (bytes.to_vec(), true),
            Packing::Gzip => unpack(flate2::read::MultiGzDecoder::new(bytes)),
            Packing::Bzip2 => unpack(bzip2::read::MultiBzDecoder::new(bytes)),
            Packing::Zstandard => {
                let decoder = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(
                    bytes,
                    WINDOW_BYTES_MAX,
                );
                unpack(decoder.map_err(|_| SchemaError::Malformed)?)
            }
        };
        if text.is_empty() && !bytes.is_empty() && packing != Packing::None {
            return Err(SchemaError::Malformed);
        }
        let is_whole = is_whole && is_all;
        Ok(Self { text, is_whole })
    }

    /// The text.
    pub(super) fn text(&self) -> &[u8] {
        self.text
            .strip_prefix(BYTE_ORDER_MARK)
            .unwrap_or(&self.text)
    }

    /// Does the text end here?
    pub(super) const fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// What comes out before the end, the limit, or where the packed bytes stop; and whether it is all.
fn unpack(decoder: impl Read) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    let read = decoder.take(UNPACKED_BYTES_MAX).read_to_end(&mut text);
    let is_all =
        read.is_ok_and(|read| u64::try_from(read).unwrap_or(u64::MAX) < UNPACKED_BYTES_MAX);
    (text, is_all)
}
