//! `RwLock<T>`: a typed value that many read together, or one changes, all or nothing.
//!
//! The algorithm, its states and its deaths are in `rwlock::protocol`, its steps in `room`; the value is the two copies of
//! `value::protocol`. Here are the guards.

pub(crate) mod memory;
#[cfg(test)]
mod model;
pub(crate) mod protocol;

use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::lock::{GuardNoSend, GuardSend};
use crate::parts::layout::PartRef;
use crate::parts::{
    Initializer, LayoutCursor, Part, READ as LOOK, copies_at, damaged, named, read_contended,
};
use crate::schema::{Description, Primitive, Shareable};
use crate::segment::table::AttachmentId;
use crate::segment::{Attachment, Segment};
use crate::value::copies::{self, size_for};
use memory::{READERS, RwLockAcquired, RwLockHold, RwLockRef, THREAD};

const READ: &str = "lock for reading";
const WRITE: &str = "lock for writing";

/// Holds a typed value that many read together, or one changes, across processes and threads.
///
/// Each guard has a copy of the value. While anybody has a [read guard](RwLock::read) the value does not change. What is changed in a
/// [write guard](RwLock::write) becomes the value, by one store, as the guard is dropped. Readers of different processes write to no
/// common cache line. Whoever only wants the value as it was last committed needs no lock: [`RwLock::get`].
///
/// It is fair: new readers wait for a writer that waits, and a writer that leaves lets in the readers that waited before the next
/// writer comes. So a thread that reads must not ask to read again: a writer may wait in between, for ever.
///
/// # When a process dies
///
/// Reading: the next writer does not wait for it longer than 10 ms. Writing: the value is the old one, or the new one if it was just being
/// released; the next reader or writer comes in within 10 ms, has nothing to repair, and is told by its guard. Waiting: nobody notices.
/// A process that is merely stopped while it reads keeps writers out, and one that is stopped while it writes, everybody.
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
    /// Waits until no writer is inside, and keeps writers out.
    ///
    /// # Errors
    ///
    /// [`Forked`](crate::ErrorKind::Forked), [`Damaged`](crate::ErrorKind::Damaged) when somebody overwrote the value with bytes that are
    /// none.
    pub fn read(&self) -> Result<ReadGuard<'_, T>> {
        self.reading(Deadline::Never)
    }

    /// Keeps writers out if none is inside, or waits.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`], and [`WouldBlock`](crate::ErrorKind::WouldBlock), which names the writer.
    pub fn try_read(&self) -> Result<ReadGuard<'_, T>> {
        self.reading(Deadline::Now)
    }

    /// As [`RwLock::read`], waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`], and [`Timeout`](crate::ErrorKind::Timeout), which names the writer.
    pub fn read_timeout(&self, limit: Duration) -> Result<ReadGuard<'_, T>> {
        self.reading(Deadline::after(limit))
    }

    /// As [`RwLock::read`], waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read_timeout`].
    pub fn read_deadline(&self, deadline: Instant) -> Result<ReadGuard<'_, T>> {
        self.reading(Deadline::At(deadline))
    }

    /// As [`RwLock::read`], without keeping a thread: see [`Segment::lock_async`]. When the future is dropped before its end it keeps nobody
    /// out.
    ///
    /// A writer that leaves lets the future in, and the next writer waits until it is polled, for 8 milliseconds at most: a future that
    /// is polled later waits anew. [`RwLock::try_write`] does not wait for it.
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

    /// Waits until nobody is inside, and keeps everybody out.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`], and [`Deadlock`](crate::ErrorKind::Deadlock) when this thread is inside as a writer. One that is inside as a
    /// reader waits for itself: see [`ReadGuard::upgrade`].
    pub fn write(&self) -> Result<WriteGuard<'_, T>> {
        self.writing(Deadline::Never)
    }

    /// Keeps everybody out if nobody is inside.
    ///
    /// # Errors
    ///
    /// As [`RwLock::write`], and [`WouldBlock`](crate::ErrorKind::WouldBlock), which names one who is inside.
    pub fn try_write(&self) -> Result<WriteGuard<'_, T>> {
        self.writing(Deadline::Now)
    }

    /// As [`RwLock::write`], waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`RwLock::write`], and [`Timeout`](crate::ErrorKind::Timeout), which names one who is inside.
    pub fn write_timeout(&self, limit: Duration) -> Result<WriteGuard<'_, T>> {
        self.writing(Deadline::after(limit))
    }

    /// As [`RwLock::write`], waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`RwLock::write_timeout`].
    pub fn write_deadline(&self, deadline: Instant) -> Result<WriteGuard<'_, T>> {
        self.writing(Deadline::At(deadline))
    }

    /// As [`RwLock::write`], without keeping a thread: see [`Segment::lock_async`]. When the future is dropped before its end, readers that
    /// waited for it come in.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`].
    pub async fn write_async(&self) -> Result<WriteGuard<'_, T, GuardSend>> {
        let room = RwLockRef::threadless(&self.place, WRITE)?;
        self.writer(room.write_async().await?)
    }

    /// Returns the value as it was last committed. It waits for nobody and keeps nobody out.
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

    /// Returns the segment that it is in, for its key, its attachments and its end.
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

    /// The value, while nobody can change it.
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
            "the value has room"
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
        let place = at.next(Self::SIZE, Self::MARKS);
        place.disown_lock();
        place.disown_mark(READERS);
        place.empty_own(THREAD);
        RwLock {
            place,
            value: PhantomData,
        }
    }
}

