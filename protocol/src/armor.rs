//! Small binary files as text, to be mailed, copied and kept in version control: a first line that names
//! the format, then base64 (RFC 4648, with padding) in lines of at most 76 characters.

use data_encoding::BASE64;

/// Characters of a line: what mail carries unchanged.
const LINE_CHARS: usize = 76;

/// Why a text does not have the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArmorError {
    /// Another first line.
    FirstLine,
    /// What follows is not base64.
    NotBase64,
}

/// The text of `bytes` under a first line, with a newline at the end.
pub(crate) fn write(first_line: &str, bytes: &[u8]) -> String {
    let digits = BASE64.encode(bytes);
    let mut text = format!("{first_line}\n");
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at_checked(LINE_CHARS).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text
}

/// The bytes of a text with that first line. Line ends may have become others on the way.
pub(crate) fn read(first_line: &str, text: &[u8]) -> Result<Vec<u8>, ArmorError> {
    let rest = text
        .strip_prefix(first_line.as_bytes())
        .filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))
        .ok_or(ArmorError::FirstLine)?;
    let digits: Vec<u8> = rest
        .iter()
        .copied()
        .filter(|byte| !b"\r\n".contains(byte))
        .collect();
    BASE64.decode(&digits).map_err(|_| ArmorError::NotBase64)
}
