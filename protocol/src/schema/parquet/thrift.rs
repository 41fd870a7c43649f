//! As much of Thrift's compact protocol as a footer needs: values are read one by one, and skipped without
//! recursion.

use crate::schema::SchemaError;

/// Structures and lists inside of each other in what is skipped: the format has five.
const NESTED_MAX: usize = 32;
/// Bits of an integer.
const VARINT_BITS_MAX: u32 = 64;

/// Bytes that are still to be read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// The value of a field. What is inside of a structure or list follows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Boolean(bool),
    Integer(i64),
    Bytes(&'a [u8]),
    /// A structure, up to its end.
    Struct,
    /// A list of so many structures.
    List(u32),
    /// Anything else, by its type's number, still to be read.
    Other(u8),
}

/// What is being skipped.
enum Inside {
    /// A structure, behind the field with this number.
    Struct(i16),
    /// So many values of a type.
    Values(u8, u64),
}

// Numbers of types.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const INTEGERS: std::ops::RangeInclusive<u8> = 4..=6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCT: u8 = 12;

impl<'a> Reader<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The next field of a structure, behind the one with the number `last`; `None` at its end.
    pub(super) fn field(&mut self, last: i16) -> Result<Option<(i16, Value<'a>)>, SchemaError> {
        let Some((id, kind)) = self.header(last)? else {
            return Ok(None);
        };
        let value = match kind {
            TRUE => Value::Boolean(true),
            FALSE => Value::Boolean(false),
            BYTE => Value::Integer(i64::from(i8::from_le_bytes([self.byte()?]))),
            BINARY => Value::Bytes(self.binary()?),
            STRUCT => Value::Struct,
            kind if INTEGERS.contains(&kind) => Value::Integer(self.integer()?),
            LIST => {
                let before = self.rest;
                match self.list()? {
                    (STRUCT, count) => {
                        Value::List(u32::try_from(count).map_err(|_| SchemaError::Malformed)?)
                    }
                    _ => {
                        self.rest = before;
                        Value::Other(LIST)
                    }
                }
            }
            kind => Value::Other(kind),
        };
        Ok(Some((id, value)))
    }

    /// Skips what is still to be read of a value.
    pub(super) fn skip(&mut self, value: Value<'_>) -> Result<(), SchemaError> {
        let mut inside = match value {
            Value::Boolean(_) | Value::Integer(_) | Value::Bytes(_) => return Ok(()),
            Value::Struct => vec![Inside::Struct(0)],
            Value::List(count) => vec![Inside::Values(STRUCT, u64::from(count))],
            Value::Other(kind) => vec![Inside::Values(kind, 1)],
        };
        while let Some(innermost) = inside.last_mut() {
            let below = match innermost {
                Inside::Struct(last) => match self.header(*last)? {
                    Some((id, kind)) => {
                        *last = id;
                        // In a structure the type says it.
                        match kind {
                            TRUE | FALSE => None,
                            kind => self.skip_one(kind)?,
                        }
                    }
                    None => {
                        inside.pop();
                        continue;
                    }
                },
                Inside::Values(_, 0) => {
                    inside.pop();
                    continue;
                }
                Inside::Values(kind, left) => {
                    *left -= 1;
                    let kind = *kind;
                    self.skip_one(kind)?
                }
            };
            inside.extend(below);
            if inside.len() > NESTED_MAX {
                return Err(SchemaError::Malformed);
            }
        }
        Ok(())
    }

    /// Skips a value, or tells what is inside of it.
    fn skip_one(&mut self, kind: u8) -> Result<Option<Inside>, SchemaError> {
        match kind {
            // In a list each takes a byte.
            TRUE | FALSE | BYTE => self.take(1).map(|_| None),
            DOUBLE => self.take(8).map(|_| None),
            BINARY => self.binary().map(|_| None),
            LIST | SET => {
                let (kind, count) = self.list()?;
                Ok(Some(Inside::Values(kind, count)))
            }
            STRUCT => Ok(Some(Inside::Struct(0))),
            kind if INTEGERS.contains(&kind) => self.varint().map(|_| None),
            // The format has no maps.
            _ => Err(SchemaError::Malformed),
        }
    }

    fn header(&mut self, last: i16) -> Result<Option<(i16, u8)>, SchemaError> {
        let byte = self.byte()?;
        let (delta, kind) = (i16::from(byte >> 4), byte & 0x0f);
        if kind == 0 {
            return Ok(None);
        }
        let id = match delta {
            0 => i16::try_from(self.integer()?).map_err(|_| SchemaError::Malformed)?,
            delta => last.checked_add(delta).ok_or(SchemaError::Malformed)?,
        };
        Ok(Some((id, kind)))
    }

    /// The type of what a list holds, and how many of it. Each takes a byte at least.
    fn list(&mut self) -> Result<(u8, u64), SchemaError> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        let fits = usize::try_from(count).is_ok_and(|count| count <= self.rest.len());
        match fits {
            true => Ok((byte & 0x0f, count)),
            // The end of a footer may be missing, but not that of its schema.
            false => Err(SchemaError::Malformed),
        }
    }

    fn binary(&mut self) -> Result<&'a [u8], SchemaError> {
        let len = self.varint()?;
        self.take(usize::try_from(len).map_err(|_| SchemaError::Malformed)?)
    }

    fn integer(&mut self) -> Result<i64, SchemaError> {
        let raw = self.varint()?;
        // Signs are in the lowest bit.
        let magnitude = i64::try_from(raw >> 1).map_err(|_| SchemaError::Malformed)?;
        Ok(if raw & 1 == 0 { magnitude } else { !magnitude })
    }

    fn varint(&mut self) -> Result<u64, SchemaError> {
        let mut value = 0_u64;
        for shift in (0..VARINT_BITS_MAX).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(SchemaError::Malformed)
    }

    fn byte(&mut self) -> Result<u8, SchemaError> {
        self.take(1)?.first().copied().ok_or(SchemaError::Malformed)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], SchemaError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(SchemaError::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}
