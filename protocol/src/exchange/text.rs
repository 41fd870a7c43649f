//! How bytes are written where a format has texts only: ids, keys, signatures, and what is no text at all.
//! Each module is one for serde's `with`.

use serde::{Deserialize, Deserializer, Serializer, de, ser};

/// A way to write bytes as text, and back.
trait Coding {
    /// `None` for bytes that have no such text.
    fn write(bytes: &[u8]) -> Option<String>;
    /// `None` for texts that are not the one that [`Coding::write`] gives.
    fn read(text: &str) -> Option<Vec<u8>>;
    /// What the text should have been.
    const WHAT: &'static str;
}

fn serialize<C: Coding, S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let text = C::write(bytes).ok_or_else(|| ser::Error::custom(C::WHAT))?;
    serializer.serialize_str(&text)
}

fn read<C: Coding, E: de::Error>(text: &str) -> Result<Vec<u8>, E> {
    C::read(text).ok_or_else(|| E::custom(format_args!("this is not {}", C::WHAT)))
}

macro_rules! coding {
    ($name:ident, $coding:ty) => {
        pub(super) mod $name {
            use super::*;

            pub(in crate::exchange) fn serialize<S: Serializer>(
                bytes: &[u8],
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                super::serialize::<$coding, S>(bytes, serializer)
            }

            pub(in crate::exchange) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Vec<u8>, D::Error> {
                read::<$coding, D::Error>(&String::deserialize(deserializer)?)
            }
        }
    };
}

coding!(cid, Cid);
coding!(key, Key);
coding!(hex, Hex);
coding!(base64, Base64);

/// A list of keys.
pub(super) mod keys {
    use super::*;

    pub(in crate::exchange) fn serialize<S: Serializer>(
        keys: &[Vec<u8>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = |key: &Vec<u8>| Key::write(key).ok_or_else(|| ser::Error::custom(Key::WHAT));
        let texts = keys.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        serializer.collect_seq(texts)
    }

    pub(in crate::exchange) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts
            .iter()
            .map(|text| read::<Key, D::Error>(text))
            .collect()
    }
}

/// CIDs in base32.
struct Cid;

impl Coding for Cid {
    const WHAT: &'static str = "an id (a text that begins with \"bafyr4i\" or \"bafkr4i\")";

    fn write(bytes: &[u8]) -> Option<String> {
        Some(::cid::Cid::try_from(bytes).ok()?.to_string())
    }

    fn read(text: &str) -> Option<Vec<u8>> {
        let cid = ::cid::Cid::try_from(text).ok()?;
        (cid.to_string() == text).then(|| cid.to_bytes())
    }
}

/// Public keys.
struct Key;

impl Coding for Key {
    const WHAT: &'static str = "a public key (\"ed25519:\" and 52 letters and digits)";

    fn write(bytes: &[u8]) -> Option<String> {
        let bytes = bytes.try_into().ok()?;
        let key = crate::key::PublicKey::from_bytes(bytes).ok()?;
        Some(key.to_string())
    }

    fn read(text: &str) -> Option<Vec<u8>> {
        let key: crate::key::PublicKey = text.parse().ok()?;
        Some(key.as_bytes().to_vec())
    }
}

/// Hexadecimal digits in lower case.
struct Hex;

impl Coding for Hex {
    const WHAT: &'static str = "a signature (hexadecimal digits in lower case)";

    fn write(bytes: &[u8]) -> Option<String> {
        Some(data_encoding::HEXLOWER.encode(bytes))
    }

    fn read(text: &str) -> Option<Vec<u8>> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).ok()
    }
}

/// Base64 with padding.
struct Base64;

impl Coding for Base64 {
    const WHAT: &'static str = "base64";

    fn write(bytes: &[u8]) -> Option<String> {
        Some(data_encoding::BASE64.encode(bytes))
    }

    fn read(text: &str) -> Option<Vec<u8>> {
        data_encoding::BASE64.decode(text.as_bytes()).ok()
    }
}
