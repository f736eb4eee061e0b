//! The segment's own lock, its guard, which gives access to the segment's data, and what a caller
//! gets instead of a plain guard.

#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::thread;
use std::time::{Duration, Instant};

use zerocopy::{Immutable, IntoBytes};

use super::acquire::RawLockGuard;
use super::error::{AbandonCause, Abandonment, AcquireError, LOCK, Named};
use super::raw::{RawLock, UpdateMode};
use super::segment::AcquireFailure;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::segment::{Attachment, Segment, SegmentData};

impl Segment {
    /// Acquires the segment's lock, waiting as long as it takes, and gives access to the data.
    ///
    /// The lock excludes every other process and every other thread, including threads that use the
    /// same handle. Dropping the guard releases it. Without contention neither acquiring nor
    /// releasing makes a system call.
    ///
    /// # When a process dies
    ///
    /// The death of the owner frees the lock within 10 ms. The next caller gets
    /// [`LockError::Abandoned`], which names the dead process and carries the guard, since the data
    /// may be half written. An owner that is merely slow, or stopped, keeps the lock.
    ///
    /// # Errors
    ///
    /// [`LockError::Abandoned`], with the lock acquired, after an owner died or panicked, and again
    /// on every later lock until the data are marked consistent; [`LockError::NotAcquired`] with
    /// [`Deadlock`](crate::ErrorKind::Deadlock) when this thread owns the lock already, or with
    /// [`Forked`](crate::ErrorKind::Forked) in a forked child.
    #[inline(always)]
    pub fn lock(&self) -> Result<SegmentGuard<'_>, LockError<'_>> {
        self.guard(Deadline::Never)
    }

    /// Acquires the lock, and first repairs the data if the previous owner abandoned them.
    ///
    /// `repair` runs under the lock, and only after an owner died or panicked. When it succeeds,
    /// the data count as consistent. Use [`Segment::lock`] to learn which process died, or how.
    ///
    /// # When a process dies
    ///
    /// As for [`Segment::lock`]. The next caller repairs the data again if a process dies in
    /// `repair`.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], except [`Abandoned`](crate::ErrorKind::Abandoned), and the error of
    /// `repair`. The lock is then released, and the next caller repairs the data.
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::Segment;
    ///
    /// let segment = Segment::options().size(1024).open_or_create("com.example.greeting")?;
    /// let mut data = segment.lock_or_recover(|data| data.fill(0..1024, 0))?;
    /// data.write(0, b"Hello from another process!")?;
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub fn lock_or_recover<E: From<Error>>(
        &self,
        repair: impl FnOnce(&mut SegmentGuard<'_>) -> Result<(), E>,
    ) -> Result<SegmentGuard<'_>, E> {
        match self.lock() {
            Ok(guard) => Ok(guard),
            Err(LockError::Abandoned(found)) => found.recover(repair),
            Err(LockError::NotAcquired(refusal)) => Err(Error::from(refusal).into()),
        }
    }

    /// Acquires the lock if it is free or its owner is dead, without waiting.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], and [`LockError::NotAcquired`] with
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock), which names the owner.
    #[inline(always)]
    pub fn try_lock(&self) -> Result<SegmentGuard<'_>, LockError<'_>> {
        self.guard(Deadline::Now)
    }

    /// Acquires the lock, waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], and [`LockError::NotAcquired`] with
    /// [`Timeout`](crate::ErrorKind::Timeout), which names the owner.
    pub fn lock_timeout(&self, limit: Duration) -> Result<SegmentGuard<'_>, LockError<'_>> {
        self.guard(Deadline::after(limit))
    }

    /// Acquires the lock, waiting at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock_timeout`].
    pub fn lock_deadline(&self, deadline: Instant) -> Result<SegmentGuard<'_>, LockError<'_>> {
        self.guard(Deadline::At(deadline))
    }

    /// Acquires the lock, waiting as long as it takes, without blocking a thread.
    ///
    /// The future needs no runtime: a helper thread, one for about a hundred futures of the
    /// process, wakes it. Dropping the future ends the wait, and leaves the lock unowned by it. The
    /// guard may be held across `.await` and dropped on another thread. So the lock cannot detect
    /// that a task, or the thread that runs it, already owns it: acquiring it again then waits
    /// forever.
    ///
    /// # When a process dies
    ///
    /// As for [`Segment::lock`].
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], except [`Deadlock`](crate::ErrorKind::Deadlock).
    pub async fn lock_async(
        &self,
    ) -> Result<SegmentGuard<'_, GuardSend>, LockError<'_, GuardSend>> {
        guarded(self, self.acquire_async().await)
    }

    /// Acquires the lock in the atomic update mode, to change bytes that a plain owner may have
    /// left half written.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`]; it reports as abandoned only data that an owner changed in place.
    #[inline(always)]
    pub(crate) fn lock_atomically(&self) -> Result<RawLockGuard<'_>, Error> {
        match self.acquire(UpdateMode::Atomic, Deadline::Never) {
            Ok(()) => Ok(RawLock::of_segment(self, UpdateMode::Atomic).guard()),
            Err(AcquireFailure::NotAcquired(refusal)) => Err(refusal.into()),
            // The conversion into the error drops the guard, which releases the lock.
            Err(AcquireFailure::Abandonment(left)) => {
                let guard = SegmentGuard::<GuardNoSend>::new(self);
                Err(LockError::Abandoned(Abandoned::new(guard, left)).into())
            }
        }
    }

    #[inline(always)]
    fn guard(&self, deadline: Deadline) -> Result<SegmentGuard<'_>, LockError<'_>> {
        guarded(self, self.acquire(UpdateMode::InPlace, deadline))
    }
}

