//! Canonical DAG-CBOR: the one encoding of every record, page and frame.
//!
//! One value has one encoding, so that a hash of the bytes names the value. [`from_slice_canonical`]
//! therefore checks the bytes before it builds anything: heads in their shortest form, map keys that
//! are texts, sorted (shorter first, then by bytes) and unique, no indefinite lengths, no tag but 42
//! with a CID, floats of 64 bits that are finite and not minus zero, texts in UTF-8, nothing after
//! the value. The check keeps its own stack of at most [`CBOR_DEPTH_MAX`], reads each byte once and
//! believes no length that the remaining bytes cannot hold.
//! Source: the DAG-CBOR specification of IPLD, strict form; `specs/records.md`, section *Encoding*.

use std::{cmp::Ordering, collections::TryReserveError, convert::Infallible};

use cid::Cid;
use serde::{Serialize, de::DeserializeOwned};
use serde_ipld_dagcbor::{DecodeError, EncodeError};

use crate::limits::CBOR_DEPTH_MAX;

/// Why a value cannot be encoded, or bytes are not the canonical encoding of the wanted value.
#[derive(Debug, thiserror::Error)]
pub enum CborError {
    /// The value has no DAG-CBOR form.
    #[error("cannot encode a value as DAG-CBOR")]
    Encode(#[source] EncodeError<TryReserveError>),
    /// The bytes are not canonical DAG-CBOR.
    #[error("not canonical DAG-CBOR at byte {offset}: {rule}")]
    NotCanonical {
        /// Where, from the start.
        offset: usize,
        /// What it breaks.
        rule: Rule,
    },
    /// The bytes are canonical DAG-CBOR of something else than the wanted value.
    #[error("cannot decode DAG-CBOR as the wanted value")]
    Decode(#[source] DecodeError<Infallible>),
}

/// A rule of canonical DAG-CBOR that some bytes break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// The bytes end inside a value, or a length is longer than what is left.
    #[error("the bytes end too early")]
    TooShort,
    /// More bytes follow the value.
    #[error("more bytes follow the value")]
    TrailingBytes,
    /// A number or length could be written shorter.
    #[error("a number or length is not in its shortest form")]
    NotShortest,
    /// A length of indefinite form, or a reserved head.
    #[error("indefinite lengths and reserved heads are not allowed")]
    IndefiniteOrReserved,
    /// A map key that is not a text.
    #[error("a map key is not a text")]
    KeyNotText,
    /// A map key that is not after the one before.
    #[error("map keys are not sorted or not unique")]
    KeyOrder,
    /// A text that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A tag other than 42, or one without a canonical CID.
    #[error("the only tag is 42, and it holds a canonical CID")]
    NotACid,
    /// A simple value other than false, true, null, or a float that is not allowed.
    #[error("a simple value or float is not allowed")]
    BadSimple,
    /// Nested deeper than [`CBOR_DEPTH_MAX`].
    #[error("nested too deeply")]
    TooDeep,
}

/// The canonical DAG-CBOR encoding of `value`; struct fields and map keys are sorted.
///
/// # Errors
/// [`CborError::Encode`] for what DAG-CBOR cannot hold: infinite floats, keys that are not texts.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CborError> {
    serde_ipld_dagcbor::to_vec(value).map_err(CborError::Encode)
}

/// Decodes `bytes`, which must be the canonical DAG-CBOR of exactly one value.
///
/// Fields that `T` does not know are ignored unless it denies them, and a field that is `null` reads
/// like one that is absent: whoever must have one encoding for one `T` encodes it again and compares.
/// The caller bounds the size of `bytes`.
///
/// # Errors
/// [`CborError::NotCanonical`] by the rules of the module, [`CborError::Decode`] if it is no `T`.
pub fn from_slice_canonical<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CborError> {
    check_canonical(bytes)?;
    serde_ipld_dagcbor::from_slice(bytes).map_err(CborError::Decode)
}

/// Checks that `bytes` are the canonical DAG-CBOR of exactly one value, without building it.
///
/// # Errors
/// [`CborError::NotCanonical`] with the first rule that is broken.
pub fn check_canonical(bytes: &[u8]) -> Result<(), CborError> {
    let mut reader = Reader { bytes, offset: 0 };
    let mut open: Vec<Open> = Vec::new();
    loop {
        if let Some(inner) = reader.value()? {
            if open.len() >= CBOR_DEPTH_MAX {
                return Err(reader.broken(Rule::TooDeep));
            }
            open.push(inner);
        }
        while open.last().is_some_and(|top| top.left == 0) {
            open.pop();
        }
        let Some(top) = open.last_mut() else { break };
        top.left -= 1;
        if top.is_map {
            let key = reader.key()?;
            if top
                .last_key
                .is_some_and(|last| key_order(last, key) != Ordering::Less)
            {
                return Err(reader.broken(Rule::KeyOrder));
            }
            top.last_key = Some(key);
        }
    }
    if reader.offset == bytes.len() {
        Ok(())
    } else {
        Err(reader.broken(Rule::TrailingBytes))
    }
}

