//! The segment's own lock, and the guard through which its data are used.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::{Duration, Instant};

use super::error::{Abandoned, LockError};
use super::hold::{Manner, Trouble};
use super::protocol::Until;
use crate::error::Error;
use crate::segment::{Bytes, Segment};

impl Segment {
    /// Acquires the segment's lock, waiting as long as it takes, and gives access to the data.
    ///
    /// It excludes every other process and every other thread, also one that uses the same handle. It is released when the
    /// guard is dropped. While nobody else wants it, neither makes a system call.
    ///
    /// # When a process dies
    ///
    /// A holder's death frees the lock within 10 ms: the next one gets it as [`LockError::Abandoned`], which says
    /// who died and carries the guard, since the data may be half written. A holder that is merely slow, or stopped, is never robbed.
    ///
    /// # Errors
    ///
    /// [`LockError::Abandoned`], with the lock acquired, also when a holder panicked, and until somebody vouches for the data;
    /// [`LockError::NotAcquired`] with [`Deadlock`](crate::ErrorKind::Deadlock) when this thread has it already, or
    /// [`Forked`](crate::ErrorKind::Forked).
    #[inline(always)]
    pub fn lock(&self) -> Result<Guard<'_>, LockError<'_>> {
        self.guard(Until::Acquired)
    }

    /// Acquires the lock if nobody living holds it.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], and [`LockError::NotAcquired`] with [`WouldBlock`](crate::ErrorKind::WouldBlock), which names the holder.
    #[inline(always)]
    pub fn try_lock(&self) -> Result<Guard<'_>, LockError<'_>> {
        self.guard(Until::Now)
    }

    /// Acquires the lock, waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], and [`LockError::NotAcquired`] with [`Timeout`](crate::ErrorKind::Timeout), which names the holder.
    pub fn lock_timeout(&self, limit: Duration) -> Result<Guard<'_>, LockError<'_>> {
        let until = Instant::now()
            .checked_add(limit)
            .map_or(Until::Acquired, Until::Deadline);
        self.guard(until)
    }

    /// Acquires the lock, waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock_timeout`].
    pub fn lock_deadline(&self, deadline: Instant) -> Result<Guard<'_>, LockError<'_>> {
        self.guard(Until::Deadline(deadline))
    }

    #[inline(always)]
    fn guard(&self, until: Until) -> Result<Guard<'_>, LockError<'_>> {
        match self.acquire(Manner::Plain, until) {
            Ok(()) => Ok(Guard::new(self)),
            Err(Trouble::Left(left)) => {
                Err(LockError::Abandoned(Abandoned::new(Guard::new(self), left)))
            }
            Err(Trouble::NotAcquired(refusal)) => Err(LockError::NotAcquired(refusal)),
        }
    }
}

/// Holds the lock of a segment and gives access to its data; releases it when dropped.
///
/// It reads and writes through [`Bytes`], by offset and checked.
///
/// # When a process dies
///
/// The process that has the guard: see [`Segment::lock`]. A panic while the guard lives releases the lock, and the
/// next one to lock is told.
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct Guard<'a> {
    segment: &'a Segment,
    bytes: Bytes<'a>,
    then: Then,
    /// The lock belongs to a thread.
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard offers only loads, which other processes may race with anyway.
unsafe impl Sync for Guard<'_> {}

impl<'a> Guard<'a> {
    #[inline(always)]
    pub(super) fn new(segment: &'a Segment) -> Guard<'a> {
        let bytes = Bytes::new(segment.attached());
        Guard {
            segment,
            bytes,
            then: Then::now(),
            not_send: PhantomData,
        }
    }

    /// Makes the segment at least `new_size` bytes long: see [`Segment::grow`].
    ///
    /// # Errors
    ///
    /// As [`Segment::grow`].
    pub fn grow(&mut self, new_size: usize) -> Result<(), Error> {
        self.segment.grow(new_size)
    }

    /// Returns the data as one slice, for code that needs no copy.
    ///
    /// # Safety
    ///
    /// While the slice lives nobody else touches these bytes: every process that is attached writes only while it holds this lock,
    /// read-only attachments do not read them, and this process does not fork.
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        let size = self.bytes.size();
        // SAFETY: `size` bytes are mapped and in the file; the caller vouches that nobody else uses them.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.as_ptr().as_ptr(), size) }
    }

    /// Vouches for the data: the next one to lock is told nothing of what happened before.
    pub(super) fn vouch(&mut self) {
        // A forked child has a copy of the guard, and no memory behind it.
        if self.segment.attached().is_ours() {
            self.segment.vouch();
        }
    }

    pub(crate) fn segment(&self) -> &'a Segment {
        self.segment
    }
}

impl<'a> Deref for Guard<'a> {
    type Target = Bytes<'a>;

    #[inline]
    fn deref(&self) -> &Bytes<'a> {
        &self.bytes
    }
}

impl<'a> DerefMut for Guard<'a> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Bytes<'a> {
        &mut self.bytes
    }
}

/// Whether the thread was panicking when it acquired the lock.
///
/// As wide as a pointer: a guard without padding stays in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
enum Then {
    Calm,
    Panicking,
}

impl Then {
    #[inline(always)]
    fn now() -> Then {
        if thread::panicking() {
            Then::Panicking
        } else {
            Then::Calm
        }
    }
}

impl Drop for Guard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // A forked child has a copy of the guard, not the lock.
        if !self.segment.attached().is_ours() {
            return;
        }
        if thread::panicking() && self.then == Then::Calm {
            self.segment.record_panic();
        }
        self.segment.release();
    }
}
