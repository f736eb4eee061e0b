//! Counting semaphores in the manner of Qt's `QSystemSemaphore`.

use std::time::Duration;

use super::backend::{SemaphoreName, Set, Taken};
use super::error::{Error, ErrorKind, Result};
use super::key::NativeIpcKey;
use super::key::Object;
use super::names;
use super::options::Options;
use super::status::LockStatus;
use crate::deadline::Deadline;
use crate::sys::Generation;

/// How often a semaphore that is removed while it is being taken is replaced before giving up.
const TRIES: usize = 100;

/// Counts permits for every process, Qt or not, that uses the same key.
///
/// The semaphore with the text key of a [`SharedMemory`](super::SharedMemory) *is* that memory's
/// lock. It stays until a process calls [`remove`](Self::remove), or a Qt program that made it
/// ends.
///
/// # When a process dies
///
/// System V: the kernel gives back what it took, and takes back what it gave. POSIX: neither.
///
/// # Examples
///
/// ```
/// use sharehold::qt::SystemSemaphore;
///
/// # let key = &format!("sharehold-doc-semaphore-{}", std::process::id());
/// let mut printers = SystemSemaphore::new(key, 2);
/// let permit = printers.acquire()?;
/// drop(permit);
/// printers.remove()?;
/// # Ok::<(), sharehold::qt::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "QSystemSemaphore")]
pub struct SystemSemaphore {
    key: NativeIpcKey,
    /// Or why no object can have such a key.
    name: Result<Box<dyn SemaphoreName>, String>,
    initial: u16,
    patience: Duration,
    set: Option<Box<dyn Set>>,
}

impl SystemSemaphore {
    /// Makes a handle for the semaphore that Qt programs mean by a text key; touches no system
    /// object.
    ///
    /// If the semaphore has to be made, it starts with `initial` permits. One that exists is never
    /// reset, which is what Qt's access mode `Open` means; there is no `Create`, because it takes
    /// permits away from their holders.
    pub fn new(key: &str, initial: u16) -> SystemSemaphore {
        Options::new().semaphore(key, initial)
    }

    pub(super) fn from_key(key: NativeIpcKey, initial: u16, options: &Options) -> SystemSemaphore {
        let name = names::semaphore(&key, options.trust);
        SystemSemaphore {
            key,
            name,
            initial,
            patience: options.patience,
            set: None,
        }
    }

    /// Returns the text key, if it has one.
    pub fn key(&self) -> Option<&str> {
        self.key.text_key()
    }

    /// Returns the native key.
    pub fn native_key(&self) -> &NativeIpcKey {
        &self.key
    }

