//! What the demonstration publishes unless it is told.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// Where the documentation lies in a Rust toolchain.
const DOCUMENTATION: &str = "share/doc/rust/html";

/// A folder to publish.
#[derive(Clone, Debug)]
pub struct Source {
    /// The folder, absolute.
    pub folder: PathBuf,
    /// What it is, for people.
    pub what: String,
    /// Names at its top that are left out.
    pub without: Vec<String>,
}

impl Source {
    /// A folder of the user's choice, whole.
    ///
    /// # Errors
    /// It is not there or not a folder.
    pub fn folder(path: &Path) -> Result<Self> {
        let metadata = path.metadata();
        let metadata = metadata.with_context(|| format!("cannot read {}", path.display()))?;
        if !metadata.is_dir() {
            bail!("{} is not a folder", path.display());
        }
        let folder = path
            .canonicalize()
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            folder,
            what: "the folder".to_owned(),
            without: Vec::new(),
        })
    }
}

/// The documentation of the Rust toolchain, or else the project's own files.
///
/// # Errors
/// Neither is to be found.
pub fn default_source() -> Result<Source> {
    if let Some(folder) = documentation() {
        let what = "the documentation of the Rust toolchain".to_owned();
        return Ok(Source {
            what,
            ..Source::folder(&folder)?
        });
    }
    // Cargo says where the package lies that it runs; the project is the folder above.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let Some(project) = package.as_deref().and_then(|package| package.parent()) else {
        bail!("the Rust documentation is not installed here: name a folder to publish");
    };
    Ok(Source {
        what: "the project's own files".to_owned(),
        without: vec!["target".to_owned(), ".git".to_owned()],
        ..Source::folder(project)?
    })
}

fn documentation() -> Option<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    let sysroot = String::from_utf8(output.stdout).ok()?;
    let folder = PathBuf::from(sysroot.trim()).join(DOCUMENTATION);
    (output.status.success() && folder.is_dir()).then_some(folder)
}
