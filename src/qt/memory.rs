//! Shared memory in the manner of Qt's `QSharedMemory`, without its faults: the handle and its
//! documentation.

use std::ops::Deref;
use std::ptr::NonNull;
use std::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::engine::{Destroy, Engine, Opened};
use super::error::{Error, ErrorKind, Result};
use super::key::NativeIpcKey;
use super::key::Object;
use super::options::Options;
use super::status::Status;
use crate::deadline::Deadline;

/// How long `drop` may wait for the lock in order to remove unused objects.
const PARTING: Duration = Duration::from_millis(100);

/// Shares memory with every process, Qt or not, that uses the same key.
///
/// A handle names memory, which may or may not exist; [`create`](Self::create) and
/// [`attach`](Self::attach) bring it into this process, [`lock`](Self::lock) gives a [`Guard`]
/// through which bytes are read and written. The last one to detach removes a System V segment, key
/// files and lock.
///
/// # When a process dies
///
/// The kernel detaches it and gives its lock to the next, who is *not* told; data that it was
/// changing stay half changed. If it was the last one, the segment stays, with its data:
/// [`attach`](Self::attach) finds them, [`replace_stale`](Self::replace_stale) and
/// [`remove_stale`](Self::remove_stale) clear them away. With POSIX keys the lock stays taken, see
/// [`recover_lock`](Self::recover_lock). Sharehold's own segments have none of these limits.
///
/// # Examples
///
/// ```
/// use sharehold::qt::SharedMemory;
///
/// # let key = &format!("sharehold-doc-memory-{}", std::process::id());
/// let mut memory = SharedMemory::new(key);
/// memory.create(1024)?;
/// memory.lock()?.write(0, b"Hello from another process!")?;
/// # Ok::<(), sharehold::qt::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "QSharedMemory")]
pub struct SharedMemory {
    key: NativeIpcKey,
    /// Or why no object can have such a key.
    engine: Result<Engine, String>,
    patience: Duration,
}

impl SharedMemory {
    /// Makes a handle for the memory that Qt programs mean by a text key; touches no system object.
    ///
    /// [`Options`] says how to do otherwise.
    pub fn new(key: &str) -> SharedMemory {
        Options::new().shared_memory(key)
    }

    pub(super) fn from_keys(
        key: NativeIpcKey,
        lock_key: &NativeIpcKey,
        options: &Options,
    ) -> SharedMemory {
        let engine = Engine::new(&key, lock_key, options);
        SharedMemory {
            key,
            engine,
            patience: options.patience,
        }
    }

    /// Does something with the objects, and says in an error what it was.
    pub(super) fn doing<T>(
        &mut self,
        operation: &'static str,
        action: impl FnOnce(&mut Engine) -> Result<T>,
    ) -> Result<T> {
        let engine = self.engine.as_mut().map_err(|detail| refused(detail));
        engine
            .and_then(action)
            .map_err(|error| error.during(operation, self.key.label()))
    }

    /// As `doing`, without changing the handle.
    pub(super) fn asking<T>(
        &self,
        operation: &'static str,
        question: impl FnOnce(&Engine) -> Result<T>,
    ) -> Result<T> {
        let engine = self.engine.as_ref().map_err(|detail| refused(detail));
        engine
            .and_then(question)
            .map_err(|error| error.during(operation, self.key.label()))
    }

    fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref().ok()
    }

    /// Returns the text key, if it has one.
    pub fn key(&self) -> Option<&str> {
        self.key.text_key()
    }

    /// Returns the native key; it is empty exactly when the text key is.
    #[doc(alias = "nativeIpcKey")]
    pub fn native_key(&self) -> &NativeIpcKey {
        &self.key
    }

    /// Tells whether this handle has the memory in this process.
    pub fn is_attached(&self) -> bool {
        self.engine().is_some_and(Engine::is_attached)
    }

    /// Tells whether this handle holds the lock: a [`Guard`] lives, or was leaked.
    pub fn holds_lock(&self) -> bool {
        self.engine().is_some_and(Engine::holds_lock)
    }

    /// Tells whether nobody had the memory when this handle attached to it: those who used it
    /// before may have died.
    pub fn was_stale(&self) -> bool {
        self.engine().is_some_and(Engine::was_stale)
    }

    /// Returns the size in bytes, exactly as its maker asked for; 0 when not attached.
    pub fn size(&self) -> usize {
        self.engine().map_or(0, Engine::size)
    }

    /// Returns the address of the memory, for access without a lock and without checks.
    ///
    /// It is valid until this handle detaches. Other processes may store there at any time, so
    /// reading and writing through it needs volatile or atomic accesses.
    #[doc(alias = "data")]
    #[doc(alias = "constData")]
    pub fn as_ptr(&self) -> Option<NonNull<u8>> {
        self.engine().and_then(Engine::address)
    }

    /// Makes the memory and attaches to it. New memory is all zero.
    ///
    /// # When a process dies
    ///
    /// Killed midway, it leaves nothing, or a stale segment of zeroes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSize`] for 0 or more than the system allows,
    /// [`ErrorKind::AlreadyExists`] when the key has memory or this handle is attached,
    /// [`ErrorKind::OutOfResources`], [`ErrorKind::PermissionDenied`]; [`ErrorKind::LockError`]
    /// when the lock is held for longer than [`Options::patience`]; [`ErrorKind::KeyError`] for a
    /// key that nothing can have.
    pub fn create(&mut self, size: usize) -> Result<()> {
        self.doing("create", |engine| engine.create(size))
    }

    /// Makes the memory unless it exists, and attaches to it, in one step under the lock.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create) and [`attach`](Self::attach). The size of memory that exists is
    /// as it is.
    pub fn open_or_create(&mut self, size: usize) -> Result<Opened> {
        self.doing("create or attach to", |engine| engine.open_or_create(size))
    }

    /// Makes the memory, in place of memory without attachments. A lock that a dead process held is
    /// [recovered](Self::recover_lock) first.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); [`ErrorKind::AlreadyExists`] when a process is attached.
    pub fn replace_stale(&mut self, size: usize) -> Result<()> {
        self.doing("replace", |engine| engine.replace_stale(size))
    }

    /// Removes memory without attachments, with its lock and key files; false when there was none.
    /// A lock that a dead process held is [recovered](Self::recover_lock) first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] when a process is attached; else as [`create`](Self::create).
    pub fn remove_stale(&mut self) -> Result<bool> {
        self.doing("remove", Engine::remove_stale)
    }

    /// Attaches to memory that exists.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when the key has no memory, which leaves nothing behind;
    /// [`ErrorKind::PermissionDenied`] when it is another user's, or open to others, unless
    /// [`Options::allow_others`]; [`ErrorKind::AlreadyExists`] when this handle is attached;
    /// [`ErrorKind::LockError`] when the lock is held for longer than [`Options::patience`];
    /// [`ErrorKind::KeyError`] for a key that nothing can have, or that shares its objects with
    /// another key.
    pub fn attach(&mut self) -> Result<()> {
        self.doing("attach to", Engine::attach)
    }

    /// Detaches; the last one to do so removes a System V segment, with key files and lock.
    ///
    /// The memory is gone from this process in any case. Dropping the handle detaches too, with a
    /// shorter patience.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when this handle is not attached; [`ErrorKind::LockError`] when this
    /// was the last one and the lock was held for longer than [`Options::patience`]: the segment
    /// stays then, stale.
    pub fn detach(&mut self) -> Result<()> {
        let deadline = Deadline::after(self.patience);
        self.doing("detach from", |engine| engine.detach(deadline))
    }

    /// Takes the lock, waiting for as long as it takes.
    ///
    /// It excludes every handle of the key in every process and thread, Qt's included, and needs no
    /// memory to be attached.
    ///
    /// # When a process dies
    ///
    /// System V: a lock that it held is free at once. POSIX: it stays taken, see
    /// [`recover_lock`](Self::recover_lock).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PermissionDenied`], [`ErrorKind::OutOfResources`], [`ErrorKind::KeyError`] as
    /// for [`create`](Self::create); [`ErrorKind::InvalidSize`] when attached memory was cut.
    pub fn lock(&mut self) -> Result<Guard<'_>> {
        self.doing("lock", |engine| engine.lock(Deadline::Never))?;
        Ok(Guard::new(self))
    }

    /// Acquires the lock if it is free.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub fn try_lock(&mut self) -> Result<Option<Guard<'_>>> {
        self.lock_timeout(Duration::ZERO)
    }

    /// Takes the lock if it can be had within `wait`.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub fn lock_timeout(&mut self, wait: Duration) -> Result<Option<Guard<'_>>> {
        let locked = self.doing("lock", |engine| engine.lock(Deadline::after(wait)))?;
        Ok(if locked { Some(Guard::new(self)) } else { None })
    }

    /// Releases a POSIX lock of a dead holder; returns false if there was none to release.
    ///
    /// The kernel proves that no other process has the semaphore open. System V needs no such
    /// thing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LockError`] when another handle, of any process, has the semaphore open.
    pub fn recover_lock(&mut self) -> Result<bool> {
        self.doing("recover the lock of", Engine::recover_lock)
    }

    /// Looks at the memory and its lock without touching either; `None` when there is no memory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PermissionDenied`] and [`ErrorKind::KeyError`] as for [`create`](Self::create).
    pub fn status(&self) -> Result<Option<Status>> {
        self.asking("look at", Engine::status)
    }

    /// Returns whether the memory exists without attachments: its users died, or none has attached
    /// yet.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create): the lock is acquired, so that no process is creating the
    /// memory.
    pub fn is_stale(&mut self) -> Result<bool> {
        self.doing("look at", Engine::is_stale)
    }

    /// Removes the memory, and its unused lock and key files; returns false if there was none.
    ///
    /// With [`Destroy::Wait`] it waits for others to detach, for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] when a process is attached and `how` is [`Destroy::NoWait`], or
    /// this handle is and `how` is not [`Destroy::ForceNoWait`]; else as [`create`](Self::create).
    pub fn destroy(&mut self, how: Destroy) -> Result<bool> {
        self.doing("destroy", |engine| engine.destroy(how))
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        if self.is_attached() {
            // A destructor cannot report an error. What stays is stale; the next use of the key
            // repairs it.
            let _ = self.doing("detach from", |engine| {
                engine.detach(Deadline::after(PARTING))
            });
        }
    }
}

