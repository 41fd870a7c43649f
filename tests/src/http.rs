//! HTTP as a stranger on the same machine speaks it: whatever bytes it likes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result};

/// An answer, as it came.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header lines, in lower case.
    pub head: String,
    /// The body as it came, chunk sizes included.
    pub body: Vec<u8>,
}

/// Sends one request to the host and port of `url` and reads until the other side closes.
///
/// `Host` and `Connection: close` are sent unless `headers` has its own `Host`.
pub fn request(
    url: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        text += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("an answer has a head")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head
        .split(' ')
        .nth(1)
        .context("an answer has a status")?
        .parse()?;
    Ok(Answer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    })
}

/// Asks for a file and returns the first line of the answer, whose rest is not waited for.
pub fn status_line(url: &str, path: &str) -> Result<String> {
    let mut line = String::new();
    BufReader::new(ask(url, path)?).read_line(&mut line)?;
    Ok(line)
}

/// Asks for a file and returns what came of the answer's body until nothing came for `silence`.
pub fn beginning(url: &str, path: &str, silence: Duration) -> Result<Vec<u8>> {
    let mut stream = ask(url, path)?;
    let (mut head, mut body) = (Vec::new(), Vec::new());
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    stream.set_read_timeout(Some(silence))?;
    match stream.read_to_end(&mut body) {
        Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Err(error.into()),
        Ok(_) | Err(_) => Ok(body),
    }
}

fn ask(url: &str, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}
