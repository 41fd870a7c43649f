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

/// A statement: a long text, or a list of some hundred entries. What strangers may say to everybody
/// is bounded more tightly than what describes a dataset.
pub const STATEMENT_BYTES_MAX: usize = 16 * 1024;

/// The best rating of a review.
pub const RATING_MAX: u8 = 5;

/// A review's text: some pages, in a statement with room for the rest.
pub const REVIEW_TEXT_BYTES_MAX: usize = 8 * 1024;

/// Tags of a review.
pub const REVIEW_TAGS_MAX: usize = 16;

/// Entries of a denylist: more than a statement has room for with a word of reason for each.
pub const DENYLIST_ENTRIES_MAX: usize = 256;

/// The reason of an entry of a denylist: a sentence.
pub const DENYLIST_REASON_BYTES_MAX: usize = 200;

/// Statements of one author, over all types and subjects: what a busy reader writes in years.
pub const STATEMENTS_PER_AUTHOR_MAX: usize = 1024;

/// Statements about one subject: more than anybody reads.
pub const STATEMENTS_PER_SUBJECT_MAX: usize = 1024;

/// Statements in all: about 30 MiB in memory.
pub const STATEMENTS_MAX: usize = 65_536;

/// Signatures on a record, and so owners of a dataset: verification costs 50 µs each.
pub const SIGNATURES_MAX: usize = 16;

/// Owners that must sign: a head with so many signatures still fits [`HEAD_BYTES_MAX`], and a rotation
/// with so many of the old and of the new owners fits [`SIGNATURES_MAX`].
pub const THRESHOLD_MAX: u8 = 6;

/// The type of a record: what a log line and an index key hold.
pub const RECORD_TYPE_BYTES_MAX: usize = 32;

/// A sequence: what every JSON reader holds exactly.
pub const SEQUENCE_MAX: u64 = (1 << 53) - 1;

/// How far a head's sequence may be above the newest known one: a version a minute for two years of
/// absence. A larger step can only be a mistake or a stolen key.
pub const SEQUENCE_JUMP_MAX: u64 = 1 << 20;

/// A point in time, in seconds since the epoch: the end of the year 9999, the last that ISO 8601 writes.
pub const TIMESTAMP_MAX: u64 = 253_402_300_799;

/// Owner records of a dataset: a rotation a month for 85 years, and 0.1 s to verify.
pub const OWNER_RECORDS_MAX: usize = 1024;

/// Versions that a node's state of a dataset remembers, the newest: 80 KiB.
pub const MANIFESTS_KNOWN_MAX: usize = 1024;

/// Versions with one sequence that a node's state of a dataset remembers; one is honest.
pub const MANIFESTS_PER_SEQUENCE_MAX: usize = 4;

/// Proofs of equivocation that a node keeps of a dataset: two records prove it, more add nothing.
pub const EQUIVOCATIONS_MAX: usize = 16;

/// A dataset's name: it becomes the name of a folder, with room for a suffix.
pub const NAME_BYTES_MAX: usize = 100;

/// A label of a version, such as `v1.1`.
pub const LABEL_BYTES_MAX: usize = 64;

/// A title: one line.
pub const TITLE_BYTES_MAX: usize = 200;

/// A description: some paragraphs; longer texts go into the card.
pub const DESCRIPTION_BYTES_MAX: usize = 16 * 1024;

/// An SPDX expression.
pub const LICENSE_BYTES_MAX: usize = 512;

/// A language tag: the longest that BCP 47 asks programs to hold.
pub const LANGUAGE_BYTES_MAX: usize = 35;

/// Languages, and as many tags, of a version.
pub const TAGS_MAX: usize = 64;

/// A tag.
pub const TAG_BYTES_MAX: usize = 64;

/// A URL in a record.
pub const URL_BYTES_MAX: usize = 1024;

/// URLs of mirrors of a version.
pub const MIRRORS_MAX: usize = 16;

/// Versions that a version was made from.
pub const DERIVATIONS_MAX: usize = 128;

/// How a version was made from another: a sentence or two.
pub const DERIVATION_BYTES_MAX: usize = 500;

/// Steps from a version along its lineage: each is a version that somebody made and published.
pub const LINEAGE_DEPTH_MAX: u32 = 64;

/// Versions of one look at lineage, in each direction: more than a person reads, 1 MiB of answer.
pub const LINEAGE_VERSIONS_MAX: usize = 1000;

/// A draft as text: an owner chain of the greatest length, and a manifest.
pub const DRAFT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A receipt as text: room for the globs of any selection that people write.
pub const RECEIPT_BYTES_MAX: usize = 64 * 1024;

