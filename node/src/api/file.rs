//! `api.json`: where the running daemon of a data directory listens, and the token that it wants.

use std::{
    fs,
    io::{self, Read, Write},
    net::SocketAddr,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::ApiError;

/// Name in the data directory.
const FILE_NAME: &str = "api.json";
/// The file's bytes: an address and a token are about 150.
const FILE_BYTES_MAX: u64 = 4096;
/// Bytes of a token.
const TOKEN_BYTES: usize = 32;

/// A secret of 32 bytes; as text 64 hexadecimal digits. Never printed by `Debug`.
#[derive(Clone)]
pub(super) struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// A new one.
    pub(super) fn random() -> Result<Self, ApiError> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes).map_err(ApiError::Random)?;
        Ok(Self(bytes))
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// The text that goes into `Authorization: Bearer`.
    pub(super) fn text(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// What only a holder of the token can answer to `challenge`.
    pub(super) fn proof(&self, challenge: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, challenge).as_bytes()
    }
}

/// What the file says.
#[derive(Clone)]
pub(super) struct Announced {
    /// Where the API listens.
    pub(super) address: SocketAddr,
    /// What it wants.
    pub(super) token: Token,
}

#[derive(Serialize, Deserialize)]
struct Text {
    address: SocketAddr,
    token: String,
    pid: u32,
}

/// The file of the data directory `data_dir`.
pub(super) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE_NAME)
}

/// Writes the file, readable by its owner only, replacing the one of an earlier run. It needs no
/// sync: after a power cut there is no daemon either.
pub(super) fn write(data_dir: &Path, announced: &Announced) -> Result<(), ApiError> {
    let text = Text {
        address: announced.address,
        token: announced.token.text(),
        pid: std::process::id(),
    };
    let path = path(data_dir);
    let temporary = data_dir.join(format!("{FILE_NAME}.new"));
    let written = write_private(&temporary, &text).and_then(|()| fs::rename(&temporary, &path));
    written.map_err(|source| ApiError::Write { path, source })
}

fn write_private(path: &Path, text: &Text) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(serde_json::to_string(text)?.as_bytes())
}

/// Removes the file if it still speaks of this daemon.
pub(super) fn remove(data_dir: &Path, announced: &Announced) {
    if let Ok(Some(current)) = read(data_dir)
        && current.address == announced.address
        && current.token.0 == announced.token.0
    {
        // Without the file, or with a stale one, commands run a node of their own.
        drop(fs::remove_file(path(data_dir)));
    }
}

/// Reads the file. `None`: there is none, it makes no sense, or others could have written or read it.
pub(super) fn read(data_dir: &Path) -> Result<Option<Announced>, ApiError> {
    let path = path(data_dir);
    match read_text(&path) {
        Ok(text) => Ok(text.and_then(|text| {
            let token = Token::parse(&text.token)?;
            text.address.ip().is_loopback().then_some(Announced {
                address: text.address,
                token,
            })
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ApiError::Read { path, source }),
    }
}

fn read_text(path: &Path) -> io::Result<Option<Text>> {
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
        return Ok(None);
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text).ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn announced(port: u16) -> Announced {
        Announced {
            address: ([127, 0, 0, 1], port).into(),
            token: Token::random().unwrap(),
        }
    }

    #[test]
    fn the_file_is_private_and_round_trips() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap().is_none());
        let first = announced(1);
        write(dir.path(), &first).unwrap();
        let second = announced(2);
        write(dir.path(), &second).unwrap();
        let mode = fs::metadata(path(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read_back = read(dir.path()).unwrap().unwrap();
        assert_eq!(read_back.address, second.address);
        assert_eq!(read_back.token.text(), second.token.text());
        remove(dir.path(), &first);
        assert!(
            read(dir.path()).unwrap().is_some(),
            "the file of a later daemon stays"
        );
        remove(dir.path(), &second);
        assert!(read(dir.path()).unwrap().is_none());
    }

    #[test]
    fn a_file_that_others_can_read_or_that_points_elsewhere_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &announced(1)).unwrap();
        fs::set_permissions(path(dir.path()), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(dir.path()).unwrap().is_none());
        let elsewhere = Announced {
            address: ([192, 0, 2, 1], 80).into(),
            ..announced(1)
        };
        write(dir.path(), &elsewhere).unwrap();
        assert!(read(dir.path()).unwrap().is_none());
    }
}
