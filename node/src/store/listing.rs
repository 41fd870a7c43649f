//! Pages of what is known of datasets: their ids and names, each with a slash behind it, in the order of bytes,
//! as S3 lists them. A page costs what it holds, however many datasets are known.

use opendag_protocol::{DatasetId, Hash};

use super::{
    catalogue::{NAME_END, hash},
    index::{IndexError, Table},
    open::{Store, StoreError},
};

/// Ids that are sorted at once.
const GROUP_MAX: usize = 1024;
/// What stands before the hash in an id, in bits, of which each character of the text has five.
const HEAD_BITS: u32 = 32;
/// Bits in a character.
const CHARACTER_BITS: u32 = 5;

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    /// Beginning with this,
    pub(crate) prefix: &'a str,
    /// behind this,
    pub(crate) after: &'a str,
    /// so many at most.
    pub(crate) max: usize,
}

impl Part<'_> {
    fn has(&self, text: &str) -> bool {
        text.starts_with(self.prefix) && text > self.after
    }
}

impl Store {
    /// The ids of known datasets as text, each with a slash behind it. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub(crate) fn listed_ids(
        &self,
        part: &Part<'_>,
        is_listed: impl Fn(&DatasetId) -> bool,
    ) -> Result<Vec<String>, StoreError> {
        // The order of texts is not that of hashes: digits stand for more than letters, and before them.
        let mut groups = vec![Group::ALL];
        let mut listed = Vec::new();
        while listed.len() < part.max
            && let Some(group) = groups.pop()
        {
            if !group.may_have(part) {
                continue;
            }
            let ids = self.group(&group)?;
            if ids.len() > GROUP_MAX {
                groups.extend(group.parts().into_iter().rev());
                continue;
            }
            let listed_ids = ids.iter().filter(|id| is_listed(id));
            let mut texts: Vec<_> = listed_ids.map(|id| format!("{id}/")).collect();
            texts.retain(|text| part.has(text));
            texts.sort_unstable();
            listed.extend(texts);
        }
        listed.truncate(part.max);
        Ok(listed)
    }

    /// The datasets of a group: all, or, if it has parts, one more than are sorted at once.
    fn group(&self, group: &Group) -> Result<Vec<DatasetId>, IndexError> {
        let (first, end) = (group.first(), group.end());
        let most = match group.has_parts() {
            true => GROUP_MAX + 1,
            false => GROUP_MAX,
        };
        let mut ids = Vec::new();
        let keys = self.inner.index.keys_from(Table::Datasets, &first);
        for key in keys.take(most) {
            let key = key?;
            if end.is_some_and(|end| *key >= *end.as_slice()) {
                break;
            }
            ids.extend(hash(&key).map(DatasetId::from_hash));
        }
        Ok(ids)
    }

    /// The names of known datasets, each with a slash behind it, and the datasets of that name. Here `part.max`
    /// counts datasets, and those of the last name are all there. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub(crate) fn listed_names(
        &self,
        part: &Part<'_>,
    ) -> Result<Vec<(String, Vec<DatasetId>)>, StoreError> {
        // A name that is over is not gone through again, however many datasets have it: `0` is behind `/`.
        let behind = match part.after.split_once('/') {
            Some((name, _)) => format!("{name}0"),
            None => part.after.to_owned(),
        };
        let from = behind.as_str().max(part.prefix);
        let keys = self.inner.index.keys_from(Table::Names, from.as_bytes());
        let mut listed: Vec<(String, Vec<DatasetId>)> = Vec::new();
        let mut count = 0;
        for key in keys {
            let Some((name, id)) = name_and_id(&key?) else {
                continue;
            };
            if !name.starts_with(part.prefix) {
                break;
            }
            match listed.last_mut() {
                Some((last, ids)) if *last == name => ids.push(id),
                _ if count >= part.max => break,
                _ if part.has(&name) => listed.push((name, vec![id])),
                _ => continue,
            }
            count += 1;
        }
        Ok(listed)
    }
}

/// What a row of the names says.
fn name_and_id(key: &[u8]) -> Option<(String, DatasetId)> {
    let (name, id) = key.split_at_checked(key.len().checked_sub(32)?)?;
    if !name.ends_with(NAME_END) {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?.to_owned();
    Some((name, DatasetId::from_hash(hash(id)?)))
}

/// Datasets whose hashes begin with the same bits, and whose texts so begin with the same characters.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// The bits, at the top of the number.
    bits: u64,
    /// How many.
    count: u32,
}

impl Group {
    const ALL: Self = Self { bits: 0, count: 0 };

    /// The first key.
    fn first(&self) -> [u8; 32] {
        let mut key = [0; 32];
        for (byte, bits) in key.iter_mut().zip(self.bits.to_be_bytes()) {
            *byte = bits;
        }
        key
    }

    /// The first key behind it, if there is any.
    fn end(&self) -> Option<[u8; 32]> {
        let step = 1_u64.checked_shl(u64::BITS - self.count)?;
        let (bits, count) = (self.bits.checked_add(step)?, self.count);
        Some(Self { bits, count }.first())
    }

    /// The characters with which the texts of its ids begin.
    fn text(&self) -> String {
        let mut text = DatasetId::from_hash(Hash::from_bytes(self.first())).to_string();
        let known = (HEAD_BITS + self.count) / CHARACTER_BITS;
        // Behind the `b` that names the base.
        text.truncate(usize::try_from(known).map_or(0, |known| known.saturating_add(1)));
        text
    }

    /// Can it be told apart by one more character? Nobody finds a thousand ids that agree in 63 bits.
    const fn has_parts(&self) -> bool {
        self.count + CHARACTER_BITS <= u64::BITS
    }

    fn may_have(&self, part: &Part<'_>) -> bool {
        let text = self.text();
        let fits = text.starts_with(part.prefix) || part.prefix.starts_with(&text);
        fits && (text.as_str() >= part.after || part.after.starts_with(&text))
    }

    /// The groups with one more character, in the order of their texts.
    fn parts(&self) -> Vec<Self> {
        let width = CHARACTER_BITS - (HEAD_BITS + self.count) % CHARACTER_BITS;
        let count = self.count + width;
        let part = |bits: u64| Self {
            bits: self.bits | bits << (u64::BITS - count),
            count,
        };
        let mut parts: Vec<_> = (0..1_u64 << width).map(part).collect();
        parts.sort_by_cached_key(Self::text);
        parts
    }
}

#[cfg(test)]
mod tests;
