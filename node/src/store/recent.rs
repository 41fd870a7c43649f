//! What was read of the store lately: what is read again soon, and is the same, is not verified again. Verifying a
//! signature takes a hundred times as long as reading it.

use std::sync::{Mutex, PoisonError};

use opendag_protocol::Hash;

/// Values by their keys: each key has one slot, which it shares with others.
#[derive(Debug)]
pub(super) struct Recent<T>(Box<[Mutex<Option<Slot<T>>>]>);

#[derive(Debug)]
struct Slot<T> {
    bytes: Box<[u8]>,
    value: T,
}

impl<T: Clone> Recent<T> {
    /// Remembers at most so many.
    pub(super) fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| Mutex::default()).collect())
    }

    /// What these bytes mean, which lie under `key`; `None` if nothing, which is not remembered.
    pub(super) fn read(
        &self,
        key: &Hash,
        bytes: &[u8],
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let Some(slot) = self.slot(key) else {
            return decode(bytes);
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = slot.as_ref().filter(|known| *known.bytes == *bytes) {
            return Some(known.value.clone());
        }
        let value = decode(bytes)?;
        *slot = Some(Slot {
            bytes: bytes.into(),
            value: value.clone(),
        });
        Some(value)
    }

    fn slot(&self, key: &Hash) -> Option<&Mutex<Option<Slot<T>>>> {
        let (first, _) = key.as_bytes().split_first_chunk()?;
        let slots = u64::try_from(self.0.len()).ok()?;
        let at = u64::from_le_bytes(*first).checked_rem(slots)?;
        self.0.get(usize::try_from(at).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_same_is_not_decoded_again() {
        let recent = Recent::new(4);
        let key = Hash::of(b"key");
        let mut decoded = 0;
        let mut read = |bytes: &[u8]| {
            recent.read(&key, bytes, |bytes| {
                decoded += 1;
                (bytes != b"bad").then_some(bytes.len())
            })
        };
        assert_eq!(read(b"four"), Some(4));
        assert_eq!(read(b"four"), Some(4));
        // It is not taken for the last good one, nor does it take its place.
        assert_eq!(read(b"bad"), None);
        assert_eq!(read(b"bad"), None);
        assert_eq!(read(b"four"), Some(4));
        assert_eq!(read(b"other"), Some(5));
        assert_eq!(decoded, 4);
    }

    #[test]
    fn keys_that_share_a_slot_do_not_get_what_is_of_the_other() {
        let recent = Recent::new(1);
        let decode = |bytes: &[u8]| Some(bytes.to_vec());
        for bytes in [b"a", b"b", b"a"] {
            let read = recent.read(&Hash::of(bytes), bytes, decode);
            assert_eq!(read.as_deref(), Some(&bytes[..]));
        }
    }
}
