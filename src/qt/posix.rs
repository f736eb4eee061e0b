//! POSIX: a segment and a semaphore, each a file on the memory file system.
//!
//! Weaker than System V in two ways that no peer can mend: the system does not give back what a
//! dead process held, and does not count attachments. It only reports whether *any* process has a
//! file open.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::backend::{
    ExistingSegment, LockFacts, Released, SegmentName, SemaphoreName, Set, Taken,
};
use super::error::{Error, ErrorKind, Result};
use super::trust::Trust;
use crate::deadline::Deadline;
use crate::sys::ipc::{self, FileSemaphore, IpcMapping};
use crate::sys::{Access, Directory, FileMetadata};

/// Where the C library keeps both.
pub(super) const DIRECTORY: &str = "/dev/shm";
/// What it puts before the name of a semaphore.
pub(super) const SEMAPHORE: &str = "sem.";
const NAME_MAX: usize = 255;

/// The name of a file on the memory file system.
#[derive(Debug, Clone)]
pub(super) struct PosixName {
    name: OsString,
    trust: Trust,
}

/// The part of a native key after its slash, if it is a name that memory and semaphore can both
/// have.
fn name_of(native: &str) -> Result<&str, String> {
    let refuse = |detail: &str| Err(detail.to_owned());
    match native.strip_prefix('/') {
        None => refuse("a POSIX key begins with a slash; write one before it"),
        Some("" | "." | "..") => refuse("it names a directory; add a name after the slash"),
        Some(name) if name.contains('/') => {
            refuse("a POSIX key has one slash only; remove the others")
        }
        Some(name) if name.contains('\0') => refuse("no name holds a zero character; remove it"),
        Some(name) if name.len() + SEMAPHORE.len() > NAME_MAX => {
            refuse("it is longer than 251 bytes after the slash; shorten the key")
        }
        Some(name) => Ok(name),
    }
}

fn directory() -> Result<Directory> {
    Ok(Directory::open(Path::new(DIRECTORY))?)
}

impl PosixName {
    pub(super) fn memory(native: &str, trust: Trust) -> Result<PosixName, String> {
        Ok(PosixName {
            name: name_of(native)?.into(),
            trust,
        })
    }

    pub(super) fn semaphore(native: &str, trust: Trust) -> Result<PosixName, String> {
        let name = format!("{SEMAPHORE}{}", name_of(native)?);
        Ok(PosixName {
            name: name.into(),
            trust,
        })
    }

    fn facts(&self) -> Result<Option<FileMetadata>> {
        Ok(directory()?.facts_of(&self.name)?)
    }

    fn trusted(&self, what: &str, facts: &FileMetadata) -> Result<()> {
        self.trust
            .object(what, facts.owner, facts.owner, facts.mode)
    }

    fn semaphore_trusted(&self, facts: &FileMetadata) -> Result<()> {
        self.trusted("the semaphore", facts)
    }

