//! POSIX: a segment and a semaphore, each a file on the memory file system.
//!
//! Weaker than System V in two ways that no peer can mend: the system does not give back what a dead process held, and
//! does not count who is attached. Both are answered here by looking into every process, on request only.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::backend::{Found, LockFacts, Released, SegmentName, SemaphoreName, Set, Taken};
use super::error::{Error, ErrorKind, Result};
use super::trust::Trust;
use crate::sys::ipc::{self, FileSemaphore, IpcMapping, NamedFile};
use crate::sys::{Access, FileFacts};

/// Where the C library keeps both.
const DIRECTORY: &str = "/dev/shm";
/// What it puts before the name of a semaphore.
const SEMAPHORE: &str = "sem.";
const NAME_MAX: usize = 255;

/// A file of the memory file system.
#[derive(Debug, Clone)]
pub(super) struct PosixName {
    path: PathBuf,
    trust: Trust,
}

/// The part of a native key after its slash, if it is a name that memory and semaphore can both have.
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

impl PosixName {
    pub(super) fn memory(native: &str, trust: Trust) -> Result<PosixName, String> {
        Ok(PosixName {
            path: Path::new(DIRECTORY).join(name_of(native)?),
            trust,
        })
    }

    pub(super) fn semaphore(native: &str, trust: Trust) -> Result<PosixName, String> {
        let name = format!("{SEMAPHORE}{}", name_of(native)?);
        Ok(PosixName {
            path: Path::new(DIRECTORY).join(name),
            trust,
        })
    }

    fn facts(&self) -> Result<Option<FileFacts>> {
        match ipc::file_facts(&self.path) {
            Ok(facts) => Ok(Some(facts)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn trusted(&self, what: &str, facts: &FileFacts) -> Result<()> {
        self.trust
            .object(what, facts.owner, facts.owner, facts.mode)
    }

    fn remove_if(&self, is_it: impl FnOnce(&FileFacts) -> bool) -> Result<()> {
        if !self.facts()?.is_some_and(|facts| is_it(&facts)) {
            return Ok(());
        }
        match ipc::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// The processes that map a file, one entry a mapping.
fn users_of(facts: &FileFacts) -> Result<Vec<u32>> {
    ipc::users_of(facts.id).map_err(|error| {
        let detail = "whether anybody uses it cannot be seen, because another process of this user keeps its memory \
                      secret; ask as root";
        Error::new(ErrorKind::PermissionDenied, detail).with_system(error)
    })
}

impl SegmentName for PosixName {
    fn find(&self) -> Result<Option<Found>> {
        let facts = self.facts()?.filter(|facts| facts.regular);
        Ok(facts.map(|facts| Found {
            id: facts.id.1,
            size: usize::try_from(facts.len).unwrap_or(0),
            owner: facts.owner,
            mode: facts.mode,
            made_by: 0,
            last_used_by: 0,
        }))
    }

    fn make(&self, size: usize) -> Result<u64> {
        let file = NamedFile::make_unnamed(Path::new(DIRECTORY))?;
        file.reserve(size as u64)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge => {
                    let detail = format!("no file has {size} bytes; ask for less");
                    Error::new(ErrorKind::InvalidSize, detail).with_system(error)
                }
                _ => error.into(),
            })?;
        file.give_name(&self.path)?;
        Ok(file.facts()?.id.1)
    }

    fn attach(&self, id: u64, access: Access) -> Result<IpcMapping> {
        let file = NamedFile::open(&self.path, access)?;
        let facts = file.facts()?;
        self.trusted("the segment", &facts)?;
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

    fn attachments(&self, id: u64) -> Result<u64> {
        match self.facts()? {
            Some(facts) if facts.id.1 == id => Ok(users_of(&facts)?.len() as u64),
            _ => Ok(0),
        }
    }

    fn is_whole(&self, id: u64, len: usize) -> Result<bool> {
        // Without its name it cannot be looked at, nor cut by anybody who has to find it first.
        Ok(self
            .find()?
            .is_none_or(|found| found.id != id || found.size >= len))
    }

    fn goes_with_its_users(&self) -> bool {
        false
    }
}

impl SemaphoreName for PosixName {
    fn open(&self, initial: u16, _deadline: Instant) -> Result<Box<dyn Set>> {
        loop {
            let trusted = |facts: &FileFacts| self.trusted("the semaphore", facts);
            let semaphore = match FileSemaphore::open(&self.path, trusted) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    match FileSemaphore::make(&self.path, initial.into()) {
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                        made => made?,
                    }
                }
                opened => opened?,
            };
            return Ok(Box::new(PosixSet {
                name: self.clone(),
                semaphore,
            }));
        }
    }

    fn look(&self) -> Result<Option<LockFacts>> {
        if self.facts()?.is_none() {
            return Ok(None);
        }
        let semaphore =
            FileSemaphore::open(&self.path, |facts| self.trusted("the semaphore", facts))?;
        Ok(Some(LockFacts {
            value: semaphore.value()?,
            last_changed_by: None,
            waiters: None,
        }))
    }
}

/// A semaphore that was found or made.
#[derive(Debug)]
struct PosixSet {
    name: PosixName,
    semaphore: FileSemaphore,
}

impl PosixSet {
    fn named(&self) -> Result<Option<FileFacts>> {
        Ok(self
            .name
            .facts()?
            .filter(|facts| facts.id == self.semaphore.id()))
    }

    /// Whether no other handle of any process that can be seen has the semaphore in memory.
    fn is_ours_alone(&self) -> Result<bool> {
        let users = ipc::users_of(self.semaphore.id()).map_err(Error::from)?;
        Ok(users == [std::process::id()])
    }
}

impl Set for PosixSet {
    fn take(&self, deadline: Option<Instant>) -> Result<Taken> {
        let mut lost = false;
        // Without a name nobody new comes, and with no other user nobody is left to give it back.
        let still_worth_it = || {
            let named = self.named().is_ok_and(|named| named.is_none());
            lost = named && self.is_ours_alone().unwrap_or(false);
            !lost
        };
        match self.semaphore.take(deadline, still_worth_it)? {
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
        Ok(self.named()?.is_some())
    }

    fn id(&self) -> u64 {
        self.semaphore.id().1
    }

    fn has_waiters(&self) -> Result<bool> {
        Ok(!self.is_ours_alone()?)
    }

    fn remove(&self) -> Result<()> {
        self.name.remove_if(|facts| facts.id == self.semaphore.id())
    }

    fn recover(&self) -> Result<bool> {
        if self.semaphore.value()? > 0 {
            return Ok(false);
        }
        if !self.is_ours_alone()? {
            let detail =
                "another program has its semaphore open and may hold it; end that program first";
            return Err(Error::new(ErrorKind::LockError, detail));
        }
        self.semaphore.give()?;
        Ok(true)
    }
}
