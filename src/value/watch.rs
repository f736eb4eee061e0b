//! The public methods that wait for a value to change, the same for each kind of handle.

use std::fmt;
use std::time::{Duration, Instant};

use super::copies::{READ, Versioned, damaged, is_small, place, read_patiently};
use super::shared::{ReadOnlyShared, Shared};
use super::untyped::{ReadOnlyUntypedShared, UntypedShared};
use super::wait::{VersionWait, wait};
use crate::deadline::Deadline;
use crate::error::{ErrorKind, Result};
use crate::memory::Words;
use crate::schema::Shareable;
use crate::segment::{Attached, Segment};
use crate::wait::future::WaitFuture;

/// A handle whose value can be watched.
pub(crate) trait Source<T>: Sync {
    fn attached(&self) -> &Attached;
    /// Returns the segment if the attachment can lock it.
    fn lockable(&self) -> Option<&Segment>;
    fn read(&self) -> Result<Versioned<T>>;
}

/// Reads a value of `size` bytes and its version.
fn read<T>(
    attached: &Attached,
    lockable: Option<&Segment>,
    size: usize,
    load: impl Fn(&Words<'_>) -> Option<T>,
) -> Result<Versioned<T>> {
    let place = place(attached, size, READ)?;
    let read = read_patiently(attached, &place, || place.try_read_versioned(size, &load));
    match (read, lockable) {
        (Err(error), Some(segment)) if error.kind() == ErrorKind::Busy => {
            let _hold = segment.lock_value()?;
            let version = place.committed();
            let value = place.read_locked_with(size, load);
            let value = value.ok_or_else(|| damaged(attached, READ))?;
            Ok(Versioned { value, version })
        }
        (read, _) => read,
    }
}

/// Reads a value and its version. A large value is copied on the heap.
fn read_typed<T: Shareable>(
    attached: &Attached,
    lockable: Option<&Segment>,
) -> Result<Versioned<T>> {
    if const { is_small::<T>() } {
        return read(attached, lockable, T::SIZE, |copy| T::load(copy, 0));
    }
    let Versioned { value, version } =
        read(attached, lockable, T::SIZE, |copy| Box::<T>::load(copy, 0))?;
    let value = *value;
    Ok(Versioned { value, version })
}

impl<T: Shareable> Source<T> for Shared<T> {
    fn attached(&self) -> &Attached {
        self.segment().attached()
    }

    fn lockable(&self) -> Option<&Segment> {
        Some(self.segment())
    }

    fn read(&self) -> Result<Versioned<T>> {
        read_typed(self.attached(), self.lockable())
    }
}

impl<T: Shareable> Source<T> for ReadOnlyShared<T> {
    fn attached(&self) -> &Attached {
        self.segment().attached()
    }

    fn lockable(&self) -> Option<&Segment> {
        None
    }

    fn read(&self) -> Result<Versioned<T>> {
        read_typed(self.attached(), None)
    }
}

impl Source<Vec<u8>> for UntypedShared {
    fn attached(&self) -> &Attached {
        self.segment().attached()
    }

    fn lockable(&self) -> Option<&Segment> {
        Some(self.segment())
    }

    fn read(&self) -> Result<Versioned<Vec<u8>>> {
        let size = self.schema().size();
        let found = read(self.attached(), self.lockable(), size, load_bytes(size))?;
        match self.schema().check(&found.value) {
            Ok(()) => Ok(found),
            Err(_) => Err(damaged(self.attached(), READ)),
        }
    }
}

impl Source<Vec<u8>> for ReadOnlyUntypedShared {
    fn attached(&self) -> &Attached {
        self.segment().attached()
    }

    fn lockable(&self) -> Option<&Segment> {
        None
    }

    fn read(&self) -> Result<Versioned<Vec<u8>>> {
        let size = self.schema().size();
        let found = read(self.attached(), None, size, load_bytes(size))?;
        match self.schema().check(&found.value) {
            Ok(()) => Ok(found),
            Err(_) => Err(damaged(self.attached(), READ)),
        }
    }
}

fn load_bytes(size: usize) -> impl Fn(&Words<'_>) -> Option<Vec<u8>> {
    move |copy| super::untyped::load(copy, size)
}

/// Follows a value: waits for changes, and returns each time a newer value.
///
/// It returns snapshots. Of several changes in quick succession it may skip all but the last. It
/// never returns an old value while a newer one exists, and it never misses that there was a
/// change. As an iterator it waits for each next value, never ends, and yields errors as items.
///
/// Waiting takes no processor time, and a commit without waiters costs nothing extra. A read-only
/// attachment cannot register as a waiter: it polls every 8 ms unless another waiter causes a
/// wake-up. Destroying the segment does not end the wait, because attached processes can still
/// change the value.
///
/// # When a process dies
///
/// If a writer dies before its commit, nothing changes. After the commit, all waiters see the new
/// value: at once, or within 10 ms if the writer died during the wake-up. The death of a waiter has
/// no effect.
///
/// # Examples
///
/// ```
/// use sharehold::Shared;
/// use std::time::Duration;
///
/// let shared = Shared::open_or_create("com.example.watch", || 0_u64)?;
/// let mut watch = shared.watch()?;
/// shared.set(&5)?;
/// assert_eq!(watch.changed()?.value, 5);
/// let nothing = watch.changed_timeout(Duration::from_millis(1));
/// assert_eq!(nothing.unwrap_err().kind(), sharehold::ErrorKind::Timeout);
/// # Ok::<(), sharehold::Error>(())
/// ```
pub struct Watch<'a, T> {
    source: &'a dyn Source<T>,
    seen: u64,
}

