//! How a value is changed so that whoever reads it meanwhile gets all of the old one or all of the new one.
//!
//! The value has two copies and two words, `version` and `writing`. It is the copy that the lowest bit of `version` says. The
//! protocol knows no memory: see [`CopiesReader`] and [`CopiesMemory`].
//!
//! # Protocol
//!
//! The writer has the lock. To go from version *v* to *v + 1* it stores *v + 1* into `writing`, then the new value into the
//! copy of *v + 1*, which nobody reads, then *v + 1* into `version`: that store is the commit.
//!
//! A reader loads `version` *v*, then the copy, then `writing`. The copy of *v* is overwritten on the way to *v + 2* only, so what
//! it read is whole exactly when `writing` is still below *v + 2*. It writes nothing that others see, and starts again only if
//! writers finish one change and begin another while it reads once.
//!
//! # Orderings
//!
//! The commit is a release and the reader's first load an acquire operation: who sees version *v* sees its copy, and `writing` at
//! *v* or above. The writer's release fence between `writing` and the copy, and the reader's acquire fence between the copy and
//! `writing`, make a reader that saw one word of *v + 2* see `writing` at *v + 2*, too (the pattern of Boehm, *Can seqlocks
//! get along with programming language memory models?*, 2012). The words move by relaxed atomics.
//!
//! # Deaths
//!
//! Before the commit the old copy is the value, after it the new one; the next writer begins at `version` in either case.
//!
//! All of this is run under a model of Rust's memory, in every interleaving, by the tests beside it, which also show how each
//! ordering is needed.

use std::sync::atomic::Ordering;

/// The words that say which copy is what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The version that was committed last.
    Version,
    /// The version that was begun last.
    Writing,
}

/// What a reader needs of memory.
pub(crate) trait CopiesReader {
    fn load(&self, word: Word, ordering: Ordering) -> u64;
    fn fence(&self, ordering: Ordering);
}

/// What a writer needs of it.
pub(crate) trait CopiesMemory: CopiesReader {
    fn store(&self, word: Word, value: u64, ordering: Ordering);
    /// Stores `version`, as a release operation, and wakes those who wait for it.
    fn commit(&self, version: u64);
}

// Inlined by force: which word it is must be a constant.

/// Reads once, without the lock: what `load` makes of the copy of the version it is given, unless a writer was quicker.
///
/// `load` uses relaxed loads, and may get a mixture; that is not returned then.
#[inline(always)]
pub(crate) fn try_read<R>(steps: &impl CopiesReader, load: impl FnOnce(u64) -> R) -> Option<R> {
    let version = steps.load(Word::Version, Ordering::Acquire);
    let read = load(version);
    steps.fence(Ordering::Acquire);
    let begun = steps.load(Word::Writing, Ordering::Relaxed);
    let overwritten = begun.wrapping_sub(version) > 1;
    if overwritten { None } else { Some(read) }
}

/// Reads while nobody can change anything. The caller holds the lock.
#[inline(always)]
pub(crate) fn read_locked<R>(steps: &impl CopiesReader, load: impl FnOnce(u64) -> R) -> R {
    load(steps.load(Word::Version, Ordering::Relaxed))
}

/// Makes the next version of what `store` stores into the copy of the version it is given. The caller holds the lock.
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
