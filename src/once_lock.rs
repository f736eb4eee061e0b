//! `OnceLock<T>`: a value that is initialised once, by one of its users.
//!
//! It is a mutex whose value starts at version 0, without a value. The owner of the lock that finds
//! version 0 makes the value and commits it as version 1, by one store. There is no other state. A
//! caller that finds a version above 0 needs no lock.
//!
//! | the maker dies | state that remains | effect |
//! |---|---|---|
//! | before its commit | version 0, and its attachment ID in the owner word | the next caller takes over and makes the value |
//! | after its commit | the value, and its attachment ID in the owner word | none: no caller needs the lock |

use std::future::Future;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::lock::state::LockState;
use crate::lock::{RawLock, RawLockGuard};
use crate::memory::format::LockWords;
use crate::parts::change::{changed_async, wait_for_change};
use crate::parts::layout::PartRef;
use crate::parts::view::PartView;
use crate::parts::{Initializer, LayoutCursor, Part, READ, copies_at, damaged};
use crate::schema::{Description, Primitive, Shareable};
use crate::segment::Segment;
use crate::value::copies::{self, size_for};

/// The number of the mark that contains the owning thread.
const THREAD: usize = 0;
const MAKE: &str = "initialise";

/// A value that is initialised once, by the first caller that needs it.
///
/// # When a process dies
///
/// If a process dies while it makes the value, the next caller makes it, within 10 ms. After that,
/// deaths have no effect.
///
/// # Examples
///
/// ```
/// use sharehold::{OnceLock, Part};
///
/// let table = OnceLock::<[u32; 4]>::open_or_create("com.example.table", || ())?;
/// assert_eq!(table.get()?, None);
/// assert_eq!(table.get_or_init(|| [1, 2, 3, 4])?, [1, 2, 3, 4]);
/// assert_eq!(table.get_or_init(|| [0; 4])?, [1, 2, 3, 4]);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[doc(alias = "pthread_once_t")]
#[derive(Debug)]
pub struct OnceLock<T> {
    place: PartRef,
    value: PhantomData<fn(T) -> T>,
}

impl<T: Shareable> OnceLock<T> {
    /// Returns the value, or `None` if it has not been made. Takes no lock.
    ///
    /// # Errors
    ///
    /// [`Damaged`](crate::ErrorKind::Damaged) if the value was overwritten with invalid bytes,
    /// [`Forked`](crate::ErrorKind::Forked).
    pub fn get(&self) -> Result<Option<T>> {
        let copies = self.copies(READ)?;
        if copies.committed() == 0 {
            return Ok(None);
        }
        match copies.try_read() {
            copies::Snapshot::Value(value) => Ok(Some(value)),
            // The value never changes, so a copy is never overwritten while it is read.
            _ => Err(damaged(self.place.segment().attached(), READ)),
        }
    }

