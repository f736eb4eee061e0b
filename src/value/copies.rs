//! Where a typed value stands in a segment, and how its words are read and committed.
//!
//! # Layout
//!
//! The data area holds two words, `version` and `writing`, then two copies of the value, each from a multiple of 64 on. The value
//! is the copy that the lowest bit of `version` says.
//!
//! How they are used is said, and proven, in `protocol`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::thread;

use super::change;
use super::protocol::{self, CopiesMemory, CopiesReader, Word};
use super::watch::Versioned;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::format::LockWords;
use crate::memory::{Memory, Words, load_acquire};
use crate::schema::Shareable;
use crate::segment::{self, Attached};

const WORD: usize = size_of::<u64>();
pub(crate) const HEAD: usize = 64;
/// Copies begin at multiples of a cache line.
const LINE: usize = 64;
/// How often a reader starts again before it asks for the lock, or gives up if it may not.
pub(crate) const TRIES: u32 = 1000;

pub(crate) const READ: &str = "read";
pub(crate) const CHANGE: &str = "change";

/// Where the words and copies of a value are.
pub(crate) struct Copies<'a> {
    /// All of it: the two words, then the copies.
    words: &'a [AtomicU64],
    pub(crate) version: &'a AtomicU64,
    writing: &'a AtomicU64,
    /// The lock that guards it, where those are noted who wait for a change.
    pub(crate) lock: &'a LockWords,
    /// Whether there are processes without barriers: one word for all locks of a segment.
    pub(crate) fenced: &'a AtomicU32,
}

/// What one reading without the lock found.
pub(crate) enum Snapshot<T> {
    Value(T),
    /// The bytes are no value of the type.
    Damaged,
    /// A writer was quicker.
    Overwritten,
}

/// Whether copies of a value are made on the stack; of a larger one they are made on the heap.
pub(crate) const fn is_small<T>() -> bool {
    size_of::<T>() <= 1024
}

const fn stride(size: usize) -> usize {
    size.next_multiple_of(LINE)
}

/// The bytes of data that a value of `size` bytes takes.
pub(crate) const fn size_for(size: usize) -> usize {
    HEAD + 2 * stride(size)
}

/// Where the copy for a version of a value of `size` bytes begins.
#[inline(always)]
pub(crate) const fn copy_offset(version: u64, size: usize) -> usize {
    if version.is_multiple_of(2) {
        HEAD
    } else {
        HEAD + stride(size)
    }
}

impl<'a> Copies<'a> {
    /// Of the value of `size` bytes that begins at `start`, a multiple of 64, and is guarded by `lock`. `None` when the segment is too
    /// small, which was refused when it was attached.
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

    /// Reads the value once.
    #[inline(always)]
    pub(crate) fn try_read<T: Shareable>(&self) -> Snapshot<T> {
        self.try_read_with(T::SIZE, |copy| T::load(copy, 0))
    }

    /// Reads once what `load` makes of the copy, of `size` bytes, that is the value.
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

    /// The same, and which version it is.
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

    /// Reads the value while nobody can change it. The caller holds the lock.
    #[inline(always)]
    pub(crate) fn read_locked<T: Shareable>(&self) -> Option<T> {
        self.read_locked_with(T::SIZE, |copy| T::load(copy, 0))
    }

    /// The same with `load`, as for `try_read_with`.
    #[inline(always)]
    pub(crate) fn read_locked_with<R>(
        &self,
        size: usize,
        load: impl FnOnce(&Words<'_>) -> Option<R>,
    ) -> Option<R> {
        protocol::read_locked(self, |version| load(&self.copy(version, size)?))
    }

    /// Makes `value` the next version. The caller holds the lock.
    #[inline(always)]
    pub(crate) fn commit<T: Shareable>(&self, value: &T) {
        self.commit_with(T::SIZE, |copy| value.store(copy, 0));
    }

    /// Makes the next version of what `store` stores into its copy, of `size` bytes. The caller holds the lock.
    #[inline(always)]
    pub(crate) fn commit_with(&self, size: usize, store: impl FnOnce(&Words<'_>)) {
        protocol::commit(self, |version| {
            if let Some(copy) = self.copy(version, size) {
                store(&copy);
            }
        });
    }

    /// How often the value was changed.
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
        // At least as strong as what is asked for, and allowed where the memory is mapped read-only.
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

/// The words and copies of a value of `size` bytes that is all of a segment's data.
#[inline(always)]
pub(crate) fn place<'a>(
    attached: &'a Attached,
    size: usize,
    operation: &'static str,
) -> Result<Copies<'a>> {
    attached.check_fork(operation)?;
    whole(&attached.memory, size).ok_or_else(|| damaged(attached, operation))
}

/// Of a segment that holds one value of `size` bytes and nothing else.
#[inline(always)]
pub(crate) fn whole(memory: &Memory, size: usize) -> Option<Copies<'_>> {
    Copies::at(memory, 0, size, &memory.header().lock)
}

#[cold]
pub(crate) fn damaged(attached: &Attached, operation: &'static str) -> Error {
    let reason = "its bytes are no value of its type: somebody overwrote them";
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
        // Nobody changes it: the words say what cannot be.
        return Err(damaged(attached, READ));
    }
    let detail =
        "others change it all the time; try again, or attach to it with the right to lock it";
    Err(Error::new(ErrorKind::Busy, READ, detail).with_key(attached.key()))
}

/// Writes the first value of those words and copies that begin at `start`, before anyone else can see them.
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
