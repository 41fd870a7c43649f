//! What becomes of a program that reads files of one schema when they have another.
//!
//! A change is judged by the values that may come: none that could not come before is *compatible*, more of
//! a kind that most programs take is *widened*, others are *broken*. Source: `specs/schemas.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Field, Kind, Schema, Type};

/// How the newer of two schemas fits whoever reads the older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// No value comes that could not come before; further fields may.
    Compatible,
    /// A greater range of numbers, missing values, or a kind where none was seen.
    Widened,
    /// A field is gone, or its values are of another kind.
    Broken,
}

/// A field that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct FieldChange {
    /// Its name, with those of the records around it, joined by dots.
    pub field: String,
    /// How the change fits.
    pub fit: Fit,
    /// What changed.
    pub why: String,
}

/// The fields that differ, by name; none if a reader notices nothing.
#[must_use]
pub fn compare(old: &Schema, new: &Schema) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    // Records that are still to be compared, with what stands before the names of their fields.
    let mut waiting = vec![(String::new(), old.fields(), new.fields())];
    while let Some((before, old, new)) = waiting.pop() {
        let new_by_name = by_name(new);
        for field in old {
            let path = format!("{before}{}", field.name);
            match new_by_name.get(field.name.as_str()) {
                None => changes.push(change(path, Fit::Broken, "is gone".to_owned())),
                Some(other) => {
                    changes.extend(compare_field(&path, field, other));
                    waiting.extend(inside(&path, field, other));
                }
            }
        }
        let old_by_name = by_name(old);
        let added = new
            .iter()
            .filter(|field| !old_by_name.contains_key(field.name.as_str()));
        for field in added {
            let path = format!("{before}{}", field.name);
            let why = format!("is new: {}", name(&field.ty));
            changes.push(change(path, Fit::Compatible, why));
        }
    }
    changes.sort_by(|one, other| one.field.cmp(&other.field));
    changes
}

fn by_name(fields: &[Field]) -> BTreeMap<&str, &Field> {
    fields
        .iter()
        .map(|field| (field.name.as_str(), field))
        .collect()
}

fn change(field: String, fit: Fit, why: String) -> FieldChange {
    FieldChange { field, fit, why }
}

fn compare_field(path: &str, old: &Field, new: &Field) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    if let Some(fit) = fit(&old.ty, &new.ty) {
        let why = format!("was {}, is {}", name(&old.ty), name(&new.ty));
        changes.push(change(path.to_owned(), fit, why));
    }
    let (fit, why) = match (old.optional, new.optional) {
        (false, true) => (Fit::Widened, "may have no value"),
        (true, false) => (Fit::Compatible, "always has a value"),
        (true, true) | (false, false) => return changes,
    };
    changes.push(change(path.to_owned(), fit, why.to_owned()));
    changes
}

/// The fields of two records of one shape.
fn inside<'a>(
    path: &str,
    old: &'a Field,
    new: &'a Field,
) -> Option<(String, &'a [Field], &'a [Field])> {
    match (&old.ty.kind, &new.ty.kind) {
        (Kind::Record(old_fields), Kind::Record(new_fields))
        | (Kind::Map(old_fields), Kind::Map(new_fields))
            if old.ty.lists == new.ty.lists =>
        {
            Some((format!("{path}."), old_fields, new_fields))
        }
        _ => None,
    }
}

/// How another type fits; `None`: it is the same, but for the fields inside of it.
fn fit(old: &Type, new: &Type) -> Option<Fit> {
    match (&old.kind, &new.kind) {
        (Kind::Null, Kind::Null) if old.lists == new.lists => None,
        (Kind::Null, _) if old.lists <= new.lists => Some(Fit::Widened),
        (_, Kind::Null) if new.lists <= old.lists => Some(Fit::Compatible),
        _ if old.lists != new.lists => Some(Fit::Broken),
        (Kind::Record(_), Kind::Record(_)) | (Kind::Map(_), Kind::Map(_)) => None,
        (one, other) if one == other => None,
        (Kind::Other, _) => Some(Fit::Compatible),
        (one, other) if holds(one, other) => Some(Fit::Compatible),
        (one, other) if holds(other, one) => Some(Fit::Widened),
        _ => Some(Fit::Broken),
    }
}

/// Can a number of the one kind be every number of the other? Floating point counts as holding whole
/// numbers, as programs that read text take it.
fn holds(one: &Kind, other: &Kind) -> bool {
    match (one, other) {
        (Kind::Float { bits }, Kind::Float { bits: others }) => bits >= others,
        (Kind::Float { .. }, Kind::Integer { .. }) => true,
        (
            Kind::Integer { bits, signed },
            Kind::Integer {
                bits: others,
                signed: others_signed,
            },
        ) => match (signed, others_signed) {
            (true, false) => bits > others,
            (false, true) => false,
            (true, true) | (false, false) => bits >= others,
        },
        _ => false,
    }
}

/// What people call a type.
fn name(ty: &Type) -> String {
    let kind = match &ty.kind {
        Kind::Null => "nothing".to_owned(),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Integer { bits, signed: true } => format!("a whole number of {bits} bits"),
        Kind::Integer {
            bits,
            signed: false,
        } => {
            format!("a whole number of {bits} bits without sign")
        }
        Kind::Float { bits } => format!("a number of {bits} bits"),
        Kind::Decimal => "a decimal number".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Binary => "bytes".to_owned(),
        Kind::Date => "a day".to_owned(),
        Kind::Time => "a time of day".to_owned(),
        Kind::DateTime => "a point in time".to_owned(),
        Kind::Record(_) => "a record".to_owned(),
        Kind::Map(_) => "keys and values".to_owned(),
        Kind::Other => "of several kinds".to_owned(),
    };
    format!("{}{kind}", "a list of ".repeat(usize::from(ty.lists)))
}

#[cfg(test)]
mod tests;
