//! The local API and the gateway: a running node over HTTP on loopback.
//!
//! The API carries [`crate::ops`] for the command line; it needs the token of `api.json`. The gateway
//! serves verified bytes of datasets, read-only and without a token.

pub mod gateway;

pub use gateway::{GatewayError, GatewayFile, GatewaySource};