fn refused(detail: &str) -> Error {
    Error::new(ErrorKind::KeyError, detail)
}

impl Options {
    /// Makes a handle for the memory with this text key; touches no system object.
    pub fn shared_memory(self, key: &str) -> SharedMemory {
        let native = self.derive(key, Object::Memory);
        let lock = self.derive(key, Object::Semaphore);
        SharedMemory::from_keys(native, &lock, &self)
    }

    /// Makes a handle for the memory with this native key; touches no system object.
    ///
    /// A key that remembers a text key means the same as that text key.
    pub fn native_memory(self, key: NativeIpcKey) -> SharedMemory {
        let lock = lock_of(&key);
        SharedMemory::from_keys(key, &lock, &self)
    }
}

/// The key of the lock of the memory with this key.
fn lock_of(memory: &NativeIpcKey) -> NativeIpcKey {
    let Some(text) = memory.text_key() else {
        return memory.clone();
    };
    let (directory, _) = memory.native_key().rsplit_once('/').unwrap_or_default();
    NativeIpcKey::derive(text, memory.key_type(), directory, Object::Semaphore)
}

/// Holds the lock of a [`SharedMemory`], and gives it back when dropped.
///
/// Bytes are copied in and out: no reference ever points into memory that another process may
/// change. The handle's own life may be led under the lock too, as programs written for
/// `QtSharedMemory` do: create, attach, detach.
///
/// # When a process dies
///
/// As [`SharedMemory::lock`] says.
///
/// # Examples
///
/// ```
/// use sharehold::qt::SharedMemory;
///
/// # let key = &format!("sharehold-doc-guard-{}", std::process::id());
/// let mut memory = SharedMemory::new(key);
/// let mut guard = memory.lock()?;
/// guard.open_or_create(8)?;
/// let count: u32 = guard.read_at(0)?;
/// guard.write_at(0, &(count + 1))?;
/// guard.unlock()?;
/// # Ok::<(), sharehold::qt::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the lock is given back when the guard is dropped"]
pub struct Guard<'a> {
    memory: &'a mut SharedMemory,
}

