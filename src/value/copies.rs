//! The layout of a typed value in a segment, and reading and committing its words.
//!
//! # Layout
//!
//! The data area contains two words, `version` and `writing`, then two copies of the value, each at
//! a multiple of 64. The lowest bit of `version` selects the copy that is the value.
//!
//! `protocol` describes how they are used, and why this is correct.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::thread;

use super::change;
use super::protocol::{self, CopiesMemory, CopiesReader, Word};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::format::LockWords;
use crate::memory::{Memory, Words, load_acquire};
use crate::schema::Shareable;
use crate::segment::{self, Attached};

const WORD: usize = size_of::<u64>();
pub(crate) const HEAD: usize = 64;
/// Copies begin at multiples of a cache line.
const LINE: usize = 64;
/// How often a reader starts again before it acquires the lock, or fails if it cannot lock.
pub(crate) const TRIES: u32 = 1000;

pub(crate) const READ: &str = "read";
pub(crate) const CHANGE: &str = "change";

/// The words and copies of a value.
pub(crate) struct Copies<'a> {
    /// All words: the two, then those of the copies.
    words: &'a [AtomicU64],
    pub(crate) version: &'a AtomicU64,
    writing: &'a AtomicU64,
    /// The lock that guards the value. Waiters for a change announce themselves in its words.
    pub(crate) lock: &'a LockWords,
    /// Whether processes without barriers exist: one word for all locks of a segment.
    pub(crate) fenced: &'a AtomicU32,
}

/// A snapshot of a value, and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// The number of commits up to this value: the initial value has version 1.
    pub version: u64,
}

/// The result of one read without the lock.
pub(crate) enum Snapshot<T> {
    Value(T),
    /// The bytes are no valid value of the type.
    Damaged,
    /// A writer overwrote the copy during the read.
    Overwritten,
}

/// Whether copies of a value are made on the stack. Copies of a larger value are made on the heap.
pub(crate) const fn is_small<T>() -> bool {
    size_of::<T>() <= 1024
}

const fn stride(size: usize) -> usize {
    size.next_multiple_of(LINE)
}

/// Returns the size of the data for a value of `size` bytes.
pub(crate) const fn size_for(size: usize) -> usize {
    HEAD + 2 * stride(size)
}

/// Returns the offset of the copy that contains `version` of a value of `size` bytes.
#[inline(always)]
pub(crate) const fn copy_offset(version: u64, size: usize) -> usize {
    if version.is_multiple_of(2) {
        HEAD
    } else {
        HEAD + stride(size)
    }
}

