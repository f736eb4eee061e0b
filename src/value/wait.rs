//! Waiting for the version of a value to change, for any type: `change` on the words of a segment.

use std::sync::atomic::{Ordering, compiler_fence, fence};
use std::time::Instant;

use super::change::{ChangeOutcome, CommitSteps, VersionWatch, WatchSteps};
use super::copies::{Copies, place};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::id::AttachmentId;
use crate::segment::{Attached, Segment};
use crate::sys::{self, Word, low_half_of};
use crate::timing::LONGEST_SLEEP;
use crate::wait::poll::{Polled, Wait, block};

pub(crate) const WAIT: &str = "wait for a change of";

/// The wait for another version.
#[derive(Debug)]
pub(crate) struct VersionWait<'a> {
    attached: &'a Attached,
    /// `None` for a read-only attachment, which cannot announce itself as a waiter.
    segment: Option<&'a Segment>,
    watch: VersionWatch,
}

impl<'a> VersionWait<'a> {
    pub(crate) fn new(
        attached: &'a Attached,
        segment: Option<&'a Segment>,
        seen: u64,
    ) -> VersionWait<'a> {
        VersionWait {
            attached,
            segment,
            watch: VersionWatch::new(seen),
        }
    }
}

impl<'a> VersionWait<'a> {
    /// Looks while a process replaces the segment, or after it died doing so.
    #[cold]
    fn wait_for_replacement(&self, place: &Copies<'a>) -> Polled<'a, Result<()>> {
        match self.attached.is_replaced() {
            Ok(true) => Polled::Ready(Err(self.attached.replaced(WAIT))),
            Ok(false) => Polled::Sleep {
                word: Word::low_half(place.version),
                seen: low_half_of(place.committed()),
                limit: Some(LONGEST_SLEEP),
            },
            Err(error) => Polled::Ready(Err(error.with_key(self.attached.key()))),
        }
    }
}

impl Wait for VersionWait<'_> {
    type Output = Result<()>;

    fn look(&mut self) -> Polled<'_, Result<()>> {
        let place = match place(self.attached, 0, WAIT) {
            Ok(place) => place,
            Err(error) => return Polled::Ready(Err(error)),
        };
        if self.attached.is_being_replaced() {
            return self.wait_for_replacement(&place);
        }
        let found = match self.segment {
            Some(segment) => self.watch.look(&VersionWords {
                place: &place,
                segment,
            }),
            None if place.committed() == self.watch.seen() => {
                ChangeOutcome::Same(Some(LONGEST_SLEEP))
            }
            None => ChangeOutcome::Changed,
        };
        match found {
            ChangeOutcome::Changed => Polled::Ready(Ok(())),
            ChangeOutcome::Same(limit) => Polled::Sleep {
                word: Word::low_half(place.version),
                seen: low_half_of(self.watch.seen()),
                limit,
            },
        }
    }
}

/// Waits on the calling thread.
pub(crate) fn wait(mut change: VersionWait<'_>, deadline: Option<Instant>) -> Result<()> {
    let attached = change.attached;
    if change
        .segment
        .is_some_and(Segment::is_locked_by_this_thread)
    {
        let detail =
            "this thread has the lock, so no other can change the value; wait outside the change";
        return Err(Error::new(ErrorKind::Deadlock, WAIT, detail).with_key(attached.key()));
    }
    block(&mut change, deadline).unwrap_or_else(|| {
        let detail =
            "it did not change in time; wait longer, or check the process that should change it";
        Err(Error::new(ErrorKind::Timeout, WAIT, detail).with_key(attached.key()))
    })
}

impl CommitSteps for Copies<'_> {
    #[inline(always)]
    fn is_watched(&self) -> bool {
        // The counterpart of this fence is the waiter's `barrier`.
        if self.fenced.load(Ordering::Relaxed) == 0 {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
        self.lock.watched.load(Ordering::Relaxed) != 0
    }

    fn take_announcement(&self) {
        self.lock.watched.store(0, Ordering::SeqCst);
    }

    #[inline(always)]
    fn store(&self, version: u64) {
        self.version.store(version, Ordering::Release);
    }

    #[cold]
    #[inline(never)]
    fn store_and_wake(&self, version: u64) {
        let low = Word::low_half(self.version);
        fence(Ordering::SeqCst);
        // The system adds to the low half only. A carry, at one commit of four thousand million,
        // takes two steps: see `is_one_step`.
        let carries = low_half_of(version) == 0;
        if carries || !sys::add_and_wake(low) {
            CommitSteps::store(self, version);
            sys::wake_all(low);
        }
    }
}

/// The words of a value, for its waiters.
pub(crate) struct VersionWords<'a> {
    pub(crate) place: &'a Copies<'a>,
    pub(crate) segment: &'a Segment,
}

impl WatchSteps for VersionWords<'_> {
    fn version(&self) -> u64 {
        self.place.committed()
    }

    fn announce(&self) {
        self.place.lock.watched.store(1, Ordering::SeqCst);
    }

    fn barrier(&self) -> bool {
        self.segment.attached().barrier()
    }

    fn owner(&self) -> u64 {
        self.place.lock.owner.load(Ordering::Acquire)
    }

    fn is_gone(&self, owner: u64) -> bool {
        let id = AttachmentId::from_word(owner);
        !self.segment.is_kept(id) && self.segment.is_gone(id)
    }

    fn is_one_step(&self, seen: u64) -> bool {
        sys::has_store_and_wake() && low_half_of(seen) != u32::MAX
    }
}
