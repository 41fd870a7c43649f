//! An OpenDAG node as a library: store, network, publishing, fetching, serving, local API.

pub mod api;
pub mod config;
pub mod disk;
pub mod export;
pub mod net;
pub mod ops;
pub mod store;
