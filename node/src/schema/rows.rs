//! The schema of CSV and TSV, learned from their first rows. The first row names the columns.

use csv::{ByteRecord, ReaderBuilder};
use opendag_protocol::schema::{FIELDS_MAX, Field, Kind, Schema, SchemaError, Type};

use super::unpack::Sample;

/// Rows that are looked at.
const ROWS_MAX: usize = 10_000;
/// What stands for no value, as pandas has it.
const MISSING: [&str; 17] = [
    "", "#N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan",
    "null", "1.#IND", "1.#QNAN", "-1.#IND",
];

/// The schema of the rows in a sample; `None` if the row of names does not end in it.
pub(super) fn schema(sample: &Sample, delimiter: u8) -> Result<Option<Schema>, SchemaError> {
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(sample.text());
    let mut names = ByteRecord::new();
    let mut columns: Vec<Column> = Vec::new();
    // A row is looked at when another one begins, or the text ends: it may go on otherwise.
    let (mut row, mut last) = (ByteRecord::new(), None::<ByteRecord>);
    let mut seen = 0_usize;
    loop {
        // What is in memory is read without fail.
        let is_row = reader
            .read_byte_record(&mut row)
            .map_err(|_| SchemaError::Malformed)?;
        let ended = match is_row {
            true => last.replace(row.clone()),
            false if sample.is_whole() => last.take(),
            false => None,
        };
        match ended {
            Some(ended) if names.is_empty() => {
                if ended.len() > FIELDS_MAX {
                    return Err(SchemaError::Fields);
                }
                columns = vec![Column::default(); ended.len()];
                names = ended;
            }
            Some(ended) => {
                seen += 1;
                for (at, column) in columns.iter_mut().enumerate() {
                    column.see(ended.get(at).unwrap_or_default());
                }
            }
            None => {}
        }
        if !is_row || seen >= ROWS_MAX {
            break;
        }
    }
    if names.is_empty() {
        return Ok(None);
    }
    let fields = names.iter().zip(columns).map(|(name, column)| {
        let name = std::str::from_utf8(name).map_err(|_| SchemaError::Name)?;
        Ok(column.field(name.to_owned()))
    });
    Schema::new(fields.collect::<Result<_, _>>()?).map(Some)
}

/// What the values of a column are.
#[derive(Clone, Debug)]
struct Column {
    ty: Type,
    optional: bool,
}

impl Default for Column {
    fn default() -> Self {
        Self {
            ty: Type::NULL,
            optional: false,
        }
    }
}

impl Column {
    fn see(&mut self, value: &[u8]) {
        // Nothing else can come of it.
        if self.ty.kind == Kind::Text && self.optional {
            return;
        }
        let value = std::str::from_utf8(value).map(str::trim);
        let ty = match value {
            Ok(value) if MISSING.contains(&value) => {
                self.optional = true;
                return;
            }
            Ok(value) if value.parse::<i64>().is_ok() || value.parse::<u64>().is_ok() => {
                Type::INTEGER
            }
            Ok(value) if value.parse::<f64>().is_ok() => Type::FLOAT,
            Ok(value)
                if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") =>
            {
                Kind::Boolean.into()
            }
            Ok(_) | Err(_) => Kind::Text.into(),
        };
        let joined = std::mem::replace(&mut self.ty, Type::NULL).join(ty);
        // What is not all of one kind is text.
        self.ty = match joined.kind {
            Kind::Other => Kind::Text.into(),
            _ => joined,
        };
    }

    fn field(self, name: String) -> Field {
        Field {
            name,
            ty: self.ty,
            optional: self.optional,
        }
    }
}
