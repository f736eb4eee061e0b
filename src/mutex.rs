//! `Mutex<T>`: a typed value that one at a time changes, all or nothing.
//!
//! The lock is the segment's algorithm on words of its own (`lock::protocol`), the value the two copies of `value::protocol`. The
//! guard works on a private copy and commits it by one store as it is dropped, before it releases the lock.
//!
//! | death of the holder | leaves | and then |
//! |---|---|---|
//! | before its commit | the old value, and its hold in the owner word | the next one takes over, and is told |
//! | after its commit | the new value, and its hold | the same |
//! | after its release | nothing | |

use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::Result;
use crate::lock::part::{RawLock, RawLockGuard};
use crate::lock::{GuardNoSend, GuardSend};
use crate::memory::format::LockWords;
use crate::parts::change::{changed_async, wait_for_change};
use crate::parts::layout::PartRef;
use crate::parts::{
    Initializer, LayoutCursor, Part, READ, copies_at, damaged, named, read_contended,
};
use crate::schema::{Description, Primitive, Shareable};
use crate::segment::{Attachment, Segment};
use crate::value::copies::{self, size_for};

const LOCK: &str = "lock";

/// The number of the mark that says which thread has the lock.
const THREAD: usize = 0;

/// Holds a typed value that one at a time changes, across processes and threads.
///
/// [`lock`](Mutex::lock) gives a guard with a copy of the value; what is changed in it becomes the value, by one store, as the guard is
/// dropped. [`get`](Mutex::get) reads the value as it was last committed, without the lock.
///
/// # When a process dies
///
/// Holding it: the value is the old one, or the new one if it was just being released. The next one has the lock within 10 ms, has
/// nothing to repair, and is told by [`MutexGuard::recovered_from`]. A panic discards what was changed.
///
/// # Examples
///
/// ```
/// use sharehold::{Mutex, Part};
///
/// let jobs = Mutex::open_or_create("com.example.jobs", || [0_u64; 4])?;
/// let mut guard = jobs.lock()?;
/// if let Some(dead) = guard.recovered_from() {
///     eprintln!("pid {} died holding it; nothing it did is to be seen", dead.pid);
/// }
/// guard[2] += 1;
/// drop(guard); // committed, then released
/// assert_eq!(jobs.get()?, [0, 0, 1, 0]);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[doc(alias = "pthread_mutex_t")]
#[derive(Debug)]
pub struct Mutex<T> {
    place: PartRef,
    value: PhantomData<fn(T) -> T>,
}