/// Globs in each list of a receipt.
pub const RECEIPT_GLOBS_MAX: usize = 256;

/// A document of the exchange formats: with blobs of [`EXCHANGE_BLOBS_BYTES_MAX`] in base64, it is read whole.
pub const EXCHANGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Description blobs in such a document: a file table of some 100,000 files; larger ones come from peers.
pub const EXCHANGE_BLOBS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Nesting of elements in such a document as XML: ours needs 4.
pub const EXCHANGE_XML_DEPTH_MAX: usize = 8;

/// A description in Croissant that is imported: one of 10,000 files and many fields has some 5 MiB; as JSON
/// values it takes ten times its size.
pub const CROISSANT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Files and file sets of such a description.
pub const CROISSANT_FILES_MAX: usize = 50_000;

/// Names that are offered for a revision that nothing is called: what the eye takes in at once.
pub const REVISION_HINTS_MAX: usize = 5;

/// A link: what fits a chat message and a QR code.
pub const LINK_BYTES_MAX: usize = 2048;

/// Peers in a link.
pub const LINK_PEERS_MAX: usize = 16;

/// The address of a peer in a link.
pub const LINK_PEER_BYTES_MAX: usize = 256;

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

/// A chunk of a file in a chunk map: what is asked for, held and hashed as a whole.
pub const CHUNK_BYTES_MAX: u32 = 256 * 1024;

/// Files of up to so many bytes have their chunk maps in the pack of their page, larger ones as a blob of
/// their own: a map that is larger than the entry is only read by who needs it.
pub const PACKED_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A frame on a stream. Longer lists are sent in several frames.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// The media type of a file: two names of at most 127 bytes with `/` between them (RFC 6838, section 4.2).
pub const MEDIA_TYPE_BYTES_MAX: usize = 255;

/// The licence of a single file, where it differs from the version's.
pub const ENTRY_LICENSE_BYTES_MAX: usize = 255;

/// Records that one request names: their answer is at most 3 MiB.
pub const RECORDS_PER_REQUEST_MAX: usize = 64;

/// A bitmap of shards in one update of holdings: 65,536 shards.
pub const SHARD_BITS_BYTES_MAX: usize = 8 * 1024;

/// Ranges of a partial shard in one update of holdings.
pub const RANGES_PER_UPDATE_MAX: usize = 256;

/// Peers in one update of holdings.
pub const PEERS_PER_UPDATE_MAX: usize = 32;

/// A peer id in binary form: 38 bytes for ed25519 keys, with room for hashed ones.
pub const PEER_ID_BYTES_MAX: usize = 64;

/// A multiaddr in binary form: DNS names and relayed addresses fit.
pub const ADDRESS_BYTES_MAX: usize = 128;

/// Addresses of one peer: hosts with more have mostly useless ones.
pub const ADDRESSES_PER_PEER_MAX: usize = 8;

/// Ranges of blobs that one request names: many small files, or the pieces of a large one.
pub const BLOB_RANGES_PER_REQUEST_MAX: usize = 512;

/// A span of a blob that is sent without a proof: the longest chunk of a chunk map. What a liar sends instead is
/// found out after so many bytes.
pub const SPAN_BYTES_MAX: u32 = 256 * 1024;

/// Ranges in one message of a reconciliation: with their smallest content they fill a frame.
pub const SYNC_RANGES_MAX: usize = 4096;

/// Bytes of ranges after which a message of a reconciliation takes no more: with one more range and the
/// rest it fits a frame.
pub const SYNC_RANGES_BYTES_MAX: usize = 56 * 1024;

/// Ids in one range: more are told by fingerprints.
pub const SYNC_IDS_PER_RANGE_MAX: usize = 64;

/// Ids in one offer: a link takes 41 bytes.
pub const SYNC_OFFERS_PER_MESSAGE_MAX: usize = 1024;

/// Messages of ranges that one side answers: sets of a million that differ everywhere are not compared
/// at one go.
pub const SYNC_ROUNDS_MAX: u32 = 64;

/// Records that one reconciliation finds to be lacking on each side; the next finds more.
pub const SYNC_DIFFERENCE_MAX: usize = 16_384;

/// Bytes of a search: more than anybody types, and little to parse.
pub const QUERY_BYTES_MAX: usize = 1024;
/// Words, phrases and facets of a search: each may have to look at every dataset.
pub const QUERY_PARTS_MAX: usize = 32;
/// Values of a facet in a search.
pub const QUERY_VALUES_MAX: usize = 16;