/// Turns the result of an acquisition into a guard or an error.
#[inline(always)]
fn guarded<B>(
    segment: &Segment,
    acquired: Result<(), AcquireFailure>,
) -> Result<SegmentGuard<'_, B>, LockError<'_, B>> {
    match acquired {
        Ok(()) => Ok(SegmentGuard::new(segment)),
        Err(AcquireFailure::Abandonment(left)) => Err(LockError::Abandoned(Abandoned::new(
            SegmentGuard::new(segment),
            left,
        ))),
        Err(AcquireFailure::NotAcquired(refusal)) => Err(LockError::NotAcquired(refusal)),
    }
}

/// A guard that owns the lock of a segment and gives access to its data; dropping it releases the
/// lock.
///
/// It reads and writes bytes by offset, with bounds checks; it reads through [`SegmentData`]. A
/// segment with a type has no bytes for such access: these operations return
/// [`TypeMismatch`](crate::ErrorKind::TypeMismatch) there.
///
/// # When a process dies
///
/// For the death of the process that has the guard, see [`Segment::lock`]. A panic while the guard
/// lives releases the lock, and the next caller of `lock` gets [`LockError::Abandoned`].
///
/// A guard that [`Segment::lock`] returns belongs to the thread that acquired it ([`GuardNoSend`]);
/// if that thread locks again, it gets an error. A guard that [`Segment::lock_async`] returns may
/// move between threads ([`GuardSend`]).
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct SegmentGuard<'a, B = GuardNoSend> {
    segment: &'a Segment,
    bytes: SegmentData<'a>,
    then: Then,
    belongs_to: PhantomData<B>,
}

/// Marks a guard, of a segment or of a part, that belongs to the thread that acquired it and cannot
/// be sent to another thread.
// Like a guard of the standard library: not `Send`, but `Sync`.
#[derive(Debug)]
pub struct GuardNoSend(PhantomData<std::sync::MutexGuard<'static, ()>>);

/// Marks a guard, of a segment or of a part, that belongs to a task and may move to any thread.
#[derive(Debug)]
pub struct GuardSend(());

impl<'a, B> SegmentGuard<'a, B> {
    #[inline(always)]
    pub(crate) fn new(segment: &'a Segment) -> SegmentGuard<'a, B> {
        let bytes = SegmentData::new(segment.attached());
        SegmentGuard {
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
    /// As [`SegmentGuard::write`].
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
    /// As [`SegmentGuard::write`].
    pub fn fill(&mut self, range: Range<usize>, value: u8) -> Result<(), Error> {
        self.bytes.fill(range, value)
    }

    /// Fills the range from `reader`, such as a file; returns how many bytes it read before the end
    /// of `reader`.
    ///
    /// # Errors
    ///
    /// As [`SegmentGuard::write`], and [`System`](crate::ErrorKind::System) with the reader's own
    /// error.
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
    /// While the slice lives nothing else accesses these bytes, and no thread of this process
    /// forks:
    ///
    /// - Every attached process, including this one, reads and writes them only while it owns this
    ///   lock. Read-only attachments and other programs that have the file open do not read them.
    /// - The segment has no type. The words of a typed value, and those of parts, are read without
    ///   the lock.
    /// - No earlier system call still writes here, as one of `io_uring` or with `O_DIRECT` may.
    /// - No thread of this process forks. In the child the slice points to no memory.
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        let size = self.bytes.size();
        // SAFETY: `size` bytes are mapped and in the file; the caller guarantees that nothing else
        // uses them.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.as_ptr().as_ptr(), size) }
    }

    /// Marks the data consistent: later locks no longer report the previous owner.
    pub(crate) fn vouch(&mut self) {
        // A forked child has a copy of the guard, but the memory is not mapped there.
        if self.segment.attached().is_ours() {
            self.segment.vouch();
        }
    }

    pub(crate) fn segment(&self) -> &'a Segment {
        self.segment
    }
}

// There is no `DerefMut`: with two `&mut SegmentData` a program could swap the bytes of two guards,
// and then write into a segment after its lock was released.
impl<'a, B> Deref for SegmentGuard<'a, B> {
    type Target = SegmentData<'a>;

    #[inline]
    fn deref(&self) -> &SegmentData<'a> {
        &self.bytes
    }
}

/// Whether the thread was panicking when it acquired the lock.
///
/// It is as wide as a pointer: a guard without padding stays in registers.
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

impl<B> Drop for SegmentGuard<'_, B> {
    #[inline(always)]
    fn drop(&mut self) {
        // A forked child has a copy of the guard, not the lock.
        if !self.segment.attached().is_ours() {
            return;
        }
        if thread::panicking() && self.then == Then::Calm {
            self.segment.record_panic();
        }
        RawLock::of_segment(self.segment, UpdateMode::InPlace).release();
    }
}

