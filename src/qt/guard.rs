//! The lock, held.

use std::ops::Deref;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::engine::Engine;
use super::error::Result;
use super::memory::{Destroy, Opened, SharedMemory};

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
