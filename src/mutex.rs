//! `Mutex<T>`: a typed value that one owner at a time changes, completely or not at all.
//!
//! The lock uses the segment lock's algorithm on words of its own (`lock::protocol`). The value has
//! the two copies of `value::protocol`. The guard works on a private copy. When it is dropped, it
//! commits this copy by one store and then releases the lock.
//!
//! | the owner dies | state that remains | the next owner |
//! |---|---|---|
//! | before its commit | the old value, and its attachment ID in the owner word | takes over, and learns of the death |
//! | after its commit | the new value, and its attachment ID in the owner word | takes over, and learns of the death |
//! | after its release | no trace | |

use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::Result;
use crate::lock::state::LockState;
use crate::lock::{GuardNoSend, GuardSend};
use crate::lock::{RawLock, RawLockGuard};
use crate::memory::format::LockWords;
use crate::parts::change::{changed_async, wait_for_change};
use crate::parts::layout::PartRef;
use crate::parts::view::PartView;
use crate::parts::{
    Initializer, LayoutCursor, Part, READ, copies_at, damaged, named, read_contended,
};
use crate::schema::{Description, Primitive, Shareable};
use crate::segment::{Attachment, Segment};
use crate::value::copies::{self, size_for};

const LOCK: &str = "lock";

/// The number of the mark that contains the owning thread.
const THREAD: usize = 0;

/// A mutual-exclusion lock with a typed value, for the threads of any processes.
///
/// [`lock`](Mutex::lock) returns a guard with a copy of the value. Dropping the guard commits the
/// changed copy by one store. [`get`](Mutex::get) returns the value as last committed, without the
/// lock.
///
/// # When a process dies
///
/// If the owner dies, the value is the old one, or the new one if the owner had already committed
/// it. The next caller gets the lock within 10 ms, has nothing to repair, and learns of the death
/// from [`MutexGuard::recovered_from`]. A waiter that dies has no effect. A panic of the owner
/// discards its changes.
///
/// # Examples
///
/// ```
/// use sharehold::{Mutex, Part};
///
/// let jobs = Mutex::open_or_create("com.example.jobs", || [0_u64; 4])?;
/// let mut guard = jobs.lock()?;
/// if let Some(dead) = guard.recovered_from() {
///     eprintln!("pid {} died holding it; its uncommitted changes were discarded", dead.pid);
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
    /// Acquires the lock, and waits without a limit.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](crate::ErrorKind::Deadlock) if this thread already has the lock,
    /// [`Forked`](crate::ErrorKind::Forked), [`Damaged`](crate::ErrorKind::Damaged) if the value
    /// was overwritten with invalid bytes.
    pub fn lock(&self) -> Result<MutexGuard<'_, T>> {
        self.guard(Deadline::Never)
    }

    /// Acquires the lock if no live process has it, without waiting.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`], and [`WouldBlock`](crate::ErrorKind::WouldBlock), which names the owner.
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>> {
        self.guard(Deadline::Now)
    }

    /// Acquires the lock, and waits at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`], and [`Timeout`](crate::ErrorKind::Timeout), which names the owner.
    pub fn lock_timeout(&self, limit: Duration) -> Result<MutexGuard<'_, T>> {
        self.guard(Deadline::after(limit))
    }

    /// Acquires the lock, and waits at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock_timeout`].
    pub fn lock_deadline(&self, deadline: Instant) -> Result<MutexGuard<'_, T>> {
        self.guard(Deadline::At(deadline))
    }

    /// Acquires the lock asynchronously, and waits without a limit.
    ///
    /// As with [`Segment::lock_async`], the future needs no particular runtime, and dropping it
    /// before it completes leaves nothing locked. The guard may be held across `.await` and dropped
    /// on another thread. A task that acquires a lock that it already has waits forever: this is
    /// not detected.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`], except [`Deadlock`](crate::ErrorKind::Deadlock).
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::{Mutex, Part};
    ///
    /// # pollster::block_on(async {
    /// let jobs = Mutex::open_or_create("com.example.jobs.async", || 0_u64)?;
    /// let guard = jobs.lock_async().await?;
    /// // Waits until another task or process has changed the value.
    /// # let mut guard = guard; *guard = 1;
    /// let mut guard = guard.wait_while_async(|waiting| *waiting == 0).await?;
    /// *guard -= 1;
    /// # Ok::<(), sharehold::Error>(())
    /// # })?;
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub async fn lock_async(&self) -> Result<MutexGuard<'_, T, GuardSend>> {
        let words: &LockWords = self.place.words(LOCK)?;
        let lock = RawLock::of_part_for_task(self.place.segment(), words);
        self.guarded(lock.acquire_async().await?)
    }

    fn guard(&self, deadline: Deadline) -> Result<MutexGuard<'_, T>> {
        self.guarded(self.acquire(deadline)?)
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

    fn acquire(&self, deadline: Deadline) -> Result<RawLockGuard<'_>> {
        let words: &LockWords = self.place.words(LOCK)?;
        let lock = RawLock::of_part(self.place.segment(), words, self.place.marks(THREAD));
        Ok(lock.acquire(deadline)?)
    }

    /// Returns the value as last committed, without the lock.
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
        let held = self.acquire(deadline)?;
        let value = self.copies(READ)?.read_locked();
        drop(held);
        value.ok_or_else(|| damaged(self.place.segment().attached(), READ))
    }

    /// Returns the segment that contains this mutex.
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
            "the value fits"
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
        Mutex {
            place: at.next(Primitive::Mutex, Self::SIZE),
            value: PhantomData,
        }
    }
}

