//! Exchange formats: the signed records of a version, field by field, as JSON, XML or Protobuf.
//!
//! All three are encodings of one [`Document`]. Nothing is lost on the way: out of its fields the payload
//! and the envelope of each record are built again, byte for byte, and every signature must hold over
//! them. So a document says nothing that the owners did not sign, whoever wrote it. Beside the records
//! it may carry the blobs that describe the version: its file table and its card.
//! Source: `specs/exchange.md`.

mod carried;
mod entry;
mod error;
mod fields;
mod text;
mod xml;

use prost::Message as _;

pub use self::{
    carried::Carried,
    entry::{
        BlobEntry, DerivationEntry, Document, HeadEntry, ManifestEntry, OwnerRecordEntry,
        SignatureEntry,
    },
    error::ExchangeError,
};
use crate::limits::EXCHANGE_BYTES_MAX;

/// What a document says about itself.
const FORMAT: &str = "opendag-manifest/1";
/// What it begins with in every version of the format.
const FORMAT_NAME: &str = "opendag-manifest/";

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON, to be read by people and nearly every program.
    Json,
    /// XML, by `specs/manifest.xsd`.
    Xml,
    /// Protocol Buffers, by `specs/manifest.proto`.
    Protobuf,
}

impl Encoding {
    /// The encoding of a document, by its first bytes; `None` if they begin no document of these formats.
    #[must_use]
    pub fn of(beginning: &[u8]) -> Option<Self> {
        let text = beginning.trim_ascii_start();
        if text.starts_with(b"<?xml") || text.starts_with(b"<opendag-manifest") {
            return Some(Self::Xml);
        }
        // The first field of the message, its length, and the text.
        if let [0x0a, _, rest @ ..] = beginning
            && rest.starts_with(FORMAT_NAME.as_bytes())
        {
            return Some(Self::Protobuf);
        }
        text.starts_with(b"{").then_some(Self::Json)
    }
}

/// Do the first 64 bytes of a file look like a document that this program wrote?
#[must_use]
pub fn looks_like(beginning: &[u8]) -> bool {
    if Encoding::of(beginning) == Some(Encoding::Protobuf) {
        return true;
    }
    let text: Vec<u8> = beginning
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let begins = |with: &str| text.starts_with(with.as_bytes());
    begins(&format!("{{\"format\":\"{FORMAT_NAME}"))
        || begins("<?xmlversion=\"1.0\"encoding=\"UTF-8\"?><opendag-manifest>")
        || begins("<opendag-manifest>")
}

impl Document {
    /// Writes it; the same document has the same bytes each time.
    ///
    /// # Errors
    /// [`ExchangeError::Write`], [`ExchangeError::TooLarge`].
    pub fn write(&self, encoding: Encoding) -> Result<Vec<u8>, ExchangeError> {
        let bytes = match encoding {
            Encoding::Json => {
                let mut text = serde_json::to_vec_pretty(self).map_err(ExchangeError::write)?;
                text.push(b'\n');
                text
            }
            Encoding::Xml => xml::write(self)?.into_bytes(),
            Encoding::Protobuf => self.encode_to_vec(),
        };
        check_size(&bytes)?;
        Ok(bytes)
    }

    /// Reads one of any encoding. Nothing of it is verified yet: see [`Document::open`].
    ///
    /// # Errors
    /// [`ExchangeError`] about size, form and version.
    pub fn read(bytes: &[u8]) -> Result<Self, ExchangeError> {
        check_size(bytes)?;
        let document = match Encoding::of(bytes).ok_or(ExchangeError::NoDocument)? {
            Encoding::Json => serde_json::from_slice(bytes).map_err(ExchangeError::Json)?,
            Encoding::Xml => xml::read(bytes)?,
            Encoding::Protobuf => {
                let message = Self::decode(bytes).map_err(ExchangeError::Protobuf)?;
                // Protobuf has many spellings of one message, and skips what it does not know.
                if message.encode_to_vec() != bytes {
                    return Err(ExchangeError::NotCanonical);
                }
                message
            }
        };
        if document.format == FORMAT {
            Ok(document)
        } else {
            Err(ExchangeError::Version {
                format: document.format.chars().take(64).collect(),
            })
        }
    }
}

fn check_size(bytes: &[u8]) -> Result<(), ExchangeError> {
    if bytes.len() > EXCHANGE_BYTES_MAX {
        return Err(ExchangeError::TooLarge);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
