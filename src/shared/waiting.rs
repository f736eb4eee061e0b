//! Waiting for the version of a value to change, whatever its type: `change` on the words of a segment.

use std::sync::atomic::{Ordering, compiler_fence, fence};
use std::time::Instant;

use super::value::{Place, place};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::table::Hold;
use crate::segment::{Attached, Segment};
use crate::sync::change::{CommitSteps, Found, LONGEST_SLEEP, Watch, WatchSteps};
use crate::sync::waiting::{Look, Wait, block};
use crate::sys::{self, Word, low_half_of};

pub(super) const WAIT: &str = "wait for a change of";

/// Waits until the version is another one.
#[derive(Debug)]
pub(super) struct Change<'a> {
    attached: &'a Attached,
    /// `None` for a read-only attachment, which can announce nothing.
    segment: Option<&'a Segment>,
    watch: Watch,
}

impl<'a> Change<'a> {
    pub(super) fn new(
        attached: &'a Attached,
        segment: Option<&'a Segment>,
        seen: u64,
    ) -> Change<'a> {
        Change {
            attached,
            segment,
            watch: Watch::new(seen),
        }
    }
}

impl<'a> Change<'a> {
    /// While somebody replaces the segment, or died doing so: what that comes to.
    #[cold]
    fn wait_for_replacement(&self, place: &Place<'a>) -> Look<'a, Result<()>> {
        match self.attached.is_replaced() {
            Ok(true) => Look::Ready(Err(self.attached.replaced(WAIT))),
            Ok(false) => Look::Sleep {
                word: Word::low_half(place.version),
                seen: low_half_of(place.committed()),
                limit: Some(LONGEST_SLEEP),
            },
            Err(error) => Look::Ready(Err(error.with_key(self.attached.key()))),
        }
    }
}

impl Wait for Change<'_> {
    type Output = Result<()>;

    fn look(&mut self) -> Look<'_, Result<()>> {
        let place = match place(self.attached, 0, WAIT) {
            Ok(place) => place,
            Err(error) => return Look::Ready(Err(error)),
        };
        if self.attached.is_being_replaced() {
            return self.wait_for_replacement(&place);
        }
        let found = match self.segment {
            Some(segment) => self.watch.look(&Steps {
                place: &place,
                segment,
            }),
            None if place.committed() == self.watch.seen() => Found::Same(Some(LONGEST_SLEEP)),
            None => Found::Changed,
        };
        match found {
            Found::Changed => Look::Ready(Ok(())),
            Found::Same(limit) => Look::Sleep {
                word: Word::low_half(place.version),
                seen: low_half_of(self.watch.seen()),
                limit,
            },
        }
    }
}

/// Waits on the calling thread.
pub(super) fn wait(mut change: Change<'_>, deadline: Option<Instant>) -> Result<()> {
    let attached = change.attached;
    if change
        .segment
        .is_some_and(Segment::is_locked_by_this_thread)
    {
        let detail =
            "this thread holds the lock, so that nobody can change it; wait outside of the change";
        return Err(Error::new(ErrorKind::Deadlock, WAIT, detail).with_key(attached.key()));
    }
    block(&mut change, deadline).unwrap_or_else(|| {
        let detail = "it was not made in time; wait longer, or see who should make it";
        Err(Error::new(ErrorKind::Timeout, WAIT, detail).with_key(attached.key()))
    })
}

impl CommitSteps for Place<'_> {
    #[inline(always)]
    fn is_watched(&self) -> bool {
        // The other half of the fence is the waiter's `barrier`.
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
        // The system adds to the low half only; a carry, of which there is one in four thousand million, takes two steps: see `is_one_step`.
        let carries = low_half_of(version) == 0;
        if carries || !sys::add_and_wake(low) {
            CommitSteps::store(self, version);
            sys::wake_all(low);
        }
    }
}

/// The words of a value, for one who waits.
pub(crate) struct Steps<'a> {
    pub(crate) place: &'a Place<'a>,
    pub(crate) segment: &'a Segment,
}

impl WatchSteps for Steps<'_> {
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
        let hold = Hold::from_word(owner);
        !self.segment.is_kept(hold) && self.segment.is_gone(hold)
    }

    fn is_one_step(&self, seen: u64) -> bool {
        sys::has_store_and_wake() && low_half_of(seen) != u32::MAX
    }
}