/// The lock of a [`Mutex`] and a copy of its value. Dropping the guard commits the changes and
/// releases the lock.
///
/// # When a process dies
///
/// See [`Mutex`].
///
/// A guard belongs to the thread that acquired it ([`GuardNoSend`]). A guard from
/// [`Mutex::lock_async`] may move between threads ([`GuardSend`]).
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct MutexGuard<'a, T: Shareable, B = GuardNoSend> {
    mutex: &'a Mutex<T>,
    value: T,
    changed: bool,
    recovered_from: Option<Box<Attachment>>,
    /// Whether the thread was already panicking when it acquired the lock.
    panicking: bool,
    // Dropped, and so released, after this guard's `drop` has committed.
    _held: RawLockGuard<'a>,
    belongs_to: PhantomData<B>,
}

impl<T: Shareable, B> MutexGuard<'_, T, B> {
    /// Returns the previous owner if it died and this guard recovered the lock. Its uncommitted
    /// changes were discarded.
    pub fn recovered_from(&self) -> Option<&Attachment> {
        self.recovered_from.as_deref()
    }
}

impl<'a, T: Shareable> MutexGuard<'a, T> {
    /// Waits while `condition` returns `true` for the value.
    ///
    /// Each round commits the changes, releases the lock, sleeps until another guard commits a
    /// change, acquires the lock again and evaluates `condition`.
    ///
    /// Every commit wakes all waiters. No explicit notification is needed, and a waiter that is
    /// killed while it wakes up does not consume the wake-up of another waiter.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`]. The lock is released.
    ///
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

    /// As [`MutexGuard::wait_while`], but waits at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock_timeout`]. The lock is released.
    pub fn wait_while_timeout(
        self,
        limit: Duration,
        condition: impl FnMut(&T) -> bool,
    ) -> Result<MutexGuard<'a, T>> {
        self.wait_until(Deadline::after(limit), condition)
    }

    /// As [`MutexGuard::wait_while`], but waits at most until `deadline`.
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
    /// As [`MutexGuard::wait_while`], asynchronously. Dropping the future ends the wait. Changes
    /// that were made before the call stay committed.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock_async`]. The lock is released.
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
    /// Commits the changes, releases the lock, and returns the mutex and the committed version.
    fn release(mut self) -> Result<(&'a Mutex<T>, u64)> {
        self.commit();
        let mutex = self.mutex;
        // Read under the lock: any later change has a higher version.
        let seen = mutex.copies(LOCK)?.committed();
        Ok((mutex, seen))
    }

    fn commit(&mut self) {
        if mem::take(&mut self.changed) {
            // A forked child has a copy of the guard, but no access to the memory.
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

/// The state of a [`Mutex`], as inspection finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MutexState {
    /// Whether it is held.
    pub lock: LockState,
}

impl MutexState {
    pub(crate) fn of(part: &PartView<'_>) -> Option<MutexState> {
        let lock = part.lock(&part.words()?, THREAD);
        Some(MutexState { lock })
    }
}