impl<T: Shareable> Mutex<T> {
    /// Acquires the lock, waiting as long as it takes.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](crate::ErrorKind::Deadlock) when this thread has it already, [`Forked`](crate::ErrorKind::Forked),
    /// [`Damaged`](crate::ErrorKind::Damaged) when somebody overwrote the value with bytes that are none.
    pub fn lock(&self) -> Result<MutexGuard<'_, T>> {
        self.guard(Deadline::Never)
    }

    /// Acquires the lock if nobody living holds it.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`], and [`WouldBlock`](crate::ErrorKind::WouldBlock), which names the holder.
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>> {
        self.guard(Deadline::Now)
    }

    /// Acquires the lock, waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`], and [`Timeout`](crate::ErrorKind::Timeout), which names the holder.
    pub fn lock_timeout(&self, limit: Duration) -> Result<MutexGuard<'_, T>> {
        self.guard(Deadline::after(limit))
    }

    /// Acquires the lock, waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock_timeout`].
    pub fn lock_deadline(&self, deadline: Instant) -> Result<MutexGuard<'_, T>> {
        self.guard(Deadline::At(deadline))
    }

    /// Acquires the lock, waiting as long as it takes, without keeping a thread.
    ///
    /// As for [`Segment::lock_async`]: the future needs no runtime, and holds nothing when it is dropped before its end; the guard may be
    /// held across `.await` and dropped on another thread, and nobody notices when a task asks for the lock that it holds.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`], other than [`Deadlock`](crate::ErrorKind::Deadlock).
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::{Mutex, Part};
    ///
    /// # pollster::block_on(async {
    /// let jobs = Mutex::open_or_create("com.example.jobs.async", || 0_u64)?;
    /// let guard = jobs.lock_async().await?;
    /// // Until another task, or process, has changed it.
    /// # let mut guard = guard; *guard = 1;
    /// let mut guard = guard.wait_while_async(|waiting| *waiting == 0).await?;
    /// *guard -= 1;
    /// # Ok::<(), sharehold::Error>(())
    /// # })?;
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub async fn lock_async(&self) -> Result<MutexGuard<'_, T, GuardSend>> {
        let words: &LockWords = self.place.words(LOCK)?;
        let lock = RawLock::threadless(self.place.segment(), words);
        self.guarded(lock.acquire_async().await?)
    }

    fn guard(&self, deadline: Deadline) -> Result<MutexGuard<'_, T>> {
        self.guarded(self.id(deadline)?)
    }

    fn guarded<'a, B>(&'a self, held: RawLockGuard<'a>) -> Result<MutexGuard<'a, T, B>> {
        let segment = self.place.segment();
        let value = self.copies(LOCK)?.read_locked();
        Ok(MutexGuard {
            mutex: self,
            recovered_from: held.dead().and_then(|id| named(segment, id)).map(Box::new),
            value: value.ok_or_else(|| damaged(segment.attached(), LOCK))?,
            changed: false,
            panicking: thread::panicking(),
            _held: held,
            belongs_to: PhantomData,
        })
    }

    fn id(&self, deadline: Deadline) -> Result<RawLockGuard<'_>> {
        let words: &LockWords = self.place.words(LOCK)?;
        let lock = RawLock::of_threads(self.place.segment(), words, self.place.marks(THREAD));
        Ok(lock.acquire(deadline)?)
    }

    /// Returns the value as it was last committed, without the lock.
    ///
    /// # Errors
    ///
    /// [`Damaged`](crate::ErrorKind::Damaged), [`Forked`](crate::ErrorKind::Forked).
    pub fn get(&self) -> Result<T> {
        let attached = self.place.segment().attached();
        let copies = self.copies(READ)?;
        match copies.try_read() {
            copies::Snapshot::Value(value) => Ok(value),
            copies::Snapshot::Damaged => Err(damaged(attached, READ)),
            copies::Snapshot::Overwritten => {
                read_contended(attached, &copies, |deadline| self.read_locked(deadline))
            }
        }
    }

    fn read_locked(&self, deadline: Deadline) -> Result<T> {
        let held = self.id(deadline)?;
        let value = self.copies(READ)?.read_locked();
        drop(held);
        value.ok_or_else(|| damaged(self.place.segment().attached(), READ))
    }

    /// Returns the segment that it is in, for its key, its attachments and its end.
    pub fn segment(&self) -> &Segment {
        self.place.segment()
    }

    fn copies(&self, operation: &'static str) -> Result<copies::Copies<'_>> {
        copies_at(&self.place, Primitive::Mutex, T::SIZE, operation)
    }
}

impl<T: Shareable> Part for Mutex<T> {
    type Init = T;

    const SIZE: usize = {
        let size = Primitive::Mutex.size(Some(T::SIZE));
        assert!(
            size >= Primitive::Mutex.head() + size_for(T::SIZE),
            "the value has room"
        );
        size
    };
    const MARKS: usize = Primitive::Mutex.marks();

    fn describe() -> Description {
        Description::of_part(Primitive::Mutex, Some(T::describe()))
    }

    fn begin(first: T, at: &mut Initializer<'_>) -> Result<()> {
        let start = at.next(Self::SIZE) + Primitive::Mutex.head();
        copies::write_first_at(at.attached(), start, &first)
    }

    fn find(at: &mut LayoutCursor) -> Mutex<T> {
        let place = at.next(Self::SIZE, Self::MARKS);
        place.disown_lock();
        place.empty_own(THREAD);
        Mutex {
            place,
            value: PhantomData,
        }
    }
}

/// Holds the lock of a [`Mutex`] and a copy of its value; commits what was changed, and releases the lock, when dropped.
///
/// # When a process dies
///
/// See [`Mutex`].
///
/// A guard belongs to the thread that acquired it, [`GuardNoSend`], or, if it was acquired by [`Mutex::lock_async`], to whoever has it,
/// [`GuardSend`].
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct MutexGuard<'a, T: Shareable, B = GuardNoSend> {
    mutex: &'a Mutex<T>,
    value: T,
    changed: bool,
    recovered_from: Option<Box<Attachment>>,
    /// Whether the thread was panicking when it acquired the lock.
    panicking: bool,
    // Released after this guard's own drop has committed.
    _held: RawLockGuard<'a>,
    belongs_to: PhantomData<B>,
}

