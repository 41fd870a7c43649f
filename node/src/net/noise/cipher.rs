//! Sealing and opening the messages that follow the handshake.

use std::io;

use aws_lc_rs::aead::{
    AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use zeroize::Zeroizing;

/// Bytes that authenticate a message.
pub(super) const TAG_BYTES: usize = 16;
/// After so many messages of AES-256-GCM the key is replaced: of 64 KiB each they are 2^32 blocks, which leaves a
/// distinguisher a chance of 2^-65.
const MESSAGES_OF_A_KEY: u64 = 1 << 20;
/// What keys are derived for; `specs/network.md`.
const FIRST_KEY: &str = "opendag 2026-11-22 noise transport aes-256-gcm";
const NEXT_KEY: &str = "opendag 2026-11-22 noise transport aes-256-gcm next";

/// A secret that both ends share.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// What messages are sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suite {
    /// What libp2p specifies.
    ChaCha20Poly1305,
    /// Several times as fast where processors have instructions for it, and slow, perhaps not even in constant time,
    /// where they have not.
    Aes256Gcm,
}

impl Suite {
    /// The fastest on this machine.
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        let able = is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq");
        #[cfg(target_arch = "aarch64")]
        let able = std::arch::is_aarch64_feature_detected!("aes")
            && std::arch::is_aarch64_feature_detected!("pmull");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let able = false;
        if able {
            Self::Aes256Gcm
        } else {
            Self::ChaCha20Poly1305
        }
    }
}

/// One direction of a connection: each message has its number, and none is used twice.
pub(super) struct Cipher {
    suite: Suite,
    secret: Key,
    key: LessSafeKey,
    messages: u64,
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Cipher {
    /// `secret` is what the handshake gives for this direction.
    pub(super) fn new(suite: Suite, secret: Key) -> io::Result<Self> {
        let secret = match suite {
            Suite::ChaCha20Poly1305 => secret,
            // A key serves one algorithm only.
            Suite::Aes256Gcm => Zeroizing::new(blake3::derive_key(FIRST_KEY, &*secret)),
        };
        Ok(Self {
            suite,
            key: key(suite, &secret)?,
            secret,
            messages: 0,
        })
    }

    #[cfg(test)]
    pub(super) fn suite(&self) -> Suite {
        self.suite
    }

    /// The number of the next message, as Noise puts it into a nonce.
    fn advance(&mut self) -> io::Result<Nonce> {
        let number = self.messages;
        self.messages = number
            .checked_add(1)
            .ok_or_else(|| broken("a connection has no numbers left"))?;
        let mut nonce = [0; NONCE_LEN];
        let bytes = match self.suite {
            Suite::ChaCha20Poly1305 => number.to_le_bytes(),
            Suite::Aes256Gcm => {
                if number > 0 && number.is_multiple_of(MESSAGES_OF_A_KEY) {
                    self.secret = Zeroizing::new(blake3::derive_key(NEXT_KEY, &*self.secret));
                    self.key = key(self.suite, &self.secret)?;
                }
                number.to_be_bytes()
            }
        };
        if let Some(place) = nonce.last_chunk_mut() {
            *place = bytes;
        }
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    /// Seals a message where it lies.
    pub(super) fn seal(&mut self, message: &mut [u8], tag: &mut [u8]) -> io::Result<()> {
        let nonce = self.advance()?;
        self.key
            .seal_in_place_scatter(nonce, Aad::empty(), message, &[], tag)
            .map_err(|_| broken("a message cannot be sealed"))
    }

    /// Seals a message on its way to `sealed`, which is as long.
    pub(super) fn seal_to(
        &mut self,
        message: &[u8],
        sealed: &mut [u8],
        tag: &mut [u8],
    ) -> io::Result<()> {
        let nonce = self.advance()?;
        self.key
            .seal_out_of_place_scatter(nonce, Aad::empty(), message, sealed, &[], tag)
            .map_err(|_| broken("a message cannot be sealed"))
    }

    /// Opens a message with its tag where it lies. After an error all others fail, too.
    pub(super) fn open(&mut self, sealed: &mut [u8]) -> io::Result<()> {
        let nonce = self.advance()?;
        match self.key.open_in_place(nonce, Aad::empty(), sealed) {
            Ok(_) => Ok(()),
            Err(_) => Err(broken("a message was changed on its way")),
        }
    }

    /// Opens a message on its way to `message`, which is as long. After an error all others fail, too, and what was
    /// written means nothing.
    pub(super) fn open_to(
        &mut self,
        sealed: &[u8],
        tag: &[u8],
        message: &mut [u8],
    ) -> io::Result<()> {
        let nonce = self.advance()?;
        self.key
            .open_separate_gather(nonce, Aad::empty(), sealed, tag, message)
            .map_err(|_| broken("a message was changed on its way"))
    }
}

fn key(suite: Suite, secret: &Key) -> io::Result<LessSafeKey> {
    let algorithm = match suite {
        Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        Suite::Aes256Gcm => &AES_256_GCM,
    };
    let key = UnboundKey::new(algorithm, &**secret).map_err(|_| broken("a key does not fit"))?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests;
