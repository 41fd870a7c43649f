//! The three messages of the handshake.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{PeerId, identity::PublicKey};
use prost::Message;
use zeroize::Zeroizing;

use super::{
    Config, NoiseError, STATIC_KEY_DOMAIN, Secured,
    cipher::{Cipher, Suite},
    resolver::Resolver,
};

/// What libp2p's `/noise` is.
const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";
/// A handshake message carries a key and a signature; of the largest keys in use they are below 2 KiB.
const MESSAGE_BYTES_MAX: usize = 4096;
/// The name of AES-256-GCM in the payload.
const AES: &str = "aes-256-gcm";

/// What a handshake message says, by libp2p's specification. Fields that are not known are passed over.
#[derive(Clone, PartialEq, Message)]
struct Payload {
    #[prost(bytes = "vec", tag = "1")]
    identity_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    identity_signature: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    extensions: Option<Extensions>,
}

#[derive(Clone, PartialEq, Message)]
struct Extensions {
    /// From who answers: what may follow the handshake instead of ChaCha20-Poly1305. From who began: what does. The
    /// number is out of the range that libp2p leaves for experiments.
    #[prost(string, repeated, tag = "3311")]
    ciphers: Vec<String>,
}

impl Payload {
    fn names(&self, suite: Suite) -> bool {
        let named = self.extensions.iter().flat_map(|some| &some.ciphers);
        match suite {
            Suite::ChaCha20Poly1305 => true,
            Suite::Aes256Gcm => named.into_iter().any(|name| name == AES),
        }
    }
}

/// A handshake that is under way.
pub(super) struct Handshake<T> {
    io: T,
    config: Config,
    session: snow::HandshakeState,
}

impl<T> Handshake<T>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// For who opened the connection.
    pub(super) fn begin(config: Config, io: T) -> Result<Self, NoiseError> {
        let session = builder(&config)?.build_initiator()?;
        Ok(Self {
            io,
            config,
            session,
        })
    }

    /// For who was connected to.
    pub(super) fn answer(config: Config, io: T) -> Result<Self, NoiseError> {
        let session = builder(&config)?.build_responder()?;
        Ok(Self {
            io,
            config,
            session,
        })
    }

    /// Runs to the end. Dropping it gives up the connection.
    pub(super) async fn run(mut self) -> Result<(PeerId, Secured<T>), NoiseError> {
        let ours = self.config.suite;
        let (payload, suite) = if self.session.is_initiator() {
            self.send(&Payload::default()).await?;
            let payload = self.receive().await?;
            let both = payload.names(ours);
            let suite = if both { ours } else { Suite::ChaCha20Poly1305 };
            self.send(&self.introduction(suite)).await?;
            (payload, suite)
        } else {
            if self.receive().await? != Payload::default() {
                return Err(NoiseError::NotEmpty);
            }
            self.send(&self.introduction(ours)).await?;
            let payload = self.receive().await?;
            (payload.clone(), agreed(ours, &payload)?)
        };
        let peer = self.check(&payload)?;
        let (begun, answered) = self.session.dangerously_get_raw_split();
        let (begun, answered) = (Zeroizing::new(begun), Zeroizing::new(answered));
        let (sealing, opening) = if self.session.is_initiator() {
            (begun, answered)
        } else {
            (answered, begun)
        };
        let ciphers = (Cipher::new(suite, sealing)?, Cipher::new(suite, opening)?);
        Ok((peer, Secured::new(self.io, ciphers)))
    }

    /// Who this node is, and a cipher beside that of the handshake.
    fn introduction(&self, suite: Suite) -> Payload {
        let (identity_key, identity_signature) = self.config.identity.clone();
        let extensions = match suite {
            Suite::ChaCha20Poly1305 => None,
            Suite::Aes256Gcm => Some(Extensions {
                ciphers: vec![AES.to_owned()],
            }),
        };
        Payload {
            identity_key,
            identity_signature,
            extensions,
        }
    }

    /// The peer whose key signed the static key of this handshake.
    fn check(&self, payload: &Payload) -> Result<PeerId, NoiseError> {
        let remote = self
            .session
            .get_remote_static()
            .ok_or(NoiseError::Signature)?;
        let key = PublicKey::try_decode_protobuf(&payload.identity_key)?;
        let signed = [STATIC_KEY_DOMAIN, remote].concat();
        if key.verify(&signed, &payload.identity_signature) {
            Ok(key.to_peer_id())
        } else {
            Err(NoiseError::Signature)
        }
    }

    async fn send(&mut self, payload: &Payload) -> Result<(), NoiseError> {
        let mut message = [0; MESSAGE_BYTES_MAX];
        let len = self
            .session
            .write_message(&payload.encode_to_vec(), &mut message)?;
        let message = message.get(..len).unwrap_or_default();
        let prefix = u16::try_from(len).map_err(|_| NoiseError::TooLong)?;
        // One write, so that one packet carries it.
        let framed = [&prefix.to_be_bytes(), message].concat();
        self.io.write_all(&framed).await?;
        Ok(self.io.flush().await?)
    }

    async fn receive(&mut self) -> Result<Payload, NoiseError> {
        let mut prefix = [0; 2];
        self.io.read_exact(&mut prefix).await?;
        let mut message = [0; MESSAGE_BYTES_MAX];
        let message = message
            .get_mut(..usize::from(u16::from_be_bytes(prefix)))
            .ok_or(NoiseError::TooLong)?;
        self.io.read_exact(message).await?;
        let mut payload = [0; MESSAGE_BYTES_MAX];
        let len = self.session.read_message(message, &mut payload)?;
        Ok(Payload::decode(payload.get(..len).unwrap_or_default())?)
    }
}

/// What the third message made of what the second one offered.
fn agreed(offered: Suite, payload: &Payload) -> Result<Suite, NoiseError> {
    match (offered, payload.names(Suite::Aes256Gcm)) {
        (Suite::Aes256Gcm, true) => Ok(Suite::Aes256Gcm),
        (Suite::ChaCha20Poly1305, true) => Err(NoiseError::Cipher),
        (_, false) => Ok(Suite::ChaCha20Poly1305),
    }
}

fn builder(config: &Config) -> Result<snow::Builder<'_>, NoiseError> {
    let pattern = PATTERN.parse()?;
    let builder = snow::Builder::with_resolver(pattern, Box::new(Resolver));
    Ok(builder
        .prologue(&config.prologue)?
        .local_private_key(&*config.secret)?)
}

impl From<NoiseError> for io::Error {
    fn from(error: NoiseError) -> Self {
        match error {
            NoiseError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(names: &[&str]) -> Payload {
        Payload {
            extensions: Some(Extensions {
                ciphers: names.iter().map(ToString::to_string).collect(),
            }),
            ..Payload::default()
        }
    }

    #[test]
    fn a_cipher_that_was_not_offered_cannot_be_chosen() {
        let (plain, aes) = (Suite::ChaCha20Poly1305, Suite::Aes256Gcm);
        let chosen = agreed(plain, &naming(&[AES]));
        assert!(matches!(chosen, Err(NoiseError::Cipher)));
        assert_eq!(agreed(aes, &naming(&[AES])).unwrap(), aes);
        for silent in [Payload::default(), naming(&[]), naming(&["rot13"])] {
            assert_eq!(agreed(aes, &silent).unwrap(), plain);
            assert_eq!(agreed(plain, &silent).unwrap(), plain);
        }
    }
}
