//! Acquiring and releasing the segment's own lock. The callers define what may be done under it.
//!
//! It is the raw lock in the header, with two additions: it reports how the previous owner left the
//! data, and rolls back an unfinished transaction.
//!
//! # The mark
//!
//! `condition` marks data that an owner may have left half written, and names the process. There
//! are three kinds of owners:
//!
//! - a *plain* owner has a [`SegmentGuard`](super::SegmentGuard), and writes bytes in place;
//! - an owner in a *transaction* writes bytes, too, and keeps the old ones in the undo log;
//! - a *committing* owner changes a typed value (`lock_value`), by one store.
//!
//! A segment with a type has no bytes to write in place: [`SegmentData`](crate::SegmentData)
//! refuses that. A plain owner of its lock protects something else, such as files. So its death
//! leaves the value whole, and does not concern a committing owner.
//!
//! | event | effect on the mark |
//! |---|---|
//! | a plain owner dies or panics | set, by the next owner of any kind, or by the panicking thread itself |
//! | an owner in a transaction dies or panics | none: the changes are rolled back; if the log is damaged, set |
//! | a committing owner dies or panics | none |
//! | an owner of any kind dies before it has set the mark for a dead plain owner | its word in `owner` is still that of a plain owner: the next owner sets the mark |
//! | a call of `mark_consistent` | cleared; nothing else clears it |
//!
//! | the next owner is | the mark is not set | the mark is set |
//! |---|---|---|
//! | plain | acquires the lock | acquires the lock, and gets the report |
//! | in a transaction | acquires the lock | is refused, since its changes would rest on half-written bytes |
//! | committing | acquires the lock | acquires the lock, and leaves the mark for the next plain owner |

use std::sync::atomic::Ordering;

use super::acquire::RawLockGuard;
use super::error::{AbandonCause, Abandonment, AcquireError};
use super::raw::{RawLock, UpdateMode};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::memory::format::LockWords;
use crate::segment::id::AttachmentId;
use crate::segment::record;
use crate::segment::undo::UndoLog;
use crate::segment::{Attachment, Segment};
use crate::sys;

/// The values of `condition`.
const CONSISTENT: u32 = 0;
const HOLDER_DIED: u32 = 1;
const HOLDER_PANICKED: u32 = 2;

impl Abandonment {
    /// What the words record; `None` if the data are consistent.
    pub(crate) fn of(words: &LockWords) -> Option<Abandonment> {
        let cause = match words.condition.load(Ordering::Relaxed) {
            CONSISTENT => return None,
            HOLDER_PANICKED => AbandonCause::Panicked,
            _ => AbandonCause::Died,
        };
        let id = AttachmentId::from_word(words.previous_owner_id.load(Ordering::Relaxed));
        let previous_owner = record::read(&words.previous_owner, id.generation());
        let previous_owner = previous_owner.map(|found| Attachment::of(id, &found));
        Some(Abandonment {
            cause,
            previous_owner,
        })
    }
}

/// Why a lock operation did not simply succeed; small enough for registers.
pub(crate) enum AcquireFailure {
    /// The lock is acquired, and a previous owner abandoned it.
    Abandonment(Box<Abandonment>),
    NotAcquired(AcquireError),
}

impl Segment {
    // This is always inlined, so that it makes no call, spills no register and keeps its result in
    // registers: the compare-exchange must wait for every store before it, so each store costs
    // time.
    #[inline(always)]
    pub(super) fn acquire(
        &self,
        mode: UpdateMode,
        deadline: Deadline,
    ) -> Result<(), AcquireFailure> {
        let Some(held) = RawLock::of_segment(self, mode).try_acquire() else {
            return self.acquire_contended(mode, deadline);
        };
        held.keep();
        if self.is_consistent() {
            Ok(())
        } else {
            self.report()
        }
    }

    #[cold]
    #[inline(never)]
    fn acquire_contended(
        &self,
        mode: UpdateMode,
        deadline: Deadline,
    ) -> Result<(), AcquireFailure> {
        self.reported(RawLock::of_segment(self, mode).acquire_contended(deadline))
    }

    /// Acquires the lock for a task, waiting as long as it takes.
    pub(super) async fn acquire_async(&self) -> Result<(), AcquireFailure> {
        self.reported(RawLock::of_segment_for_task(self).acquire_async().await)
    }

    /// Repairs what a dead owner left, if the lock was acquired, and reports a mark.
    fn reported(
        &self,
        acquired: Result<RawLockGuard<'_>, AcquireError>,
    ) -> Result<(), AcquireFailure> {
        self.repaired(acquired)
            .map_err(AcquireFailure::NotAcquired)?
            .keep();
        self.report()
    }

