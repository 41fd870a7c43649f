//! An OpenDAG node as a library: store, network, publishing, fetching, serving, local API.

mod announce;
pub mod api;
mod ask;
pub mod config;
pub mod disk;
mod drafts;
pub mod export;
mod fault;
mod fetch;
mod find;
mod flow;
mod fork;
mod frames;
pub mod gateway;
mod holdings;
mod inspect;
mod keep;
mod limits;
mod lineage;
mod members;
mod mount;
pub mod net;
mod node;
mod operate;
pub mod ops;
mod owners;
mod place;
mod publish;
mod read;
mod report;
mod resolve;
mod selection;
mod serve;
pub mod store;

pub use fault::{Fault, with_causes};
pub use node::{Node, NodeError, NodeOptions, Role};
