//! The lock for those who change data all or nothing: their death is rolled back, and nobody has to be told.

use std::marker::PhantomData;
use std::mem;
use std::time::Duration;

use super::attempt::Manner;
use super::error::{Abandoned, LockError};
use super::hold::Trouble;
use super::lock::{Guard, OneThread};
use super::protocol::Until;
use crate::error::Result;
use crate::segment::Segment;

/// Holds the segment's lock in the atomic manner; releases it when dropped.
///
/// What its owner changes must be decided by one committing store, or be kept in the undo log.
#[derive(Debug)]
pub(crate) struct AtomicHold<'a> {
    segment: &'a Segment,
    /// The lock belongs to a thread.
    not_send: PhantomData<*const ()>,
}

impl Segment {
    /// Acquires the lock in the atomic manner, for changes of bytes that a plain holder may have left half written.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], where an abandonment is one by somebody who changed the data in place.
    #[inline(always)]
    pub(crate) fn lock_atomically(&self) -> Result<AtomicHold<'_>> {
        match self.acquire(Manner::Atomic, Until::Acquired) {
            Ok(()) => Ok(AtomicHold::new(self)),
            Err(Trouble::NotAcquired(refusal)) => Err(refusal.into()),
            Err(Trouble::Left(left)) => {
                // The guard releases the lock as the error is made of it.
                let guard = Guard::<OneThread>::new(self);
                Err(LockError::Abandoned(Abandoned::new(guard, left)).into())
            }
        }
    }

    /// Acquires the lock in the atomic manner, also where a dead owner left the data half changed; whether it did not.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], without an abandonment.
    pub(crate) fn lock_whatever_was_left(&self) -> Result<(AtomicHold<'_>, bool)> {
        let is_consistent = match self.acquire(Manner::Atomic, Until::Acquired) {
            Ok(()) => true,
            Err(Trouble::Left(_)) => false,
            Err(Trouble::NotAcquired(refusal)) => return Err(refusal.into()),
        };
        Ok((AtomicHold::new(self), is_consistent))
    }

    /// Acquires the lock in the atomic manner, for the change of a typed value: see [the mark](super::hold).
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], without an abandonment.
    #[inline(always)]
    pub(crate) fn lock_value(&self) -> Result<AtomicHold<'_>> {
        self.acquire_unreported(Until::Acquired)?;
        Ok(AtomicHold::new(self))
    }

    /// As `lock_value`, waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock_timeout`], likewise.
    pub(crate) fn lock_value_timeout(&self, limit: Duration) -> Result<AtomicHold<'_>> {
        self.acquire_unreported(Until::after(limit))?;
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

    /// Ends the hold, and the lock with it: the segment was replaced.
    pub(crate) fn close(self) {
        self.segment.close();
        mem::forget(self);
    }
}

impl Drop for AtomicHold<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // A forked child has a copy of the hold, not the lock.
        if self.segment.attached().is_ours() {
            self.segment.release();
        }
    }
}
