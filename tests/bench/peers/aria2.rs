//! aria2 with a SHA-256 for every file, from nginx over TLS.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::{Fetch, Host, Job, Peer, Seed, free_port, need, rsync::wait_port};
use crate::process::Process;

/// aria2 and nginx.
pub(crate) struct Aria2;

impl Peer for Aria2 {
    fn name(&self) -> &'static str {
        "aria2"
    }

    fn missing(&self) -> Option<String> {
        need(&["aria2c", "nginx", "openssl"])
    }

    fn seed(&self, job: &Job<'_>) -> Result<Box<dyn Seed>> {
        fs::create_dir_all(&job.scratch)?;
        certificate(&job.scratch)?;
        let port = free_port()?;
        let config = job.scratch.join("nginx.conf");
        fs::write(&config, nginx_config(job, port))?;
        let mut command = job.seed.command("nginx");
        command.arg("-p").arg(&job.scratch).arg("-c").arg(&config);
        let process = Process::start("nginx", command, &job.scratch)?;
        wait_port(&job.seed, &job.fetch, port)?;
        let list = job.scratch.join("list");
        let files = write_list(job, port, &list)?;
        Ok(Box::new(Seeding {
            process,
            list,
            files,
            host: job.fetch.clone(),
        }))
    }
}

fn certificate(folder: &Path) -> Result<()> {
    let status = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args([
            "-subj",
            "/CN=bench",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ])
        .current_dir(folder)
        .output()
        .context("cannot run openssl")?
        .status;
    ensure!(status.success(), "openssl made no certificate");
    Ok(())
}

fn nginx_config(job: &Job<'_>, port: u16) -> String {
    let (scratch, source) = (job.scratch.display(), job.source.display());
    let user = if rustix::process::geteuid().is_root() {
        "user root;\n"
    } else {
        ""
    };
    format!(
        "{user}daemon off;
worker_processes auto;
pid {scratch}/nginx.pid;
error_log {scratch}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path {scratch}/t1;
  proxy_temp_path {scratch}/t2;
  fastcgi_temp_path {scratch}/t3;
  uwsgi_temp_path {scratch}/t4;
  scgi_temp_path {scratch}/t5;
  server {{
    listen {address}:{port} ssl;
    ssl_certificate {scratch}/cert.pem;
    ssl_certificate_key {scratch}/key.pem;
    ssl_buffer_size 16k;
    output_buffers 2 256k;
    root {source};
  }}
}}
",
        address = job.seed.address
    )
}

/// The input file of aria2: URL, name and SHA-256 of each file; returns how many there are.
fn write_list(job: &Job<'_>, port: u16, list: &Path) -> Result<usize> {
    let (mut text, mut files) = (String::new(), 0);
    for entry in WalkDir::new(job.source) {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        let path = entry.path().strip_prefix(job.source)?;
        let path = path.to_str().context("a plain name")?;
        writeln!(
            text,
            "https://{}:{port}/{}\n  out={path}\n  checksum=sha-256={}",
            job.seed.address,
            escaped(path),
            sha256(entry.path())?
        )?;
        files += 1;
    }
    fs::write(list, text)?;
    Ok(files)
}

/// A path as a URL has it.
fn escaped(path: &str) -> String {
    let mut url = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

fn sha256(path: &Path) -> Result<String> {
    let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
    let mut text = String::new();
    for byte in hasher.finalize() {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

struct Seeding {
    process: Process,
    list: PathBuf,
    files: usize,
    host: Host,
}

impl Seed for Seeding {
    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn fetch(&self, target: &Path, _run: usize) -> Result<Fetch> {
        let mut command = self.host.command("aria2c");
        command.args(["--no-conf", "--quiet", "--check-certificate=false"]);
        command.args(["--file-allocation=none", "--disk-cache=64M"]);
        command.args(["--allow-overwrite=true", "--auto-file-renaming=false"]);
        if self.files > 16 {
            // Many files at once, a connection each.
            command.args(["-j16", "-x1", "-s1"]);
        } else {
            command.args(["-j4", "-x4", "-s4", "-k1M"]);
        }
        command.arg("-i").arg(&self.list).arg("-d").arg(target);
        Ok(Fetch {
            command,
            result: target.to_path_buf(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_url() {
        assert_eq!(escaped("a b/ü%.txt"), "a%20b/%C3%BC%25.txt");
    }

    #[test]
    fn the_checksum_is_sha_256() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("abc");
        fs::write(&path, "abc")?;
        assert_eq!(
            sha256(&path)?,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        Ok(())
    }
}
