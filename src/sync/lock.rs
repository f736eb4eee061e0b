//! The segment's own lock, and the guard through which its data are used.

#![allow(unsafe_code)]

use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::thread;
use std::time::{Duration, Instant};

use zerocopy::{Immutable, IntoBytes};

use super::acquiring::{Acquiring, Threadless, Who};
use super::attempt::Manner;
use super::error::{Abandoned, LockError};
use super::future;
use super::hold::Trouble;
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
        self.guard(Until::after(limit))
    }

    /// Acquires the lock, waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock_timeout`].
    pub fn lock_deadline(&self, deadline: Instant) -> Result<Guard<'_>, LockError<'_>> {
        self.guard(Until::Deadline(deadline))
    }

    /// Acquires the lock, waiting as long as it takes, without keeping a thread.
    ///
    /// The future needs no runtime: a helper thread, one for about a hundred futures of the process, wakes it. When it is dropped it waits no
    /// longer, and holds nothing. The guard may be held across `.await` and dropped on another thread; so nobody notices when
    /// a task, or the thread that runs it, asks for the lock that it holds: that waits for ever.
    ///
    /// # When a process dies
    ///
    /// As for [`Segment::lock`].
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], other than [`Deadlock`](crate::ErrorKind::Deadlock).
    pub async fn lock_async(&self) -> Result<Guard<'_, AnyThread>, LockError<'_, AnyThread>> {
        let acquiring = Acquiring::new(Threadless(self), Who::Task);
        guarded(self, future::Until::new(acquiring).await)
    }

    #[inline(always)]
    fn guard(&self, until: Until) -> Result<Guard<'_>, LockError<'_>> {
        guarded(self, self.acquire(Manner::Plain, until))
    }
}

/// Makes the guard of a lock that was acquired, or not.
#[inline(always)]
fn guarded<B>(
    segment: &Segment,
    acquired: Result<(), Trouble>,
) -> Result<Guard<'_, B>, LockError<'_, B>> {
    match acquired {
        Ok(()) => Ok(Guard::new(segment)),
        Err(Trouble::Left(left)) => Err(LockError::Abandoned(Abandoned::new(
            Guard::new(segment),
            left,
        ))),
        Err(Trouble::NotAcquired(refusal)) => Err(LockError::NotAcquired(refusal)),
    }
}

/// Holds the lock of a segment and gives access to its data; releases it when dropped.
///
/// It reads and writes bytes by offset, checked; what it reads through is [`Bytes`]. A segment with a type has no bytes to
/// read or write so: those operations return [`TypeMismatch`](crate::ErrorKind::TypeMismatch) there.
///
/// # When a process dies
///
/// The process that has the guard: see [`Segment::lock`]. A panic while the guard lives releases the lock, and the
/// next one to lock is told.
///
/// A guard belongs to the thread that acquired it, [`OneThread`], which is told when it asks for the lock again; or, if it was acquired
/// by [`Segment::lock_async`], to whoever has it, [`AnyThread`].
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct Guard<'a, B = OneThread> {
    segment: &'a Segment,
    bytes: Bytes<'a>,
    then: Then,
    belongs_to: PhantomData<B>,
}

