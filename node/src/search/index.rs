//! The full-text index: what is known of each dataset, as its newest version says.
//!
//! It holds nothing that cannot be read from the records again, and stores no text: a hit is an id.
//! Format: `specs/search.md`.

mod look;
mod sound;
mod terms;

use std::{
    collections::HashMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use opendag_protocol::{DatasetId, Hash, search::Query};
use tantivy::{
    IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term,
    directory::MmapDirectory,
    indexer::IndexWriterOptions,
    schema::{
        BytesOptions, FAST, Field, INDEXED, IndexRecordOption, NumericOptions, STORED, Schema,
        TextFieldIndexing, TextOptions, Value,
    },
};

use self::terms::facet_term;
use super::{entry::Entry, words};

/// Version of the fields and of how words are cut; another one means: build it anew.
const FORMAT: &str = "1";
/// What gathers in memory before it is written out: the least that tantivy takes.
const WRITER_BYTES: usize = 15_000_000;
/// Blocks of stored ids, 16 KiB each, that a segment keeps in memory.
const STORE_BLOCKS: usize = 4;

/// Why the search index cannot be used. It can always be built again.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// tantivy reports an error.
    #[error("the search index in {path} cannot be used; rebuild it with: opendag reindex", path = path.display())]
    Tantivy {
        /// Its folder.
        path: PathBuf,
        /// What tantivy says.
        #[source]
        source: tantivy::TantivyError,
    },
    /// Its folder cannot be made or emptied.
    #[error("cannot prepare the folder {path} of the search index", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Something that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The dataset.
    pub dataset: DatasetId,
    /// How well it fits; without words to look for, when it was updated, in seconds since 1970.
    pub score: f64,
}

/// The fields of an entry.
#[derive(Clone, Copy, Debug)]
struct Fields {
    /// Id of the dataset, by which an entry is replaced.
    dataset: Field,
    /// What the entry was made from, see [`Entry::stamp`].
    stamp: Field,
    /// Name, title and tags, without endings.
    title: Field,
    /// The description, without endings.
    about: Field,
    /// The card, without endings.
    card: Field,
    /// Words as they are, of name, title, tags and paths.
    exact: Field,
    /// What facets ask for, each as `facet:value`.
    facet: Field,
    bytes: Field,
    updated: Field,
}

/// The name of the field by which hits without words are ordered.
const UPDATED: &str = "updated";

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let text = |analyzer: &str, option| {
        TextOptions::default().set_indexing_options(
            TextFieldIndexing::default()
                .set_tokenizer(analyzer)
                .set_index_option(option),
        )
    };
    let words = || text("stemmed", IndexRecordOption::WithFreqsAndPositions);
    let exact = text("exact", IndexRecordOption::WithFreqs);
    let facet = TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_index_option(IndexRecordOption::Basic)
            .set_fieldnorms(false),
    );
    let id: BytesOptions = (INDEXED | STORED).into();
    let number: NumericOptions = FAST.into();
    let fields = Fields {
        dataset: schema.add_bytes_field("dataset", id),
        stamp: schema.add_bytes_field("stamp", BytesOptions::from(STORED)),
        title: schema.add_text_field("title", words()),
        about: schema.add_text_field("about", words()),
        card: schema.add_text_field("card", words()),
        exact: schema.add_text_field("exact", exact),
        facet: schema.add_text_field("facet", facet),
        bytes: schema.add_u64_field("bytes", number.clone()),
        updated: schema.add_u64_field(UPDATED, number),
    };
    (schema.build(), fields)
}