impl<'a> Guard<'a> {
    pub(super) fn new(memory: &'a mut SharedMemory) -> Guard<'a> {
        Guard { memory }
    }

    /// Copies bytes out of the memory, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`InvalidSize`](super::ErrorKind::InvalidSize) when the memory has no such bytes, and
    /// nothing is copied; [`NotFound`](super::ErrorKind::NotFound) when the handle is not attached.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<()> {
        self.memory
            .asking("read", |engine| engine.read(offset, bytes))
    }

    /// Copies bytes into the memory, from `offset` on.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); [`PermissionDenied`](super::ErrorKind::PermissionDenied) when the
    /// handle is for reading only.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.memory
            .asking("write", |engine| engine.write(offset, bytes))
    }

    /// Copies a value out of the memory, from `offset` on, whatever the offset's alignment.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_at<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let mut value = T::new_zeroed();
        self.read(offset, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies a value into the memory, from `offset` on, whatever the offset's alignment.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_at<T: IntoBytes + Immutable + ?Sized>(
        &mut self,
        offset: usize,
        value: &T,
    ) -> Result<()> {
        self.write(offset, value.as_bytes())
    }

    /// Does what [`SharedMemory::create`] does, under the lock that is held: others find the memory
    /// as it is at unlocking.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::create`].
    pub fn create(&mut self, size: usize) -> Result<()> {
        self.memory.create(size)
    }

    /// Does what [`SharedMemory::open_or_create`] does, under the lock that is held.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::open_or_create`].
    pub fn open_or_create(&mut self, size: usize) -> Result<Opened> {
        self.memory.open_or_create(size)
    }

    /// Does what [`SharedMemory::attach`] does, under the lock that is held.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::attach`].
    pub fn attach(&mut self) -> Result<()> {
        self.memory.attach()
    }

    /// Does what [`SharedMemory::detach`] does, under the lock that is held, which stays held.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::detach`].
    pub fn detach(&mut self) -> Result<()> {
        self.memory.detach()
    }

    /// Does what [`SharedMemory::destroy`] does, under the lock that is held.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::destroy`]. Waiting under the lock for those who need it to detach would
    /// never end, so [`Destroy::Wait`] is refused like [`Destroy::NoWait`].
    pub fn destroy(&mut self, how: Destroy) -> Result<bool> {
        let how = if how == Destroy::Wait {
            Destroy::NoWait
        } else {
            how
        };
        self.memory.destroy(how)
    }

    /// Gives the lock back, and says whether it kept everybody out.
    ///
    /// # Errors
    ///
    /// [`LockError`](super::ErrorKind::LockError) when another program reset or removed the lock
    /// while it was held: what was read or written may be mixed with another holder's.
    pub fn unlock(self) -> Result<()> {
        self.memory.doing("unlock", Engine::unlock_and_tell)
        // Dropping gives back once more, which does nothing.
    }
}

impl Deref for Guard<'_> {
    type Target = SharedMemory;

    fn deref(&self) -> &SharedMemory {
        self.memory
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // A destructor cannot report an error; `unlock` returns it.
        let _ = self.memory.doing("unlock", Engine::unlock);
    }
}
