//! Noise as libp2p specifies it, with a path of its own for the bytes that follow the handshake.
//!
//! The handshake is libp2p's, message for message. What comes after it is sealed and opened where it lies, many
//! messages to a system call. And where both processors have instructions for AES, the two agree inside the handshake
//! to go on with AES-256-GCM, which costs them an eighth. Source: `specs/network.md`, section *Noise*.

mod cipher;
mod handshake;
mod resolver;
mod secured;

use std::iter;

use futures::{AsyncRead, AsyncWrite, future::BoxFuture};
use handshake::Handshake;
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    identity::Keypair,
};
pub(super) use secured::{MESSAGE_BYTES_MAX, Secured};
use zeroize::Zeroizing;

use self::{cipher::Suite, resolver::Secret};

/// What a static key of the handshake is signed with before it, by libp2p's specification.
const STATIC_KEY_DOMAIN: &[u8] = b"noise-libp2p-static-key:";

/// Why there is no secured connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoiseError {
    #[error("the connection broke in the handshake")]
    Io(#[from] std::io::Error),
    #[error("the handshake failed")]
    Handshake(#[from] snow::Error),
    #[error("a handshake message cannot be read")]
    Payload(#[from] prost::DecodeError),
    #[error("the first handshake message says something")]
    NotEmpty,
    #[error("a handshake message is longer than any may be")]
    TooLong,
    #[error("the peer shows no key that can be understood")]
    Identity(#[from] libp2p::identity::DecodingError),
    #[error("the peer's key did not sign this handshake")]
    Signature,
    #[error("the peer wants a cipher that it was not offered")]
    Cipher,
    #[error("the static key cannot be signed")]
    Sign(#[from] libp2p::identity::SigningError),
    #[error("the system gives no random bytes")]
    Random,
}

/// What a node needs for its handshakes.
#[derive(Clone)]
pub(super) struct Config {
    secret: Zeroizing<Secret>,
    /// The node's public key, encoded, and its signature under the public part of `secret`.
    identity: (Vec<u8>, Vec<u8>),
    prologue: Vec<u8>,
    /// What may be used beside the cipher of the handshake.
    suite: Suite,
}

impl Config {
    /// For the node of `key`. Handshakes succeed with peers of the same prologue only.
    pub(super) fn new(key: &Keypair, prologue: Vec<u8>) -> Result<Self, NoiseError> {
        let mut secret = Zeroizing::new(Secret::default());
        getrandom::fill(&mut *secret).map_err(|_| NoiseError::Random)?;
        let signed = [STATIC_KEY_DOMAIN, &resolver::public(&secret)].concat();
        Ok(Self {
            identity: (key.public().encode_protobuf(), key.sign(&signed)?),
            secret,
            prologue,
            suite: Suite::best(),
        })
    }
}

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/noise")
    }
}

impl<T> InboundConnectionUpgrade<T> for Config
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = (PeerId, Secured<T>);
    type Error = NoiseError;
    type Future = BoxFuture<'static, Result<Self::Output, NoiseError>>;

    fn upgrade_inbound(self, io: T, _: &'static str) -> Self::Future {
        Box::pin(async move { Handshake::answer(self, io)?.run().await })
    }
}

impl<T> OutboundConnectionUpgrade<T> for Config
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Output = (PeerId, Secured<T>);
    type Error = NoiseError;
    type Future = BoxFuture<'static, Result<Self::Output, NoiseError>>;

    fn upgrade_outbound(self, io: T, _: &'static str) -> Self::Future {
        Box::pin(async move { Handshake::begin(self, io)?.run().await })
    }
}

#[cfg(test)]
mod tests;
