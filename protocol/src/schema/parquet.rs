//! The schema in the footer of a Parquet file (parquet-format 2.12, `FileMetaData`).
//!
//! A file ends in the footer, its length and `PAR1`. The footer is a structure in Thrift's compact protocol
//! whose second field is the schema: so its beginning is enough, however much the file says about its row
//! groups. The `parquet` crate would do, but goes as deep as a file says by recursion and reserves what a
//! length in it promises.

mod thrift;

use self::thrift::{Reader, Value};
use super::{DEPTH_MAX, FIELDS_MAX, Field, Kind, Schema, SchemaError, Type};

/// What a file ends in: the length of the footer and the magic bytes.
pub const TAIL_BYTES: usize = 8;
/// The last of them.
const MAGIC: &[u8] = b"PAR1";
/// Elements of a schema: a list of the format takes three.
const ELEMENTS_MAX: usize = 3 * FIELDS_MAX;

/// The bytes of the footer of a file that ends in `tail`, without the tail itself.
///
/// # Errors
/// [`SchemaError::Malformed`] if no Parquet file ends so.
pub fn footer_bytes(tail: [u8; TAIL_BYTES]) -> Result<u32, SchemaError> {
    let [a, b, c, d, magic @ ..] = tail;
    match magic == MAGIC {
        true => Ok(u32::from_le_bytes([a, b, c, d])),
        false => Err(SchemaError::Malformed),
    }
}

/// The schema in a footer, of which the end may be missing.
///
/// # Errors
/// See [`SchemaError`].
pub fn schema(footer: &[u8]) -> Result<Schema, SchemaError> {
    let mut reader = Reader::new(footer);
    let mut last = 0;
    while let Some((id, value)) = reader.field(last)? {
        match (id, value) {
            (2, Value::List(count)) => return Schema::new(root(&mut reader, count)?),
            (_, value) => reader.skip(value)?,
        }
        last = id;
    }
    Err(SchemaError::Malformed)
}

/// One line of the schema: a column, or a group of those that follow.
#[derive(Debug, Default)]
struct Element {
    name: String,
    physical: Option<i64>,
    repetition: Option<i64>,
    children: u32,
    converted: Option<i64>,
    logical: Option<Logical>,
}

/// What an element means beside how it is stored.
#[derive(Clone, Copy, Debug)]
enum Logical {
    Integer {
        bits: u8,
        signed: bool,
    },
    /// Any other one, by its number in the union.
    Other(i16),
}

/// A group whose children are still coming.
struct Open {
    element: Element,
    fields: Vec<Field>,
}

/// The fields of the root, from elements in the order of a walk from the root down.
fn root(reader: &mut Reader<'_>, count: u32) -> Result<Vec<Field>, SchemaError> {
    if usize::try_from(count).map_or(true, |count| count > ELEMENTS_MAX) {
        return Err(SchemaError::Fields);
    }
    let mut open: Vec<Open> = Vec::new();
    for _ in 0..count {
        let element = element(reader)?;
        if element.children > 0 || open.is_empty() {
            // A list takes two groups.
            if open.len() > 2 * DEPTH_MAX {
                return Err(SchemaError::Depth);
            }
            let fields = Vec::new();
            open.push(Open { element, fields });
        } else {
            let kind = leaf(&element);
            let field = named(element, kind.into());
            put(&mut open, field);
        }
        while let Some(full) = open.pop_if(|open| open.is_full()) {
            if open.is_empty() {
                return Ok(full.fields);
            }
            let field = group(full);
            put(&mut open, field);
        }
    }
    Err(SchemaError::Malformed)
}

impl Open {
    fn is_full(&self) -> bool {
        u32::try_from(self.fields.len()).is_ok_and(|have| have >= self.element.children)
    }
}

fn put(open: &mut [Open], field: Field) {
    if let Some(group) = open.last_mut() {
        group.fields.push(field);
    }
}

fn element(reader: &mut Reader<'_>) -> Result<Element, SchemaError> {
    let mut element = Element::default();
    let mut last = 0;
    while let Some((id, value)) = reader.field(last)? {
        match (id, value) {
            (1, Value::Integer(physical)) => element.physical = Some(physical),
            (3, Value::Integer(repetition)) => element.repetition = Some(repetition),
            (4, Value::Bytes(name)) => {
                let name = std::str::from_utf8(name).map_err(|_| SchemaError::Name)?;
                name.clone_into(&mut element.name);
            }
            (5, Value::Integer(children)) => {
                element.children = u32::try_from(children).map_err(|_| SchemaError::Malformed)?;
            }
            (6, Value::Integer(converted)) => element.converted = Some(converted),
            (10, Value::Struct) => element.logical = logical(reader)?,
            (_, value) => reader.skip(value)?,
        }
        last = id;
    }
    Ok(element)
}

