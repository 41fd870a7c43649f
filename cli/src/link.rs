//! Paths and links that mean the same to a daemon with another working folder.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf, absolute},
};

use opendag_node::export;
use opendag_protocol::exchange;

use crate::error::CliError;

/// Bytes that are read of a file to see whether it is an exported manifest.
const SNIFF_BYTES: u64 = 64;

/// `path` from the root, as UTF-8: it crosses the local API as JSON.
pub(crate) fn absolute_path(path: &Path) -> Result<PathBuf, CliError> {
    let shown = path.display();
    let absolute = absolute(path).map_err(|error| {
        CliError::Input(format!("The path \"{shown}\" cannot be used: {error}."))
    })?;
    if absolute.to_str().is_none() {
        let message = format!(
            "The path \"{shown}\" is not UTF-8. Rename it, or go to its folder by another name."
        );
        return Err(CliError::Input(message));
    }
    Ok(absolute)
}

/// A link as the node wants it: the path of an exported manifest becomes absolute, all else stays.
pub(crate) fn resolve(link: String) -> Result<String, CliError> {
    if link.trim().is_empty() {
        return Err(CliError::Input(
            "The link is empty. Give a link (opendag:…), an id, the path of an exported manifest, or \
             the name of a dataset that is here."
                .to_owned(),
        ));
    }
    if link.starts_with("opendag:") || !is_manifest_file(Path::new(&link)) {
        return Ok(link);
    }
    // It was text before, so it is UTF-8.
    absolute_path(Path::new(&link)).map(|path| path.to_string_lossy().into_owned())
}

/// A dataset may bear the name of a file that is here: only the content tells.
fn is_manifest_file(path: &Path) -> bool {
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return false;
    }
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SNIFF_BYTES).read_to_end(&mut beginning));
    // A file that cannot be read is left to the node, which says why.
    read.is_err()
        || export::looks_like(&beginning)
        || exchange::looks_like(&beginning)
        || path.components().count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exported_manifests_become_paths() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = dir.path().join("manifest");
        std::fs::write(&manifest, export::to_text(&[])).unwrap();
        let text = manifest.to_str().unwrap().to_owned();
        assert_eq!(resolve(text.clone()).unwrap(), text);
        assert_eq!(
            resolve("Cargo.toml".to_owned()).unwrap(),
            "Cargo.toml",
            "a file, not a manifest"
        );
        assert_eq!(resolve("opendag:x".to_owned()).unwrap(), "opendag:x");
        assert!(matches!(resolve(" ".to_owned()), Err(CliError::Input(_))));
    }
}
