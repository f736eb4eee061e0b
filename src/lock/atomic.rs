//! The lock for owners that change data all or nothing: their death is rolled back, and needs no
//! report.

use std::marker::PhantomData;
use std::mem;
use std::time::Duration;

use super::attempt::UpdateMode;
use super::guard::{Abandoned, GuardNoSend, LockError, SegmentGuard};
use super::hold::AcquireFailure;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::segment::Segment;

/// A guard that owns the segment's lock in the atomic update mode; dropping it releases the lock.
///
/// Each change by its owner must be decided by one committing store, or be recorded in the undo
/// log.
#[derive(Debug)]
pub(crate) struct AtomicHold<'a> {
    segment: &'a Segment,
    /// The lock belongs to a thread.
    not_send: PhantomData<*const ()>,
}

impl Segment {
    /// Acquires the lock in the atomic update mode, to change bytes that a plain owner may have
    /// left half written.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`]; it reports as abandoned only data that an owner changed in place.
    #[inline(always)]
    pub(crate) fn lock_atomically(&self) -> Result<AtomicHold<'_>> {
        match self.acquire(UpdateMode::Atomic, Deadline::Never) {
            Ok(()) => Ok(AtomicHold::new(self)),
            Err(AcquireFailure::NotAcquired(refusal)) => Err(refusal.into()),
            Err(AcquireFailure::Abandonment(left)) => {
                // The conversion into the error drops the guard, which releases the lock.
                let guard = SegmentGuard::<GuardNoSend>::new(self);
                Err(LockError::Abandoned(Abandoned::new(guard, left)).into())
            }
        }
    }

    /// Acquires the lock in the atomic update mode, even if an earlier owner left the data half
    /// changed; returns whether the data are consistent.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], without an abandonment.
    pub(crate) fn lock_whatever_was_left(&self) -> Result<(AtomicHold<'_>, bool)> {
        let is_consistent = match self.acquire(UpdateMode::Atomic, Deadline::Never) {
            Ok(()) => true,
            Err(AcquireFailure::Abandonment(_)) => false,
            Err(AcquireFailure::NotAcquired(refusal)) => return Err(refusal.into()),
        };
        Ok((AtomicHold::new(self), is_consistent))
    }

    /// Acquires the lock in the atomic update mode, to change a typed value: see [the
    /// mark](super::id).
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], without an abandonment.
    #[inline(always)]
    pub(crate) fn lock_value(&self) -> Result<AtomicHold<'_>> {
        self.acquire_unreported(Deadline::Never)?;
        Ok(AtomicHold::new(self))
    }

    /// As `lock_value`, waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock_timeout`], without an abandonment.
    pub(crate) fn lock_value_timeout(&self, limit: Duration) -> Result<AtomicHold<'_>> {
        self.acquire_unreported(Deadline::after(limit))?;
        Ok(AtomicHold::new(self))
    }
}

impl<'a> AtomicHold<'a> {
    #[inline(always)]
    fn new(segment: &'a Segment) -> AtomicHold<'a> {
        AtomicHold {
            segment,
            not_send: PhantomData,
        }
    }

    /// Gives the lock up and closes it forever: the segment was replaced.
    pub(crate) fn close(self) {
        self.segment.close();
        mem::forget(self);
    }
}

impl Drop for AtomicHold<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // A forked child has a copy of this guard, but does not own the lock.
        if self.segment.attached().is_ours() {
            self.segment.release();
        }
    }
}
