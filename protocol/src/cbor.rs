//! cbor.
