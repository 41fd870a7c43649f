//! Keys of publishers: ed25519 with the strict rules.
//!
//! A [`PublicKey`] is a point in its one canonical encoding that is not of small order, so that no
//! key is valid for every message and no owner can be listed twice under two spellings. As text it is
//! `ed25519:` and base32 in lower case without padding (RFC 4648); in records it is 32 bytes.
//! Source: RFC 8032; `specs/records.md`, section *Keys*.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::{Zeroize, Zeroizing};

/// What the text form of a public key begins with.
const TEXT_PREFIX: &str = "ed25519:";

/// Why bytes or a text are no key, or a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the text form of a public key.
    #[error("this is not a public key (\"ed25519:\" and 52 letters and digits)")]
    NotAKey,
    /// Not a curve point in canonical encoding.
    #[error("these 32 bytes are not an ed25519 public key")]
    NotAPoint,
    /// A point of small order: anybody can sign for it.
    #[error("this public key is of small order: anybody could sign for it")]
    SmallOrder,
    /// The signature is not one of this key over this message.
    #[error("the signature of {key} does not hold")]
    BadSignature {
        /// Whose signature it was said to be.
        key: PublicKey,
    },
}

/// An ed25519 public key: canonical and not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`], [`KeyError::SmallOrder`].
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        if key.to_edwards().compress().to_bytes() != bytes {
            return Err(KeyError::NotAPoint);
        }
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks that `signature` is this key's over `message`, by the strict rules: the scalar is
    /// reduced, the point is not of small order, the equation holds without the cofactor.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`].
    pub fn verify_strict(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        let bad = |_| KeyError::BadSignature { key: *self };
        let key = VerifyingKey::from_bytes(&self.0).map_err(bad)?;
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0))
            .map_err(bad)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = BASE32_NOPAD.encode(&self.0).to_ascii_lowercase();
        write!(f, "{TEXT_PREFIX}{text}")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Parses the one text form that `Display` prints.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.strip_prefix(TEXT_PREFIX).ok_or(KeyError::NotAKey)?;
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(KeyError::NotAKey);
        }
        let bytes = BASE32_NOPAD
            .decode(digits.to_ascii_uppercase().as_bytes())
            .map_err(|_| KeyError::NotAKey)?;
        Self::from_bytes(bytes.try_into().map_err(|_| KeyError::NotAKey)?)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom)
        } else {
            let bytes = serde_bytes::ByteArray::<32>::deserialize(deserializer)?;
            Self::from_bytes(bytes.into_array()).map_err(de::Error::custom)
        }
    }
}

/// An ed25519 signature: 64 bytes, as text hexadecimal. Says nothing until it is verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Wraps 64 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&format_args!("{self:?}"))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            let bytes = data_encoding::HEXLOWER
                .decode(text.as_bytes())
                .map_err(de::Error::custom)?;
            let bytes = bytes.try_into();
            bytes
                .map(Self)
                .map_err(|_| de::Error::custom("a signature has 64 bytes"))
        } else {
            serde_bytes::ByteArray::<64>::deserialize(deserializer)
                .map(|bytes| Self(bytes.into_array()))
        }
    }
}

/// An ed25519 secret key. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A new key from 32 bytes of fresh randomness, which the caller brings.
    #[must_use]
    pub fn generate(mut seed: [u8; 32]) -> Self {
        let key = Self::from_bytes(&seed);
        seed.zeroize();
        key
    }

    /// The key with these bytes, as [`SecretKey::to_bytes`] gave them (the seed of RFC 8032).
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// The 32 secret bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        // A multiple of the base point by a clamped scalar: canonical and never of small order.
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `message`; the same message always gets the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public())
    }
}

#[cfg(test)]
mod tests;
