//! A naive reader and writer of DAG-CBOR, to compare with.

use std::collections::BTreeMap;

use opendag_protocol::limits::CBOR_DEPTH_MAX;

/// A value. Keys of maps sort as DAG-CBOR wants them: shorter ones first.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number of major type 0 or 1, as the head says it.
    Integer { is_negative: bool, argument: u64 },
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A map; of two equal keys the later one counts.
    Map(BTreeMap<(usize, String), Value>),
    /// What stands after tag 42.
    Link(Vec<u8>),
    /// False, true or null.
    Simple(u8),
    /// A float.
    Float(f64),
}

impl Value {
    /// Reads one value that takes all of `bytes`, however its heads are written; `None` if it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let value = read(&mut rest, CBOR_DEPTH_MAX)?;
        rest.is_empty().then_some(value)
    }

    /// Writes its one form.
    pub fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Integer {
                is_negative,
                argument,
            } => head((*is_negative).into(), *argument, to),
            Self::Bytes(bytes) => string(2, bytes, to),
            Self::Text(text) => string(3, text.as_bytes(), to),
            Self::List(list) => {
                head(4, len(list.len()), to);
                list.iter().for_each(|value| value.write(to));
            }
            Self::Map(map) => {
                head(5, len(map.len()), to);
                for ((_, key), value) in map {
                    string(3, key.as_bytes(), to);
                    value.write(to);
                }
            }
            Self::Link(bytes) => {
                head(6, 42, to);
                string(2, bytes, to);
            }
            Self::Simple(number) => head(7, (*number).into(), to),
            Self::Float(float) => {
                to.push(0xfb);
                to.extend(float.to_be_bytes());
            }
        }
    }

    /// Does it hold a link? Which CIDs those may hold is not checked here.
    pub fn has_link(&self) -> bool {
        match self {
            Self::Link(_) => true,
            Self::List(list) => list.iter().any(Self::has_link),
            Self::Map(map) => map.values().any(Self::has_link),
            _ => false,
        }
    }

    /// The keys, if it is a map.
    pub fn keys(&self) -> Vec<&str> {
        match self {
            Self::Map(map) => map.keys().map(|(_, key)| key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// The values, if it is a list.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }
}

fn read(rest: &mut &[u8], depth_left: usize) -> Option<Value> {
    let (first, argument) = read_head(rest)?;
    let (major, info) = (first >> 5, first & 0x1f);
    let inside = depth_left.checked_sub(1);
    Some(match major {
        0 | 1 => Value::Integer {
            is_negative: major == 1,
            argument,
        },
        2 => Value::Bytes(take(rest, argument)?.to_vec()),
        3 => Value::Text(text(rest, argument)?),
        4 => {
            let inside = inside?;
            let items = (0..argument).map(|_| read(rest, inside));
            Value::List(items.collect::<Option<_>>()?)
        }
        5 => {
            let inside = inside?;
            let pairs = (0..argument).map(|_| {
                let key = match read_head(rest)? {
                    (first, len) if first >> 5 == 3 => text(rest, len)?,
                    _ => return None,
                };
                Some(((key.len(), key), read(rest, inside)?))
            });
            Value::Map(pairs.collect::<Option<_>>()?)
        }
        6 if argument == 42 => match read_head(rest)? {
            (first, len) if first >> 5 == 2 => Value::Link(take(rest, len)?.to_vec()),
            _ => return None,
        },
        7 if (20..=22).contains(&info) => Value::Simple(info),
        7 if info == 27 => {
            let float = f64::from_bits(argument);
            let is_allowed = float.is_finite() && !(float == 0.0 && float.is_sign_negative());
            return is_allowed.then_some(Value::Float(float));
        }
        _ => return None,
    })
}

fn read_head(rest: &mut &[u8]) -> Option<(u8, u64)> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    let len = match first & 0x1f {
        info @ 0..=23 => return Some((*first, info.into())),
        info @ 24..=27 => 1 << (info - 24),
        _ => return None,
    };
    let bytes = take(rest, len)?;
    Some((
        *first,
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    ))
}

fn take<'a>(rest: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = after;
    Some(taken)
}

fn text(rest: &mut &[u8], len: u64) -> Option<String> {
    String::from_utf8(take(rest, len)?.to_vec()).ok()
}

/// The shortest head.
fn head(major: u8, argument: u64, to: &mut Vec<u8>) {
    let bytes = argument.to_be_bytes();
    let (info, skip) = match argument {
        0..=23 => (bytes[7], 8),
        24..=0xff => (24, 7),
        0x100..=0xffff => (25, 6),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 0),
    };
    to.push(major << 5 | info);
    to.extend(&bytes[skip..]);
}

fn string(major: u8, bytes: &[u8], to: &mut Vec<u8>) {
    head(major, len(bytes.len()), to);
    to.extend(bytes);
}

fn len(len: usize) -> u64 {
    u64::try_from(len).expect("a length fits 64 bits")
}