impl<T> fmt::Debug for Watch<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Watch");
        shown.field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl<'a, T> Watch<'a, T> {
    fn new(source: &'a dyn Source<T>, seen: u64) -> Watch<'a, T> {
        Watch { source, seen }
    }

    /// Returns the version of the last value that was returned, or the version from which the watch
    /// began.
    pub fn last_version(&self) -> u64 {
        self.seen
    }

    /// Returns the next value, and waits for it without a limit.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](ErrorKind::Deadlock) if this thread is inside a change of the value,
    /// [`Forked`](ErrorKind::Forked), and the errors of reading the value.
    pub fn changed(&mut self) -> Result<Versioned<T>> {
        self.changed_until(None)
    }

    /// Returns the next value, and waits for it at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`Watch::changed`], and [`Timeout`](ErrorKind::Timeout).
    pub fn changed_timeout(&mut self, limit: Duration) -> Result<Versioned<T>> {
        self.changed_until(Deadline::after(limit).instant())
    }

    /// Returns the next value, and waits for it at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Watch::changed`], and [`Timeout`](ErrorKind::Timeout).
    pub fn changed_deadline(&mut self, deadline: Instant) -> Result<Versioned<T>> {
        self.changed_until(Some(deadline))
    }

    /// Returns the first value for which `condition` returns `false`, starting with the present
    /// one. Waits without a limit.
    ///
    /// # Errors
    ///
    /// As [`Watch::changed`].
    pub fn wait_while(&mut self, condition: impl FnMut(&T) -> bool) -> Result<Versioned<T>> {
        self.wait_while_until(None, condition)
    }

    /// Returns the first value for which `condition` returns `false`. Waits at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`Watch::changed`], and [`Timeout`](ErrorKind::Timeout).
    pub fn wait_while_timeout(
        &mut self,
        limit: Duration,
        condition: impl FnMut(&T) -> bool,
    ) -> Result<Versioned<T>> {
        self.wait_while_until(Deadline::after(limit).instant(), condition)
    }

    /// Returns the first value for which `condition` returns `false`. Waits at most until
    /// `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Watch::changed`], and [`Timeout`](ErrorKind::Timeout).
    pub fn wait_while_deadline(
        &mut self,
        deadline: Instant,
        condition: impl FnMut(&T) -> bool,
    ) -> Result<Versioned<T>> {
        self.wait_while_until(Some(deadline), condition)
    }

    /// Returns the next value, asynchronously: see [`Segment::lock_async`]. Dropping the future
    /// before it completes leaves the watch unchanged.
    ///
    /// # Errors
    ///
    /// As [`Watch::changed`], except [`Deadlock`](ErrorKind::Deadlock).
    pub async fn changed_async(&mut self) -> Result<Versioned<T>> {
        WaitFuture::new(self.change()).await?;
        self.read()
    }

    /// Returns the first value for which `condition` returns `false`, starting with the present
    /// one, asynchronously.
    ///
    /// # Errors
    ///
    /// As [`Watch::changed_async`].
    pub async fn wait_while_async(
        &mut self,
        mut condition: impl FnMut(&T) -> bool,
    ) -> Result<Versioned<T>> {
        loop {
            let found = self.read()?;
            if !condition(&found.value) {
                return Ok(found);
            }
            drop(found);
            WaitFuture::new(self.change()).await?;
        }
    }

    fn changed_until(&mut self, deadline: Option<Instant>) -> Result<Versioned<T>> {
        wait(self.change(), deadline)?;
        self.read()
    }

    fn wait_while_until(
        &mut self,
        deadline: Option<Instant>,
        mut condition: impl FnMut(&T) -> bool,
    ) -> Result<Versioned<T>> {
        let mut found = self.read()?;
        while condition(&found.value) {
            found = self.changed_until(deadline)?;
        }
        Ok(found)
    }

    /// Makes the wait for the next version.
    pub(crate) fn change(&self) -> VersionWait<'a> {
        VersionWait::new(self.source.attached(), self.source.lockable(), self.seen)
    }

    pub(crate) fn read(&mut self) -> Result<Versioned<T>> {
        let found = self.source.read()?;
        self.seen = found.version;
        Ok(found)
    }
}

