//! Virtual environments of Python with the clients of others in them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{Finished, Running};

/// An installation that takes longer is given up.
const INSTALL_MAX: Duration = Duration::from_secs(900);

/// A virtual environment, or why there is none.
#[derive(Debug)]
pub enum Environment {
    /// Its interpreter.
    Ready(PathBuf),
    /// Python or a package index is not at hand.
    Missing(String),
}

impl Environment {
    /// The environment with the packages of a file of requirements, kept below `cache` for later runs.
    ///
    /// # Errors
    /// The cache cannot be written or the requirements cannot be read: both are not the machine's fault.
    pub fn of(cache: &Path, requirements: &Path) -> Result<Self> {
        fs::create_dir_all(cache)?;
        // Two runs at once install it once.
        let lock = fs::File::create(cache.join("lock"))?;
        lock.lock()?;
        let name = requirements.file_stem().context("a file of requirements")?;
        let wanted = fs::read_to_string(requirements)?;
        let version = match run(
            "python3",
            ["-c", "import sys, venv, ensurepip; print(sys.version)"],
        ) {
            Ok(Finished {
                code: Some(0),
                lines,
                ..
            }) => lines.join(" "),
            Ok(finished) => return Ok(Self::Missing(reason("Python with venv", &finished))),
            Err(error) => return Ok(Self::Missing(format!("Python: {error}"))),
        };
        let folder = cache.join(name);
        let (python, made) = (folder.join("bin/python"), folder.join("made-of"));
        let is_made = fs::read_to_string(&made).is_ok_and(|made| made == version.clone() + &wanted);
        if is_made {
            return Ok(Self::Ready(python));
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let make = run(
            "python3",
            ["-m".as_ref(), "venv".as_ref(), folder.as_os_str()],
        )?;
        if make.code != Some(0) {
            return Ok(Self::Missing(reason("python3 -m venv", &make)));
        }
        let pip = ["-m", "pip", "install", "--quiet", "--retries", "1", "-r"].map(AsRef::as_ref);
        let install = run(&python, pip.into_iter().chain([requirements.as_os_str()]));
        match install {
            Ok(Finished { code: Some(0), .. }) => {}
            Ok(finished) => return Ok(Self::Missing(reason("pip install", &finished))),
            Err(error) => return Ok(Self::Missing(format!("pip install: {error}"))),
        }
        fs::write(made, version + &wanted)?;
        Ok(Self::Ready(python))
    }
}

fn run<'a>(
    program: impl AsRef<Path>,
    args: impl IntoIterator<Item = &'a (impl AsRef<std::ffi::OsStr> + ?Sized + 'a)>,
) -> Result<Finished> {
    let program = program.as_ref();
    let mut command = Command::new(program.as_os_str());
    command.args(args);
    Running::start(&program.display().to_string(), command)?.finish(INSTALL_MAX)
}

/// The last thing that a failed command said.
fn reason(what: &str, finished: &Finished) -> String {
    let last = finished
        .stderr
        .lines()
        .rfind(|line| !line.trim().is_empty());
    format!("{what} failed: {}", last.unwrap_or("no word why"))
}
