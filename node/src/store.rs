//! What a node keeps: records, descriptions, and where the shards of versions lie.
//!
//! Truth on disk is content-addressed bytes and signed records; the index can be rebuilt from them.
//! The format of everything here: `specs/storage.md`. Unless a function is `async`, it blocks: call it
//! from `spawn_blocking` or from a thread of your own.

mod aliases;
mod bao;
mod batch;
mod blobs;
mod block;
mod budget;
mod catalogue;
mod compact;
mod datadir;
mod early;
mod hash;
mod hashed;
mod index;
mod kept;
mod keys;
mod lineage;
mod listing;
mod locations;
mod open;
mod outboards;
mod partial;
mod piece;
mod pins;
mod place;
mod places;
mod read;
mod reader;
mod rebuild;
mod recent;
mod records;
mod removal;
mod replay;
mod run;
mod saved;
mod segment;
mod shards;
mod stage;
mod statements;
mod target;
#[cfg(test)]
pub(crate) mod testing;

pub use aliases::Aliases;
pub use bao::response_bytes;
pub use batch::{Batch, BatchError, Committed, Names, Placed};
pub use blobs::BlobError;
pub use catalogue::CatalogueChange;
pub use datadir::{DataDir, DataDirError};
pub use hash::{Chunks, Digests, HashError, HashedFile};
pub(crate) use hashed::{HashedFiles, Known, Stamp};
pub use index::IndexError;
pub(crate) use index::index_is_full;
pub use keys::{KeyStoreError, Keys};
pub(crate) use listing::Part;
pub(crate) use open::lock;
pub use open::{CATALOGUE_LIMIT, Store, StoreError};
pub use outboards::{OUTBOARD_BYTES_MIN, Outboards};
pub use partial::{PartialError, PartialShard};
pub use piece::{Corrupt, Expect, Piece, PieceDecoder};
pub use pins::Pins;
pub use place::{Place, PlaceKind, RootId, ShardLocation};
pub use places::Working;
pub use read::{READ_BYTES_MAX, ReadError};
pub use reader::Reader;
pub use removal::Removal;
pub(crate) use saved::Saved;
pub use segment::Damage;
pub use stage::{LeftStaged, Staged};
pub use target::{Existing, Target, TargetError, WORK_FOLDER};
