//! Drafts as text: in the form that `armor` has.

use super::{Draft, DraftError};
use crate::{
    armor::{self, ArmorError},
    limits::DRAFT_BYTES_MAX,
};

/// The first line.
const FIRST_LINE: &str = "opendag-draft/1";

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
    let text = armor::write(FIRST_LINE, &draft.encode()?);
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
    let bytes = armor::read(FIRST_LINE, text).map_err(|error| match error {
        ArmorError::FirstLine => TextError::FirstLine,
        ArmorError::NotBase64 => TextError::NotBase64,
    })?;
    Draft::decode(&bytes)
}
