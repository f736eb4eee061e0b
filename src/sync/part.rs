//! The lock of a part of a segment: the same algorithm on words of its own, always held in the atomic manner.
//!
//! Whoever holds it makes changes that one store commits, or that are made anew from what is there. So a death leaves nothing to
//! vouch for; who comes next is told of it, and does what the part needs then.

use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};

use super::acquiring::{Acquiring, Begin, Who};
use super::attempt::{Attempt, Lock, Manner};
use super::error::NotAcquired;
use super::future;
use super::protocol::{Acquired, Steps, Until};
use super::waiting::complete;
use crate::memory::format::{Block, LockWords, ThreadMark};
use crate::segment::Segment;
use crate::segment::table::{self, Hold};

/// Where each slot has the mark of one part: in its own row of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    /// The one of slot 0, as an offset in the data.
    pub(crate) first: usize,
    /// From one slot's to the next one's.
    pub(crate) row: usize,
}

impl Marks {
    /// The mark of a slot; `None` beyond the last slot that was ever taken, or when the segment is too small.
    #[inline]
    pub(crate) fn of<B: Block>(self, segment: &Segment, slot: usize) -> Option<&B> {
        let memory = &segment.attached().memory;
        if slot >= table::ever_taken(memory) {
            return None;
        }
        memory.data_block(self.first + slot * self.row)
    }
}

/// The lock of a part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartLock<'a> {
    segment: &'a Segment,
    words: &'a LockWords,
    threads: Option<Marks>,
}

impl<'a> PartLock<'a> {
    /// A lock that no thread has: a task has it, or no code of the program runs under it.
    #[inline]
    pub(crate) fn threadless(segment: &'a Segment, words: &'a LockWords) -> PartLock<'a> {
        PartLock {
            segment,
            words,
            threads: None,
        }
    }

    /// A lock that a thread may have while it does anything else; `threads` has room for its number.
    #[inline]
    pub(crate) fn of_threads(
        segment: &'a Segment,
        words: &'a LockWords,
        threads: Marks,
    ) -> PartLock<'a> {
        PartLock {
            segment,
            words,
            threads: Some(threads),
        }
    }

    /// Acquires the lock if nobody has it.
    #[inline]
    pub(crate) fn try_acquire(self) -> Option<Held<'a>> {
        let attempt = Attempt::new(&self, Manner::Atomic);
        let is_free = self.segment.attached().is_ours() && attempt.try_acquire().is_ok();
        is_free.then(|| self.begin_with(None))
    }

    /// Acquires the lock.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], without an abandonment.
    #[inline]
    pub(crate) fn acquire(self, until: Until) -> Result<Held<'a>, NotAcquired> {
        match self.try_acquire() {
            Some(held) => Ok(held),
            None => self.acquire_contended(until),
        }
    }

    #[cold]
    fn acquire_contended(self, until: Until) -> Result<Held<'a>, NotAcquired> {
        complete(&mut Acquiring::new(self, Who::Thread(until)))
    }

    /// Acquires the lock, waiting as long as it takes, without keeping a thread.
    ///
    /// # Errors
    ///
    /// As [`PartLock::acquire`].
    pub(crate) async fn acquire_async(self) -> Result<Held<'a>, NotAcquired> {
        future::Until::new(Acquiring::new(self, Who::Task)).await
    }

    #[inline]
    fn begin_with(self, dead: Option<Hold>) -> Held<'a> {
        self.enter();
        Held { lock: self, dead }
    }

    /// The owner word: 0 for nobody.
    #[inline]
    pub(crate) fn owner(self) -> u64 {
        self.words.owner.load(Ordering::SeqCst)
    }

    /// Releases the lock, of which the [`Held`] was kept.
    #[inline]
    pub(crate) fn release(self) {
        self.leave();
    }

    /// Takes the lock over if this owner is proven dead.
    pub(crate) fn take_over(self, owner: u64) -> Option<Held<'a>> {
        let attempt = Attempt::new(&self, Manner::Atomic);
        if !attempt.is_gone(owner) || !attempt.try_take_over(owner) {
            return None;
        }
        attempt.certify_recovery(owner);
        Some(self.begin_with(Some(Hold::from_word(owner))))
    }
}

impl Lock for PartLock<'_> {
    #[inline]
    fn segment(&self) -> &Segment {
        self.segment
    }

    #[inline]
    fn words(&self) -> &LockWords {
        self.words
    }

    #[inline]
    fn thread_of(&self, index: usize) -> Option<&AtomicU32> {
        let mark: &ThreadMark = self.threads?.of(self.segment, index)?;
        Some(&mark.holding_thread)
    }
}

impl<'a> Begin for PartLock<'a> {
    type Had = Result<Held<'a>, NotAcquired>;

    const MANNER: Manner = Manner::Atomic;

    fn begin(
        &self,
        attempt: &Attempt<'_, Self>,
        acquired: Result<Acquired, NotAcquired>,
    ) -> Result<Held<'a>, NotAcquired> {
        let dead = match acquired? {
            Acquired::Free => None,
            Acquired::TakenOver(dead) => {
                attempt.certify_recovery(dead);
                Some(Hold::from_word(dead))
            }
        };
        Ok(self.begin_with(dead))
    }
}

/// A lock of a part that is held; it is released when this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    lock: PartLock<'a>,
    dead: Option<Hold>,
}

impl Held<'_> {
    /// From whom it was taken over, if that one died with it.
    #[inline]
    pub(crate) fn dead(&self) -> Option<Hold> {
        self.dead
    }

    /// Keeps the lock until [`PartLock::release`].
    pub(crate) fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        // A forked child has a copy of the hold, not the lock.
        if self.lock.segment.attached().is_ours() {
            self.lock.leave();
        }
    }
}