/// The open index. Clones share it. All functions block.
#[derive(Clone)]
pub struct Index {
    path: PathBuf,
    index: tantivy::Index,
    reader: IndexReader,
    fields: Fields,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the index in a folder. One that does not open, or is of another format, is replaced by an empty one.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        match Self::try_open(path) {
            Ok(index) if index.is_of_this_format() => return Ok(index),
            Ok(_) => tracing::debug!("the search index is new, or of another format"),
            Err(error) => {
                tracing::warn!(%error, "the search index does not open and is built anew");
            }
        }
        Self::remove(path)?;
        let index = Self::try_open(path)?;
        index.writer()?.commit("")?;
        Ok(index)
    }

    /// Removes the index of a folder.
    ///
    /// # Errors
    /// [`IndexError::Folder`].
    pub fn remove(path: &Path) -> Result<(), IndexError> {
        crate::disk::remove_folder(path).map_err(|source| IndexError::Folder {
            path: path.to_owned(),
            source: io::Error::other(source),
        })
    }

    fn try_open(path: &Path) -> Result<Self, IndexError> {
        let folder = |source| IndexError::Folder {
            path: path.to_owned(),
            source,
        };
        let failed = |source| IndexError::Tantivy {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(folder)?;
        let (schema, fields) = schema();
        let directory = MmapDirectory::open(path).map_err(|error| failed(error.into()))?;
        let index = tantivy::Index::open_or_create(directory, schema).map_err(failed)?;
        sound::check(&index, path).map_err(failed)?;
        index.tokenizers().register("exact", words::exact());
        index.tokenizers().register("stemmed", words::stemmed());
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(STORE_BLOCKS)
            .try_into()
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            index,
            reader,
            fields,
        })
    }

    fn failed(&self, source: impl Into<tantivy::TantivyError>) -> IndexError {
        IndexError::Tantivy {
            path: self.path.clone(),
            source: source.into(),
        }
    }

    fn payload(&self) -> Option<(String, String)> {
        let payload = self.index.load_metas().ok()?.payload?;
        let (format, mark) = payload.split_once(' ')?;
        Some((format.to_owned(), mark.to_owned()))
    }

    fn is_of_this_format(&self) -> bool {
        self.payload().is_some_and(|(format, _)| format == FORMAT)
    }

    /// What the last commit was marked with: how far the index goes.
    #[must_use]
    pub fn mark(&self) -> String {
        self.payload().map(|(_, mark)| mark).unwrap_or_default()
    }

    /// The one writer. It takes 15 MB and two threads: to be dropped when there is nothing to write.
    ///
    /// # Errors
    /// [`IndexError::Tantivy`], if there is one already, too.
    pub fn writer(&self) -> Result<Writer, IndexError> {
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(WRITER_BYTES)
            .build();
        let writer = self
            .index
            .writer_with_options(options)
            .map_err(|error| self.failed(error))?;
        Ok(Writer {
            index: self.clone(),
            writer,
        })
    }

    /// Datasets in the index.
    #[must_use]
    pub fn datasets(&self) -> u64 {
        self.reader.searcher().num_docs()
    }

    /// What fits the query, the best first; without words, what was updated last. `now`: seconds since 1970.
    ///
    /// The time that it takes is bounded by the limits of queries, the words that the beginning of one stands
    /// for, and the number of datasets.
    ///
    /// # Errors
    /// [`IndexError::Tantivy`].
    pub fn search(
        &self,
        query: &Query,
        range: Range<usize>,
        now: u64,
    ) -> Result<Vec<Hit>, IndexError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        look::search(self, query, range, now).map_err(|error| self.failed(error))
    }

    /// The stamps of all entries, by the first bytes of their datasets' ids.
    ///
    /// # Errors
    /// [`IndexError::Tantivy`].
    pub fn stamps(&self) -> Result<HashMap<u64, u64>, IndexError> {
        let mut stamps = HashMap::new();
        self.each(|dataset, stamp| {
            stamps.insert(short(&dataset), stamp);
        })?;
        Ok(stamps)
    }

    /// The datasets in the index whose short ids fit.
    ///
    /// # Errors
    /// [`IndexError::Tantivy`].
    pub fn datasets_of(&self, fits: impl Fn(u64) -> bool) -> Result<Vec<DatasetId>, IndexError> {
        let mut found = Vec::new();
        self.each(|dataset, _| {
            if fits(short(&dataset)) {
                found.push(dataset);
            }
        })?;
        Ok(found)
    }

    fn each(&self, mut take: impl FnMut(DatasetId, u64)) -> Result<(), IndexError> {
        for segment in self.reader.searcher().segment_readers() {
            let store = segment
                .get_store_reader(STORE_BLOCKS)
                .map_err(|error| self.failed(error))?;
            for document in store.iter::<TantivyDocument>(segment.alive_bitset()) {
                let document = document.map_err(|error| self.failed(error))?;
                if let Some((dataset, stamp)) = self.fields.read(&document) {
                    take(dataset, stamp);
                }
            }
        }
        Ok(())
    }
}

