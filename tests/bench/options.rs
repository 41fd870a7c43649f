//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

/// How it is called.
pub(crate) const USAGE: &str = "usage: bench [B1 B2 ... | all] [--rounds N] [--scale 0.01..1] [--folder DIR] \
[--binary FILE] [--json FILE] [--peers NAME,NAME] [--no-isolation]";

/// What the command line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Names of workloads, in capitals.
    pub(crate) workloads: Vec<String>,
    /// Measured runs of each peer.
    pub(crate) rounds: usize,
    /// Sizes as shares of those in the issue.
    pub(crate) scale: f64,
    /// Where everything lies.
    pub(crate) folder: PathBuf,
    /// The `opendag` that is measured.
    pub(crate) binary: PathBuf,
    /// Where the JSON goes.
    pub(crate) json: Option<PathBuf>,
    /// The peers to run, all when empty.
    pub(crate) peers: Vec<String>,
}

impl Options {
    /// Reads the arguments behind the program's name; `known` are the names of all workloads.
    pub(crate) fn parse(args: impl Iterator<Item = String>, known: &[&str]) -> Result<Self> {
        let mut args = args;
        let mut options = Self {
            workloads: Vec::new(),
            rounds: 3,
            scale: 1.0,
            folder: std::env::temp_dir(),
            binary: std::env::current_exe()?
                .parent()
                .context("the folder of this program")?
                .join("opendag"),
            json: None,
            peers: Vec::new(),
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--rounds" => options.rounds = value()?.parse()?,
                "--scale" => options.scale = value()?.parse()?,
                "--folder" => options.folder = std::path::absolute(value()?)?,
                "--binary" => options.binary = std::path::absolute(value()?)?,
                "--json" => options.json = Some(std::path::absolute(value()?)?),
                "--peers" => options.peers = value()?.split(',').map(str::to_owned).collect(),
                "--no-isolation" => {}
                "all" => options.workloads = known.iter().map(ToString::to_string).collect(),
                name if known.contains(&name.to_uppercase().as_str()) => {
                    options.workloads.push(name.to_uppercase());
                }
                _ => bail!("{arg} means nothing here\n{USAGE}"),
            }
        }
        ensure!(!options.workloads.is_empty(), "{USAGE}");
        ensure!(options.rounds > 0, "--rounds must be at least 1");
        ensure!(
            options.scale >= 0.001 && options.scale <= 1.0,
            "--scale must lie between 0.001 and 1"
        );
        ensure!(
            options.folder.is_dir(),
            "no folder {}",
            options.folder.display()
        );
        ensure!(
            options.binary.is_file(),
            "no {}: `cargo build --release -p opendag` first",
            options.binary.display()
        );
        Ok(options)
    }

    /// A number of the issue at this scale, at least 1.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a size of the benchmark lies far below 2^53"
    )]
    pub(crate) fn scaled(&self, full: u64) -> u64 {
        ((full as f64 * self.scale).round() as u64).max(1)
    }

    /// Whether a peer was asked for.
    pub(crate) fn wants(&self, peer: &str) -> bool {
        self.peers.is_empty() || self.peers.iter().any(|name| name == peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options> {
        let me = std::env::current_exe()?.display().to_string();
        let args = text.replace("ME", &me);
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        Options::parse(args.into_iter(), &["B1", "B2"])
    }

    #[test]
    fn workloads_sizes_and_peers_are_read() -> Result<()> {
        let options = parse("b2 --scale 0.25 --rounds 5 --peers rsync,aria2 --binary ME")?;
        assert_eq!(options.workloads, ["B2"]);
        assert_eq!((options.rounds, options.scaled(4096)), (5, 1024));
        assert!(options.wants("rsync") && !options.wants("sendme"));
        assert_eq!(parse("all --binary ME")?.workloads, ["B1", "B2"]);
        Ok(())
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "B3", "B1 --scale 2", "B1 --rounds 0", "B1 --rounds"] {
            assert!(parse(&format!("{text} --binary ME")).is_err(), "{text}");
        }
        assert!(parse("B1 --binary /no/such/file").is_err());
    }
}
