//! Acquiring and releasing the segment's own lock. The callers define what may be done under it.
//!
//! It is an `attempt` at the lock in the header, with two additions: it reports how the previous
//! owner left the data, and rolls back an unfinished transaction.
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

use std::sync::atomic::{AtomicU32, Ordering};

use super::attempt::{Attempt, Lock, UpdateMode};
use super::error::{AbandonCause, Abandonment, AcquireError};
use super::protocol::{Acquired, LockMemory, LockRefusal};
use crate::deadline::Deadline;
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
    pub(crate) fn acquire(
        &self,
        mode: UpdateMode,
        deadline: Deadline,
    ) -> Result<(), AcquireFailure> {
        let attached = self.attached();
        let attempt = Attempt::new(self, mode);
        if !attached.is_ours() || attempt.try_acquire().is_err() {
            return self.acquire_contended(mode, deadline);
        }
        self.enter();
        if attempt.words.condition.load(Ordering::Relaxed) == CONSISTENT {
            Ok(())
        } else {
            self.report()
        }
    }

    /// Acquires the lock to commit a value, without a report of the mark.
    #[inline(always)]
    pub(crate) fn acquire_unreported(&self, deadline: Deadline) -> Result<(), AcquireError> {
        let attempt = Attempt::new(self, UpdateMode::Atomic);
        if !self.attached().is_ours() || attempt.try_acquire().is_err() {
            return match self.acquire_contended(UpdateMode::Atomic, deadline) {
                Err(AcquireFailure::NotAcquired(refusal)) => Err(refusal),
                Ok(()) | Err(AcquireFailure::Abandonment(_)) => Ok(()),
            };
        }
        self.enter();
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn acquire_contended(
        &self,
        mode: UpdateMode,
        deadline: Deadline,
    ) -> Result<(), AcquireFailure> {
        if !self.attached().is_ours() {
            return Err(AcquireFailure::NotAcquired(AcquireError::forked(self)));
        }
        let attempt = Attempt::new(self, mode);
        let acquired = attempt.wait(deadline);
        if acquired.is_ok() {
            self.enter();
        }
        self.begin(&attempt, acquired, deadline)
    }

    /// Starts to own the lock, if it was acquired: repairs what a dead owner left, and reports a
    /// mark.
    pub(crate) fn begin<L: Lock>(
        &self,
        attempt: &Attempt<'_, L>,
        acquired: Result<Acquired, LockRefusal>,
        deadline: Deadline,
    ) -> Result<(), AcquireFailure> {
        let acquired = acquired
            .map_err(|refused| AcquireFailure::NotAcquired(attempt.refused(refused, deadline)))?;
        if let Acquired::TakenOver(dead) = acquired {
            self.settle_replacement(dead)
                .map_err(AcquireFailure::NotAcquired)?;
            self.recover(dead);
            attempt.record_recovery(dead);
            // Only from here on may the death of this owner leave other data than the dead owner
            // did.
            attempt.words.owner.store(attempt.me, Ordering::Release);
        }
        self.report()
    }

    /// Releases the lock, which the calling thread holds.
    #[inline(always)]
    pub(crate) fn release(&self) {
        self.leave();
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
                self.close();
                Err(AcquireError::replaced(self))
            }
            Err(error) => {
                self.leave_to(dead);
                Err(AcquireError::unknown(self, error))
            }
        }
    }

    /// Closes the lock, which the caller owns, forever: the segment was replaced.
    pub(crate) fn close(&self) {
        self.leave_to(AttachmentId::REPLACED.word());
        // Each waiter then gets the error.
        sys::wake_all(&self.words().waiting);
    }

    fn leave_to(&self, owner: u64) {
        let own_thread = &self.attached().memory.own_slot().holding_thread;
        own_thread.store(0, Ordering::Relaxed);
        self.words().owner.store(owner, Ordering::Release);
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
        let left = Abandonment::of(&self.attached().memory.header().lock);
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
        let attempt = Attempt::new(self, UpdateMode::InPlace);
        self.attached().is_ours() && attempt.is_own(attempt.owner())
    }

    /// Marks the data consistent: later locks no longer report the previous owner. The caller owns
    /// the lock.
    pub(crate) fn vouch(&self) {
        let words = &self.attached().memory.header().lock;
        words.condition.store(CONSISTENT, Ordering::Release);
    }

    fn record(&self, previous_owner: AttachmentId, condition: u32) {
        let words = &self.attached().memory.header().lock;
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
}

impl Lock for Segment {
    #[inline(always)]
    fn segment(&self) -> &Segment {
        self
    }

    #[inline(always)]
    fn words(&self) -> &LockWords {
        &self.attached().memory.header().lock
    }

    #[inline(always)]
    fn thread_of(&self, index: usize) -> Option<&AtomicU32> {
        let slot = self.attached().memory.slot(index)?;
        Some(&slot.holding_thread)
    }

    #[inline(always)]
    fn own_thread(&self) -> Option<&AtomicU32> {
        Some(&self.attached().memory.own_slot().holding_thread)
    }
}
