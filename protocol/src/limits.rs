//! Every limit of the formats and protocols, with its reason. Sizes are in bytes.

use std::time::Duration;

/// Bytes in a chunk group, the unit of BLAKE3 verification: 16 chunks of 1 KiB, as iroh-blobs uses it.
pub const CHUNK_GROUP_BYTES: u64 = 16 * 1024;

/// Nesting of arrays and maps in DAG-CBOR: our formats need 6; decoders recurse.
pub const CBOR_DEPTH_MAX: usize = 32;

/// A signed record. Large parts of a description are blobs; a record is read whole before it is verified.
pub const RECORD_BYTES_MAX: usize = 48 * 1024;

/// A `head` record: what every node of the network receives.
pub const HEAD_BYTES_MAX: usize = 1024;

/// Signatures on a record, and so owners of a dataset: verification costs 50 µs each.
pub const SIGNATURES_MAX: usize = 16;

/// How far a stranger's clock may be ahead of ours.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60 * 60);

/// A path of a dataset, as UTF-8.
pub const PATH_BYTES_MAX: usize = 1024;

/// One component of a path: what common file systems hold.
pub const PATH_COMPONENT_BYTES_MAX: usize = 255;

/// Entries on a page of a file table: a page of the longest paths still fits [`DESCRIPTION_BLOB_BYTES_MAX`].
pub const PAGE_ENTRIES_MAX: usize = 8192;

/// Low bits of a path's hash that are zero at the end of a page: 2,048 entries on average.
pub const PAGE_BOUNDARY_BITS: u32 = 11;

/// A blob that describes a version (table index, page, card): held in memory while it is verified.
pub const DESCRIPTION_BLOB_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A frame on a stream. Longer lists are sent in several frames.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// The media type of a file: two names of at most 127 bytes with `/` between them (RFC 6838, section 4.2).
pub const MEDIA_TYPE_BYTES_MAX: usize = 255;

/// The licence of a single file, where it differs from the version's.
pub const ENTRY_LICENSE_BYTES_MAX: usize = 255;
