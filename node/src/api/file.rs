//! `api.json`: where the running daemon of a data directory listens, and the token that it wants; and
//! `metrics_token`, which opens its figures alone.

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
/// Name of the file with the token that opens `/metrics` alone.
const METRICS_TOKEN_NAME: &str = "metrics_token";
/// The files' bytes: an address and a token are about 150.
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
    let written = serde_json::to_string(&text)
        .map_err(io::Error::from)
        .and_then(|text| replace(&path, &text));
    written.map_err(|source| ApiError::Write { path, source })
}

/// The token that opens `/metrics` alone, of an earlier run or a new one. It stays the same, so that a
/// scraper of another user may have a copy; and its file may be made readable for others, but a link, or
/// a file that others can write, is not believed.
pub(super) fn metrics_token(data_dir: &Path) -> Result<Token, ApiError> {
    let path = data_dir.join(METRICS_TOKEN_NAME);
    match read_trusted(&path, WRITABLE_BY_OTHERS) {
        Ok(Some(text)) => {
            if let Some(token) = Token::parse(text.trim()) {
                return Ok(token);
            }
        }
        Ok(None) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(ApiError::Read { path, source }),
    }
    let token = Token::random()?;
    match replace(&path, &token.text()) {
        Ok(()) => Ok(token),
        Err(source) => Err(ApiError::Write { path, source }),
    }
}

/// Writes a file, readable by its owner only, in place of one that may be there.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_added_extension("new");
    write_private(&temporary, text).and_then(|()| fs::rename(&temporary, path))
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
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

/// Bits of a file's mode that say that others can read or write it.
const OPEN_TO_OTHERS: u32 = 0o077;
/// Those that say that others can write it.
const WRITABLE_BY_OTHERS: u32 = 0o022;

fn read_text(path: &Path) -> io::Result<Option<Text>> {
    let text = read_trusted(path, OPEN_TO_OTHERS)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// The text of a file; `None` if its mode has one of the bits `forbidden`, or it is no regular file.
fn read_trusted(path: &Path, forbidden: u32) -> io::Result<Option<String>> {
    let linked = fs::symlink_metadata(path)?;
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    let is_same = (linked.dev(), linked.ino()) == (metadata.dev(), metadata.ino());
    if !is_same || !metadata.is_file() || metadata.mode() & forbidden != 0 {
        return Ok(None);
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Some(text))
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
    fn s16_the_token_for_figures_stays_unless_others_could_have_written_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(METRICS_TOKEN_NAME);
        let token = || metrics_token(dir.path()).unwrap().text();
        let set_mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let first = token();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        set_mode(0o640);
        assert_eq!(token(), first, "a group may read it");
        set_mode(0o660);
        let second = token();
        assert_ne!(second, first, "a group could have written it");
        fs::write(&path, "no token").unwrap();
        let third = token();
        assert_eq!(fs::read_to_string(&path).unwrap(), third);
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_ne!(token(), third, "a link is not followed");
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), third);
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
