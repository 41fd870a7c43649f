//! Drafts as text, to be mailed, copied and kept in version control: a first line with the format, then
//! base64 (RFC 4648, with padding) in lines of at most 76 characters.

use data_encoding::BASE64;

use super::{Draft, DraftError};
use crate::limits::DRAFT_BYTES_MAX;

/// The first line.
const FIRST_LINE: &str = "opendag-draft/1";
/// Characters of a line: what mail carries unchanged.
const LINE_CHARS: usize = 76;

/// Why a text is no draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// More than [`DRAFT_BYTES_MAX`].
    #[error("it is larger than {DRAFT_BYTES_MAX} bytes")]
    TooLarge,
    /// Another first line.
    #[error("its first line is not \"{FIRST_LINE}\"")]
    FirstLine,
    /// What follows is not base64.
    #[error("what follows its first line is not base64")]
    NotBase64,
}

/// The text of a draft, with a newline at the end.
///
/// # Errors
/// [`DraftError::Form`], [`TextError::TooLarge`].
pub fn write(draft: &Draft) -> Result<String, DraftError> {
    let digits = BASE64.encode(&draft.encode()?);
    let mut text = format!("{FIRST_LINE}\n");
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at_checked(LINE_CHARS).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    if text.len() > DRAFT_BYTES_MAX {
        return Err(TextError::TooLarge.into());
    }
    Ok(text)
}

/// Reads the text of a draft. Line ends may have become others on the way.
///
/// # Errors
/// [`DraftError`].
pub fn read(text: &[u8]) -> Result<Draft, DraftError> {
    if text.len() > DRAFT_BYTES_MAX {
        return Err(TextError::TooLarge.into());
    }
    let rest = text
        .strip_prefix(FIRST_LINE.as_bytes())
        .filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))
        .ok_or(TextError::FirstLine)?;
    let digits: Vec<u8> = rest
        .iter()
        .copied()
        .filter(|byte| !b"\r\n".contains(byte))
        .collect();
    let bytes = BASE64.decode(&digits).map_err(|_| TextError::NotBase64)?;
    Draft::decode(&bytes)
}
