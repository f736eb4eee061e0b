//! Checked access to the data of a segment, by offset.
//!
//! A lock's guard gives this access, and creation gives it for the initial data.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Attached, forked, location};
use crate::error::{Error, ErrorKind, Result};

const READ: &str = "read from";
const WRITE: &str = "write to";

/// Access to a segment's data by offset, checked against its size.
///
/// Copies use atomic words of eight bytes, so that even a process that writes without the lock
/// causes at worst mixed contents, never undefined behaviour. The data of a typed segment are not
/// accessible this way: every access by offset is a [`TypeMismatch`](ErrorKind::TypeMismatch)
/// there.
#[derive(Debug)]
pub struct SegmentData<'a> {
    attached: &'a Attached,
}

impl<'a> SegmentData<'a> {
    #[inline]
    pub(crate) fn new(attached: &'a Attached) -> SegmentData<'a> {
        SegmentData { attached }
    }

    pub(crate) fn attached(&self) -> &'a Attached {
        self.attached
    }

    /// Returns the number of bytes of data, including growth by other attachments.
    #[inline]
    pub fn size(&self) -> usize {
        self.attached.size()
    }

    /// Copies bytes out of the segment, from `offset` on, until `into` is full.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfBounds`], and nothing is copied; [`ErrorKind::Forked`] in a forked child.
    #[inline]
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let attached = self.attached;
        if attached.copy_out(offset, into) {
            return Ok(());
        }
        Err(refused(attached, READ, offset, into.len()))
    }

    /// Copies all of `from` into the segment, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfBounds`], and nothing is written; [`ErrorKind::Forked`] in a forked child.
    #[inline]
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<()> {
        let attached = self.attached;
        if attached.copy_in(offset, from) {
            return Ok(());
        }
        Err(refused(attached, WRITE, offset, from.len()))
    }

    /// Sets every byte of the range to `value`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfBounds`], and nothing is written; [`ErrorKind::Forked`] in a forked child.
    pub fn fill(&mut self, range: Range<usize>, value: u8) -> Result<()> {
        let len = range.end.saturating_sub(range.start);
        self.check(WRITE, range.start, len)?;
        let piece = [value; PIECE];
        for (offset, len) in pieces(range.start, len) {
            self.write(offset, &piece[..len])?;
        }
        Ok(())
    }

    /// Writes the bytes of the range to `writer`, such as a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfBounds`]; [`ErrorKind::Forked`]; [`ErrorKind::System`] with the writer's
    /// own error.
    pub fn copy_to(&self, range: Range<usize>, mut writer: impl io::Write) -> Result<()> {
        let len = range.end.saturating_sub(range.start);
        self.check(READ, range.start, len)?;
        let mut piece = [0; PIECE];
        for (offset, len) in pieces(range.start, len) {
            self.read(offset, &mut piece[..len])?;
            writer
                .write_all(&piece[..len])
                .map_err(|error| location::system(READ, error))?;
        }
        Ok(())
    }

    /// Fills the range with bytes from `reader`, such as a file; returns how many it read before
    /// its end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfBounds`]; [`ErrorKind::Forked`]; [`ErrorKind::System`] with the reader's
    /// own error.
    pub fn copy_from(&mut self, range: Range<usize>, mut reader: impl io::Read) -> Result<usize> {
        let len = range.end.saturating_sub(range.start);
        self.check(WRITE, range.start, len)?;
        let mut piece = [0; PIECE];
        let mut offset = range.start;
        while offset < range.end {
            let wanted = PIECE.min(range.end - offset);
            match reader.read(&mut piece[..wanted]) {
                Ok(0) => break,
                Ok(got) => {
                    self.write(offset, &piece[..got])?;
                    offset += got;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(location::system(WRITE, error)),
            }
        }
        Ok(offset - range.start)
    }

    /// Reads a value at `offset`, which need not be aligned.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfBounds`]; [`ErrorKind::Forked`].
    #[inline]
    pub fn read_at<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let attached = self.attached;
        // Not passed to any function, so that it stays in registers.
        let mut number = T::new_zeroed();
        if attached.load_words(offset, number.as_mut_bytes()) {
            return Ok(number);
        }
        let mut value = T::new_zeroed();
        SegmentData::new(attached).read(offset, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a value at `offset`, which need not be aligned.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OutOfBounds`], and nothing is written; [`ErrorKind::Forked`].
    #[inline]
    pub fn write_at<T: IntoBytes + Immutable>(&mut self, offset: usize, value: &T) -> Result<()> {
        self.write(offset, value.as_bytes())
    }

    /// Returns the address of the first byte, for unsafe code: see
    /// [`Segment::as_ptr`](super::Segment::as_ptr).
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.attached.memory.data()
    }

    fn check(&self, operation: &'static str, offset: usize, len: usize) -> Result<()> {
        if offset
            .checked_add(len)
            .is_some_and(|end| end <= self.size())
        {
            Ok(())
        } else {
            Err(refused(self.attached, operation, offset, len))
        }
    }
}

/// Returns the error for bytes that were not copied.
#[cold]
fn refused(attached: &Attached, operation: &'static str, offset: usize, len: usize) -> Error {
    let key = attached.key.as_str();
    if !attached.is_ours() {
        return forked(operation).with_key(key);
    }
    if !attached.memory.is_plain() {
        let detail = "it is typed, and typed data have no access by offset; use Shared, UntypedShared, or its parts";
        return Error::new(ErrorKind::TypeMismatch, operation, detail).with_key(key);
    }
    let detail = format!(
        "{len} bytes at offset {offset} reach beyond its {} bytes; grow it, or use a smaller offset",
        attached.size()
    );
    Error::new(ErrorKind::OutOfBounds, operation, detail).with_key(key)
}

/// The size of the buffer for long copies.
const PIECE: usize = 4096;

/// Cuts a range into (offset, length) of at most [`PIECE`] bytes each.
fn pieces(start: usize, len: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..len)
        .step_by(PIECE)
        .map(move |done| (start + done, PIECE.min(len - done)))
}
