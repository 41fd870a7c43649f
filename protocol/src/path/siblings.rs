//! What the paths of one table must obey beside each other, checked over a sorted stream.

use std::collections::BTreeSet;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

use super::DatasetPath;

/// Checks paths that come in their order: none twice, no file that is also a folder, and no two names
/// of one folder that are equal under canonical caseless matching (Unicode, definition D145).
///
/// Paths of one folder follow each other in the order of bytes, so that only the folders of the last
/// path are remembered: 8 bytes for each name in them, about 14 with the tree around them. A hash of
/// 64 bits stands for a name. So two different names of one folder could be taken for equal, with a
/// probability of three in a million for a folder of ten million names; never the other way round.
///
/// Leaving out some paths of a sorted sequence is allowed: what is checked is what was pushed.
/// After an error the check is of no further use.
#[derive(Debug, Default)]
pub struct SiblingCheck {
    last: Option<DatasetPath>,
    /// Lengths of pushed paths that are prefixes of the last one, growing; the last one's is at the end.
    pub(super) files: Vec<usize>,
    /// The folders that the last path lies in, from the root.
    pub(super) folders: Vec<Folder>,
}

#[derive(Debug)]
pub(super) struct Folder {
    /// Length of its path with the `/` at the end; 0 for the root.
    len: usize,
    pub(super) names: BTreeSet<u64>,
}

/// Why a path cannot follow those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiblingError {
    /// It is not after the one before in the order of bytes.
    #[error("\"{path}\" is not in order after \"{last}\"")]
    NotSorted {
        /// The path.
        path: DatasetPath,
        /// The one before.
        last: DatasetPath,
    },
    /// It is there already.
    #[error("\"{path}\" is there twice")]
    Duplicate {
        /// The path.
        path: DatasetPath,
    },
    /// One of its folders is a file.
    #[error("\"{path}\" lies in \"{file}\", which is a file")]
    FileIsFolder {
        /// The path.
        path: DatasetPath,
        /// The part of it that is a file.
        file: String,
    },
    /// Another name in the same folder is equal to one of its components but for case or normalisation.
    #[error(
        "\"{path}\" collides with another entry: \"{name}\" differs from its name only in case"
    )]
    Collision {
        /// The path.
        path: DatasetPath,
        /// The part of it that collides.
        name: String,
    },
}

impl SiblingCheck {
    /// A check that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next path.
    ///
    /// # Errors
    /// If it cannot follow those before it.
    pub fn push(&mut self, path: &DatasetPath) -> Result<(), SiblingError> {
        let shared = self.shared_with_last(path)?;
        let text = path.as_str();
        while self.files.pop_if(|len| *len > shared).is_some() {}
        let is_folder = |len: &&usize| text.as_bytes().get(**len) == Some(&b'/');
        if let Some(len) = self.files.iter().find(is_folder) {
            return Err(SiblingError::FileIsFolder {
                path: path.clone(),
                file: text.get(..*len).unwrap_or_default().to_owned(),
            });
        }
        while self.folders.pop_if(|folder| folder.len > shared).is_some() {}
        self.enter(path)?;
        self.files.push(text.len());
        self.last = Some(path.clone());
        Ok(())
    }

    /// How many bytes `path` has in common with the last one.
    fn shared_with_last(&self, path: &DatasetPath) -> Result<usize, SiblingError> {
        let Some(last) = &self.last else { return Ok(0) };
        match path.cmp(last) {
            std::cmp::Ordering::Greater => {}
            std::cmp::Ordering::Equal => {
                return Err(SiblingError::Duplicate { path: path.clone() });
            }
            std::cmp::Ordering::Less => {
                return Err(SiblingError::NotSorted {
                    path: path.clone(),
                    last: last.clone(),
                });
            }
        }
        let pairs = last.as_str().bytes().zip(path.as_str().bytes());
        Ok(pairs.take_while(|(a, b)| a == b).count())
    }

    /// Notes the components of `path` below the innermost open folder; each is new in its folder,
    /// because the paths of a folder follow each other.
    fn enter(&mut self, path: &DatasetPath) -> Result<(), SiblingError> {
        let mut start = self.folders.last().map_or(0, |folder| folder.len);
        let below = path.as_str().get(start..).unwrap_or_default();
        if self.folders.is_empty() {
            self.folders.push(Folder::new(0));
        }
        for (depth, name) in below.split('/').enumerate() {
            if depth > 0 {
                self.folders.push(Folder::new(start));
            }
            let is_new = self
                .folders
                .last_mut()
                .is_some_and(|folder| folder.names.insert(name_key(name)));
            let end = start.saturating_add(name.len());
            if !is_new {
                let name = path.as_str().get(..end).unwrap_or_default().to_owned();
                return Err(SiblingError::Collision {
                    path: path.clone(),
                    name,
                });
            }
            start = end.saturating_add(1);
        }
        Ok(())
    }
}

impl Folder {
    const fn new(len: usize) -> Self {
        Self {
            len,
            names: BTreeSet::new(),
        }
    }
}

/// Equal for names that are a canonical caseless match.
fn name_key(name: &str) -> u64 {
    let folded = fold(name);
    let hash = blake3::hash(folded.as_bytes());
    let mut key = [0; 8];
    key.iter_mut()
        .zip(hash.as_bytes())
        .for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(key)
}

/// The name as canonical caseless matching compares it: NFD of the full case folding of the NFD.
pub(super) fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfd().default_case_fold().nfd().collect()
}
