//! `RwLock<T>`: a typed value that many readers share, or one writer changes, completely or not at
//! all.
//!
//! The algorithm, its states and its deaths are in `rwlock::protocol`, its operations on the words
//! of a segment in `rwlock::memory`. The value has the two copies of `value::protocol`. This module
//! contains the guards.

mod error;
pub(crate) mod memory;
#[cfg(test)]
mod model;
mod protocol;
mod state;

use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::Result;
use crate::lock::{GuardNoSend, GuardSend};
use crate::parts::layout::PartRef;
use crate::parts::{
    Initializer, LayoutCursor, Part, READ as LOOK, copies_at, damaged, named, read_contended,
};
use crate::schema::{Description, Primitive, Shareable};
use crate::segment::id::AttachmentId;
use crate::segment::{Attachment, Segment};
use crate::value::copies::{self, size_for};
pub use error::GuardError;
use memory::{RwLockAcquired, RwLockHold, RwLockRef};

pub use state::RwLockState;

const READ: &str = "lock for reading";
const WRITE: &str = "lock for writing";

/// A readers-writer lock with a typed value, for the threads of any processes.
///
/// Each guard has a copy of the value. The value does not change while a [read guard](RwLock::read)
/// exists. Dropping a [write guard](RwLock::write) commits its changed copy by one store. Readers
/// in different processes write to no common cache line. [`RwLock::get`] returns the value as last
/// committed, without the lock.
///
/// The lock is fair. New readers wait behind a waiting writer. A writer that leaves admits the
/// readers that were already waiting, and only then the next writer. So a thread that has a read
/// guard must not call [`read`](RwLock::read) again: if a writer waits in between, the thread waits
/// forever.
///
/// # When a process dies
///
/// If a reader dies, the next writer waits for it 10 ms at most. If the writer dies, the value is
/// the old one, or the new one if the writer had already committed it; the next reader or writer
/// enters within 10 ms, has nothing to repair, and learns of the death from its guard. A waiter
/// that dies has no effect. A process that is merely stopped still keeps its lock: a reader keeps
/// out writers, a writer keeps out all others.
///
/// # Examples
///
/// ```
/// use sharehold::{Part, RwLock};
///
/// let limits = RwLock::open_or_create("com.example.limits", || [10_u64, 20])?;
/// assert_eq!(limits.read()?[1], 20);
/// limits.write()?[1] = 30;
/// assert_eq!(limits.get()?, [10, 30]);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[doc(alias = "pthread_rwlock_t")]
#[derive(Debug)]
pub struct RwLock<T> {
    place: PartRef,
    value: PhantomData<fn(T) -> T>,
}

