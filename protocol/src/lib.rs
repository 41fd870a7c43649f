//! OpenDAG's formats, limits, links and state machines.
//!
//! This crate decides and never does: no sockets, files, clocks, randomness or threads. A stranger's
//! bytes become a typed value in one constructor, or an error; time and seeds are arguments.
//! The formats are specified in `specs/`, with vectors in `specs/vectors`.

pub mod admission;
mod armor;
pub mod catalogue;
pub mod cbor;
pub mod chunkmap;
pub mod croissant;
pub mod denial;
pub mod draft;
pub mod exchange;
pub mod fault;
pub mod fetch;
pub mod http;
pub mod id;
#[cfg(feature = "json-schema")]
mod json_schema;
pub mod key;
mod lanes;
pub mod license;
pub mod limits;
pub mod lineage;
pub mod link;
pub mod path;
pub mod rate;
pub mod receipt;
pub mod record;
pub mod retain;
pub mod revision;
pub mod schema;
pub mod score;
pub mod search;
pub mod statements;
pub mod subtree;
pub mod sync;
pub mod table;
#[cfg(test)]
mod testing;
pub mod time;
pub mod units;
pub mod wire;

pub use id::{BlobId, DatasetId, Hash, ManifestId, RecordId};
pub use path::DatasetPath;
pub use time::{Time, Timestamp};