/// A union: a structure with one field.
fn logical(reader: &mut Reader<'_>) -> Result<Option<Logical>, SchemaError> {
    let mut logical = None;
    let mut last = 0;
    while let Some((id, value)) = reader.field(last)? {
        logical = Some(match (id, value) {
            (10, Value::Struct) => integer(reader)?,
            (id, value) => {
                reader.skip(value)?;
                Logical::Other(id)
            }
        });
        last = id;
    }
    Ok(logical)
}

fn integer(reader: &mut Reader<'_>) -> Result<Logical, SchemaError> {
    let (mut bits, mut signed) = (64, true);
    let mut last = 0;
    while let Some((id, value)) = reader.field(last)? {
        match (id, value) {
            (1, Value::Integer(width)) => {
                bits = u8::try_from(width).map_err(|_| SchemaError::Malformed)?;
            }
            (2, Value::Boolean(is_signed)) => signed = is_signed,
            (_, value) => reader.skip(value)?,
        }
        last = id;
    }
    Ok(Logical::Integer { bits, signed })
}

/// What a column holds: its logical type, else its converted type (which is older), else how it is stored.
fn leaf(element: &Element) -> Kind {
    const SIGNED: [u8; 4] = [8, 16, 32, 64];
    match (element.logical, element.converted) {
        (Some(Logical::Integer { bits, signed }), _) => return Kind::Integer { bits, signed },
        (Some(Logical::Other(1 | 4 | 12)), _) | (None, Some(0 | 4 | 19)) => return Kind::Text,
        (Some(Logical::Other(5)), _) | (None, Some(5)) => return Kind::Decimal,
        (Some(Logical::Other(6)), _) | (None, Some(6)) => return Kind::Date,
        (Some(Logical::Other(7)), _) | (None, Some(7 | 8)) => return Kind::Time,
        (Some(Logical::Other(8)), _) | (None, Some(9 | 10)) => return Kind::DateTime,
        (Some(Logical::Other(11)), _) => return Kind::Null,
        (Some(Logical::Other(15)), _) => return Kind::Float { bits: 16 },
        (None, Some(21)) => return Kind::Other,
        (None, Some(converted @ 11..=18)) => {
            let at = usize::try_from((converted - 11) % 4).unwrap_or(0);
            let (bits, signed) = (SIGNED.get(at).copied().unwrap_or(64), converted >= 15);
            return Kind::Integer { bits, signed };
        }
        (Some(Logical::Other(_)) | None, _) => {}
    }
    match element.physical {
        Some(0) => Kind::Boolean,
        Some(bits @ (1 | 2)) => Kind::Integer {
            bits: if bits == 1 { 32 } else { 64 },
            signed: true,
        },
        // Twelve bytes that have only ever held points in time.
        Some(3) => Kind::DateTime,
        Some(4) => Kind::Float { bits: 32 },
        Some(5) => Kind::Float { bits: 64 },
        Some(6 | 7) => Kind::Binary,
        Some(_) | None => Kind::Other,
    }
}

/// What a group with all its fields is: a list or a map if it says so, else a record.
fn group(open: Open) -> Field {
    let Open {
        element,
        mut fields,
    } = open;
    let says = |logical: i16, converted: i64| match element.logical {
        Some(Logical::Other(other)) => other == logical,
        Some(Logical::Integer { .. }) => false,
        None => element.converted == Some(converted),
    };
    let one = fields.len() == 1;
    let ty = match fields.pop_if(|field| one && field.ty.lists > 0) {
        Some(repeated) if says(3, 3) => list(&element.name, repeated),
        Some(Field {
            ty: Type {
                kind: Kind::Record(pair),
                ..
            },
            ..
        }) if says(2, 1) => Kind::Map(pair).into(),
        repeated => {
            fields.extend(repeated);
            Kind::Record(fields).into()
        }
    };
    named(element, ty)
}

/// A list, from the repeated field in it. That is a group around the values, or, as old writers have it, the
/// value itself (parquet-format, `LogicalTypes.md`, *Backward-compatibility rules*).
fn list(name: &str, repeated: Field) -> Type {
    let is_value = repeated.name == "array" || repeated.name == format!("{name}_tuple");
    match repeated.ty.kind {
        Kind::Record(mut fields) if fields.len() == 1 && !is_value => {
            fields.pop().map_or(Type::NULL, |field| field.ty).listed()
        }
        kind => Type {
            kind,
            lists: repeated.ty.lists,
        },
    }
}

fn named(element: Element, ty: Type) -> Field {
    // 0: it is there once; 1: or not at all; 2: any number of times.
    Field {
        ty: if element.repetition == Some(2) {
            ty.listed()
        } else {
            ty
        },
        optional: element.repetition == Some(1),
        name: element.name,
    }
}

#[cfg(test)]
mod tests;