impl<T: Shareable> RwLock<T> {
    /// Acquires the lock for reading: waits until there is no writer, and keeps writers out.
    ///
    /// # Errors
    ///
    /// [`Forked`](crate::ErrorKind::Forked), [`Damaged`](crate::ErrorKind::Damaged) if the value
    /// was overwritten with invalid bytes.
    pub fn read(&self) -> Result<ReadGuard<'_, T>> {
        self.reading(Deadline::Never)
    }

    /// Acquires the lock for reading, without waiting, if no writer has it or waits for it.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`], and [`WouldBlock`](crate::ErrorKind::WouldBlock), which names the
    /// writer.
    pub fn try_read(&self) -> Result<ReadGuard<'_, T>> {
        self.reading(Deadline::Now)
    }

    /// As [`RwLock::read`], but waits at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`], and [`Timeout`](crate::ErrorKind::Timeout), which names the writer.
    pub fn read_timeout(&self, limit: Duration) -> Result<ReadGuard<'_, T>> {
        self.reading(Deadline::after(limit))
    }

    /// As [`RwLock::read`], but waits at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read_timeout`].
    pub fn read_deadline(&self, deadline: Instant) -> Result<ReadGuard<'_, T>> {
        self.reading(Deadline::At(deadline))
    }

    /// As [`RwLock::read`], asynchronously: see [`Segment::lock_async`]. A future that is dropped
    /// before it completes keeps no writer out.
    ///
    /// A writer that leaves admits the future. The next writer then waits until the future is
    /// polled, at most 8 milliseconds; a future that is polled later waits again.
    /// [`RwLock::try_write`] does not wait for such a future.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::{Part, RwLock};
    ///
    /// # pollster::block_on(async {
    /// let limits = RwLock::open_or_create("com.example.limits.async", || [10_u64, 20])?;
    /// limits.write_async().await?[1] = 30;
    /// assert_eq!(*limits.read_async().await?, [10, 30]);
    /// # Ok::<(), sharehold::Error>(())
    /// # })?;
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub async fn read_async(&self) -> Result<ReadGuard<'_, T>> {
        let room = RwLockRef::threadless(&self.place, READ)?;
        self.reader(room.read_async().await?)
    }

    /// Acquires the lock for writing: waits until there is no reader or writer, and keeps all
    /// others out.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`], and [`Deadlock`](crate::ErrorKind::Deadlock) if this thread has a write
    /// guard. A thread that has a read guard deadlocks without an error: use
    /// [`ReadGuard::upgrade`].
    pub fn write(&self) -> Result<WriteGuard<'_, T>> {
        self.writing(Deadline::Never)
    }

    /// Acquires the lock for writing, without waiting, if there is no reader or writer.
    ///
    /// # Errors
    ///
    /// As [`RwLock::write`], and [`WouldBlock`](crate::ErrorKind::WouldBlock), which names one
    /// holder.
    pub fn try_write(&self) -> Result<WriteGuard<'_, T>> {
        self.writing(Deadline::Now)
    }

    /// As [`RwLock::write`], but waits at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`RwLock::write`], and [`Timeout`](crate::ErrorKind::Timeout), which names one holder.
    pub fn write_timeout(&self, limit: Duration) -> Result<WriteGuard<'_, T>> {
        self.writing(Deadline::after(limit))
    }

    /// As [`RwLock::write`], but waits at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`RwLock::write_timeout`].
    pub fn write_deadline(&self, deadline: Instant) -> Result<WriteGuard<'_, T>> {
        self.writing(Deadline::At(deadline))
    }

    /// As [`RwLock::write`], asynchronously: see [`Segment::lock_async`]. Dropping the future
    /// before it completes admits the readers that waited behind it.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`].
    pub async fn write_async(&self) -> Result<WriteGuard<'_, T, GuardSend>> {
        let room = RwLockRef::threadless(&self.place, WRITE)?;
        self.writer(room.write_async().await?)
    }

    /// Returns the value as last committed, without the lock. It does not wait for a writer, and
    /// keeps no writer out.
    ///
    /// # Errors
    ///
    /// [`Damaged`](crate::ErrorKind::Damaged), [`Forked`](crate::ErrorKind::Forked).
    pub fn get(&self) -> Result<T> {
        let attached = self.segment().attached();
        let copies = self.copies(LOOK)?;
        match copies.try_read() {
            copies::Snapshot::Value(value) => Ok(value),
            copies::Snapshot::Damaged => Err(damaged(attached, LOOK)),
            copies::Snapshot::Overwritten => read_contended(attached, &copies, |deadline| {
                Ok(self.reading(deadline)?.into_value())
            }),
        }
    }

    /// Returns the segment that contains this lock.
    pub fn segment(&self) -> &Segment {
        self.place.segment()
    }

    fn reading(&self, deadline: Deadline) -> Result<ReadGuard<'_, T>> {
        self.reader(RwLockRef::of(&self.place, READ)?.read(deadline)?)
    }

    fn reader<'a>(&'a self, (inside, dead): RwLockAcquired<'a>) -> Result<ReadGuard<'a, T>> {
        Ok(ReadGuard {
            rwlock: self,
            value: self.value_inside(READ)?,
            recovered_from: self.named(dead),
            inside,
        })
    }

    fn writing(&self, deadline: Deadline) -> Result<WriteGuard<'_, T>> {
        self.writer(RwLockRef::of(&self.place, WRITE)?.write(deadline)?)
    }

    fn writer<'a, B>(&'a self, (inside, dead): RwLockAcquired<'a>) -> Result<WriteGuard<'a, T, B>> {
        let value = self.value_inside(WRITE)?;
        Ok(WriteGuard::new(self, value, self.named(dead), inside))
    }

    fn named(&self, dead: Option<AttachmentId>) -> Option<Box<Attachment>> {
        dead.and_then(|id| named(self.segment(), id)).map(Box::new)
    }

    /// Reads the value while it cannot change. The caller has the lock for reading or writing.
    fn value_inside(&self, operation: &'static str) -> Result<T> {
        let value = self.copies(operation)?.read_locked();
        value.ok_or_else(|| damaged(self.segment().attached(), operation))
    }

    fn copies(&self, operation: &'static str) -> Result<copies::Copies<'_>> {
        copies_at(&self.place, Primitive::RwLock, T::SIZE, operation)
    }
}