/// Keeps writers of an [`RwLock`] out, and holds a copy of the value.
///
/// # When a process dies
///
/// See [`RwLock`].
#[derive(Debug)]
#[must_use = "writers come in when the guard is dropped"]
pub struct ReadGuard<'a, T: Shareable> {
    rwlock: &'a RwLock<T>,
    value: T,
    recovered_from: Option<Box<Attachment>>,
    inside: RwLockHold<'a>,
}

impl<'a, T: Shareable> ReadGuard<'a, T> {
    /// Returns the writer that died inside, if it was this reader that found it.
    pub fn recovered_from(&self) -> Option<&Attachment> {
        self.recovered_from.as_deref()
    }

    /// Becomes the writer, unless somebody else is, or waits to be; waits for the other readers to leave.
    ///
    /// The value does not change in between. Of several readers that ask, one succeeds; the others are refused at once, so that none
    /// waits for another.
    ///
    /// # Errors
    ///
    /// This guard, and [`WouldBlock`](crate::ErrorKind::WouldBlock), which names the writer.
    pub fn upgrade(self) -> Result<WriteGuard<'a, T>, (ReadGuard<'a, T>, Error)> {
        self.upgrade_until(Deadline::Never)
    }

    /// Becomes the writer if nobody else is inside.
    ///
    /// # Errors
    ///
    /// This guard, and [`WouldBlock`](crate::ErrorKind::WouldBlock), which names one who is inside.
    pub fn try_upgrade(self) -> Result<WriteGuard<'a, T>, (ReadGuard<'a, T>, Error)> {
        self.upgrade_until(Deadline::Now)
    }

    /// As [`ReadGuard::upgrade`], waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`ReadGuard::upgrade`], and this guard and [`Timeout`](crate::ErrorKind::Timeout), which names one who reads.
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
    ///     Err((reader, error)) => eprintln!("{error}; it is still {}", reader[0]),
    /// }
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub fn upgrade_timeout(
        self,
        limit: Duration,
    ) -> Result<WriteGuard<'a, T>, (ReadGuard<'a, T>, Error)> {
        self.upgrade_until(Deadline::after(limit))
    }

    /// As [`ReadGuard::upgrade`], waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`ReadGuard::upgrade_timeout`].
    pub fn upgrade_deadline(
        self,
        deadline: Instant,
    ) -> Result<WriteGuard<'a, T>, (ReadGuard<'a, T>, Error)> {
        self.upgrade_until(Deadline::At(deadline))
    }

    /// As [`ReadGuard::upgrade`], without keeping a thread: see [`Segment::lock_async`]. When the future is dropped, so is this guard.
    ///
    /// # Errors
    ///
    /// As [`ReadGuard::upgrade`].
    pub async fn upgrade_async(
        self,
    ) -> Result<WriteGuard<'a, T, GuardSend>, (ReadGuard<'a, T>, Error)> {
        match RwLockRef::threadless(&self.rwlock.place, WRITE) {
            Ok(room) => self.upgraded(room.upgrade_async().await),
            Err(error) => Err((self, error)),
        }
    }

    fn upgrade_until(
        self,
        deadline: Deadline,
    ) -> Result<WriteGuard<'a, T>, (ReadGuard<'a, T>, Error)> {
        let room = RwLockRef::of(&self.rwlock.place, WRITE);
        self.upgraded(room.and_then(|room| room.upgrade(deadline)))
    }

    fn upgraded<B>(
        self,
        upgraded: Result<RwLockHold<'a>>,
    ) -> Result<WriteGuard<'a, T, B>, (ReadGuard<'a, T>, Error)> {
        let writing = match upgraded {
            Ok(writing) => writing,
            Err(error) => return Err((self, error)),
        };
        let ReadGuard {
            rwlock,
            value,
            recovered_from,
            inside,
        } = self;
        // It is no reader any more.
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

/// Keeps everybody out of an [`RwLock`], and holds a copy of the value; commits what was changed as it is dropped.
///
/// # When a process dies
///
/// See [`RwLock`].
///
/// A guard belongs to the thread that acquired it, [`GuardNoSend`], or, if it was acquired by [`RwLock::write_async`] or
/// [`ReadGuard::upgrade_async`], to whoever has it, [`GuardSend`].
#[derive(Debug)]
#[must_use = "others come in when the guard is dropped"]
pub struct WriteGuard<'a, T: Shareable, B = GuardNoSend> {
    rwlock: &'a RwLock<T>,
    value: T,
    changed: bool,
    recovered_from: Option<Box<Attachment>>,
    /// Whether the thread was panicking when it came in.
    panicking: bool,
    // Left after this guard's own drop has committed.
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

    /// Returns who died inside as the writer, if this one took over from it. What that one had not committed is not to be seen.
    pub fn recovered_from(&self) -> Option<&Attachment> {
        self.recovered_from.as_deref()
    }

    /// Commits what was changed and becomes a reader; nobody writes in between.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::ErrorKind::Busy) when tens of thousands of this process's threads read; it is left then.
    pub fn downgrade(mut self) -> Result<ReadGuard<'a, T>> {
        self.commit();
        let rwlock = self.rwlock;
        let value = rwlock.value_inside(READ)?;
        let room = RwLockRef::of(&rwlock.place, READ)?;
        // Left as a writer, here and not by this guard's drop.
        mem::forget(mem::replace(&mut self.inside, RwLockHold::Neither));
        let inside = room.downgrade()?;
        Ok(ReadGuard {
            rwlock,
            value,
            recovered_from: self.recovered_from.take(),
            inside,
        })
    }

    fn commit(&mut self) {
        if mem::take(&mut self.changed) {
            // A forked child has a copy of the guard, and no memory behind it.
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
