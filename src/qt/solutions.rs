//! Shared memory in the manner of `QtSharedMemory` of the Qt Solutions, the ancestor of
//! `QSharedMemory`.

use std::time::Duration;

use super::engine::Destroy;
use super::error::Result;
use super::memory::{Guard, SharedMemory};
use super::options::Options;

/// Shares memory that stays until it is destroyed.
///
/// It uses the objects of [`SharedMemory`] with the same key, and differs in the life that it gives
/// them: creating does not attach, detaching never removes, destroying is for those who know that
/// the work is done. The lock can be taken before the memory is attached, or exists. (A Qt program
/// of the later kind that detaches last still removes it.)
///
/// # When a process dies
///
/// As with [`SharedMemory`]; that nobody is attached is nothing special here.
///
/// # Examples
///
/// ```
/// use sharehold::qt::{Destroy, QtSharedMemory};
///
/// # let key = &format!("sharehold-doc-solutions-{}", std::process::id());
/// let mut memory = QtSharedMemory::new(key);
/// if memory.exists()? {
///     memory.destroy(Destroy::ForceNoWait)?;
/// }
/// memory.create(16)?;
///
/// let mut locked = memory.lock()?;
/// locked.attach()?;
/// let count: i32 = locked.read_at(0)?;
/// locked.write_at(0, &(count + 1))?;
/// locked.detach()?;
/// drop(locked);
///
/// memory.destroy(Destroy::Wait)?;
/// # Ok::<(), sharehold::qt::Error>(())
/// ```
#[derive(Debug)]
pub struct QtSharedMemory {
    memory: SharedMemory,
}

impl QtSharedMemory {
    /// Makes a handle for the memory with a text key; touches no system object.
    pub fn new(key: &str) -> QtSharedMemory {
        Options::new().qt_shared_memory(key)
    }

    pub(super) fn over(memory: SharedMemory) -> QtSharedMemory {
        QtSharedMemory { memory }
    }

    /// Returns the text key, if it has one.
    pub fn key(&self) -> Option<&str> {
        self.memory.key()
    }

    /// Tells whether the key has memory.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::status`].
    pub fn exists(&self) -> Result<bool> {
        self.memory.status().map(|status| status.is_some())
    }

    /// Makes the memory, all zero, and does not attach to it.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::create`].
    pub fn create(&mut self, size: usize) -> Result<()> {
        self.memory
            .doing("create", |engine| engine.create_without_attaching(size))
    }

    /// Removes the memory; false when there was none.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::destroy`].
    pub fn destroy(&mut self, how: Destroy) -> Result<bool> {
        self.memory.destroy(how)
    }

    /// Attaches to memory that exists.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::attach`].
    pub fn attach(&mut self) -> Result<()> {
        self.memory.attach()
    }

    /// Detaches; the memory stays.
    ///
    /// # Errors
    ///
    /// [`NotFound`](super::ErrorKind::NotFound) when this handle is not attached.
    pub fn detach(&mut self) -> Result<()> {
        self.memory.detach()
    }

    /// Tells whether this handle has the memory in this process.
    #[doc(alias = "isValid")]
    pub fn is_attached(&self) -> bool {
        self.memory.is_attached()
    }

    /// Returns the size of the memory in bytes, attached or not; 0 when there is none.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::status`].
    pub fn size(&self) -> Result<usize> {
        Ok(self.memory.status()?.map_or(0, |status| status.size))
    }

    /// Returns how many mappings of the memory there are, in all processes; 0 when there is no
    /// memory, `None` when the system does not know: POSIX knows only whether anybody has it.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::status`].
    pub fn num_attachments(&self) -> Result<Option<u64>> {
        Ok(self
            .memory
            .status()?
            .map_or(Some(0), |status| status.attachments))
    }

    /// Returns the system's identity of the memory: the identifier of a System V segment.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::status`].
    pub fn handle(&self) -> Result<Option<u64>> {
        Ok(self.memory.status()?.map(|status| status.id))
    }

    /// Takes the lock, waiting for as long as it takes; the memory need not be attached, nor exist.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::lock`].
    pub fn lock(&mut self) -> Result<Guard<'_>> {
        self.memory.lock()
    }

    /// Takes the lock if it can be had within `wait`.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::lock`].
    pub fn lock_timeout(&mut self, wait: Duration) -> Result<Option<Guard<'_>>> {
        self.memory.lock_timeout(wait)
    }
}

impl Options {
    /// Makes a handle in the manner of `QtSharedMemory` for the memory with this text key; touches
    /// no system object.
    pub fn qt_shared_memory(mut self, key: &str) -> QtSharedMemory {
        self.stays = true;
        QtSharedMemory::over(self.shared_memory(key))
    }
}