/// The reason why a call gave no plain guard.
///
/// It turns into an [`Error`] with `?`. That drops the guard that [`LockError::Abandoned`] carries,
/// which releases the lock, and the next call of `lock` reports the same again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError<'a, B = GuardNoSend> {
    /// The lock was acquired, and the data may be half written.
    #[error(transparent)]
    Abandoned(Abandoned<'a, B>),
    /// The lock was not acquired.
    #[error(transparent)]
    NotAcquired(AcquireError),
}

impl<B> LockError<'_, B> {
    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            LockError::Abandoned(_) => ErrorKind::Abandoned,
            LockError::NotAcquired(refusal) => refusal.kind(),
        }
    }
}

impl<B> From<LockError<'_, B>> for Error {
    fn from(error: LockError<'_, B>) -> Error {
        match error {
            LockError::NotAcquired(refusal) => refusal.into(),
            LockError::Abandoned(found) => {
                let detail = format!("{found}; repair the data and call mark_consistent");
                Error::new(ErrorKind::Abandoned, LOCK, detail).with_key(found.guard.segment().key())
            }
        }
    }
}

/// A lock that its previous owner did not release: the guard, and the identity of that owner.
///
/// Every later lock reports it again until a call of
/// [`mark_consistent`](Abandoned::mark_consistent) or [`recover`](Abandoned::recover) succeeds.
///
/// # Examples
///
/// ```
/// use sharehold::{LockError, Segment};
///
/// let segment = Segment::options().size(16).open_or_create("com.example.recover")?;
/// let guard = match segment.lock() {
///     Ok(guard) => guard,
///     Err(LockError::Abandoned(found)) => {
///         eprintln!("{found}"); // "pid 4711 (importer) died holding it"
///         found.recover(|bytes| bytes.fill(0..16, 0))?
///     }
///     Err(other) => return Err(other.into()),
/// };
/// # drop(guard);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[derive(Debug)]
pub struct Abandoned<'a, B = GuardNoSend> {
    guard: SegmentGuard<'a, B>,
    left: Box<Abandonment>,
}

impl<'a, B> Abandoned<'a, B> {
    #[inline]
    pub(crate) fn new(guard: SegmentGuard<'a, B>, left: Box<Abandonment>) -> Abandoned<'a, B> {
        Abandoned { guard, left }
    }

    /// Returns whether the previous owner died or panicked.
    pub fn cause(&self) -> AbandonCause {
        self.left.cause
    }

    /// Returns the previous owner: process, executable, slot. `None` when two later attachments
    /// have used its slot since.
    pub fn previous_owner(&self) -> Option<&Attachment> {
        self.left.previous_owner.as_ref()
    }

    /// Gives access to the data, to inspect or repair them.
    pub fn guard(&mut self) -> &mut SegmentGuard<'a, B> {
        &mut self.guard
    }

    /// Marks the data consistent and returns the guard: later locks no longer report the previous
    /// owner.
    #[doc(alias = "pthread_mutex_consistent")]
    pub fn mark_consistent(mut self) -> SegmentGuard<'a, B> {
        self.guard.vouch();
        self.guard
    }

    /// Returns the guard without marking the data consistent: every later lock reports the previous
    /// owner again.
    pub fn into_guard(self) -> SegmentGuard<'a, B> {
        self.guard
    }

    /// Repairs the data with `repair`, marks them consistent, and returns the guard.
    ///
    /// # Errors
    ///
    /// The error of `repair`. The lock is then released, and the next lock reports the previous
    /// owner again.
    pub fn recover<E>(
        mut self,
        repair: impl FnOnce(&mut SegmentGuard<'_, B>) -> Result<(), E>,
    ) -> Result<SegmentGuard<'a, B>, E> {
        repair(&mut self.guard)?;
        Ok(self.mark_consistent())
    }
}

impl<B> fmt::Display for Abandoned<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.left.previous_owner {
            Some(previous_owner) => write!(f, "{}", Named(previous_owner))?,
            None => write!(f, "a process that is no longer remembered")?,
        }
        match self.left.cause {
            AbandonCause::Died => write!(f, " died holding it"),
            AbandonCause::Panicked => write!(f, " panicked holding it"),
        }
    }
}

impl<B: fmt::Debug> std::error::Error for Abandoned<'_, B> {}

/// The bytes of two segments cannot be swapped: not through guards,
///
/// ```compile_fail
/// # let a = sharehold::Segment::create("com.example.a", 8).unwrap();
/// # let b = sharehold::Segment::create("com.example.b", 8).unwrap();
/// let (mut a, mut b) = (a.lock().unwrap(), b.lock().unwrap());
/// std::mem::swap(&mut *a, &mut *b);
/// ```
///
/// nor through initial data,
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
