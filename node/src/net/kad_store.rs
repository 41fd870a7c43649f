//! What this node keeps for the DHT: bounded, expiring, and never older than before.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    fmt,
};

use libp2p::{
    PeerId,
    kad::{
        KBucketDistance, KBucketKey, ProviderRecord, Record, RecordKey,
        store::{Error, RecordStore, Result},
    },
};
use opendag_protocol::limits::HEAD_BYTES_MAX;
use tokio::time::Instant;

use super::{
    HeadRank, HeadValidator, KeyDenier,
    limits::{
        ADDRESS_BYTES_MAX, ADDRESSES_PER_PROVIDER_MAX, KAD_HEADS_MAX, KAD_KEYS_PER_PROVIDER_MAX,
        KAD_PROVIDED_KEYS_MAX, KAD_PROVIDERS_PER_KEY_MAX,
    },
};

/// Bytes of a key: always a BLAKE3 hash.
const KEY_BYTES: usize = 32;

/// Values and provider records of the DHT, in memory only.
///
/// Our own entries stand outside the bounds, so that strangers cannot crowd them out. Beyond the
/// bounds those farthest from our own id are dropped, which others keep. A value replaces another
/// only if the validator ranks it higher.
pub(super) struct KadStore {
    local: PeerId,
    validate: HeadValidator,
    denies: KeyDenier,
    heads: HashMap<RecordKey, (Record, HeadRank)>,
    /// Keys of heads that others put, by distance from us.
    foreign_heads: BTreeSet<(KBucketDistance, Vec<u8>)>,
    own_provided: HashMap<RecordKey, ProviderRecord>,
    providers: HashMap<RecordKey, Vec<ProviderRecord>>,
    /// Keys of `providers`, by distance from us.
    provider_keys: BTreeSet<(KBucketDistance, Vec<u8>)>,
    keys_per_provider: HashMap<PeerId, usize>,
}

impl fmt::Debug for KadStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KadStore")
            .field("heads", &self.heads.len())
            .field("own_provided", &self.own_provided.len())
            .field("providers", &self.providers.len())
            .finish_non_exhaustive()
    }
}

/// How much a [`KadStore`] keeps.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    pub(super) own_providers: usize,
    pub(super) other_providers: usize,
    pub(super) heads: usize,
}

impl KadStore {
    pub(super) fn kept(&self) -> Kept {
        Kept {
            own_providers: self.own_provided.len(),
            other_providers: self.providers.values().map(Vec::len).sum(),
            heads: self.heads.len(),
        }
    }

    pub(super) fn new(local: PeerId, validate: HeadValidator, denies: KeyDenier) -> Self {
        Self {
            local,
            validate,
            denies,
            heads: HashMap::new(),
            foreign_heads: BTreeSet::new(),
            own_provided: HashMap::new(),
            providers: HashMap::new(),
            provider_keys: BTreeSet::new(),
            keys_per_provider: HashMap::new(),
        }
    }

    /// What was kept of it before it was denied is not told either, and is there again when it is denied no more.
    fn is_denied(&self, key: &RecordKey) -> bool {
        (self.denies)(key.as_ref())
    }

    fn by_distance(&self, key: &RecordKey) -> (KBucketDistance, Vec<u8>) {
        let distance = KBucketKey::new(key.clone()).distance(&KBucketKey::from(self.local));
        (distance, key.to_vec())
    }

    /// Drops what has expired.
    pub(super) fn sweep(&mut self) {
        let now = Instant::now().into_std();
        let dead: Vec<_> = self
            .heads
            .iter()
            .filter(|(_, (head, _))| head.is_expired(now))
            .collect();
        for key in dead
            .into_iter()
            .map(|(key, _)| key.clone())
            .collect::<Vec<_>>()
        {
            self.remove(&key);
        }
        let keys: Vec<_> = self.providers.keys().cloned().collect();
        for key in keys {
            let expired = |record: &&ProviderRecord| record.is_expired(now);
            let records = self.providers.get(&key).map_or(&[][..], Vec::as_slice);
            let dead: Vec<_> = records.iter().filter(expired).map(|r| r.provider).collect();
            for provider in dead {
                self.remove_provider(&key, &provider);
            }
        }
    }

    fn drop_farthest_head(&mut self) {
        if self.foreign_heads.len() > KAD_HEADS_MAX
            && let Some((_, key)) = self.foreign_heads.pop_last()
        {
            self.heads.remove(&RecordKey::from(key));
        }
    }

