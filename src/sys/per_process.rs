//! A value of which each process has its own. A forked child has none of its parent's threads and
//! locks, and so cannot use its parent's value.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::Generation;

/// A value that a process makes at its first use, and that a forked child makes anew.
#[derive(Debug)]
pub(crate) struct PerProcess<T: 'static> {
    current: AtomicPtr<Made<T>>,
}

#[derive(Debug)]
struct Made<T> {
    by: Generation,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess {
            current: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Returns this process's value; makes it with `make` at the first call. It is never dropped,
    /// because threads may use it at any time.
    ///
    /// # Errors
    ///
    /// Those of `make`, which the next call repeats.
    pub(crate) fn get_or_make(
        &self,
        make: impl FnOnce() -> std::io::Result<T>,
    ) -> std::io::Result<&'static T> {
        let found = self.current.load(Ordering::Acquire);
        if let Some(made) = Self::own(found) {
            return Ok(made);
        }
        let by = Generation::current()?;
        let fresh = Box::into_raw(Box::new(Made { by, value: make()? }));
        let stored =
            self.current
                .compare_exchange(found, fresh, Ordering::AcqRel, Ordering::Acquire);
        let winner = match stored {
            Ok(_) => fresh,
            Err(other_thread) => {
                // SAFETY: it came from a box just now, and no other thread has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                other_thread
            }
        };
        Self::own(winner).ok_or_else(|| std::io::Error::other("the process forked meanwhile"))
    }

    fn own(made: *mut Made<T>) -> Option<&'static T> {
        // SAFETY: a stored pointer came from a box that is never freed.
        let made = unsafe { made.as_ref() }?;
        made.by.is_current().then_some(&made.value)
    }
}
