//! The schema of a file out of its bytes: of Parquet from the footer, of JSON Lines, CSV and TSV from the
//! first records, also compressed.
//!
//! A [`Probe`] says which bytes it needs next and never reads itself, so that a file may lie here or with
//! peers. What it asks for, unpacks and holds is bounded whatever the file says.

mod json;
mod local;
mod read;
mod rows;
mod unpack;

use std::ops::Range;

use opendag_protocol::schema::{
    Schema, SchemaError,
    parquet::{self, TAIL_BYTES},
};

use self::unpack::{Packing, Sample};
pub(crate) use self::{local::of_local_file, read::of_file};

/// Bytes of the end of a Parquet file that are read first: most footers fit, and peers give it in one answer.
const END_BYTES: u64 = 64 * 1024;
/// Bytes of the beginning of a longer footer: the schema comes first in it.
const FOOTER_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of text that are read first, and then if no record ends in them.
const TEXT_BYTES: [u64; 2] = [256 * 1024, 1024 * 1024];

/// What a file is, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Format {
    pub(crate) layout: Layout,
    packing: Packing,
}

/// How records lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layout {
    /// Apache Parquet.
    Parquet,
    /// A JSON value a line.
    JsonLines,
    /// Rows below a row of names, split by commas.
    Csv,
    /// The same, split by tabs.
    Tsv,
}

impl Format {
    /// The format of a file with this path; `None` if its schema cannot be read.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next()?.to_ascii_lowercase();
        let (name, packing) = Packing::of(&name);
        let (_, extension) = name.rsplit_once('.')?;
        let layout = match extension {
            "parquet" => Layout::Parquet,
            "jsonl" | "ndjson" => Layout::JsonLines,
            "csv" => Layout::Csv,
            "tsv" => Layout::Tsv,
            _ => return None,
        };
        // Parquet compresses inside, and cannot be read from its end when it is packed.
        (layout != Layout::Parquet || packing == Packing::None).then_some(Self { layout, packing })
    }

    /// What it is called.
    pub(crate) const fn name(self) -> &'static str {
        match self.layout {
            Layout::Parquet => "Parquet",
            Layout::JsonLines => "JSON Lines",
            Layout::Csv => "CSV",
            Layout::Tsv => "TSV",
        }
    }

    /// Media types: that of the records, and that of what they are packed into.
    pub(crate) fn media_types(self) -> impl Iterator<Item = &'static str> {
        let layout = match self.layout {
            Layout::Parquet => "application/x-parquet",
            Layout::JsonLines => "application/jsonlines",
            Layout::Csv => "text/csv",
            Layout::Tsv => "text/tab-separated-values",
        };
        std::iter::once(layout).chain(self.packing.media_type())
    }
}

/// Reads the schema of a file step by step.
#[derive(Debug)]
pub(crate) struct Probe {
    format: Format,
    size: u64,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The end of a Parquet file.
    End,
    /// Its footer, which begins here.
    Footer(u64),
    /// So many bytes of text.
    Text(usize),
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// These bytes of the file are needed.
    Read(Range<u64>),
    /// That is it.
    Done(Result<Schema, SchemaError>),
}

impl Probe {
    /// Of a file with so many bytes.
    pub(crate) fn new(format: Format, size: u64) -> Self {
        let next = match format.layout {
            Layout::Parquet => Next::End,
            Layout::JsonLines | Layout::Csv | Layout::Tsv => Next::Text(0),
        };
        Self { format, size, next }
    }

    /// The bytes that it needs.
    pub(crate) fn wants(&self) -> Range<u64> {
        match self.next {
            Next::End => self.size.saturating_sub(END_BYTES)..self.size,
            Next::Footer(start) => start..start.saturating_add(FOOTER_BYTES_MAX).min(self.size),
            Next::Text(attempt) => {
                let bytes = TEXT_BYTES.get(attempt).copied().unwrap_or_default();
                0..bytes.min(self.size)
            }
        }
    }

    /// Takes them. Costs time when there are many.
    pub(crate) fn got(&mut self, bytes: &[u8]) -> Step {
        match self.next {
            Next::End => self.end(bytes),
            Next::Footer(_) => Step::Done(parquet::schema(bytes)),
            Next::Text(attempt) => self.text(bytes, attempt),
        }
    }

    fn end(&mut self, bytes: &[u8]) -> Step {
        let tail = bytes.last_chunk::<TAIL_BYTES>().copied();
        let len = match tail.map(parquet::footer_bytes) {
            Some(Ok(len)) => u64::from(len),
            Some(Err(_)) | None => return Step::Done(Err(SchemaError::Malformed)),
        };
        let tail = u64::try_from(TAIL_BYTES).unwrap_or(u64::MAX);
        let Some(start) = self.size.checked_sub(tail.saturating_add(len)) else {
            return Step::Done(Err(SchemaError::Malformed));
        };
        let here = self.wants();
        match start.checked_sub(here.start) {
            Some(skip) => {
                let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                Step::Done(parquet::schema(bytes.get(skip..).unwrap_or_default()))
            }
            None => {
                self.next = Next::Footer(start);
                Step::Read(self.wants())
            }
        }
    }

    fn text(&mut self, bytes: &[u8], attempt: usize) -> Step {
        let is_whole = self.wants().end == self.size;
        let sample = match Sample::of(bytes, self.format.packing, is_whole) {
            Ok(sample) => sample,
            Err(error) => return Step::Done(Err(error)),
        };
        let schema = match self.format.layout {
            Layout::JsonLines => json::schema(&sample),
            Layout::Csv => rows::schema(&sample, b','),
            Layout::Tsv => rows::schema(&sample, b'\t'),
            Layout::Parquet => Err(SchemaError::Malformed),
        };
        match schema {
            // No record ends in these bytes, but perhaps in more.
            Ok(None) if !is_whole && attempt + 1 < TEXT_BYTES.len() => {
                self.next = Next::Text(attempt + 1);
                Step::Read(self.wants())
            }
            Ok(schema) => Step::Done(schema.ok_or(SchemaError::Malformed)),
            Err(error) => Step::Done(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests;