    /// Acquires the lock in the atomic update mode, to change a typed value: see [the
    /// mark](self).
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], without an abandonment.
    #[inline(always)]
    pub(crate) fn lock_value(&self) -> Result<RawLockGuard<'_>> {
        self.lock_value_until(Deadline::Never)
    }

    /// As `lock_value`, waiting at most until the deadline.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock_timeout`], without an abandonment.
    #[inline(always)]
    pub(crate) fn lock_value_until(&self, deadline: Deadline) -> Result<RawLockGuard<'_>> {
        match RawLock::of_segment(self, UpdateMode::Atomic).try_acquire() {
            Some(held) => Ok(held),
            None => self.lock_value_contended(deadline),
        }
    }

    #[cold]
    fn lock_value_contended(&self, deadline: Deadline) -> Result<RawLockGuard<'_>> {
        let lock = RawLock::of_segment(self, UpdateMode::Atomic);
        Ok(self.repaired(lock.acquire_contended(deadline))?)
    }

    /// Whether the data are consistent. The caller owns the lock.
    #[inline(always)]
    pub(crate) fn is_consistent(&self) -> bool {
        self.lock_words().condition.load(Ordering::Relaxed) == CONSISTENT
    }

    /// Repairs what a dead owner left, if the lock was taken over from one.
    fn repaired<'a>(
        &'a self,
        acquired: Result<RawLockGuard<'a>, AcquireError>,
    ) -> Result<RawLockGuard<'a>, AcquireError> {
        let held = acquired?;
        let Some(dead) = held.dead_word() else {
            return Ok(held);
        };
        // No guard until the repair is complete: neither an error nor a panic frees the lock.
        let lock = held.keep();
        self.settle_replacement(dead)?;
        self.recover(dead);
        lock.end_recovery();
        Ok(lock.guard())
    }

    /// Finds out whether a dead owner that had begun to replace the segment completed that. If so,
    /// this lock can no longer be acquired; if the system cannot tell, the lock goes back to the
    /// dead owner.
    fn settle_replacement(&self, dead: u64) -> Result<(), AcquireError> {
        let memory = &self.attached().memory;
        let replacing = &memory.header().life.replacing;
        if replacing.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        match self.attached().is_replaced() {
            Ok(false) => {
                replacing.store(0, Ordering::Release);
                Ok(())
            }
            Ok(true) => {
                self.close_lock();
                Err(AcquireError::replaced(self))
            }
            Err(error) => {
                self.leave_to(dead);
                Err(AcquireError::unknown(self, error))
            }
        }
    }

    /// Closes the lock, which the caller owns, forever: the segment was replaced.
    pub(crate) fn close_lock(&self) {
        self.leave_to(AttachmentId::REPLACED.word());
        // Each waiter then gets the error.
        sys::wake_all(&self.lock_words().waiting);
    }

    fn leave_to(&self, owner: u64) {
        RawLock::of_segment(self, UpdateMode::InPlace).clear_thread();
        self.lock_words().owner.store(owner, Ordering::Release);
    }

    /// Rolls back the transaction of a dead owner, and records its death if it may have left more
    /// than that. A death in this function has no effect of its own: the next owner takes over with
    /// the dead owner's update mode, and does all of it again.
    fn recover(&self, dead: u64) {
        let undo = UndoLog::of(self.attached());
        let undone = !undo.is_open() || undo.roll_back();
        if UpdateMode::of(dead) == UpdateMode::InPlace || !undone {
            self.record(AttachmentId::from_word(dead), HOLDER_DIED);
        }
    }

    /// Reports a mark that was not cleared since. The caller owns the lock.
    #[cold]
    #[inline(never)]
    fn report(&self) -> Result<(), AcquireFailure> {
        let left = Abandonment::of(self.lock_words());
        left.map_or(Ok(()), |left| {
            Err(AcquireFailure::Abandonment(Box::new(left)))
        })
    }

    /// Records that the calling thread panicked while it changed data. The caller owns the lock.
    #[cold]
    #[inline(never)]
    pub(crate) fn record_panic(&self) {
        self.record(self.id(), HOLDER_PANICKED);
    }

    /// Whether the calling thread owns the lock, through any handle.
    pub(crate) fn is_locked_by_this_thread(&self) -> bool {
        RawLock::of_segment(self, UpdateMode::InPlace).is_own()
    }

    /// Marks the data consistent: later locks no longer report the previous owner. The caller owns
    /// the lock.
    pub(crate) fn vouch(&self) {
        let words = self.lock_words();
        words.condition.store(CONSISTENT, Ordering::Release);
    }

    fn record(&self, previous_owner: AttachmentId, condition: u32) {
        let words = self.lock_words();
        words
            .previous_owner_id
            .store(previous_owner.word(), Ordering::Relaxed);
        match self.recorded(previous_owner) {
            Some(found) => {
                record::write(&words.previous_owner, previous_owner.generation(), &found);
            }
            None => words.previous_owner.generation.store(0, Ordering::Relaxed),
        }
        words.condition.store(condition, Ordering::Release);
    }

    #[inline(always)]
    fn lock_words(&self) -> &LockWords {
        &self.attached().memory.header().lock
    }
}
