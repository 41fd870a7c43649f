//! The user's names for publishers: a small file each, with the public key as text.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use opendag_protocol::{http::alias::Alias, key::PublicKey};

use super::datadir::DataDirError;
use crate::disk::{self, Access, DiskError};

/// A file holds the text of a key, 60 bytes, and a newline.
const FILE_BYTES_MAX: u64 = 128;

/// The aliases of a data directory. All functions block.
#[derive(Clone, Debug)]
pub struct Aliases {
    folder: PathBuf,
}

impl Aliases {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All of them.
    ///
    /// # Errors
    /// [`DataDirError::Damaged`] if the file of one holds no key; `Disk`.
    pub fn all(&self) -> Result<BTreeMap<Alias, PublicKey>, DataDirError> {
        let mut aliases = BTreeMap::new();
        let read_error = || DiskError::io("read", &self.folder);
        for entry in fs::read_dir(&self.folder).map_err(read_error())? {
            let name = entry.map_err(read_error())?.file_name();
            let Some(alias) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some(key) = self.get(&alias)? {
                aliases.insert(alias, key);
            }
        }
        Ok(aliases)
    }

    /// The publisher that an alias stands for; `None` if there is no such alias.
    ///
    /// # Errors
    /// As [`Aliases::all`].
    pub fn get(&self, alias: &Alias) -> Result<Option<PublicKey>, DataDirError> {
        let path = self.path(alias);
        let Some(text) = read(&path)? else {
            return Ok(None);
        };
        let key = text.trim_end().parse().map_err(|_| DataDirError::Damaged {
            path,
            expected: "the public key of a publisher; set the alias again",
        })?;
        Ok(Some(key))
    }

    /// Is there a file for this alias, whatever it holds? One that is damaged can be set again.
    #[must_use]
    pub fn is_set(&self, alias: &Alias) -> bool {
        self.path(alias).exists()
    }

    /// Lets an alias stand for a publisher, whatever it stood for before; durable when it returns.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn set(&self, alias: &Alias, key: &PublicKey) -> Result<(), DiskError> {
        let text = format!("{key}\n");
        disk::write_durable(&self.path(alias), text.as_bytes(), Access::Umask)
    }

    /// Forgets an alias; durable when it returns. Answers whether there was one.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn remove(&self, alias: &Alias) -> Result<bool, DiskError> {
        let was_there = disk::remove_file(&self.path(alias))?;
        disk::sync_folder(&self.folder)?;
        Ok(was_there)
    }

    fn path(&self, alias: &Alias) -> PathBuf {
        self.folder.join(alias.as_str())
    }
}

fn read(path: &Path) -> Result<Option<String>, DiskError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DiskError::io("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(DiskError::io("read", path))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use opendag_protocol::key::SecretKey;

    use super::*;

    #[test]
    fn aliases_stay_until_they_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let aliases = Aliases::new(dir.path().to_owned());
        let (alice, bob): (Alias, Alias) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        let keys = [1, 2].map(|n| SecretKey::from_bytes(&[n; 32]).public());
        assert_eq!(aliases.get(&alice).unwrap(), None);
        aliases.set(&bob, &keys[0]).unwrap();
        aliases.set(&alice, &keys[0]).unwrap();
        aliases.set(&alice, &keys[1]).unwrap();
        let again = Aliases::new(dir.path().to_owned());
        assert_eq!(again.get(&alice).unwrap(), Some(keys[1]));
        let all = BTreeMap::from([(alice.clone(), keys[1]), (bob.clone(), keys[0])]);
        assert_eq!(again.all().unwrap(), all);
        assert!(again.remove(&alice).unwrap());
        assert!(!again.remove(&alice).unwrap());
        assert_eq!(again.all().unwrap(), BTreeMap::from([(bob, keys[0])]));
    }

    #[test]
    fn a_file_that_holds_no_key_stands_for_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let aliases = Aliases::new(dir.path().to_owned());
        let alice = "alice".parse().unwrap();
        fs::write(dir.path().join("alice"), "nobody").unwrap();
        for damaged in [aliases.get(&alice).err(), aliases.all().err()] {
            assert!(matches!(damaged, Some(DataDirError::Damaged { .. })));
        }
        // What is no alias is not ours.
        fs::remove_file(dir.path().join("alice")).unwrap();
        fs::write(dir.path().join("Not-One"), "x").unwrap();
        assert!(aliases.all().unwrap().is_empty());
    }
}