    /// Returns the value, and makes it with `make` if there is none. One caller makes it while the
    /// others wait.
    ///
    /// # Errors
    ///
    /// As [`OnceLock::get`], and [`Deadlock`](crate::ErrorKind::Deadlock) if `make` calls this
    /// method on the same `OnceLock`.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> Result<T> {
        self.get_or_try_init(|| Ok(make()))
    }

    /// Returns the value, and makes it with `make` if there is none. If `make` fails or panics, the
    /// next caller makes the value.
    ///
    /// # Errors
    ///
    /// The error of `make`, and those of [`OnceLock::get_or_init`].
    pub fn get_or_try_init<E: From<Error>>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some(value) = self.get()? {
            return Ok(value);
        }
        let words: &LockWords = self.place.words(MAKE)?;
        let lock = RawLock::of_part(self.place.segment(), words, self.place.marks(THREAD));
        let held = lock.acquire(Deadline::Never).map_err(Error::from)?;
        if let Some(value) = self.get()? {
            return Ok(value);
        }
        let value = make()?;
        self.make(&value, held)?;
        Ok(value)
    }

    fn make(&self, value: &T, held: RawLockGuard<'_>) -> Result<()> {
        // Checks again for a fork: `make` may have forked, and this may be the child.
        self.copies(MAKE)?.commit(value);
        drop(held);
        Ok(())
    }

    /// As [`OnceLock::get_or_init`], asynchronously: see [`Segment::lock_async`]. If the future is
    /// dropped while it makes the value, the next caller makes it.
    ///
    /// # Errors
    ///
    /// As [`OnceLock::get`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::{OnceLock, Part};
    ///
    /// # pollster::block_on(async {
    /// let table = OnceLock::<[u32; 2]>::open_or_create("com.example.table.async", || ())?;
    /// let value = table.get_or_init_async(async || [1, 2]).await?;
    /// assert_eq!(value, [1, 2]);
    /// # Ok::<(), sharehold::Error>(())
    /// # })?;
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub async fn get_or_init_async<F>(&self, make: impl FnOnce() -> F) -> Result<T>
    where
        F: Future<Output = T>,
    {
        self.get_or_try_init_async(|| async { Ok(make().await) })
            .await
    }

    /// As [`OnceLock::get_or_try_init`], asynchronously: see [`OnceLock::get_or_init_async`].
    ///
    /// # Errors
    ///
    /// The error of `make`, and those of [`OnceLock::get`].
    pub async fn get_or_try_init_async<E, F>(&self, make: impl FnOnce() -> F) -> Result<T, E>
    where
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        if let Some(value) = self.get()? {
            return Ok(value);
        }
        let words: &LockWords = self.place.words(MAKE)?;
        let lock = RawLock::of_part_for_task(self.place.segment(), words);
        let held = lock.acquire_async().await.map_err(Error::from)?;
        if let Some(value) = self.get()? {
            return Ok(value);
        }
        let value = make().await?;
        self.make(&value, held)?;
        Ok(value)
    }

    /// Waits until the value has been made, and returns it.
    ///
    /// # Errors
    ///
    /// As [`OnceLock::get`].
    pub fn wait(&self) -> Result<T> {
        self.wait_until(None)
    }

    /// As [`OnceLock::wait`], but waits at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`OnceLock::get`], and [`Timeout`](crate::ErrorKind::Timeout).
    pub fn wait_timeout(&self, limit: Duration) -> Result<T> {
        self.wait_until(Deadline::after(limit).instant())
    }

    /// As [`OnceLock::wait`], but waits at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`OnceLock::wait_timeout`].
    pub fn wait_deadline(&self, deadline: Instant) -> Result<T> {
        self.wait_until(Some(deadline))
    }

    /// As [`OnceLock::wait`], asynchronously: see [`Segment::lock_async`].
    ///
    /// # Errors
    ///
    /// As [`OnceLock::get`].
    pub async fn wait_async(&self) -> Result<T> {
        changed_async(&self.place, Primitive::OnceLock, 0).await?;
        self.made()
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<T> {
        wait_for_change(&self.place, Primitive::OnceLock, 0, deadline)?;
        self.made()
    }

    fn made(&self) -> Result<T> {
        let made = self.get()?;
        made.ok_or_else(|| damaged(self.segment().attached(), READ))
    }

    /// Returns the segment that contains this `OnceLock`.
    pub fn segment(&self) -> &Segment {
        self.place.segment()
    }

    fn copies(&self, operation: &'static str) -> Result<copies::Copies<'_>> {
        copies_at(&self.place, Primitive::OnceLock, T::SIZE, operation)
    }
}

impl<T: Shareable> Part for OnceLock<T> {
    type Init = ();

    const SIZE: usize = {
        let size = Primitive::OnceLock.size(Some(T::SIZE));
        assert!(
            size >= Primitive::OnceLock.head() + size_for(T::SIZE),
            "the value fits"
        );
        size
    };
    const MARKS: usize = Primitive::OnceLock.marks();

    fn describe() -> Description {
        Description::of_part(Primitive::OnceLock, Some(T::describe()))
    }

    fn begin((): (), at: &mut Initializer<'_>) -> Result<()> {
        at.next(Self::SIZE);
        Ok(())
    }

    fn find(at: &mut LayoutCursor) -> OnceLock<T> {
        OnceLock {
            place: at.next(Primitive::OnceLock, Self::SIZE),
            value: PhantomData,
        }
    }
}

/// The state of a [`OnceLock`], as inspection finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnceLockState {
    /// Whether a process is initializing the value.
    pub lock: LockState,
    /// Whether there is a value.
    pub is_made: bool,
}

impl OnceLockState {
    pub(crate) fn of(part: &PartView<'_>) -> Option<OnceLockState> {
        Some(OnceLockState {
            lock: part.lock(&part.words()?, THREAD),
            is_made: part.version(Primitive::OnceLock.head())? != 0,
        })
    }
}
