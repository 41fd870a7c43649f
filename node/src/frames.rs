//! Frames on a libp2p stream: a big-endian length of four bytes, then canonical DAG-CBOR.
//!
//! Every wait has a deadline, and no more than `FRAME_BYTES_MAX` is ever allocated for a frame.

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use opendag_protocol::wire::{self, FRAME_PREFIX_BYTES, decode_frame, encode_frame, frame_len};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The stream failed.
    #[error("the stream broke: {0}")]
    Io(#[source] io::Error),
    /// Nothing came, or nothing could be sent, before the deadline.
    #[error("the peer did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The frame is too long or does not parse.
    #[error(transparent)]
    Form(wire::FrameError),
}

/// Reads one frame; `None` if the peer closed the stream before another began.
///
/// Not safe to cancel: a frame may be half read.
pub(crate) async fn read_frame<T: DeserializeOwned>(
    io: &mut (impl AsyncRead + Unpin),
    deadline: Duration,
) -> Result<Option<T>, FrameError> {
    let bytes = timeout(deadline, read_bytes(io))
        .await
        .map_err(|_| FrameError::Timeout(deadline))??;
    bytes
        .map(|bytes| decode_frame(&bytes).map_err(FrameError::Form))
        .transpose()
}

async fn read_bytes(io: &mut (impl AsyncRead + Unpin)) -> Result<Option<Vec<u8>>, FrameError> {
    let mut prefix = [0; FRAME_PREFIX_BYTES];
    match io.read_exact(&mut prefix).await {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(FrameError::Io(error)),
    }
    let length = frame_len(prefix).map_err(FrameError::Form)?;
    let mut bytes = vec![0; length];
    io.read_exact(&mut bytes).await.map_err(FrameError::Io)?;
    Ok(Some(bytes))
}

/// Writes one frame and flushes it.
///
/// The message is encoded before the first wait, so that the future does not hold it.
pub(crate) fn write_frame<'a, T: Serialize, W: AsyncWrite + Unpin + Send>(
    io: &'a mut W,
    message: &T,
    deadline: Duration,
) -> impl Future<Output = Result<(), FrameError>> + Send + use<'a, T, W> {
    let frame = encode_frame(message).map_err(FrameError::Form);
    async move {
        write_bytes(io, &frame?, deadline).await?;
        let flushed = timeout(deadline, io.flush()).await;
        flushed
            .map_err(|_| FrameError::Timeout(deadline))?
            .map_err(FrameError::Io)
    }
}

/// Writes all of `bytes`. The deadline holds for each part that the stream takes, so that a slow reader is not a dead one.
pub(crate) async fn write_bytes(
    io: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    deadline: Duration,
) -> Result<(), FrameError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let taken = timeout(deadline, io.write(rest))
            .await
            .map_err(|_| FrameError::Timeout(deadline))?
            .map_err(FrameError::Io)?;
        if taken == 0 {
            return Err(FrameError::Io(io::ErrorKind::WriteZero.into()));
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(())
}