impl<T: Shareable, B> MutexGuard<'_, T, B> {
    /// Returns who died holding the lock, if it was taken over. What that one had not committed is not to be seen.
    pub fn recovered_from(&self) -> Option<&Attachment> {
        self.recovered_from.as_deref()
    }
}

impl<'a, T: Shareable> MutexGuard<'a, T> {
    /// Waits while `condition` holds of the value: commits what was changed, releases the lock, sleeps until another one has changed the
    /// value, acquires the lock and looks again.
    ///
    /// Whoever commits a change wakes all who wait, so nobody has to be told; one that is killed as it wakes up keeps nothing from the others.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`]; the lock is released.
    /// # Examples
    ///
    /// ```
    /// use sharehold::{Mutex, Part};
    ///
    /// let queue = Mutex::open_or_create("com.example.queue", || [0_u64, 0])?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| Ok::<_, sharehold::Error>(queue.lock()?[0] = 1));
    ///     let mut guard = queue.lock()?.wait_while(|it| it[0] == 0)?;
    ///     guard[0] = 0;
    ///     Ok::<_, sharehold::Error>(())
    /// })?;
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    #[doc(alias = "Condvar")]
    #[doc(alias = "pthread_cond_wait")]
    pub fn wait_while(self, condition: impl FnMut(&T) -> bool) -> Result<MutexGuard<'a, T>> {
        self.wait_until(Deadline::Never, condition)
    }

    /// As [`MutexGuard::wait_while`], at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock_timeout`]; the lock is released.
    pub fn wait_while_timeout(
        self,
        limit: Duration,
        condition: impl FnMut(&T) -> bool,
    ) -> Result<MutexGuard<'a, T>> {
        self.wait_until(Deadline::after(limit), condition)
    }

    /// As [`MutexGuard::wait_while`], until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`MutexGuard::wait_while_timeout`].
    pub fn wait_while_deadline(
        self,
        deadline: Instant,
        condition: impl FnMut(&T) -> bool,
    ) -> Result<MutexGuard<'a, T>> {
        self.wait_until(Deadline::At(deadline), condition)
    }

    fn wait_until(
        mut self,
        deadline: Deadline,
        mut condition: impl FnMut(&T) -> bool,
    ) -> Result<MutexGuard<'a, T>> {
        while condition(&self.value) {
            let (mutex, seen) = self.release()?;
            wait_for_change(&mutex.place, Primitive::Mutex, seen, deadline.instant())?;
            self = mutex.guard(deadline)?;
        }
        Ok(self)
    }
}

impl<'a, T: Shareable> MutexGuard<'a, T, GuardSend> {
    /// As [`MutexGuard::wait_while`], without keeping a thread. When the future is dropped it waits no longer, and has committed what was
    /// changed before.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock_async`]; the lock is released.
    pub async fn wait_while_async(
        mut self,
        mut condition: impl FnMut(&T) -> bool,
    ) -> Result<MutexGuard<'a, T, GuardSend>> {
        while condition(&self.value) {
            let (mutex, seen) = self.release()?;
            changed_async(&mutex.place, Primitive::Mutex, seen).await?;
            self = mutex.lock_async().await?;
        }
        Ok(self)
    }
}

impl<'a, T: Shareable, B> MutexGuard<'a, T, B> {
    /// Commits what was changed and releases the lock; also the version that there is then, at least until another one has the lock.
    fn release(mut self) -> Result<(&'a Mutex<T>, u64)> {
        self.commit();
        let mutex = self.mutex;
        // Under the lock: what is changed from here on is another version.
        let seen = mutex.copies(LOCK)?.committed();
        Ok((mutex, seen))
    }

    fn commit(&mut self) {
        if mem::take(&mut self.changed) {
            // A forked child has a copy of the guard, and no memory behind it.
            if let Ok(copies) = self.mutex.copies(LOCK) {
                copies.commit(&self.value);
            }
        }
    }
}

impl<T: Shareable, B> Deref for MutexGuard<'_, T, B> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Shareable, B> DerefMut for MutexGuard<'_, T, B> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }
}

impl<T: Shareable, B> Drop for MutexGuard<'_, T, B> {
    fn drop(&mut self) {
        let panicked = thread::panicking() && !self.panicking;
        if !panicked {
            self.commit();
        }
    }
}
