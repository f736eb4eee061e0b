//! What programs with Qt have or left: every object whose name is one that Qt makes of a text key.

use std::collections::HashSet;
use std::path::Path;

use super::error::{Error, ErrorKind, Result};
use super::key::{KeyType, NativeIpcKey, Object};
use super::memory::SharedMemory;
use super::names;
use super::options::Options;
use super::posix;
use super::semaphore::SystemSemaphore;
use crate::sys::ipc;

impl Options {
    /// Makes a handle for each memory of this [`key_type`](Options::key_type) whose name Qt made of
    /// a text key, in the order of their names; touches no system object. The text keys cannot be
    /// told.
    ///
    /// System V memory is found by its key files, which may stand for nothing any more. Memory with
    /// a native key that somebody chose is not found.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyError`](super::ErrorKind::KeyError) for a type that this system has not; the
    /// directory cannot be read.
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::qt::{KeyType, Options};
    ///
    /// for memory in Options::new().key_type(KeyType::Posix).all_memory()? {
    ///     println!("{}", memory.native_key());
    /// }
    /// # Ok::<(), sharehold::qt::Error>(())
    /// ```
    pub fn all_memory(&self) -> Result<Vec<SharedMemory>> {
        let stems = self.stems(Object::Memory)?;
        let handles = stems.iter().map(|stem| {
            let lock = self.found(stem, Object::Semaphore);
            SharedMemory::from_keys(self.found(stem, Object::Memory), &lock, self)
        });
        Ok(handles.collect())
    }

    /// Makes a handle for each semaphore of this [`key_type`](Options::key_type) whose name Qt made
    /// of a text key, without the locks of what [`all_memory`](Options::all_memory) finds; touches
    /// no system object.
    ///
    /// # Errors
    ///
    /// As [`all_memory`](Options::all_memory).
    pub fn all_semaphores(&self) -> Result<Vec<SystemSemaphore>> {
        let locks: HashSet<String> = self.stems(Object::Memory)?.into_iter().collect();
        let stems = self.stems(Object::Semaphore)?;
        let others = stems.iter().filter(|stem| !locks.contains(*stem));
        let handles = others
            .map(|stem| SystemSemaphore::from_key(self.found(stem, Object::Semaphore), 1, self));
        Ok(handles.collect())
    }

    fn found(&self, stem: &str, object: Object) -> NativeIpcKey {
        NativeIpcKey::with_stem(stem, self.key_type, &self.directory_path(), object)
    }

    /// The stems of all objects that there are names of.
    fn stems(&self, object: Object) -> Result<Vec<String>> {
        self.names(object)
            .map_err(|error| error.during("list the objects of Qt programs", ""))
    }

    fn names(&self, object: Object) -> Result<Vec<String>> {
        names::supported(self.key_type)
            .map_err(|detail| Error::new(ErrorKind::KeyError, detail))?;
        let (directory, prefix) = match (self.key_type, object) {
            (KeyType::Posix, Object::Memory) => (posix::DIRECTORY.to_owned(), ""),
            (KeyType::Posix, Object::Semaphore) => (posix::DIRECTORY.to_owned(), posix::SEMAPHORE),
            _ => (self.directory_path(), ""),
        };
        let mut files = ipc::inodes_in(Path::new(&directory))?;
        files.sort_unstable();
        let stems = files.iter().filter_map(|(name, _)| {
            let name = name.to_str()?.strip_prefix(prefix)?;
            object.stem_of(name).map(str::to_owned)
        });
        Ok(stems.collect())
    }
}