/// The first bytes of an id: enough to tell a million apart.
#[must_use]
pub(super) fn short(dataset: &DatasetId) -> u64 {
    let hash = dataset.hash();
    hash.as_bytes()
        .first_chunk::<8>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Fields {
    fn read(&self, document: &TantivyDocument) -> Option<(DatasetId, u64)> {
        let id = document.get_first(self.dataset)?.as_bytes()?;
        let stamp = document.get_first(self.stamp)?.as_bytes()?;
        let hash = Hash::from_bytes(id.try_into().ok()?);
        Some((
            DatasetId::from_hash(hash),
            u64::from_le_bytes(stamp.try_into().ok()?),
        ))
    }

    fn document(&self, entry: &Entry) -> TantivyDocument {
        let mut document = TantivyDocument::new();
        document.add_bytes(self.dataset, entry.dataset.hash().as_bytes());
        document.add_bytes(self.stamp, &entry.stamp.to_le_bytes());
        for text in entry.titles() {
            document.add_text(self.title, text);
            document.add_text(self.exact, text);
        }
        if let Some(about) = &entry.description {
            document.add_text(self.about, about);
        }
        if let Some(card) = &entry.card {
            document.add_text(self.card, card);
        }
        for path in &entry.paths {
            document.add_text(self.exact, path);
        }
        for (facet, value) in entry.facets() {
            document.add_text(self.facet, facet_term(facet, &value));
        }
        for id in &entry.ids {
            document.add_text(self.facet, facet_term("id", id));
        }
        document.add_u64(self.bytes, entry.bytes);
        document.add_u64(self.updated, entry.updated);
        document
    }
}

/// Writes to the index. What is written is found after [`Writer::commit`].
pub struct Writer {
    index: Index,
    writer: IndexWriter,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Puts an entry in the place of the one that its dataset had.
    ///
    /// # Errors
    /// [`IndexError::Tantivy`].
    pub fn put(&self, entry: &Entry) -> Result<(), IndexError> {
        self.remove(&entry.dataset);
        let document = self.index.fields.document(entry);
        let added = self.writer.add_document(document);
        added.map(drop).map_err(|error| self.index.failed(error))
    }

    /// Removes the entry of a dataset.
    pub fn remove(&self, dataset: &DatasetId) {
        let hash = dataset.hash();
        let term = Term::from_field_bytes(self.index.fields.dataset, hash.as_bytes());
        self.writer.delete_term(term);
    }

    /// Makes durable and findable what was written, marked with how far it goes.
    ///
    /// # Errors
    /// [`IndexError::Tantivy`].
    pub fn commit(&mut self, mark: &str) -> Result<(), IndexError> {
        let index = &self.index;
        let mut prepared = self
            .writer
            .prepare_commit()
            .map_err(|error| index.failed(error))?;
        prepared.set_payload(&format!("{FORMAT} {mark}"));
        prepared.commit().map_err(|error| index.failed(error))?;
        index.reader.reload().map_err(|error| index.failed(error))
    }

    /// Waits until segments that are merged have been.
    ///
    /// # Errors
    /// [`IndexError::Tantivy`].
    pub fn finish(self) -> Result<(), IndexError> {
        let Self { index, writer } = self;
        writer
            .wait_merging_threads()
            .map_err(|error| index.failed(error))?;
        index.reader.reload().map_err(|error| index.failed(error))
    }
}

#[cfg(test)]
mod tests;