    /// Takes a permit, waiting for as long as it takes.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::lock`](super::SharedMemory::lock).
    pub fn acquire(&mut self) -> Result<Permit<'_>> {
        self.acquire_until(Deadline::Never)?;
        Permit::of(self)
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn try_acquire(&mut self) -> Result<Option<Permit<'_>>> {
        self.acquire_timeout(Duration::ZERO)
    }

    /// Takes a permit if one can be had within `wait`.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_timeout(&mut self, wait: Duration) -> Result<Option<Permit<'_>>> {
        let taken = self.acquire_until(Deadline::after(wait))?;
        if taken {
            Permit::of(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Adds permits, whether or not this process took them.
    ///
    /// System V takes them away again when this process ends, as with Qt.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); [`ErrorKind::OutOfResources`] beyond 32767 permits.
    pub fn release(&mut self, permits: u16) -> Result<()> {
        self.doing("release", |semaphore| {
            for _ in 0..TRIES {
                if semaphore.set()?.give(permits)? {
                    return Ok(());
                }
                semaphore.set = None;
            }
            Err(vanishing())
        })
    }

    /// Looks at the semaphore without touching it; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PermissionDenied`] when it is another user's.
    pub fn status(&self) -> Result<Option<LockStatus>> {
        let looked = self.asking("look at", |name| name.look())?;
        Ok(looked.map(LockStatus::from))
    }

    /// Removes the semaphore, even if it is in use; returns false if there was none.
    ///
    /// Its waiters, Qt programs included, create a new one and go on with that.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn remove(&mut self) -> Result<bool> {
        if self.status()?.is_none() {
            return Ok(false);
        }
        self.set = None;
        // With 0 nothing needs to be waited for: any value will do.
        self.doing("remove", |semaphore| semaphore.open(0)?.remove())
            .map(|()| true)
    }

    /// Tells whether there is a semaphore that nobody has, in any process: its users have died or
    /// left, and what it counts is of no use to any of them.
    ///
    /// The kernel proves it of POSIX semaphores only; of System V's it is never told. Nor is it
    /// told while this handle has used it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PermissionDenied`] when it is another user's.
    pub fn is_stale(&self) -> Result<bool> {
        self.asking("look at", |name| name.is_unused())
    }

    /// Removes a semaphore that no process has open; returns false if there was none.
    ///
    /// # Errors
    ///
    /// As [`is_stale`](Self::is_stale).
    pub fn remove_stale(&mut self) -> Result<bool> {
        self.set = None;
        self.asking("remove", |name| name.remove_unused())
    }

    /// Does something with the name, and says in an error what it was.
    fn asking<T>(
        &self,
        operation: &'static str,
        question: impl FnOnce(&dyn SemaphoreName) -> Result<T>,
    ) -> Result<T> {
        self.name()
            .and_then(question)
            .map_err(|error| error.during(operation, self.key.label()))
    }

    fn name(&self) -> Result<&dyn SemaphoreName> {
        match &self.name {
            Ok(name) => Ok(&**name),
            Err(detail) => Err(Error::new(ErrorKind::KeyError, detail)),
        }
    }

    fn doing<T>(
        &mut self,
        operation: &'static str,
        action: impl FnOnce(&mut SystemSemaphore) -> Result<T>,
    ) -> Result<T> {
        action(self).map_err(|error| error.during(operation, self.key.label()))
    }

    fn acquire_until(&mut self, deadline: Deadline) -> Result<bool> {
        self.doing("acquire", |semaphore| {
            for _ in 0..TRIES {
                let set = semaphore.set()?;
                match set.take(deadline)? {
                    Taken::NotInTime => return Ok(false),
                    Taken::Yes if set.is_named()? => return Ok(true),
                    // A permit of a semaphore that newcomers do not find is worth nothing.
                    Taken::Yes => drop(set.give(1)?),
                    Taken::Gone => {}
                }
                semaphore.set = None;
            }
            Err(vanishing())
        })
    }

    fn set(&mut self) -> Result<&dyn Set> {
        let set = match self.set.take() {
            Some(set) => set,
            None => self.open(self.initial)?,
        };
        Ok(&**self.set.insert(set))
    }

    fn open(&self, initial: u16) -> Result<Box<dyn Set>> {
        let deadline = Deadline::after(self.patience);
        self.name()?.open(initial, deadline)
    }
}

fn vanishing() -> Error {
    let detail = "it is removed again and again; find out which program does so, and end it";
    Error::new(ErrorKind::LockError, detail)
}

/// Holds one permit of a [`SystemSemaphore`], and gives it back when dropped.
#[derive(Debug)]
#[must_use = "the permit is given back when dropped"]
pub struct Permit<'a> {
    semaphore: &'a mut SystemSemaphore,
    holder: Generation,
}

impl<'a> Permit<'a> {
    fn of(semaphore: &'a mut SystemSemaphore) -> Result<Permit<'a>> {
        Ok(Permit {
            semaphore,
            holder: Generation::current()?,
        })
    }

    /// Keeps the permit taken, for another thread or process to
    /// [`release`](SystemSemaphore::release) one.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // A forked child holds nothing: the kernel counts by process.
        if self.holder.is_current() {
            // A destructor cannot report an error; the kernel releases the rest when the process
            // ends.
            let _ = self.semaphore.release(1);
        }
    }
}

impl Options {
    /// Makes a handle for the semaphore with this text key, which gets the value `initial` if it
    /// has to be made.
    pub fn semaphore(self, key: &str, initial: u16) -> SystemSemaphore {
        let native = self.derive(key, Object::Semaphore);
        SystemSemaphore::from_key(native, initial, &self)
    }

    /// Makes a handle for the semaphore with this native key, which gets the value `initial` if it
    /// has to be made.
    pub fn native_semaphore(self, key: NativeIpcKey, initial: u16) -> SystemSemaphore {
        SystemSemaphore::from_key(key, initial, &self)
    }
}