/// Shorter keys first, equally long ones by their bytes (RFC 7049, section 3.9).
fn key_order(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// An array or map that is being read.
struct Open<'a> {
    /// Values (arrays) or pairs (maps) that are still to come.
    left: u64,
    is_map: bool,
    last_key: Option<&'a [u8]>,
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn broken(&self, rule: Rule) -> CborError {
        CborError::NotCanonical {
            offset: self.offset,
            rule,
        }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.offset
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], CborError> {
        let taken = usize::try_from(len)
            .ok()
            .and_then(|len| self.bytes.get(self.offset..)?.get(..len))
            .ok_or_else(|| self.broken(Rule::TooShort))?;
        self.offset += taken.len();
        Ok(taken)
    }

    /// The next head: its major type, the low five bits, and its argument in shortest form.
    fn head(&mut self) -> Result<(u8, u8, u64), CborError> {
        let [first] = self.array::<1>()?;
        let (major, info) = (first >> 5, first & 0x1f);
        let (argument, least) = match info {
            0..=23 => (u64::from(info), 0),
            24 => (u64::from(u8::from_be_bytes(self.array()?)), 24),
            25 => (u64::from(u16::from_be_bytes(self.array()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(self.array()?)), 1 << 16),
            27 => (u64::from_be_bytes(self.array()?), 1 << 32),
            _ => return Err(self.broken(Rule::IndefiniteOrReserved)),
        };
        // The argument of major type 7 is no number: `simple` has its own rules.
        if argument < least && major != 7 {
            return Err(self.broken(Rule::NotShortest));
        }
        Ok((major, info, argument))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let (taken, _) = self
            .bytes
            .get(self.offset..)
            .and_then(<[u8]>::split_first_chunk::<N>)
            .ok_or_else(|| self.broken(Rule::TooShort))?;
        self.offset += N;
        Ok(*taken)
    }

    /// Reads one value that holds no other, or the head of one that does.
    fn value(&mut self) -> Result<Option<Open<'a>>, CborError> {
        let (major, info, argument) = self.head()?;
        match major {
            0 | 1 => {}
            2 => {
                self.take(argument)?;
            }
            3 => self.text(argument).map(drop)?,
            4 => return self.open(argument, false).map(Some),
            5 => return self.open(argument, true).map(Some),
            6 => self.link(argument)?,
            _ => self.simple(info, argument)?,
        }
        Ok(None)
    }

    fn open(&self, left: u64, is_map: bool) -> Result<Open<'a>, CborError> {
        // Each value takes a byte at least, each pair two.
        let least = if is_map {
            left.checked_mul(2)
        } else {
            Some(left)
        };
        let fits = least
            .and_then(|least| usize::try_from(least).ok())
            .is_some_and(|least| least <= self.left());
        if fits {
            Ok(Open {
                left,
                is_map,
                last_key: None,
            })
        } else {
            Err(self.broken(Rule::TooShort))
        }
    }

    fn text(&mut self, len: u64) -> Result<&'a [u8], CborError> {
        let bytes = self.take(len)?;
        match std::str::from_utf8(bytes) {
            Ok(_) => Ok(bytes),
            Err(_) => Err(self.broken(Rule::NotUtf8)),
        }
    }

    fn key(&mut self) -> Result<&'a [u8], CborError> {
        match self.head()? {
            (3, _, len) => self.text(len),
            _ => Err(self.broken(Rule::KeyNotText)),
        }
    }

    /// The byte string after tag 42: a zero byte, then a binary CID.
    fn link(&mut self, tag: u64) -> Result<(), CborError> {
        let (major, _, len) = self.head()?;
        if tag != 42 || major != 2 {
            return Err(self.broken(Rule::NotACid));
        }
        let is_cid = match self.take(len)?.split_first() {
            Some((0, cid)) => Cid::try_from(cid).is_ok_and(|parsed| parsed.to_bytes() == cid),
            Some(_) | None => false,
        };
        if is_cid {
            Ok(())
        } else {
            Err(self.broken(Rule::NotACid))
        }
    }

    fn simple(&self, info: u8, argument: u64) -> Result<(), CborError> {
        let float = f64::from_bits(argument);
        match info {
            20..=22 => Ok(()),
            27 if float.is_finite() && argument != (-0.0_f64).to_bits() => Ok(()),
            _ => Err(self.broken(Rule::BadSimple)),
        }
    }
}

#[cfg(test)]
mod tests;
