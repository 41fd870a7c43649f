//! Frames: a length of 32 bits, big-endian, and so many bytes of canonical DAG-CBOR.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    cbor::{self, CborError},
    limits::FRAME_BYTES_MAX,
};

/// Bytes of the length before each frame.
pub const FRAME_PREFIX_BYTES: usize = 4;

/// Why bytes are not a frame, or a value cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A frame of no bytes holds no value.
    #[error("a frame is empty")]
    Empty,
    /// More than [`FRAME_BYTES_MAX`].
    #[error("a frame of {len} bytes is longer than {FRAME_BYTES_MAX}")]
    TooLong {
        /// Its length, as far as it is known.
        len: usize,
    },
    /// Not canonical DAG-CBOR, or of something else than the wanted message.
    #[error("a frame does not hold the expected message")]
    Form(#[source] CborError),
    /// The message has no DAG-CBOR form.
    #[error("cannot encode a message")]
    Encode(#[source] CborError),
}

/// The length that a prefix announces. Nothing should be allocated for it before the bytes arrive.
///
/// # Errors
/// [`FrameError::Empty`] or [`FrameError::TooLong`].
pub fn frame_len(prefix: [u8; FRAME_PREFIX_BYTES]) -> Result<usize, FrameError> {
    match usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX) {
        0 => Err(FrameError::Empty),
        len if len > FRAME_BYTES_MAX => Err(FrameError::TooLong { len }),
        len => Ok(len),
    }
}

/// The frame that holds `message`, with its length.
///
/// # Errors
/// If it is too long; the messages of this module never are.
pub fn encode_frame<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let body = cbor::to_vec(message).map_err(FrameError::Encode)?;
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    frame_len(len.to_be_bytes())?;
    Ok([&len.to_be_bytes()[..], &body].concat())
}

/// The message in the body of a frame.
///
/// # Errors
/// If it is not canonical, or another message.
pub fn decode_frame<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    cbor::from_slice_canonical(body).map_err(FrameError::Form)
}

/// Cuts a stream of bytes, however it was split, into the bodies of frames.
///
/// It holds at most one frame, and no more than what arrived of it. After an error the stream is of
/// no further use: where the next frame begins is not known.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    /// The prefix and the body, as far as they are here.
    buffer: Vec<u8>,
}

impl FrameDecoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the front of `input` up to the end of a frame, and returns its body.
    ///
    /// `None` means that `input` is used up and the frame is not complete. Call it again until then.
    ///
    /// # Errors
    /// If a frame is empty or too long.
    pub fn next_frame(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        loop {
            let Some(prefix) = self.buffer.first_chunk::<FRAME_PREFIX_BYTES>() else {
                if self.take(input, FRAME_PREFIX_BYTES) {
                    continue;
                } else {
                    return Ok(None);
                }
            };
            let end = FRAME_PREFIX_BYTES.saturating_add(frame_len(*prefix)?);
            if !self.take(input, end) {
                return Ok(None);
            }
            let body = self.buffer.split_off(FRAME_PREFIX_BYTES);
            self.buffer.clear();
            return Ok(Some(body));
        }
    }

    /// Is the stream between two frames, where it may end?
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }

    #[cfg(test)]
    pub(super) fn buffer_capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Moves bytes from `input` until the buffer holds `len`; says whether it does.
    fn take(&mut self, input: &mut &[u8], len: usize) -> bool {
        let missing = len.saturating_sub(self.buffer.len()).min(input.len());
        let (taken, rest) = input.split_at_checked(missing).unwrap_or((&[], input));
        self.buffer.extend_from_slice(taken);
        *input = rest;
        self.buffer.len() >= len
    }
}
