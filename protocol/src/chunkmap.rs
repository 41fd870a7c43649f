//! chunkmap.