    fn drop_farthest_provider_key(&mut self) {
        if self.provider_keys.len() > KAD_PROVIDED_KEYS_MAX
            && let Some((_, key)) = self.provider_keys.pop_last()
        {
            for record in self
                .providers
                .remove(&RecordKey::from(key))
                .unwrap_or_default()
            {
                self.forget_provider(&record.provider);
            }
        }
    }

    fn forget_provider(&mut self, provider: &PeerId) {
        if let Some(keys) = self.keys_per_provider.get_mut(provider) {
            *keys -= 1;
            if *keys == 0 {
                self.keys_per_provider.remove(provider);
            }
        }
    }
}

impl RecordStore for KadStore {
    type RecordsIter<'a> = Box<dyn Iterator<Item = Cow<'a, Record>> + 'a>;
    type ProvidedIter<'a> = Box<dyn Iterator<Item = Cow<'a, ProviderRecord>> + 'a>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let found = self.heads.get(key).filter(|_| !self.is_denied(key));
        found.map(|(record, _)| Cow::Borrowed(record))
    }

    fn put(&mut self, record: Record) -> Result<()> {
        if record.value.len() > HEAD_BYTES_MAX || record.key.as_ref().len() != KEY_BYTES {
            return Err(Error::ValueTooLarge);
        }
        if let Some((known, _)) = self.heads.get_mut(&record.key)
            && known.value == record.value
        {
            known.expires = known.expires.max(record.expires);
            return Ok(());
        }
        let Some(rank) = (self.validate)(record.key.as_ref(), &record.value) else {
            return Err(Error::ValueTooLarge);
        };
        if self
            .heads
            .get(&record.key)
            .is_some_and(|(_, known)| *known >= rank)
        {
            // Not an error for whoever sent it: we have something newer.
            return Ok(());
        }
        let (own, place) = (
            record.publisher == Some(self.local),
            self.by_distance(&record.key),
        );
        self.heads.insert(record.key.clone(), (record, rank));
        if own {
            self.foreign_heads.remove(&place);
        } else {
            self.foreign_heads.insert(place);
            self.drop_farthest_head();
        }
        Ok(())
    }

    fn remove(&mut self, key: &RecordKey) {
        self.heads.remove(key);
        self.foreign_heads.remove(&self.by_distance(key));
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        Box::new(self.heads.values().map(|(record, _)| Cow::Borrowed(record)))
    }

    fn add_provider(&mut self, mut record: ProviderRecord) -> Result<()> {
        if record.key.as_ref().len() != KEY_BYTES {
            return Err(Error::ValueTooLarge);
        }
        if record.provider == self.local {
            self.own_provided.insert(record.key.clone(), record);
            return Ok(());
        }
        if self.is_denied(&record.key) {
            return Err(Error::MaxProvidedKeys);
        }
        record
            .addresses
            .retain(|addr| addr.len() <= ADDRESS_BYTES_MAX);
        record.addresses.truncate(ADDRESSES_PER_PROVIDER_MAX);
        let known = self.providers.entry(record.key.clone()).or_default();
        if let Some(same) = known
            .iter_mut()
            .find(|known| known.provider == record.provider)
        {
            *same = record;
            return Ok(());
        }
        let keys = self
            .keys_per_provider
            .get(&record.provider)
            .copied()
            .unwrap_or_default();
        if known.len() >= KAD_PROVIDERS_PER_KEY_MAX || keys >= KAD_KEYS_PER_PROVIDER_MAX {
            if known.is_empty() {
                self.providers.remove(&record.key);
            }
            return Err(Error::MaxProvidedKeys);
        }
        *self.keys_per_provider.entry(record.provider).or_default() += 1;
        let key = record.key.clone();
        known.push(record);
        self.provider_keys.insert(self.by_distance(&key));
        self.drop_farthest_provider_key();
        Ok(())
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        if self.is_denied(key) {
            return Vec::new();
        }
        let own = self.own_provided.get(key).into_iter();
        own.chain(self.providers.get(key).into_iter().flatten())
            .cloned()
            .collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        Box::new(self.own_provided.values().map(Cow::Borrowed))
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if *provider == self.local {
            self.own_provided.remove(key);
            return;
        }
        let Some(known) = self.providers.get_mut(key) else {
            return;
        };
        let before = known.len();
        known.retain(|record| record.provider != *provider);
        let (removed, empty) = (known.len() < before, known.is_empty());
        if removed {
            self.forget_provider(provider);
        }
        if empty {
            self.providers.remove(key);
            self.provider_keys.remove(&self.by_distance(key));
        }
    }
}