impl<T: Shareable> Part for RwLock<T> {
    type Init = T;

    const SIZE: usize = {
        let size = Primitive::RwLock.size(Some(T::SIZE));
        assert!(
            size >= Primitive::RwLock.head() + size_for(T::SIZE),
            "the value fits"
        );
        size
    };
    const MARKS: usize = Primitive::RwLock.marks();

    fn describe() -> Description {
        Description::of_part(Primitive::RwLock, Some(T::describe()))
    }

    fn begin(first: T, at: &mut Initializer<'_>) -> Result<()> {
        let start = at.next(Self::SIZE) + Primitive::RwLock.head();
        copies::write_first_at(at.attached(), start, &first)
    }

    fn find(at: &mut LayoutCursor) -> RwLock<T> {
        RwLock {
            place: at.next(Primitive::RwLock, Self::SIZE),
            value: PhantomData,
        }
    }
}

/// A read lock on an [`RwLock`] and a copy of its value.
///
/// # When a process dies
///
/// See [`RwLock`].
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct ReadGuard<'a, T: Shareable> {
    rwlock: &'a RwLock<T>,
    value: T,
    recovered_from: Option<Box<Attachment>>,
    inside: RwLockHold<'a>,
}

impl<'a, T: Shareable> ReadGuard<'a, T> {
    /// Returns the writer that died with the lock, if this reader recovered it.
    pub fn recovered_from(&self) -> Option<&Attachment> {
        self.recovered_from.as_deref()
    }

    /// Becomes the writer: waits until the other readers have left. Fails at once if there is
    /// another writer, or a waiting one.
    ///
    /// The value does not change in between. If several readers call this, one succeeds and the
    /// others fail at once, so that no reader waits for another one that waits too.
    ///
    /// # Errors
    ///
    /// Returns this guard with [`WouldBlock`](crate::ErrorKind::WouldBlock), which names the
    /// writer.
    pub fn upgrade(self) -> Result<WriteGuard<'a, T>, GuardError<ReadGuard<'a, T>>> {
        self.upgrade_until(Deadline::Never)
    }

    /// Becomes the writer, without waiting, if there is no other reader or writer.
    ///
    /// # Errors
    ///
    /// Returns this guard with [`WouldBlock`](crate::ErrorKind::WouldBlock), which names one other
    /// holder.
    pub fn try_upgrade(self) -> Result<WriteGuard<'a, T>, GuardError<ReadGuard<'a, T>>> {
        self.upgrade_until(Deadline::Now)
    }

    /// As [`ReadGuard::upgrade`], but waits at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`ReadGuard::upgrade`], and [`Timeout`](crate::ErrorKind::Timeout), which names one
    /// reader.
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::{Part, RwLock};
    /// use std::time::Duration;
    ///
    /// let limits = RwLock::open_or_create("com.example.limits.upgrade", || [10_u64, 20])?;
    /// let reader = limits.read()?;
    /// match reader.upgrade_timeout(Duration::from_millis(100)) {
    ///     Ok(mut writer) => writer[0] = 11,
    ///     Err(refused) => {
    ///         eprintln!("{refused}");
    ///         assert_eq!(refused.into_guard()[0], 10);
    ///     }
    /// }
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub fn upgrade_timeout(
        self,
        limit: Duration,
    ) -> Result<WriteGuard<'a, T>, GuardError<ReadGuard<'a, T>>> {
        self.upgrade_until(Deadline::after(limit))
    }

    /// As [`ReadGuard::upgrade`], but waits at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`ReadGuard::upgrade_timeout`].
    pub fn upgrade_deadline(
        self,
        deadline: Instant,
    ) -> Result<WriteGuard<'a, T>, GuardError<ReadGuard<'a, T>>> {
        self.upgrade_until(Deadline::At(deadline))
    }

    /// As [`ReadGuard::upgrade`], asynchronously: see [`Segment::lock_async`]. Dropping the future
    /// drops this guard, too.
    ///
    /// # Errors
    ///
    /// As [`ReadGuard::upgrade`].
    pub async fn upgrade_async(
        self,
    ) -> Result<WriteGuard<'a, T, GuardSend>, GuardError<ReadGuard<'a, T>>> {
        match RwLockRef::threadless(&self.rwlock.place, WRITE) {
            Ok(room) => self.upgraded(room.upgrade_async().await),
            Err(error) => Err(GuardError::new(self, error)),
        }
    }

