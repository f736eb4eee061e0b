//! The lock of a part of a segment: the same algorithm on words of the part, always owned in the
//! atomic update mode.
//!
//! Its owners make changes that one store commits, or that can be made anew from what is there. So
//! a death leaves no data to mark consistent. The next owner learns of the death, and does what the
//! part then needs.

use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};

use super::acquiring::{AcquireWait, Begin, WaitMode};
use super::attempt::{Attempt, Lock, UpdateMode};
use super::error::AcquireError;
use super::protocol::{Acquired, LockMemory};
use crate::deadline::Deadline;
use crate::memory::format::{Block, LockWords, ThreadMark};
use crate::segment::Segment;
use crate::segment::id::AttachmentId;
use crate::segment::table;
use crate::wait::future;
use crate::wait::poll::complete;

/// The place of the marks of one part: each slot has its mark in its own row of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    /// The offset of the mark of slot 0 in the data.
    pub(crate) first: usize,
    /// The distance from the mark of one slot to that of the next slot.
    pub(crate) row: usize,
}

impl Marks {
    /// The mark of a slot; `None` beyond the last slot that was ever taken, or when the segment is
    /// too small.
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
pub(crate) struct RawLock<'a> {
    segment: &'a Segment,
    words: &'a LockWords,
    threads: Option<Marks>,
}

impl<'a> RawLock<'a> {
    /// A lock that does not belong to a thread: it belongs to a task, or no code of the program
    /// runs under it.
    #[inline]
    pub(crate) fn threadless(segment: &'a Segment, words: &'a LockWords) -> RawLock<'a> {
        RawLock {
            segment,
            words,
            threads: None,
        }
    }

    /// A lock that a thread may own while it runs other code; `threads` are the marks that store
    /// its number.
    #[inline]
    pub(crate) fn of_threads(
        segment: &'a Segment,
        words: &'a LockWords,
        threads: Marks,
    ) -> RawLock<'a> {
        RawLock {
            segment,
            words,
            threads: Some(threads),
        }
    }

    /// Acquires the lock if it is free.
    #[inline]
    pub(crate) fn try_acquire(self) -> Option<RawLockGuard<'a>> {
        let attempt = Attempt::new(&self, UpdateMode::Atomic);
        let is_free = self.segment.attached().is_ours() && attempt.try_acquire().is_ok();
        is_free.then(|| self.begin_with(None))
    }

    /// Acquires the lock.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], without an abandonment.
    #[inline]
    pub(crate) fn acquire(self, deadline: Deadline) -> Result<RawLockGuard<'a>, AcquireError> {
        match self.try_acquire() {
            Some(held) => Ok(held),
            None => self.acquire_contended(deadline),
        }
    }

    #[cold]
    fn acquire_contended(self, deadline: Deadline) -> Result<RawLockGuard<'a>, AcquireError> {
        complete(&mut AcquireWait::new(self, WaitMode::Thread(deadline)))
    }

    /// Acquires the lock, waiting as long as it takes, without blocking a thread.
    ///
    /// # Errors
    ///
    /// As [`RawLock::acquire`].
    pub(crate) async fn acquire_async(self) -> Result<RawLockGuard<'a>, AcquireError> {
        future::WaitFuture::new(AcquireWait::new(self, WaitMode::Task)).await
    }

    #[inline]
    fn begin_with(self, dead: Option<AttachmentId>) -> RawLockGuard<'a> {
        self.enter();
        RawLockGuard { lock: self, dead }
    }

    /// The owner word: 0 if the lock is free.
    #[inline]
    pub(crate) fn owner(self) -> u64 {
        self.words.owner.load(Ordering::SeqCst)
    }

    /// Releases the lock after [`RawLockGuard::keep`].
    #[inline]
    pub(crate) fn release(self) {
        self.leave();
    }

    /// Takes the lock over if this owner is proven dead.
    pub(crate) fn take_over(self, owner: u64) -> Option<RawLockGuard<'a>> {
        let attempt = Attempt::new(&self, UpdateMode::Atomic);
        if !attempt.is_gone(owner) || !attempt.try_take_over(owner) {
            return None;
        }
        attempt.record_recovery(owner);
        Some(self.begin_with(Some(AttachmentId::from_word(owner))))
    }
}

impl Lock for RawLock<'_> {
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

impl<'a> Begin for RawLock<'a> {
    type Had = Result<RawLockGuard<'a>, AcquireError>;

    const UPDATE_MODE: UpdateMode = UpdateMode::Atomic;

    fn begin(
        &self,
        attempt: &Attempt<'_, Self>,
        acquired: Result<Acquired, AcquireError>,
    ) -> Result<RawLockGuard<'a>, AcquireError> {
        let dead = match acquired? {
            Acquired::Free => None,
            Acquired::TakenOver(dead) => {
                attempt.record_recovery(dead);
                Some(AttachmentId::from_word(dead))
            }
        };
        Ok(self.begin_with(dead))
    }
}

/// A guard that owns the lock of a part; dropping it releases the lock.
#[derive(Debug)]
pub(crate) struct RawLockGuard<'a> {
    lock: RawLock<'a>,
    dead: Option<AttachmentId>,
}

impl RawLockGuard<'_> {
    /// The dead owner from which the lock was taken over, if it was.
    #[inline]
    pub(crate) fn dead(&self) -> Option<AttachmentId> {
        self.dead
    }

    /// Keeps the lock until [`RawLock::release`].
    pub(crate) fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for RawLockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // A forked child has a copy of this guard, but does not own the lock.
        if self.lock.segment.attached().is_ours() {
            self.lock.leave();
        }
    }
}