/// Says that a guard, of a segment or of a part, belongs to the thread that acquired it, and cannot be sent to another one.
// As a guard of the standard library: not `Send`, but `Sync`.
#[derive(Debug)]
pub struct OneThread(PhantomData<std::sync::MutexGuard<'static, ()>>);

/// Says that a guard, of a segment or of a part, belongs to whoever has it: a task that any thread runs.
#[derive(Debug)]
pub struct AnyThread(());

impl<'a, B> Guard<'a, B> {
    #[inline(always)]
    pub(super) fn new(segment: &'a Segment) -> Guard<'a, B> {
        let bytes = Bytes::new(segment.attached());
        Guard {
            segment,
            bytes,
            then: Then::now(),
            belongs_to: PhantomData,
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

    /// Copies all of `from` into the segment, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](crate::ErrorKind::OutOfBounds), and nothing is written;
    /// [`TypeMismatch`](crate::ErrorKind::TypeMismatch) where the segment has a type;
    /// [`Forked`](crate::ErrorKind::Forked) in a forked child.
    #[inline]
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), Error> {
        self.bytes.write(offset, from)
    }

    /// Writes a value at `offset`, which need not be aligned.
    ///
    /// # Errors
    ///
    /// As [`Guard::write`].
    #[inline]
    pub fn write_at<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: &T,
    ) -> Result<(), Error> {
        self.bytes.write_at(offset, value)
    }

    /// Sets every byte of the range to `value`.
    ///
    /// # Errors
    ///
    /// As [`Guard::write`].
    pub fn fill(&mut self, range: Range<usize>, value: u8) -> Result<(), Error> {
        self.bytes.fill(range, value)
    }

    /// Fills the range with what `reader` gives, such as a file; returns how many bytes there were before its end.
    ///
    /// # Errors
    ///
    /// As [`Guard::write`], and [`System`](crate::ErrorKind::System) with the reader's own error.
    pub fn copy_from(
        &mut self,
        range: Range<usize>,
        reader: impl io::Read,
    ) -> Result<usize, Error> {
        self.bytes.copy_from(range, reader)
    }

    /// Returns the data as one slice, for code that needs no copy.
    ///
    /// # Safety
    ///
    /// While the slice lives nobody else touches these bytes, and nobody forks:
    ///
    /// - Every attached process, this one included, reads and writes them only while it holds this lock. Read-only
    ///   attachments and other programs that have the file do not read them.
    /// - The segment has no type. The words of a typed value, and those of parts, are read without the lock.
    /// - No system call that was begun before still writes here, as one of `io_uring` or with `O_DIRECT` may.
    /// - No thread of this process forks. In the child there is no memory behind the slice.
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

// There is no `DerefMut`: with two `&mut Bytes` one could exchange the bytes of two guards, and then write into a segment whose
// lock was released.
impl<'a, B> Deref for Guard<'a, B> {
    type Target = Bytes<'a>;

    #[inline]
    fn deref(&self) -> &Bytes<'a> {
        &self.bytes
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

impl<B> Drop for Guard<'_, B> {
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

/// The bytes of one segment cannot be put where those of another one are: not through guards,
///
/// ```compile_fail
/// # let a = sharehold::Segment::create("com.example.a", 8).unwrap();
/// # let b = sharehold::Segment::create("com.example.b", 8).unwrap();
/// let (mut a, mut b) = (a.lock().unwrap(), b.lock().unwrap());
/// std::mem::swap(&mut *a, &mut *b);
/// ```
///
/// nor through first data,
///
/// ```compile_fail
/// # let options = sharehold::Segment::options().size(8);
/// options.create_with("com.example.a", |a| {
///     options.create_with("com.example.b", |b| Ok(std::mem::swap(a, b))).map(drop)
/// });
/// ```
///
/// through transactions,
///
/// ```compile_fail
/// # let a = sharehold::Segment::create("com.example.a", 8).unwrap();
/// # let b = sharehold::Segment::create("com.example.b", 8).unwrap();
/// a.transaction(|a| b.transaction(|b| Ok::<(), sharehold::Error>(std::mem::swap(a, b))));
/// ```
///
/// or through a repair.
///
/// ```compile_fail
/// # let a = sharehold::Segment::create("com.example.a", 8).unwrap();
/// # let b = sharehold::Segment::create("com.example.b", 8).unwrap();
/// # use sharehold::LockError;
/// let mut b = b.lock().unwrap();
/// if let Err(LockError::Abandoned(found)) = a.lock() {
///     found.recover(|a| Ok::<(), sharehold::Error>(std::mem::swap(a, &mut b)));
/// }
/// ```
#[cfg(doctest)]
struct NoExchange;
