//! Between the payload of a record and its fields one by one. What no field takes is kept as it is.

use std::collections::BTreeMap;

use cid::Cid;
use ipld_core::ipld::Ipld;
use serde_bytes::ByteBuf;

use super::entry::DerivationEntry;
use crate::cbor;

/// Something that cannot be in a record: the name of the field.
pub(super) type Bad = &'static str;

/// The fields of a map that are still to be taken, or have been put.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<String, Ipld>);

impl Fields {
    /// The fields of a payload. Of what is no map nothing can be taken, and nothing is equal to it.
    pub(super) fn of(payload: &[u8]) -> Self {
        let mut fields: BTreeMap<String, Ipld> =
            cbor::from_slice_canonical(payload).unwrap_or_default();
        fields.remove("type");
        fields.remove("version");
        Self(fields)
    }

    pub(super) fn take_text(&mut self, name: &str) -> String {
        match self.0.remove(name) {
            Some(Ipld::String(text)) => text,
            Some(_) | None => String::new(),
        }
    }

    pub(super) fn take_number(&mut self, name: &str) -> u64 {
        match self.0.remove(name) {
            Some(Ipld::Integer(number)) => u64::try_from(number).unwrap_or_default(),
            Some(_) | None => 0,
        }
    }

    pub(super) fn take_link(&mut self, name: &str) -> Vec<u8> {
        match self.0.remove(name) {
            Some(Ipld::Link(cid)) => cid.to_bytes(),
            Some(_) | None => Vec::new(),
        }
    }

    fn take_list(&mut self, name: &str) -> Vec<Ipld> {
        match self.0.remove(name) {
            Some(Ipld::List(items)) => items,
            Some(_) | None => Vec::new(),
        }
    }

    pub(super) fn take_texts(&mut self, name: &str) -> Vec<String> {
        let text = |item| match item {
            Ipld::String(text) => Some(text),
            _ => None,
        };
        self.take_list(name).into_iter().filter_map(text).collect()
    }

    pub(super) fn take_keys(&mut self, name: &str) -> Vec<Vec<u8>> {
        let bytes = |item| match item {
            Ipld::Bytes(bytes) => Some(bytes),
            _ => None,
        };
        self.take_list(name).into_iter().filter_map(bytes).collect()
    }

    pub(super) fn take_derivations(&mut self, name: &str) -> Vec<DerivationEntry> {
        let derivation = |item| match item {
            Ipld::Map(map) => {
                let mut fields = Self(map);
                Some(DerivationEntry {
                    manifest: fields.take_link("manifest"),
                    how: fields.take_text("how"),
                    unknown: fields.rest(),
                })
            }
            _ => None,
        };
        let items = self.take_list(name).into_iter();
        items.filter_map(derivation).collect()
    }

    /// What was not taken, in canonical DAG-CBOR; nothing if all was.
    pub(super) fn rest(self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        // What was decoded can be encoded.
        cbor::to_vec(&self.0).unwrap_or_default()
    }

    /// Begins with what [`Fields::rest`] gave.
    pub(super) fn with_rest(rest: &[u8]) -> Result<Self, Bad> {
        if rest.is_empty() {
            return Ok(Self::default());
        }
        let fields: BTreeMap<String, Ipld> =
            cbor::from_slice_canonical(rest).map_err(|_| "unknown")?;
        // An empty one would be a second way to say that there is none.
        if fields.is_empty() {
            return Err("unknown");
        }
        Ok(Self(fields))
    }

    fn put(&mut self, name: Bad, value: Ipld) -> Result<(), Bad> {
        match self.0.insert(name.to_owned(), value) {
            None => Ok(()),
            // What is known must not stand among what is unknown.
            Some(_) => Err("unknown"),
        }
    }

    pub(super) fn put_text(&mut self, name: Bad, text: &str) -> Result<(), Bad> {
        match text {
            "" => self.leave(name),
            text => self.put(name, Ipld::String(text.to_owned())),
        }
    }

    pub(super) fn put_number(&mut self, name: Bad, number: u64) -> Result<(), Bad> {
        self.put(name, Ipld::Integer(number.into()))
    }

    pub(super) fn put_link(&mut self, name: Bad, link: &[u8]) -> Result<(), Bad> {
        if link.is_empty() {
            return self.leave(name);
        }
        let cid = Cid::try_from(link).map_err(|_| name)?;
        self.put(name, Ipld::Link(cid))
    }

    fn put_list(&mut self, name: Bad, items: Vec<Ipld>) -> Result<(), Bad> {
        if items.is_empty() {
            return self.leave(name);
        }
        self.put(name, Ipld::List(items))
    }

    pub(super) fn put_texts(&mut self, name: Bad, texts: &[String]) -> Result<(), Bad> {
        let items = texts.iter().cloned().map(Ipld::String);
        self.put_list(name, items.collect())
    }

    pub(super) fn put_keys(&mut self, name: Bad, keys: &[Vec<u8>]) -> Result<(), Bad> {
        let items = keys.iter().cloned().map(Ipld::Bytes);
        self.put_list(name, items.collect())
    }

    pub(super) fn put_derivations(
        &mut self,
        name: Bad,
        derivations: &[DerivationEntry],
    ) -> Result<(), Bad> {
        let item = |derivation: &DerivationEntry| {
            let mut fields = Self::with_rest(&derivation.unknown)?;
            fields.put_link("manifest", &derivation.manifest)?;
            fields.put_text("how", &derivation.how)?;
            Ok(Ipld::Map(fields.0))
        };
        let items = derivations.iter().map(item).collect::<Result<_, Bad>>()?;
        self.put_list(name, items)
    }

    /// A field that is absent must not stand among what is unknown either.
    fn leave(&self, name: Bad) -> Result<(), Bad> {
        match self.0.contains_key(name) {
            true => Err("unknown"),
            false => Ok(()),
        }
    }

    /// The payload of a record of this type with these fields.
    pub(super) fn payload(mut self, kind: &str) -> Result<ByteBuf, Bad> {
        self.put("type", Ipld::String(kind.to_owned()))?;
        self.put_number("version", crate::record::VERSION)?;
        cbor::to_vec(&self.0)
            .map(ByteBuf::from)
            .map_err(|_| "unknown")
    }
}