impl<T> Iterator for Watch<'_, T> {
    type Item = Result<Versioned<T>>;

    fn next(&mut self) -> Option<Result<Versioned<T>>> {
        Some(self.changed())
    }
}

/// Gives a kind of handle its waiting methods.
macro_rules! watched {
    ([$($generics:tt)*] $handle:ty, $value:ty) => {
        impl<$($generics)*> $handle {
            /// Returns a snapshot of the value, and its version.
            ///
            /// # Errors
            ///
            /// As `get`.
            pub fn get_versioned(&self) -> Result<Versioned<$value>> {
                Source::<$value>::read(self)
            }

            /// Follows the value from now on: see [`Watch`].
            ///
            /// # Errors
            ///
            /// [`ErrorKind::Forked`].
            pub fn watch(&self) -> Result<Watch<'_, $value>> {
                Ok(Watch::new(self, self.version()?))
            }

            /// Follows the value from `version` on. The first value that it returns is one with
            /// another version, at once if there is one. With version 0 this is the present value.
            pub fn watch_since(&self, version: u64) -> Watch<'_, $value> {
                Watch::new(self, version)
            }

            /// Returns the first value for which `condition` returns `false`, starting with the
            /// present one. Waits without a limit.
            ///
            /// Of several changes in quick succession it may see only the last.
            ///
            /// # When a process dies
            ///
            /// See [`Watch`].
            ///
            /// # Errors
            ///
            /// As [`Watch::changed`].
            pub fn wait_while(&self, condition: impl FnMut(&$value) -> bool) -> Result<$value> {
                let found = self.watch()?.wait_while(condition)?;
                Ok(found.value)
            }

            /// Returns the first value for which `condition` returns `false`. Waits at most for
            /// `limit`.
            ///
            /// # Errors
            ///
            /// As [`Watch::changed`], and [`ErrorKind::Timeout`].
            pub fn wait_while_timeout(
                &self,
                limit: Duration,
                condition: impl FnMut(&$value) -> bool,
            ) -> Result<$value> {
                let found = self.watch()?.wait_while_timeout(limit, condition)?;
                Ok(found.value)
            }

            /// Returns the first value for which `condition` returns `false`. Waits at most until
            /// `deadline`.
            ///
            /// # Errors
            ///
            /// As [`Watch::changed`], and [`ErrorKind::Timeout`].
            pub fn wait_while_deadline(
                &self,
                deadline: Instant,
                condition: impl FnMut(&$value) -> bool,
            ) -> Result<$value> {
                let found = self.watch()?.wait_while_deadline(deadline, condition)?;
                Ok(found.value)
            }

            /// Returns the first value for which `condition` returns `false`, starting with the
            /// present one, asynchronously: see [`Segment::lock_async`].
            ///
            /// # Errors
            ///
            /// As [`Watch::changed_async`].
            pub async fn wait_while_async(
                &self,
                condition: impl FnMut(&$value) -> bool,
            ) -> Result<$value> {
                let found = self.watch()?.wait_while_async(condition).await?;
                Ok(found.value)
            }
        }
    };
}

watched!([T: Shareable] Shared<T>, T);
watched!([T: Shareable] ReadOnlyShared<T>, T);
watched!([] UntypedShared, Vec<u8>);
watched!([] ReadOnlyUntypedShared, Vec<u8>);
