//! The records of a file as Croissant says it.

use opendag_protocol::{
    http::encode_path,
    schema::{Field, Kind, Schema, Type},
};
use serde_json::{Value, json};

/// The record set of the file with the id `file`; `None` if none of its fields can be said.
pub(super) fn record_set(file: &str, path: &str, schema: &Schema) -> Option<Value> {
    // Ids of files have no such character.
    let id = format!("{file}#records");
    let of = Of { file, parent: &id };
    let mut left_out = Vec::new();
    let mut fields = Vec::new();
    for field in schema.fields() {
        match of.column(field) {
            Some(field) => fields.push(field),
            None => left_out.push(field.name.as_str()),
        }
    }
    if fields.is_empty() {
        return None;
    }
    let mut description = format!("The records of {path}.");
    if !left_out.is_empty() {
        let names = left_out.join(", ");
        description =
            format!("{description} Fields that are nested too deeply to be named here: {names}.");
    }
    Some(json!({
        "@type": "cr:RecordSet",
        "@id": id,
        "name": path,
        "description": description,
        "field": fields,
    }))
}

/// What fields are of.
#[derive(Clone, Copy)]
struct Of<'a> {
    file: &'a str,
    /// The id of the record set or field around them.
    parent: &'a str,
}

impl Of<'_> {
    /// A column of a file, with what lies in it.
    ///
    /// Left out are maps, values of several kinds and lists of records that lie deeper: what Croissant says
    /// of these cannot be read again.
    fn column(self, field: &Field) -> Option<Value> {
        let id = self.id(&field.name);
        match (&field.ty.kind, field.ty.lists) {
            (Kind::Record(below), lists @ (0 | 1)) => {
                let of = Of {
                    parent: &id,
                    ..self
                };
                let parts = below.iter().filter_map(|part| match lists {
                    0 => of.part(&field.name, "", part),
                    _ => of.leaf_part(&field.name, "", part),
                });
                let parts: Vec<_> = parts.collect();
                (!parts.is_empty()).then(|| {
                    let mut value = json!({ "@type": "cr:Field", "@id": id, "name": field.name, "subField": parts });
                    array(&mut value, lists);
                    value
                })
            }
            _ => self.leaf(field, &field.name, None),
        }
    }

    /// A field inside of a record that is in a column.
    fn part(self, column: &str, path: &str, field: &Field) -> Option<Value> {
        match (&field.ty.kind, field.ty.lists) {
            (Kind::Record(below), 0) => {
                let (id, path) = (self.id(&field.name), joined(path, &field.name)?);
                let of = Of {
                    parent: &id,
                    ..self
                };
                let parts = below.iter().filter_map(|part| of.part(column, &path, part));
                let parts: Vec<_> = parts.collect();
                (!parts.is_empty())
                    .then(|| json!({ "@type": "cr:Field", "@id": id, "name": field.name, "subField": parts }))
            }
            _ => self.leaf_part(column, path, field),
        }
    }

    fn leaf_part(self, column: &str, path: &str, field: &Field) -> Option<Value> {
        let path = joined(path, &field.name)?;
        self.leaf(field, column, Some(&path))
    }

    fn leaf(self, field: &Field, column: &str, path: Option<&str>) -> Option<Value> {
        let data_type = data_type(&field.ty)?;
        let mut source = json!({
            "fileObject": { "@id": self.file },
            "extract": { "column": column },
        });
        if let (Some(path), Some(source)) = (path, source.as_object_mut()) {
            source.insert("transform".to_owned(), json!({ "jsonPath": path }));
        }
        let mut value = json!({
            "@type": "cr:Field",
            "@id": self.id(&field.name),
            "name": field.name,
            "dataType": data_type,
            "source": source,
        });
        array(&mut value, field.ty.lists);
        Some(value)
    }

    fn id(self, name: &str) -> String {
        let name = encode_path(name).replace('/', "%2F");
        format!("{}/{name}", self.parent)
    }
}

/// Lists have as many dimensions, of any length.
fn array(value: &mut Value, lists: u8) {
    if let (1.., Some(value)) = (lists, value.as_object_mut()) {
        let shape = vec!["-1"; usize::from(lists)].join(",");
        value.insert("isArray".to_owned(), true.into());
        value.insert("arrayShape".to_owned(), shape.into());
    }
}

/// A path into records; `None` if a name cannot be quoted in it.
fn joined(path: &str, name: &str) -> Option<String> {
    let dot = if path.is_empty() { "" } else { "." };
    (!name.contains(['"', '\\'])).then(|| format!("{path}{dot}\"{name}\""))
}

fn data_type(ty: &Type) -> Option<&'static str> {
    Some(match &ty.kind {
        Kind::Boolean => "sc:Boolean",
        Kind::Integer { .. } => "sc:Integer",
        Kind::Float { .. } | Kind::Decimal => "sc:Float",
        // Of bytes Croissant has no type of its own; its reader gives bytes for text too.
        Kind::Text | Kind::Binary | Kind::Null => "sc:Text",
        Kind::Date => "sc:Date",
        Kind::Time => "sc:Time",
        Kind::DateTime => "sc:DateTime",
        Kind::Record(_) | Kind::Map(_) | Kind::Other => return None,
    })
}
