//! The schema of JSON Lines, learned from its first lines.

use std::fmt;

use opendag_protocol::schema::{
    DEPTH_MAX, FIELDS_MAX, Field, Kind, NAME_BYTES_MAX, Schema, SchemaError, Type,
};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::unpack::Sample;

/// Lines that are looked at.
const LINES_MAX: usize = 1000;

/// The schema of the records in a sample; `None` if no line ends in it.
pub(super) fn schema(sample: &Sample) -> Result<Option<Schema>, SchemaError> {
    let mut joined: Option<Type> = None;
    for line in lines(sample).take(LINES_MAX) {
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let seen = Seen { depth: 0 }
            .deserialize(&mut deserializer)
            .and_then(|seen| deserializer.end().map(|()| seen))
            .map_err(|_| SchemaError::Malformed)?;
        joined = Some(match joined {
            None => seen,
            Some(joined) => joined.join(seen),
        });
    }
    match joined {
        None => Ok(None),
        Some(Type {
            kind: Kind::Record(fields),
            lists: 0,
        }) => Schema::new(fields).map(Some),
        Some(_) => Err(SchemaError::Malformed),
    }
}

/// Lines with something in them; of a text that goes on, those that end.
fn lines(sample: &Sample) -> impl Iterator<Item = &[u8]> {
    let text = sample.text();
    let end = match sample.is_whole() {
        true => text.len(),
        false => text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0),
    };
    let lines = text
        .get(..end)
        .unwrap_or_default()
        .split(|byte| *byte == b'\n');
    lines
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
}

/// What a JSON value is, without keeping it.
#[derive(Clone, Copy)]
struct Seen {
    /// Levels around it. `serde_json` itself stops at 128.
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seen {
    type Value = Type;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Type, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seen {
    type Value = Type;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Type, E> {
        Ok(Type::NULL)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Type, E> {
        Ok(Kind::Boolean.into())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Type, E> {
        Ok(Type::INTEGER)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Type, E> {
        Ok(Type::INTEGER)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Type, E> {
        Ok(Type::FLOAT)
    }

    fn visit_str<E>(self, _: &str) -> Result<Type, E> {
        Ok(Kind::Text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Type, A::Error> {
        if self.depth >= DEPTH_MAX {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Kind::Other.into());
        }
        let below = Self {
            depth: self.depth + 1,
        };
        let mut joined = Type::NULL;
        while let Some(element) = seq.next_element_seed(below)? {
            joined = joined.join(element);
        }
        Ok(joined.listed())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Type, A::Error> {
        if self.depth >= DEPTH_MAX {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Kind::Other.into());
        }
        let below = Self {
            depth: self.depth + 1,
        };
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let ty = map.next_value_seed(below)?;
            if name.len() > NAME_BYTES_MAX || fields.len() >= FIELDS_MAX {
                return Err(serde::de::Error::custom("long names, or too many"));
            }
            let optional = ty == Type::NULL;
            fields.push(Field { name, ty, optional });
        }
        Ok(Kind::Record(fields).into())
    }
}
