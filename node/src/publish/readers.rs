//! What the `datasets` library of Hugging Face makes of a folder: one kind of reader for all of it.
//!
//! It counts the extensions and takes the reader of the most frequent one, Parquet first on a draw; files
//! of others are passed over or, where a card's `configs` name them, given to the wrong reader.

use std::collections::BTreeMap;

/// A kind of reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reader {
    // On a draw the first one is taken.
    Parquet,
    Arrow,
    Json,
    Csv,
    Tsv,
    WebDataset,
    Images,
    Audio,
    Video,
}

/// Files that say something about other files, and are no data to it.
const METADATA: [&str; 7] = [
    "config.json",
    "dataset_dict.json",
    "dataset_info.json",
    "dataset_infos.json",
    "metadata.csv",
    "metadata.jsonl",
    "metadata.parquet",
];
/// Endings of packed files that it unpacks.
const PACKED: [&str; 4] = ["gz", "zst", "bz2", "xz"];

impl Reader {
    /// The reader of a file and the ending by which it is known, packing included; `None` if it has none.
    pub(super) fn of(path: &str) -> Option<(Self, &str)> {
        let name = path.rsplit('/').next()?;
        if METADATA.contains(&name) {
            return None;
        }
        let (stem, last) = name.rsplit_once('.')?;
        let (extension, ending) = match stem.rsplit_once('.') {
            Some((stem, extension)) if PACKED.contains(&last) => {
                (extension, name.get(stem.len() + 1..)?)
            }
            Some(_) | None => (last, last),
        };
        let reader = match extension.to_ascii_lowercase().as_str() {
            "parquet" | "geoparquet" | "gpq" => Self::Parquet,
            "arrow" => Self::Arrow,
            "json" | "jsonl" | "ndjson" => Self::Json,
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            "tar" => Self::WebDataset,
            "bmp" | "gif" | "jpeg" | "jpg" | "png" | "tif" | "tiff" | "webp" => Self::Images,
            "flac" | "mp3" | "ogg" | "opus" | "wav" => Self::Audio,
            "avi" | "mkv" | "mov" | "mp4" | "mpeg" => Self::Video,
            _ => return None,
        };
        Some((reader, ending))
    }

    /// What the files are called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Arrow => "Arrow",
            Self::Json => "JSON",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::WebDataset => "tar",
            Self::Images => "image",
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }

    /// Does it find the rows by the fields of its files? Folders of images and the like it understands better
    /// by itself.
    pub(super) const fn has_fields(self) -> bool {
        match self {
            Self::Parquet | Self::Arrow | Self::Json | Self::Csv | Self::Tsv | Self::WebDataset => {
                true
            }
            Self::Images | Self::Audio | Self::Video => false,
        }
    }
}

/// How many files each reader has, and the one that is taken.
pub(super) fn count<'a>(
    paths: impl Iterator<Item = &'a str>,
) -> (BTreeMap<Reader, u64>, Option<Reader>) {
    let mut counts = BTreeMap::new();
    for (reader, _) in paths.filter_map(Reader::of) {
        *counts.entry(reader).or_insert(0_u64) += 1;
    }
    // The last of equals is the greatest: the order is turned around.
    let most = counts.iter().rev().max_by_key(|(_, count)| **count);
    let most = most.map(|(reader, _)| *reader);
    (counts, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_reader_is_taken() {
        let taken = |paths: &[&str]| count(paths.iter().copied()).1;
        assert_eq!(
            taken(&["a.csv", "b/c.jsonl", "d.jsonl"]),
            Some(Reader::Json)
        );
        assert_eq!(taken(&["a.csv", "b.parquet"]), Some(Reader::Parquet));
        assert_eq!(taken(&["a.tsv", "b.tar", "README.md"]), Some(Reader::Tsv));
        assert_eq!(
            taken(&["README.md", "metadata.csv", "x", "a/config.json"]),
            None
        );
    }

    #[test]
    fn endings_have_their_packing() {
        let ending = |path| Reader::of(path).map(|(_, ending)| ending);
        assert_eq!(ending("a/x.y.csv.gz"), Some("csv.gz"));
        assert_eq!(ending("x.JSONL"), Some("JSONL"));
        assert_eq!(ending("x.gz"), None);
    }
}
