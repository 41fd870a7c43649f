//! The bytes that follow the handshake: messages of at most 64 KiB behind their length.

use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};

use super::cipher::{Cipher, TAG_BYTES};

/// What stands before a message: its length.
const PREFIX_BYTES: usize = 2;
/// A sealed message, by the Noise specification.
const SEALED_BYTES_MAX: usize = 65_535;
/// What a message carries at most.
pub(in crate::net) const MESSAGE_BYTES_MAX: usize = SEALED_BYTES_MAX - TAG_BYTES;
/// What one system call takes or brings: four messages.
const BUFFER_BYTES_MAX: usize = 4 * (PREFIX_BYTES + SEALED_BYTES_MAX);
/// What is as long as this is sealed on its way into the buffer, behind a message of its own for what came before it:
/// another message costs less than another copy.
const DIRECT_BYTES_MIN: usize = 16 * 1024;
/// Most connections never carry more at once.
const BUFFER_BYTES_MIN: usize = 4096;

/// A connection whose handshake is over.
pub(in crate::net) struct Secured<T> {
    io: T,
    input: Input,
    output: Output,
}

impl<T> Secured<T> {
    /// With the ciphers for what is sent and what is received.
    pub(super) fn new(io: T, (sealing, opening): (Cipher, Cipher)) -> Self {
        Self {
            io,
            input: Input::new(opening),
            output: Output::new(sealing),
        }
    }
}

#[cfg(test)]
impl<T> Secured<T> {
    /// The same end over another connection.
    pub(super) fn over<U>(self, io: U) -> Secured<U> {
        Secured {
            io,
            input: self.input,
            output: self.output,
        }
    }

    pub(super) fn into_opening(self) -> Cipher {
        self.input.cipher
    }

    pub(super) fn suites(&self) -> [super::Suite; 2] {
        [&self.input.cipher, &self.output.cipher].map(Cipher::suite)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Secured<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            let taken = this.input.take(buf)?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
            let room = this.input.room();
            let room_bytes = room.len();
            let read = ready!(Pin::new(&mut this.io).poll_read(cx, room))?;
            if read == 0 {
                return Poll::Ready(this.input.end());
            }
            this.input.grow_after(read, room_bytes);
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Secured<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            let taken = this.output.put(buf)?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
            ready!(this.output.poll_drain(Pin::new(&mut this.io), cx))?;
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.output.poll_drain(Pin::new(&mut this.io), cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.io).poll_close(cx)
    }
}

/// What arrives.
///
/// Invariant: `open.end <= sealed.start`; `open` is what was opened and not taken, `sealed` what was not opened, or
/// not even whole.
struct Input {
    cipher: Cipher,
    buffer: Vec<u8>,
    open: Range<usize>,
    sealed: Range<usize>,
}

impl Input {
    fn new(cipher: Cipher) -> Self {
        Self {
            cipher,
            buffer: vec![0; BUFFER_BYTES_MIN],
            open: 0..0,
            sealed: 0..0,
        }
    }

