//! Acquiring and releasing the segment's own lock; what may be done under it is said by those who use this.
//!
//! It is an `attempt` at the lock in the header, and what goes with that: what the last holder left, and rolling back what it left undone.
//!
//! # The mark
//!
//! `condition` marks data that a holder may have left half written, with the process that did. There are three kinds of
//! holders:
//!
//! - a *plain* one has a [`Guard`](super::Guard), and writes bytes in place;
//! - one in a *transaction* writes bytes, too, and keeps the old ones in the log;
//! - one that *commits* changes a typed value (`lock_value`), by one store.
//!
//! A segment with a type has no bytes to write in place: [`Bytes`](crate::Bytes) refuses there. A plain holder of it
//! guards something else, such as files. So its death leaves the value whole, and says nothing to one that commits.
//!
//! | what happens | to the mark |
//! |---|---|
//! | a plain holder dies or panics | it is set, by the next holder of any kind, or by the panicking thread itself |
//! | a holder in a transaction dies or panics | none: the changes are rolled back; where the log is damaged, it is set |
//! | a holder that commits dies or panics | none |
//! | a holder of any kind dies before it has set the mark for a dead plain one | its word in `owner` is still a plain one: the next holder sets it |
//! | somebody calls `mark_consistent` | it is cleared, in no other way |
//!
//! | the next to lock is | the mark is not set | the mark is set |
//! |---|---|---|
//! | plain | has the lock | has the lock, and is told |
//! | in a transaction | has the lock | is refused, since its changes would stand on half-written bytes |
//! | one that commits | has the lock | has the lock, and leaves the mark for the next plain one |

use std::sync::atomic::{AtomicU32, Ordering};

use super::attempt::{Attempt, Lock, Manner};
use super::error::{Cause, Left, NotAcquired};
use super::protocol::{Acquired, Refused, Steps, Until};
use crate::memory::format::LockWords;
use crate::segment::table::{Hold, read_record, write_record};
use crate::segment::undo::UndoLog;
use crate::segment::{Attachment, Segment};
use crate::sys;

/// What the data under the lock are worth.
const CONSISTENT: u32 = 0;
const HOLDER_DIED: u32 = 1;
const HOLDER_PANICKED: u32 = 2;

impl Left {
    /// What the words say; nothing where the data are consistent.
    pub(crate) fn of(words: &LockWords) -> Option<Left> {
        let cause = match words.condition.load(Ordering::Relaxed) {
            CONSISTENT => return None,
            HOLDER_PANICKED => Cause::Panicked,
            _ => Cause::Died,
        };
        let hold = Hold::from_word(words.culprit_hold.load(Ordering::Relaxed));
        let culprit = read_record(&words.culprit, hold.generation());
        let culprit = culprit.map(|found| Attachment::of(hold, &found));
        Some(Left { cause, culprit })
    }
}

/// What keeps a lock operation from simply succeeding; small enough for registers.
pub(super) enum Trouble {
    /// The lock is acquired, and somebody left this.
    Left(Box<Left>),
    NotAcquired(NotAcquired),
}

impl Segment {
    // What is always inlined makes no call, spills no register and keeps its result in registers: the
    // compare-exchange has to wait for every store before it, so that each one costs.
    #[inline(always)]
    pub(super) fn acquire(&self, manner: Manner, until: Until) -> Result<(), Trouble> {
        let attached = self.attached();
        let attempt = Attempt::new(self, manner);
        if !attached.is_ours() || attempt.try_acquire().is_err() {
            return self.acquire_contended(manner, until);
        }
        self.enter();
        if attempt.words.condition.load(Ordering::Relaxed) == CONSISTENT {
            Ok(())
        } else {
            self.report()
        }
    }