impl<'a> Copies<'a> {
    /// Finds the words of a value of `size` bytes that begin at `start`, a multiple of 64, and that
    /// `lock` guards. Returns `None` if the segment is too small, which attaching has excluded.
    #[inline(always)]
    pub(crate) fn at(
        memory: &'a Memory,
        start: usize,
        size: usize,
        lock: &'a LockWords,
    ) -> Option<Copies<'a>> {
        let words = memory.data_words(start, size_for(size) / WORD)?;
        let [version, writing, ..] = words else {
            return None;
        };
        Some(Copies {
            words,
            version,
            writing,
            lock,
            fenced: &memory.header().lock.fenced,
        })
    }

    #[inline(always)]
    pub(crate) fn copy(&self, version: u64, size: usize) -> Option<Words<'a>> {
        let first = copy_offset(version, size) / WORD;
        let words = self.words.get(first..first + size.div_ceil(WORD))?;
        Some(Words::over(words))
    }

    /// Tries once to read the value.
    #[inline(always)]
    pub(crate) fn try_read<T: Shareable>(&self) -> Snapshot<T> {
        self.try_read_with(T::SIZE, |copy| T::load(copy, 0))
    }

    /// Tries once to read the value of `size` bytes with `load`.
    #[inline(always)]
    pub(crate) fn try_read_with<R>(
        &self,
        size: usize,
        load: impl FnOnce(&Words<'_>) -> Option<R>,
    ) -> Snapshot<R> {
        match self.try_read_versioned(size, load) {
            Snapshot::Value(found) => Snapshot::Value(found.value),
            Snapshot::Damaged => Snapshot::Damaged,
            Snapshot::Overwritten => Snapshot::Overwritten,
        }
    }

    /// As [`Copies::try_read_with`], with the version of the value.
    #[inline(always)]
    pub(crate) fn try_read_versioned<R>(
        &self,
        size: usize,
        load: impl FnOnce(&Words<'_>) -> Option<R>,
    ) -> Snapshot<Versioned<R>> {
        let load = |version| {
            let value = load(&self.copy(version, size)?)?;
            Some(Versioned { value, version })
        };
        match protocol::try_read(self, load) {
            Some(Some(found)) => Snapshot::Value(found),
            Some(None) => Snapshot::Damaged,
            None => Snapshot::Overwritten,
        }
    }

    /// Reads the value while it cannot change. The caller has the lock.
    #[inline(always)]
    pub(crate) fn read_locked<T: Shareable>(&self) -> Option<T> {
        self.read_locked_with(T::SIZE, |copy| T::load(copy, 0))
    }

    /// As [`Copies::read_locked`], with `load` as in [`Copies::try_read_with`].
    #[inline(always)]
    pub(crate) fn read_locked_with<R>(
        &self,
        size: usize,
        load: impl FnOnce(&Words<'_>) -> Option<R>,
    ) -> Option<R> {
        protocol::read_locked(self, |version| load(&self.copy(version, size)?))
    }

    /// Commits `value` as the next version. The caller has the lock.
    #[inline(always)]
    pub(crate) fn commit<T: Shareable>(&self, value: &T) {
        self.commit_with(T::SIZE, |copy| value.store(copy, 0));
    }

    /// Commits the `size` bytes that `store` stores as the next version. The caller has the lock.
    #[inline(always)]
    pub(crate) fn commit_with(&self, size: usize, store: impl FnOnce(&Words<'_>)) {
        protocol::commit(self, |version| {
            if let Some(copy) = self.copy(version, size) {
                store(&copy);
            }
        });
    }

    /// Returns the committed version.
    #[inline]
    pub(crate) fn committed(&self) -> u64 {
        load_acquire(self.version)
    }

    #[inline(always)]
    fn word(&self, word: Word) -> &AtomicU64 {
        match word {
            Word::Version => self.version,
            Word::Writing => self.writing,
        }
    }
}

impl CopiesReader for Copies<'_> {
    #[inline(always)]
    fn load(&self, word: Word, _ordering: Ordering) -> u64 {
        // At least as strong as `ordering`, and allowed for memory that is mapped read-only.
        load_acquire(self.word(word))
    }

    #[inline(always)]
    fn fence(&self, ordering: Ordering) {
        fence(ordering);
    }
}

impl CopiesMemory for Copies<'_> {
    #[inline(always)]
    fn store(&self, word: Word, value: u64, ordering: Ordering) {
        self.word(word).store(value, ordering);
    }

    #[inline(always)]
    fn commit(&self, version: u64) {
        change::commit(self, version);
    }
}

/// Returns the words and copies of a value of `size` bytes that takes all of a segment's data.
#[inline(always)]
pub(crate) fn place<'a>(
    attached: &'a Attached,
    size: usize,
    operation: &'static str,
) -> Result<Copies<'a>> {
    attached.check_fork(operation)?;
    whole(&attached.memory, size).ok_or_else(|| damaged(attached, operation))
}

/// As [`place`], without a check for a fork and without an attachment.
#[inline(always)]
pub(crate) fn whole(memory: &Memory, size: usize) -> Option<Copies<'_>> {
    Copies::at(memory, 0, size, &memory.header().lock)
}

#[cold]
pub(crate) fn damaged(attached: &Attached, operation: &'static str) -> Error {
    let reason = "its bytes are no valid value of its type: they were overwritten";
    segment::damaged(operation, reason).with_key(attached.key())
}

#[cold]
pub(crate) fn read_patiently<R>(
    attached: &Attached,
    place: &Copies<'_>,
    try_read: impl Fn() -> Snapshot<R>,
) -> Result<R> {
    let before = place.committed();
    for _ in 0..TRIES {
        match try_read() {
            Snapshot::Value(value) => return Ok(value),
            Snapshot::Damaged => return Err(damaged(attached, READ)),
            Snapshot::Overwritten => thread::yield_now(),
        }
    }
    if place.committed() == before {
        // There was no commit, so the words contradict each other.
        return Err(damaged(attached, READ));
    }
    let detail = "it changed during every read attempt; retry, or attach read-write so that the \
                  read can lock it";
    Err(Error::new(ErrorKind::Busy, READ, detail).with_key(attached.key()))
}

/// Writes the initial value into the words and copies that begin at `start`, before another process
/// can see them.
pub(crate) fn write_first_at<T: Shareable>(
    attached: &Attached,
    start: usize,
    first: &T,
) -> Result<()> {
    let memory = &attached.memory;
    let place = Copies::at(memory, start, T::SIZE, &memory.header().lock);
    place
        .ok_or_else(|| damaged(attached, CHANGE))?
        .commit(first);
    Ok(())
}
