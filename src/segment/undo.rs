//! The undo log: the bytes that a transaction overwrites are kept in the segment until it commits.
//!
//! # State
//!
//! `logged` in the header is the number of bytes of complete records in the log; 0 means that no
//! transaction is open. A record is an offset and a length of eight bytes each, followed by the old
//! bytes, padded to a multiple of eight.
//!
//! 1. A record is complete before `logged` covers it, and covered before the bytes that it keeps
//!    are overwritten.
//! 2. Commit is one store: `logged` becomes 0.
//! 3. Rolling back restores from the last record to the first, then stores 0. It reads the log and
//!    writes only data. If it is interrupted by a death, the next owner repeats it from the start.
//!
//! Only the owner of the segment's lock calls these functions. A process that has detected the
//! death of the owner sees every store that the owner made, in program order. So only the compiler
//! has to be kept from reordering stores.

use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use super::Attached;
use crate::memory::Area;

const RECORD_HEAD: usize = 16;
/// Bytes are moved between data and log in pieces of this size.
const PIECE: usize = 256;

/// The log of one segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UndoLog<'a> {
    attached: &'a Attached,
}

/// The content of one record.
#[derive(Debug, Clone, Copy)]
struct UndoEntry {
    /// The position of the kept bytes in the log.
    kept_at: usize,
    offset: usize,
    len: usize,
}

impl<'a> UndoLog<'a> {
    #[inline]
    pub(crate) fn of(attached: &'a Attached) -> UndoLog<'a> {
        UndoLog { attached }
    }

    fn logged(self) -> &'a AtomicU64 {
        &self.attached.memory.header().life.logged
    }

    fn area(self) -> Area {
        self.attached.memory.layout().log
    }

    /// Returns the capacity in bytes of records.
    pub(crate) fn capacity(self) -> usize {
        self.area().len
    }

    /// Tells whether a transaction is open, or was open when its process died.
    #[inline]
    pub(crate) fn is_open(self) -> bool {
        self.logged().load(Ordering::Relaxed) != 0
    }

    /// Logs `len` bytes from `offset` of the data, which exist; false if the log is full.
    pub(crate) fn keep(self, offset: usize, len: usize) -> bool {
        let start = usize::try_from(self.logged().load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let memory = &self.attached.memory;
        let end = len
            .checked_next_multiple_of(8)
            .and_then(|padded| padded.checked_add(RECORD_HEAD)?.checked_add(start))
            .filter(|&end| end <= self.capacity());
        let Some(end) = end else { return false };
        let mut head = [0; RECORD_HEAD];
        head[..8].copy_from_slice(&(offset as u64).to_ne_bytes());
        head[8..].copy_from_slice(&(len as u64).to_ne_bytes());
        let mut kept = memory.copy_in(self.area(), start, &head);
        let mut piece = [0; PIECE];
        for (done, len) in pieces(len) {
            kept &= self.attached.copy_out(offset + done, &mut piece[..len]);
            kept &= memory.copy_in(self.area(), start + RECORD_HEAD + done, &piece[..len]);
        }
        if kept {
            self.logged().store(end as u64, Ordering::Release);
            compiler_fence(Ordering::SeqCst);
        }
        kept
    }

    /// Makes all changes since the last commit final.
    #[inline]
    pub(crate) fn commit(self) {
        self.logged().store(0, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
    }

    /// Restores the data as of the last commit. False, with nothing restored, if the log is
    /// inconsistent because it was overwritten.
    pub(crate) fn roll_back(self) -> bool {
        let Some(records) = self.records() else {
            return false;
        };
        let memory = &self.attached.memory;
        let data = self.attached.data();
        let mut piece = [0; PIECE];
        for record in records.into_iter().rev() {
            for (done, len) in pieces(record.len) {
                let restored =
                    memory.copy_out(self.area(), record.kept_at + done, &mut piece[..len])
                        && memory.copy_in(data, record.offset + done, &piece[..len]);
                debug_assert!(restored, "`records` has checked the bounds");
            }
        }
        self.commit();
        true
    }

    fn records(self) -> Option<Vec<UndoEntry>> {
        let end = usize::try_from(self.logged().load(Ordering::Acquire)).ok()?;
        records(end, self.attached.data().len, |at| self.number(at))
    }

    fn number(self, at: usize) -> Option<usize> {
        let mut bytes = [0; 8];
        let read = self.attached.memory.copy_out(self.area(), at, &mut bytes);
        read.then(|| usize::try_from(u64::from_ne_bytes(bytes)).ok())?
    }
}

/// Finds the records in a log that ends at `end`. Each record is checked to lie in the log and to
/// refer to the `size` existing bytes of data.
fn records(
    end: usize,
    size: usize,
    number: impl Fn(usize) -> Option<usize>,
) -> Option<Vec<UndoEntry>> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < end {
        let offset = number(at)?;
        let len = number(at + 8)?;
        let kept_at = at + RECORD_HEAD;
        at = kept_at.checked_add(len.checked_next_multiple_of(8)?)?;
        if at > end || offset.checked_add(len)? > size {
            return None;
        }
        records.push(UndoEntry {
            kept_at,
            offset,
            len,
        });
    }
    Some(records)
}

/// Applies a copy of the log to a copy of the data; false if the log is inconsistent.
pub(super) fn undo(log: &[u8], data: &mut [u8]) -> bool {
    let number = |at| {
        let bytes = log.get(at..)?.first_chunk()?;
        usize::try_from(u64::from_ne_bytes(*bytes)).ok()
    };
    let Some(records) = records(log.len(), data.len(), number) else {
        return false;
    };
    for record in records.into_iter().rev() {
        let kept = log.get(record.kept_at..record.kept_at + record.len);
        let place = data.get_mut(record.offset..record.offset + record.len);
        if let (Some(kept), Some(place)) = (kept, place) {
            place.copy_from_slice(kept);
        }
    }
    true
}

/// Cuts a length into (start, length) of at most [`PIECE`] bytes each.
fn pieces(len: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..len)
        .step_by(PIECE)
        .map(move |done| (done, PIECE.min(len - done)))
}