    /// Acquires the lock to commit a value: the mark says nothing of it.
    #[inline(always)]
    pub(super) fn acquire_unreported(&self, until: Until) -> Result<(), NotAcquired> {
        let attempt = Attempt::new(self, Manner::Atomic);
        if !self.attached().is_ours() || attempt.try_acquire().is_err() {
            return match self.acquire_contended(Manner::Atomic, until) {
                Err(Trouble::NotAcquired(refusal)) => Err(refusal),
                Ok(()) | Err(Trouble::Left(_)) => Ok(()),
            };
        }
        self.enter();
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn acquire_contended(&self, manner: Manner, until: Until) -> Result<(), Trouble> {
        if !self.attached().is_ours() {
            return Err(Trouble::NotAcquired(NotAcquired::forked(self)));
        }
        let attempt = Attempt::new(self, manner);
        let acquired = attempt.wait(until);
        if acquired.is_ok() {
            self.enter();
        }
        self.begin(&attempt, acquired, until)
    }

    /// Begins to hold the lock, if it was acquired: puts right what a dead holder left, and says what there is to say.
    pub(super) fn begin<L: Lock>(
        &self,
        attempt: &Attempt<'_, L>,
        acquired: Result<Acquired, Refused>,
        until: Until,
    ) -> Result<(), Trouble> {
        let acquired =
            acquired.map_err(|refused| Trouble::NotAcquired(attempt.refused(refused, until)))?;
        if let Acquired::TakenOver(dead) = acquired {
            self.settle_replacement(dead)
                .map_err(Trouble::NotAcquired)?;
            self.recover(dead);
            attempt.certify_recovery(dead);
            // Only now may this one's own death leave something else than the dead one's did.
            attempt.words.owner.store(attempt.me, Ordering::Release);
        }
        self.report()
    }

    /// Releases the lock, which the calling thread holds.
    #[inline(always)]
    pub(super) fn release(&self) {
        self.leave();
    }

    /// Finds out whether a dead owner had replaced the segment, if it had begun to. Then nobody gets this lock any more;
    /// where that cannot be told, the lock is the dead one's again.
    fn settle_replacement(&self, dead: u64) -> Result<(), NotAcquired> {
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
                Err(NotAcquired::replaced(self))
            }
            Err(error) => {
                self.leave_to(dead);
                Err(NotAcquired::unknown(self, error))
            }
        }
    }

    /// Closes the lock, which the caller has, for ever: the segment was replaced.
    pub(super) fn close(&self) {
        self.leave_to(Hold::REPLACED.word());
        // Each of them is told.
        sys::wake_all(&self.words().waiting);
    }

    fn leave_to(&self, owner: u64) {
        let own_thread = &self.attached().memory.own_slot().holding_thread;
        own_thread.store(0, Ordering::Relaxed);
        self.words().owner.store(owner, Ordering::Release);
    }

    /// Undoes what a dead holder left of a transaction, and records its death where that may not be all that it left.
    /// Dying in here is the same death again: the next one takes over in the dead one's manner and does it all.
    fn recover(&self, dead: u64) {
        let undo = UndoLog::of(self.attached());
        let undone = !undo.is_open() || undo.roll_back();
        if Manner::of(dead) == Manner::Plain || !undone {
            self.record(Hold::from_word(dead), HOLDER_DIED);
        }
    }

    /// Says what somebody left that nobody has vouched for since. Called with the lock.
    #[cold]
    #[inline(never)]
    fn report(&self) -> Result<(), Trouble> {
        let left = Left::of(&self.attached().memory.header().lock);
        left.map_or(Ok(()), |left| Err(Trouble::Left(Box::new(left))))
    }

    /// Records that the calling thread panicked while it changed data. Called with the lock.
    #[cold]
    #[inline(never)]
    pub(super) fn record_panic(&self) {
        self.record(self.hold(), HOLDER_PANICKED);
    }

    /// Whether the calling thread holds the lock, through whatever handle.
    pub(crate) fn is_locked_by_this_thread(&self) -> bool {
        let attempt = Attempt::new(self, Manner::Plain);
        self.attached().is_ours() && attempt.is_own(attempt.owner())
    }

    /// Vouches for the data: the next one to lock is told nothing of what happened before. Called with the lock.
    pub(super) fn vouch(&self) {
        let words = &self.attached().memory.header().lock;
        words.condition.store(CONSISTENT, Ordering::Release);
    }

    fn record(&self, culprit: Hold, condition: u32) {
        let words = &self.attached().memory.header().lock;
        words.culprit_hold.store(culprit.word(), Ordering::Relaxed);
        match self.recorded(culprit) {
            Some(found) => write_record(&words.culprit, culprit.generation(), &found),
            None => words.culprit.generation.store(0, Ordering::Relaxed),
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
