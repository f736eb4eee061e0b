//! Reading a value without an attachment, given its size.
//!
//! The reader of `protocol`, first through reads of the segment's file. Truncating a file that is
//! only read causes no signal. A value that changes faster than the file can be read is then read
//! through a mapping; such a value has an active writer.

use std::cell::Cell;
use std::sync::atomic::{Ordering, fence};
use std::thread;

use super::copies::{Copies, HEAD, READ, TRIES, copy_offset, size_for};
use super::protocol::{self, CopiesReader, Word};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::Memory;
use crate::segment::damaged;

/// The number of reads of the file before the value is read through a mapping.
const FILE_TRIES: u32 = 20;

/// Reads data at an offset, and reports whether all of them exist.
pub(crate) trait ReadData {
    /// Whether the data have at least `len` bytes.
    fn holds(&self, len: usize) -> Result<bool>;
    fn read(&self, offset: usize, into: &mut [u8]) -> Result<bool>;
    fn map(&self) -> Result<Memory>;
}

/// Returns the version of the value whose words begin at offset `at`.
pub(crate) fn version(data: &impl ReadData, at: usize) -> Result<u64> {
    let file = File::new(data, at);
    let version = file.load(Word::Version, Ordering::Acquire);
    file.finish()?;
    Ok(version)
}

/// Returns a snapshot of the value of `size` bytes whose words begin at offset `at`, and its
/// version.
pub(crate) fn snapshot(data: &impl ReadData, at: usize, size: usize) -> Result<(u64, Vec<u8>)> {
    if !data.holds(size)? || !data.holds(size_for(size).saturating_add(at))? {
        return Err(cut_off());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| {
        Error::new(
            ErrorKind::OutOfMemory,
            READ,
            "there is not enough memory for a copy",
        )
    })?;
    bytes.resize(size, 0);
    let file = File::new(data, at);
    for _ in 0..FILE_TRIES {
        let found = protocol::try_read(&file, |version| {
            file.read(copy_offset(version, size), &mut bytes);
            version
        });
        file.finish()?;
        if let Some(version) = found {
            return Ok((version, bytes));
        }
    }
    let memory = data.map()?;
    let lock = &memory.header().lock;
    let place = Copies::at(&memory, at, size, lock).ok_or_else(cut_off)?;
    for _ in 0..TRIES {
        let found = protocol::try_read(&place, |version| {
            let copy = place.copy(version, size)?;
            copy.reader(0, size)?.bytes(&mut bytes);
            Some(version)
        });
        match found {
            Some(Some(version)) => return Ok((version, bytes)),
            Some(None) => return Err(cut_off()),
            None => thread::yield_now(),
        }
    }
    let detail = "it changed during every read attempt; retry";
    Err(Error::new(ErrorKind::Busy, READ, detail))
}

fn cut_off() -> Error {
    damaged(READ, "its file is too short for its data")
}

/// The data in a file, and the first error in reading them.
struct File<'a, D> {
    data: &'a D,
    /// The offset of the value's words.
    at: usize,
    failed: Cell<Option<Error>>,
}

impl<'a, D: ReadData> File<'a, D> {
    fn new(data: &'a D, at: usize) -> File<'a, D> {
        File {
            data,
            at,
            failed: Cell::new(None),
        }
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        match self.data.read(self.at.saturating_add(offset), into) {
            Ok(true) => {}
            Ok(false) => self.failed.set(Some(cut_off())),
            Err(error) => self.failed.set(Some(error)),
        }
    }

    fn finish(&self) -> Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl<D: ReadData> CopiesReader for File<'_, D> {
    fn load(&self, word: Word, _ordering: Ordering) -> u64 {
        let mut head = [0; HEAD];
        self.read(0, &mut head);
        // Fences order the loads of the system as they order relaxed loads of this thread.
        fence(Ordering::Acquire);
        let at = match word {
            Word::Version => 0,
            Word::Writing => 8,
        };
        let bytes = head[at..].first_chunk().copied();
        u64::from_ne_bytes(bytes.unwrap_or_default())
    }

    fn fence(&self, ordering: Ordering) {
        fence(ordering);
    }
}