    fn upgrade_until(
        self,
        deadline: Deadline,
    ) -> Result<WriteGuard<'a, T>, GuardError<ReadGuard<'a, T>>> {
        let room = RwLockRef::of(&self.rwlock.place, WRITE);
        self.upgraded(room.and_then(|room| room.upgrade(deadline)))
    }

    fn upgraded<B>(
        self,
        upgraded: Result<RwLockHold<'a>>,
    ) -> Result<WriteGuard<'a, T, B>, GuardError<ReadGuard<'a, T>>> {
        let writing = match upgraded {
            Ok(writing) => writing,
            Err(error) => return Err(GuardError::new(self, error)),
        };
        let ReadGuard {
            rwlock,
            value,
            recovered_from,
            inside,
        } = self;
        // The reader has become the writer: its drop must not leave as a reader.
        mem::forget(inside);
        Ok(WriteGuard::new(rwlock, value, recovered_from, writing))
    }

    fn into_value(self) -> T {
        self.value
    }
}

impl<T: Shareable> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A write lock on an [`RwLock`] and a copy of its value. Dropping the guard commits the changes
/// and releases the lock.
///
/// # When a process dies
///
/// See [`RwLock`].
///
/// A guard belongs to the thread that acquired it ([`GuardNoSend`]). A guard from
/// [`RwLock::write_async`] or [`ReadGuard::upgrade_async`] may move between threads
/// ([`GuardSend`]).
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct WriteGuard<'a, T: Shareable, B = GuardNoSend> {
    rwlock: &'a RwLock<T>,
    value: T,
    changed: bool,
    recovered_from: Option<Box<Attachment>>,
    /// Whether the thread was already panicking when it acquired the lock.
    panicking: bool,
    // Dropped, and so released, after this guard's `drop` has committed.
    inside: RwLockHold<'a>,
    belongs_to: PhantomData<B>,
}

impl<'a, T: Shareable, B> WriteGuard<'a, T, B> {
    fn new(
        rwlock: &'a RwLock<T>,
        value: T,
        recovered_from: Option<Box<Attachment>>,
        inside: RwLockHold<'a>,
    ) -> WriteGuard<'a, T, B> {
        WriteGuard {
            rwlock,
            value,
            changed: false,
            recovered_from,
            panicking: thread::panicking(),
            inside,
            belongs_to: PhantomData,
        }
    }

    /// Returns the writer that died with the lock, if this guard recovered it. Its uncommitted
    /// changes were discarded.
    pub fn recovered_from(&self) -> Option<&Attachment> {
        self.recovered_from.as_deref()
    }

    /// Commits the changes and becomes a reader. No other writer enters in between.
    ///
    /// # Errors
    ///
    /// Returns this guard with [`Busy`](crate::ErrorKind::Busy) if tens of thousands of threads of
    /// this process read or wait to read, or with an error of [`RwLock::read`]. The changes are
    /// then committed already.
    pub fn downgrade(mut self) -> Result<ReadGuard<'a, T>, GuardError<WriteGuard<'a, T, B>>> {
        self.commit();
        match self.downgraded() {
            Ok((value, inside)) => Ok(ReadGuard {
                rwlock: self.rwlock,
                value,
                recovered_from: self.recovered_from.take(),
                inside,
            }),
            Err(error) => Err(GuardError::new(self, error)),
        }
    }

    /// Turns the committed writer into a reader, and leaves this guard without a lock.
    fn downgraded(&mut self) -> Result<(T, RwLockHold<'a>)> {
        let value = self.rwlock.value_inside(READ)?;
        let inside = RwLockRef::of(&self.rwlock.place, READ)?.downgrade()?;
        // The protocol's downgrade has released the writer's lock; this guard's drop must not.
        mem::forget(mem::replace(&mut self.inside, RwLockHold::Neither));
        Ok((value, inside))
    }

    fn commit(&mut self) {
        if mem::take(&mut self.changed) {
            // A forked child has a copy of the guard, but no access to the memory.
            if let Ok(copies) = self.rwlock.copies(WRITE) {
                copies.commit(&self.value);
            }
        }
    }
}

impl<T: Shareable, B> Deref for WriteGuard<'_, T, B> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Shareable, B> DerefMut for WriteGuard<'_, T, B> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }
}

impl<T: Shareable, B> Drop for WriteGuard<'_, T, B> {
    fn drop(&mut self) {
        let panicked = thread::panicking() && !self.panicking;
        if !panicked {
            self.commit();
        }
    }
}
