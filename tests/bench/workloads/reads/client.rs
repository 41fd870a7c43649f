//! Clients: `curl`, and one of our own that hashes what it gets and keeps nothing.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    ops::Range,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// A client that gets nothing for so long gives up.
const SILENCE_MAX: Duration = Duration::from_secs(70);

/// What a request brought, and when.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    /// Until the first byte of the body.
    pub(super) first: Duration,
    pub(super) bytes: u64,
    pub(super) hash: blake3::Hash,
}

/// Gets a path, or a range of it.
pub(super) fn get(url: &str, path: &str, range: Option<Range<u64>>) -> Result<Got> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let started = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    let range = range.map(|range| format!("Range: bytes={}-{}\r\n", range.start, range.end - 1));
    let range = range.unwrap_or_default();
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{range}\r\n");
    stream.write_all(head.as_bytes())?;
    let mut reader = BufReader::with_capacity(256 * 1024, stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).context("a status")?.parse()?;
    while line != "\r\n" {
        line.clear();
        ensure!(reader.read_line(&mut line)? > 0, "the head was cut off");
    }
    let (mut hasher, mut bytes, mut first) = (blake3::Hasher::new(), 0, None);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = reader.read(&mut buffer)?;
        first.get_or_insert_with(|| started.elapsed());
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            break;
        };
        hasher.update(part);
        bytes += u64::try_from(read)?;
    }
    Ok(Got {
        status,
        first: first.unwrap_or_default(),
        bytes,
        hash: hasher.finalize(),
    })
}

/// `curl` of a path into nothing, which says when the first byte came, how long it took, the status, and
/// how many bytes there were.
pub(super) fn curl(url: &str, path: &str) -> Command {
    let mut command = Command::new("curl");
    let told = "%{time_starttransfer} %{time_total} %{http_code} %{size_download}";
    command.args(["-sS", "--noproxy", "*", "-o", "/dev/null", "-w", told]);
    command.arg(format!("{}{path}", url.trim_end_matches('/')));
    command
}

/// Seconds to the first byte and to the last, as `curl` told, if it got `bytes` with a good status.
pub(super) fn told(output: &str, bytes: u64) -> Result<(f64, f64)> {
    let parts: Vec<&str> = output.split_whitespace().collect();
    let [first, whole, status, got] = parts.as_slice() else {
        anyhow::bail!("curl said \"{output}\"");
    };
    ensure!(
        matches!(*status, "200" | "206") && got.parse::<u64>()? == bytes,
        "curl got {got} of {bytes} bytes, status {status}"
    );
    Ok((first.parse()?, whole.parse()?))
}

/// The hash of a file.
pub(super) fn hash(path: &Path) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize())
}
