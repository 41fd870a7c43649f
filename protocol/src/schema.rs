//! What the records of a file look like: its fields and their types, whatever format it has.
//!
//! A value of its own, so that the schemas of two versions can be compared. Each format has its reader:
//! Parquet says it in its footer ([`parquet`]); of text it is learned record by record ([`Type::join`]).
//! Files come from strangers: the number of fields, their depth and their names are bounded.

pub mod compare;
pub mod parquet;

use std::collections::BTreeSet;

/// Fields of a schema, those inside of others included. Wider tables exist and are rare; a schema of so
/// many fields takes some 100 KB.
pub const FIELDS_MAX: usize = 2048;
/// Levels of fields and lists inside of each other. Nothing that people read goes deeper, and what walks
/// a schema may do so by recursion.
pub const DEPTH_MAX: usize = 16;
/// Bytes of the name of a field.
pub const NAME_BYTES_MAX: usize = 256;

/// The fields of the records of a file, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    fields: Vec<Field>,
}

/// A named part of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name; unique among its siblings.
    pub name: String,
    /// What its values are.
    pub ty: Type,
    /// May a record lack it or have no value in it?
    pub optional: bool,
}

/// What values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// One value, or one inside of all lists.
    pub kind: Kind,
    /// Lists around it: 0 for a single value, 1 for a list of them, 2 for a list of lists.
    pub lists: u8,
}

/// A kind of value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value was seen.
    Null,
    /// True or false.
    Boolean,
    /// A whole number. Text says no width: 64 bits, signed.
    Integer {
        /// 8 to 64.
        bits: u8,
        /// Can it be negative?
        signed: bool,
    },
    /// A binary floating-point number. Text says no width: 64 bits.
    Float {
        /// 16 to 64.
        bits: u8,
    },
    /// An exact decimal number.
    Decimal,
    /// Text.
    Text,
    /// Bytes.
    Binary,
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// A point in time.
    DateTime,
    /// A record inside of the record.
    Record(Vec<Field>),
    /// Keys and values: what the two are called and are.
    Map(Vec<Field>),
    /// Values of several kinds, or of one that is none of these.
    Other,
}

/// Why something is no schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// More than [`FIELDS_MAX`] fields.
    #[error("it has more than {FIELDS_MAX} fields")]
    Fields,
    /// More than [`DEPTH_MAX`] levels.
    #[error("its fields lie more than {DEPTH_MAX} levels deep")]
    Depth,
    /// A name that is empty, longer than [`NAME_BYTES_MAX`], not UTF-8, or that two siblings share.
    #[error("its fields have no distinct names of at most {NAME_BYTES_MAX} bytes")]
    Name,
    /// It is not of the format that it should be.
    #[error("it is not of the format that its name says")]
    Malformed,
}

impl Schema {
    /// A schema of these fields.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub fn new(fields: Vec<Field>) -> Result<Self, SchemaError> {
        let mut left = FIELDS_MAX;
        // Whole lists of siblings that are still to be looked at, with their depth.
        let mut waiting = vec![(fields.as_slice(), 1)];
        while let Some((siblings, depth)) = waiting.pop() {
            left = left
                .checked_sub(siblings.len())
                .ok_or(SchemaError::Fields)?;
            let names: BTreeSet<_> = siblings.iter().map(|field| &field.name).collect();
            let is_name = |name: &&String| (1..=NAME_BYTES_MAX).contains(&name.len());
            if names.len() != siblings.len() || !names.iter().all(is_name) {
                return Err(SchemaError::Name);
            }
            for field in siblings {
                let depth = depth + usize::from(field.ty.lists);
                if depth > DEPTH_MAX {
                    return Err(SchemaError::Depth);
                }
                if let Kind::Record(below) | Kind::Map(below) = &field.ty.kind {
                    waiting.push((below, depth + 1));
                }
            }
        }
        Ok(Self { fields })
    }

    /// Its fields.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All fields, those inside of others included.
    #[must_use]
    pub fn count(&self) -> usize {
        let mut count = 0_usize;
        let mut waiting = vec![self.fields.as_slice()];
        while let Some(siblings) = waiting.pop() {
            count = count.saturating_add(siblings.len());
            for field in siblings {
                if let Kind::Record(below) | Kind::Map(below) = &field.ty.kind {
                    waiting.push(below);
                }
            }
        }
        count
    }
}

impl From<Kind> for Type {
    fn from(kind: Kind) -> Self {
        Self { kind, lists: 0 }
    }
}

impl Type {
    /// A whole number in text.
    pub const INTEGER: Self = Self {
        kind: Kind::Integer {
            bits: 64,
            signed: true,
        },
        lists: 0,
    };
    /// A number in text that is not whole.
    pub const FLOAT: Self = Self {
        kind: Kind::Float { bits: 64 },
        lists: 0,
    };
    /// Nothing was seen.
    pub const NULL: Self = Self {
        kind: Kind::Null,
        lists: 0,
    };

    /// A list of such values.
    #[must_use]
    pub fn listed(mut self) -> Self {
        self.lists = self.lists.saturating_add(1);
        self
    }

    /// The type of values that are of either type.
    ///
    /// What was not seen is whatever the other is; whole numbers are numbers; records have all fields of
    /// both, of which those that one lacks are optional; what else differs is [`Kind::Other`].
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (&self.kind, &other.kind) {
            (Kind::Null, _) if self.lists <= other.lists => other,
            (_, Kind::Null) if other.lists <= self.lists => self,
            _ if self.lists != other.lists => Kind::Other.into(),
            _ => Self {
                lists: self.lists,
                kind: self.kind.join(other.kind),
            },
        }
    }
}

impl Kind {
    fn join(self, other: Self) -> Self {
        match (self, other) {
            // Its depth is that of the records, which whoever reads them bounds.
            (Self::Record(fields), Self::Record(others)) => {
                joined(fields, others).map_or(Self::Other, Self::Record)
            }
            (one, other) if one == other => one,
            (one, other) if one.is_number() && other.is_number() => Self::Float { bits: 64 },
            _ => Self::Other,
        }
    }

    const fn is_number(&self) -> bool {
        matches!(self, Self::Integer { .. } | Self::Float { .. })
    }
}

/// The fields of records of which some have one set of fields and some another; `None` if they are too many,
/// since each costs a search.
fn joined(mut fields: Vec<Field>, others: Vec<Field>) -> Option<Vec<Field>> {
    let mut seen = vec![false; fields.len()];
    for (at, other) in others.into_iter().enumerate() {
        // Records mostly have the same fields in the same order.
        let is_here = fields.get(at).is_some_and(|field| field.name == other.name);
        let place = match is_here {
            true => Some(at),
            false => fields.iter().position(|field| field.name == other.name),
        };
        let count = fields.len();
        match place.and_then(|place| fields.get_mut(place)) {
            Some(field) => {
                let ty = std::mem::replace(&mut field.ty, Type::NULL);
                field.ty = ty.join(other.ty);
                field.optional |= other.optional;
            }
            None if count >= FIELDS_MAX => return None,
            None => fields.push(Field {
                optional: true,
                ..other
            }),
        }
        if let Some(seen) = place.and_then(|place| seen.get_mut(place)) {
            *seen = true;
        }
    }
    for (field, seen) in fields.iter_mut().zip(seen) {
        field.optional |= !seen;
    }
    Some(fields)
}

#[cfg(test)]
mod tests;