    /// Calls a function while no process has the semaphore open; `None` if one has, or there is
    /// none.
    fn while_unused<T>(&self, action: impl FnOnce(&FileMetadata) -> T) -> Result<Option<T>> {
        let file = match directory()?.open_file(&self.name, Access::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let facts = file.as_opened();
        self.semaphore_trusted(facts)?;
        if !facts.regular {
            return Ok(None);
        }
        Ok(ipc::while_alone(&file, || action(facts))?)
    }

    fn remove_if(&self, is_it: impl FnOnce(&FileMetadata) -> bool) -> Result<()> {
        if !self.facts()?.is_some_and(|facts| is_it(&facts)) {
            return Ok(());
        }
        match directory()?.remove_name(&self.name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl SegmentName for PosixName {
    fn find(&self) -> Result<Option<ExistingSegment>> {
        let Some(facts) = self.facts()?.filter(|facts| facts.regular) else {
            return Ok(None);
        };
        self.trusted("the segment", &facts)?;
        Ok(Some(ExistingSegment {
            id: facts.id.1,
            size: usize::try_from(facts.len).unwrap_or(0),
            owner: facts.owner,
            mode: facts.mode,
            attached: None,
            made_by: 0,
            last_used_by: 0,
        }))
    }

    fn make(&self, size: usize) -> Result<u64> {
        let directory = directory()?;
        let file = directory.make_unnamed_file(0o600)?;
        file.reserve(size as u64)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge => {
                    let detail = format!("no file has {size} bytes; ask for less");
                    Error::new(ErrorKind::InvalidSize, detail).with_system(error)
                }
                _ => error.into(),
            })?;
        directory.give_name(&file, &self.name)?;
        Ok(file.facts()?.id.1)
    }

    fn attach(&self, id: u64, access: Access) -> Result<IpcMapping> {
        let file = directory()?.open_file(&self.name, access)?;
        let facts = file.as_opened();
        self.trusted("the segment", facts)?;
        let len = usize::try_from(facts.len).unwrap_or(0);
        if !facts.regular || facts.id.1 != id {
            return Err(Error::new(
                ErrorKind::NotFound,
                "it was replaced just now; try again",
            ));
        }
        if len == 0 {
            let detail =
                "its maker died before giving it a size; call remove_stale and create it again";
            return Err(Error::new(ErrorKind::InvalidSize, detail));
        }
        Ok(IpcMapping::map_file(&file, len, access)?)
    }

    fn remove(&self, id: u64) -> Result<()> {
        if let Some(facts) = self.facts()? {
            self.trusted("the segment", &facts)?;
        }
        self.remove_if(|facts| facts.id.1 == id)
    }

    fn is_used(&self, id: u64) -> Result<bool> {
        let file = match directory()?.open_file(&self.name, Access::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        Ok(file.facts()?.id.1 == id && ipc::while_alone(&file, || ())?.is_none())
    }

    fn is_whole(&self, id: u64, len: usize) -> Result<bool> {
        // Without a name it cannot be inspected, nor truncated by a process that must find it
        // first.
        Ok(self
            .find()?
            .is_none_or(|found| found.id != id || found.size >= len))
    }

    fn goes_with_its_users(&self) -> bool {
        false
    }
}

impl SemaphoreName for PosixName {
    fn open(&self, initial: u16, _until: Deadline) -> Result<Box<dyn Set>> {
        let directory = directory()?;
        loop {
            let trusted = |facts: &FileMetadata| self.semaphore_trusted(facts);
            let semaphore = match FileSemaphore::open(&directory, &self.name, trusted) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    match FileSemaphore::make(&directory, &self.name, initial.into()) {
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                        made => made?,
                    }
                }
                opened => opened?,
            };
            let id = semaphore.file().facts()?.id;
            return Ok(Box::new(PosixSet {
                name: self.clone(),
                semaphore,
                id,
            }));
        }
    }

    fn look(&self) -> Result<Option<LockFacts>> {
        let trusted = |facts: &FileMetadata| self.semaphore_trusted(facts);
        match FileSemaphore::open(&directory()?, &self.name, trusted) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(semaphore) => {
                let value = semaphore.value()?;
                Ok(Some(LockFacts {
                    value,
                    last_changed_by: None,
                    waiters: None,
                }))
            }
        }
    }

    fn is_unused(&self) -> Result<bool> {
        Ok(self.while_unused(|_| ())?.is_some())
    }

    fn remove_unused(&self) -> Result<bool> {
        let remove = |known: &FileMetadata| self.remove_if(|facts| facts.id == known.id);
        self.while_unused(remove)?
            .map_or(Ok(false), |removed| removed.map(|()| true))
    }
}

/// A semaphore that was found or made.
#[derive(Debug)]
struct PosixSet {
    name: PosixName,
    semaphore: FileSemaphore,
    id: (u64, u64),
}

impl Set for PosixSet {
    fn take(&self, deadline: Deadline) -> Result<Taken> {
        let mut lost = false;
        // Without a name no process can open it, and without other users no process can release it.
        let still_worth_it = || {
            let nameless = matches!(self.is_named(), Ok(false));
            lost = nameless && matches!(self.has_waiters(), Ok(false));
            !lost
        };
        match self.semaphore.take(deadline.instant(), still_worth_it)? {
            true => Ok(Taken::Yes),
            false if lost => Ok(Taken::Gone),
            false => Ok(Taken::NotInTime),
        }
    }

    fn give_back(&self) -> Result<Released> {
        if self.semaphore.value()? > 0 {
            return Ok(Released::WasLost);
        }
        self.semaphore.give()?;
        Ok(Released::Yes)
    }

    fn give(&self, number: u16) -> Result<bool> {
        for _ in 0..number {
            self.semaphore.give()?;
        }
        Ok(true)
    }

    fn is_named(&self) -> Result<bool> {
        Ok(self.name.facts()?.is_some_and(|facts| facts.id == self.id))
    }

    fn id(&self) -> u64 {
        self.id.1
    }

    fn has_waiters(&self) -> Result<bool> {
        // A waiter has it open; so has a process that does not wait yet, but may do so later.
        Ok(ipc::while_alone(self.semaphore.file(), || ())?.is_none())
    }

    fn remove(&self) -> Result<()> {
        self.name.remove_if(|facts| facts.id == self.id)
    }

    fn recover(&self) -> Result<bool> {
        let give_back = || match self.semaphore.value() {
            Ok(0) => self.semaphore.give().map(|()| true),
            other => other.map(|_| false),
        };
        match ipc::while_alone(self.semaphore.file(), give_back)? {
            Some(given) => Ok(given?),
            None => Err(Error::new(
                ErrorKind::LockError,
                "another program has its semaphore open and may hold it; end that program first",
            )),
        }
    }
}