    /// Takes what is there; 0: more must arrive first. After an error there is never anything again: what could not
    /// be opened stays in the way.
    fn take(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.open.is_empty() {
            let Some(message) = self.message() else {
                return Ok(0);
            };
            let sealed = self.buffer.get_mut(message.clone()).unwrap_or_default();
            let Some((text, tag)) = sealed.split_last_chunk::<TAG_BYTES>() else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            // What wants the whole message gets it without a copy.
            if let Some(to) = to.get_mut(..text.len()).filter(|to| !to.is_empty()) {
                self.cipher.open_to(text, tag, to)?;
                self.sealed.start = message.end;
                return Ok(to.len());
            }
            let end = message.start + text.len();
            self.cipher.open(sealed)?;
            self.sealed.start = message.end;
            self.open = message.start..end;
        }
        let from = self.buffer.get(self.open.clone()).unwrap_or_default();
        let taken = from.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..taken), from.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.open.start += taken;
        Ok(taken)
    }

    /// Where the next message lies, if it is there whole.
    fn message(&self) -> Option<Range<usize>> {
        let sealed = self.buffer.get(self.sealed.clone())?;
        let (prefix, rest) = sealed.split_first_chunk::<PREFIX_BYTES>()?;
        let len = usize::from(u16::from_be_bytes(*prefix));
        let start = self.sealed.start + PREFIX_BYTES;
        (rest.len() >= len).then_some(start..start + len)
    }

    /// Where the next bytes may go. All that was opened is taken.
    fn room(&mut self) -> &mut [u8] {
        if self.sealed.start > 0 {
            self.buffer.copy_within(self.sealed.clone(), 0);
            self.sealed = 0..self.sealed.len();
            self.open = 0..0;
        }
        if self.sealed.end == self.buffer.len() {
            grow(&mut self.buffer);
        }
        self.buffer.get_mut(self.sealed.end..).unwrap_or_default()
    }

    /// `read` bytes went to a room of `room` bytes. If it was too small, there is more the next time.
    fn grow_after(&mut self, read: usize, room: usize) {
        self.sealed.end += read;
        if read == room {
            grow(&mut self.buffer);
        }
    }

    /// Nothing more will come.
    fn end(&self) -> io::Result<usize> {
        if self.sealed.is_empty() {
            Ok(0)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

fn grow(buffer: &mut Vec<u8>) {
    let bytes = buffer.len().saturating_mul(4).min(BUFFER_BYTES_MAX);
    buffer.resize(bytes, 0);
}

/// What leaves.
///
/// Invariant: `sealed` is what was sealed and not sent. Behind it is a prefix and a message of `open` bytes that is
/// not sealed yet, and room for its tag.
struct Output {
    cipher: Cipher,
    buffer: Vec<u8>,
    sealed: Range<usize>,
    open: usize,
}

impl Output {
    fn new(cipher: Cipher) -> Self {
        Self {
            cipher,
            buffer: Vec::new(),
            sealed: 0..0,
            open: 0,
        }
    }

    /// Takes as much as there is room for; 0: something must leave first.
    fn put(&mut self, from: &[u8]) -> io::Result<usize> {
        let mut rest = from;
        while !rest.is_empty() {
            if rest.len() >= DIRECT_BYTES_MIN {
                self.seal()?;
            }
            let most = (MESSAGE_BYTES_MAX - self.open).min(rest.len());
            let (part, after) = rest.split_at_checked(most).unwrap_or((rest, &[]));
            let Some(start) = self.make_room(part.len()) else {
                break;
            };
            if self.open == 0 && part.len() >= DIRECT_BYTES_MIN {
                self.seal_from(start, part)?;
            } else {
                let at = start + self.open;
                if let Some(place) = self.buffer.get_mut(at..at + part.len()) {
                    place.copy_from_slice(part);
                }
                self.open += part.len();
                if self.open == MESSAGE_BYTES_MAX {
                    self.seal()?;
                }
            }
            rest = after;
        }
        Ok(from.len() - rest.len())
    }

    /// Where the open message begins, if it can grow by `more` bytes.
    fn make_room(&mut self, more: usize) -> Option<usize> {
        if self.sealed.is_empty() && self.open == 0 {
            self.sealed = 0..0;
        }
        let start = self.sealed.end + PREFIX_BYTES;
        let end = start + self.open + more + TAG_BYTES;
        if end > BUFFER_BYTES_MAX {
            return None;
        }
        if end > self.buffer.len() {
            let bytes = end.next_power_of_two();
            let bytes = bytes.clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX);
            self.buffer.resize(bytes, 0);
        }
        Some(start)
    }

    /// Seals a whole message on its way into the buffer.
    fn seal_from(&mut self, start: usize, message: &[u8]) -> io::Result<()> {
        let end = start + message.len();
        let place = self.buffer.get_mut(start..end + TAG_BYTES);
        if let Some((text, tag)) = place.and_then(|place| place.split_at_mut_checked(message.len()))
        {
            self.cipher.seal_to(message, text, tag)?;
        }
        self.close(message.len());
        Ok(())
    }

    /// Seals the open message, if there is one.
    fn seal(&mut self) -> io::Result<()> {
        let open = std::mem::take(&mut self.open);
        if open == 0 {
            return Ok(());
        }
        let start = self.sealed.end + PREFIX_BYTES;
        let place = self.buffer.get_mut(start..start + open + TAG_BYTES);
        if let Some((text, tag)) = place.and_then(|place| place.split_at_mut_checked(open)) {
            self.cipher.seal(text, tag)?;
        }
        self.close(open);
        Ok(())
    }

    /// Writes the length before a message that was sealed.
    fn close(&mut self, len: usize) {
        let len = len + TAG_BYTES;
        let start = self.sealed.end + PREFIX_BYTES;
        let prefix = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        if let Some(place) = self.buffer.get_mut(self.sealed.end..start) {
            place.copy_from_slice(&prefix);
        }
        self.sealed.end = start + len;
    }

    /// Sends all that was put.
    fn poll_drain<T: AsyncWrite>(
        &mut self,
        mut io: Pin<&mut T>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.seal()?;
        while !self.sealed.is_empty() {
            let bytes = self.buffer.get(self.sealed.clone()).unwrap_or_default();
            let sent = ready!(io.as_mut().poll_write(cx, bytes))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sealed.start += sent;
        }
        self.sealed = 0..0;
        Poll::Ready(Ok(()))
    }
}
