//! How a value changes so that every concurrent reader gets the complete old value or the complete
//! new one.
//!
//! The value has two copies and two words, `version` and `writing`. The lowest bit of `version`
//! selects the copy that is the value. The protocol does not know shared memory: see
//! [`CopiesReader`] and [`CopiesMemory`].
//!
//! # Protocol
//!
//! The writer has the lock. To go from version *v* to *v + 1*, it stores *v + 1* into `writing`,
//! then the new value into the copy of *v + 1*, which no reader of *v* uses, then *v + 1* into
//! `version`. The last store is the commit.
//!
//! A reader loads `version` *v*, then the copy, then `writing`. Only a change to *v + 2* overwrites
//! the copy of *v*. So what the reader loaded is complete exactly if `writing` is still below *v +
//! 2*. The reader writes nothing that others see. It starts again only if writers finish one change
//! and begin another during one read.
//!
//! # Orderings
//!
//! The commit is a release operation, and the reader's first load is an acquire operation: a reader
//! that sees version *v* sees its copy, and `writing` at *v* or above. The writer has a release
//! fence between `writing` and the copy, the reader an acquire fence between the copy and
//! `writing`. So a reader that saw one word of *v + 2* also sees `writing` at *v + 2* (the pattern
//! of Boehm, *Can seqlocks get along with programming language memory models?*, 2012). The words
//! are copied by relaxed atomic operations.
//!
//! # Deaths
//!
//! After a death before the commit, the value is the old copy; after the commit, it is the new one.
//! In both cases the next writer begins at `version`.
//!
//! The tests in `model` run this under a model of Rust's memory, in every interleaving, and show
//! that each ordering is needed.

use std::sync::atomic::Ordering;

/// The words that select a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The version that was committed last.
    Version,
    /// The version of the change that was begun last.
    Writing,
}

/// The operations of a reader.
pub(crate) trait CopiesReader {
    fn load(&self, word: Word, ordering: Ordering) -> u64;
    fn fence(&self, ordering: Ordering);
}

/// The operations of a writer.
pub(crate) trait CopiesMemory: CopiesReader {
    fn store(&self, word: Word, value: u64, ordering: Ordering);
    /// Stores `version`, as a release operation, and wakes the waiters for it.
    fn commit(&self, version: u64);
}

// `inline(always)`: the word must be a constant.

/// Tries once to read without the lock. Calls `load` with a version, and returns what it makes of
/// that version's copy. Returns `None` if a writer overwrote the copy meanwhile.
///
/// `load` uses relaxed loads and may get a mixture. Such a result is dropped.
#[inline(always)]
pub(crate) fn try_read<R>(steps: &impl CopiesReader, load: impl FnOnce(u64) -> R) -> Option<R> {
    let version = steps.load(Word::Version, Ordering::Acquire);
    let read = load(version);
    steps.fence(Ordering::Acquire);
    let begun = steps.load(Word::Writing, Ordering::Relaxed);
    let overwritten = begun.wrapping_sub(version) > 1;
    if overwritten { None } else { Some(read) }
}

/// Reads while the value cannot change. The caller has the lock.
#[inline(always)]
pub(crate) fn read_locked<R>(steps: &impl CopiesReader, load: impl FnOnce(u64) -> R) -> R {
    load(steps.load(Word::Version, Ordering::Relaxed))
}

/// Commits the next version. Calls `store` with this version, to store the new value into its copy.
/// The caller has the lock.
///
/// `store` uses relaxed stores.
#[inline(always)]
pub(crate) fn commit(steps: &impl CopiesMemory, store: impl FnOnce(u64)) {
    let next = steps.load(Word::Version, Ordering::Relaxed).wrapping_add(1);
    steps.store(Word::Writing, next, Ordering::Relaxed);
    steps.fence(Ordering::Release);
    store(next);
    steps.commit(next);
}
