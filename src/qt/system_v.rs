//! System V: a segment and a one-semaphore set, each behind a key file.

use std::io;
use std::thread;
use std::time::Duration;

use super::backend::{
    ExistingSegment, LockFacts, Released, SegmentName, SemaphoreName, Set, Taken,
};
use super::error::{Error, ErrorKind, Result};
use super::key_file::KeyFile;
use crate::deadline::Deadline;
use crate::sys::Access;
use crate::sys::ipc::{self, IpcMapping, NamedFile, SetFacts};

/// The permission bits of a set made here. Qt's are 0600; the kernel gives the seventh bit no
/// meaning, so Qt programs do not notice, and it tells a set of ours whose maker died before it
/// gave the set its first value.
const OWN_SET: u32 = 0o700;

/// How often what another process is about to finish is looked at.
const NAP: Duration = Duration::from_millis(1);

/// Turns "there is none" into `None`.
fn present<T>(result: io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound || ipc::is_removed(&error) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn replaced() -> Error {
    Error::new(ErrorKind::NotFound, "it was removed just now; try again")
}

fn identifier(id: u64) -> Result<i32> {
    i32::try_from(id).map_err(|_| Error::new(ErrorKind::UnknownError, "no identifier is so large"))
}

/// Identifiers are never negative.
fn widened(id: i32) -> u64 {
    u64::try_from(id).unwrap_or(0)
}

impl SegmentName for KeyFile {
    fn find(&self) -> Result<Option<ExistingSegment>> {
        let Some(key) = self.key()? else {
            return Ok(None);
        };
        let Some(id) = present(ipc::find_segment(key))? else {
            return Ok(None);
        };
        let facts = present(ipc::segment_facts(id))?;
        Ok(facts.map(|facts| ExistingSegment {
            id: widened(id),
            size: facts.size,
            owner: facts.owner,
            mode: facts.mode,
            attached: Some(facts.attached),
            made_by: facts.made_by,
            last_used_by: facts.last_used_by,
        }))
    }

    fn make(&self, size: usize) -> Result<u64> {
        let made_file = self.make_file(ipc::find_segment)?;
        let key = self.key()?.ok_or_else(replaced)?;
        ipc::make_segment(key, size).map(widened).or_else(|error| {
            if made_file {
                self.remove_file(key)?;
            }
            Err(match error.kind() {
                io::ErrorKind::InvalidInput => {
                    let detail = format!(
                        "the system allows no segment of {size} bytes (ipcs -lm); ask for less"
                    );
                    Error::new(ErrorKind::InvalidSize, detail).with_system(error)
                }
                io::ErrorKind::AlreadyExists => {
                    self.refuse_double()?;
                    error.into()
                }
                _ => error.into(),
            })
        })
    }

    fn attach(&self, id: u64, access: Access) -> Result<IpcMapping> {
        let id = identifier(id)?;
        let facts = present(ipc::segment_facts(id))?.ok_or_else(replaced)?;
        self.trust
            .object("the segment", facts.owner, facts.maker, facts.mode)?;
        self.refuse_double()?;
        Ok(IpcMapping::attach_segment(id, access)?)
    }

    fn remove(&self, id: u64) -> Result<()> {
        let key = self.key()?;
        let named = match key {
            Some(key) => present(ipc::find_segment(key))?,
            None => None,
        };
        let id = identifier(id)?;
        if let Some(facts) = present(ipc::segment_facts(id))? {
            self.trust
                .object("the segment", facts.owner, facts.maker, facts.mode)?;
            present(ipc::remove_segment(id))?;
        }
        match key {
            // The file of another segment, or of none, is not this one's.
            Some(key) if named == Some(id) => self.remove_file(key),
            _ => Ok(()),
        }
    }

    fn is_used(&self, id: u64) -> Result<bool> {
        let facts = present(ipc::segment_facts(identifier(id)?))?;
        Ok(facts.is_some_and(|facts| facts.attached > 0))
    }

    fn is_whole(&self, _id: u64, _len: usize) -> Result<bool> {
        // The kernel changes no segment's size.
        Ok(true)
    }

    fn goes_with_its_users(&self) -> bool {
        true
    }
}

/// A set that was found or made.
#[derive(Debug)]
struct SystemVSet {
    file: KeyFile,
    key: i32,
    id: i32,
}

impl SemaphoreName for KeyFile {
    fn open(&self, initial: u16, deadline: Deadline) -> Result<Box<dyn Set>> {
        loop {
            if let Some(set) = self.find_or_make_set(initial, deadline)? {
                return Ok(Box::new(set));
            }
            if deadline.is_over() {
                let detail = "its semaphore is removed again and again; find out which program does so, and end it";
                return Err(Error::new(ErrorKind::LockError, detail));
            }
        }
    }

    fn look(&self) -> Result<Option<LockFacts>> {
        let Some(key) = self.key()? else {
            return Ok(None);
        };
        let Some(id) = present(ipc::find_set(key))? else {
            return Ok(None);
        };
        let facts = present(ipc::set_facts(id))?;
        Ok(facts.map(|facts| LockFacts {
            value: facts.value,
            last_changed_by: Some(facts.last_changed_by).filter(|pid| *pid != 0),
            waiters: Some(facts.waiters),
        }))
    }

    fn is_unused(&self) -> Result<bool> {
        // The kernel does not record the users of a set.
        Ok(false)
    }

    fn remove_unused(&self) -> Result<bool> {
        Ok(false)
    }
}

/// Whether the set exists but was never given a value.
fn was_forgotten(facts: &SetFacts) -> bool {
    facts.value == 0 && facts.last_changed_by == 0 && !facts.operated
}

impl KeyFile {
    /// The set; `None` when file or set were removed meanwhile.
    fn find_or_make_set(&self, initial: u16, deadline: Deadline) -> Result<Option<SystemVSet>> {
        self.make_file(ipc::find_set)?;
        let Some(key) = self.key()? else {
            return Ok(None);
        };
        let id = match present(ipc::find_set(key))? {
            Some(id) => id,
            None => match self.make_set(key, initial, deadline)? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        let Some(facts) = present(ipc::set_facts(id))? else {
            return Ok(None);
        };
        self.trust
            .object("the semaphore", facts.owner, facts.maker, facts.mode)?;
        if initial > 0 && was_forgotten(&facts) {
            self.finish_making(id, initial, deadline)?;
        }
        self.refuse_double()?;
        Ok(Some(SystemVSet {
            file: self.clone(),
            key,
            id,
        }))
    }

    /// Makes the set; `None` when the file is gone, or another process was quicker.
    ///
    /// The file's lock is held from before the set exists until it has its value: whoever gets that
    /// lock and still finds the set without a value knows that its maker is dead, if the maker was
    /// one of ours.
    fn make_set(&self, key: i32, initial: u16, deadline: Deadline) -> Result<Option<i32>> {
        let Some(_making) = self.lock_file(deadline)? else {
            return Ok(None);
        };
        match ipc::make_set(key, OWN_SET) {
            Ok(id) => Ok(present(ipc::set_value(id, initial))?.map(|()| id)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the lock of the file; `None` when the file is gone.
    fn lock_file(&self, deadline: Deadline) -> Result<Option<NamedFile>> {
        let file = match NamedFile::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        while !file.try_lock()? {
            if deadline.is_over() {
                let path = self.path.display();
                let detail = format!(
                    "a process that makes its lock holds {path} and is stuck; let it go on, or end it"
                );
                return Err(Error::new(ErrorKind::LockError, detail));
            }
            thread::sleep(NAP);
        }
        Ok(Some(file))
    }

    /// Waits until the set has its value; gives it one when its maker is proven dead.
    fn finish_making(&self, id: i32, initial: u16, deadline: Deadline) -> Result<()> {
        loop {
            let Some(_making) = self.lock_file(deadline)? else {
                return Ok(());
            };
            let Some(facts) = present(ipc::set_facts(id))? else {
                return Ok(());
            };
            if !was_forgotten(&facts) {
                return Ok(());
            }
            if facts.mode == OWN_SET {
                return Ok(ipc::set_value(id, initial)?);
            }
            if deadline.is_over() {
                return Err(Error::new(
                    ErrorKind::LockError,
                    "a program without this library made its semaphore and never gave it a value; if that program is \
                     dead, remove the semaphore with qt::SystemSemaphore::remove",
                ));
            }
            thread::sleep(NAP);
        }
    }
}

impl Set for SystemVSet {
    fn take(&self, deadline: Deadline) -> Result<Taken> {
        match ipc::take(self.id, deadline.instant()) {
            Ok(true) => Ok(Taken::Yes),
            Ok(false) => Ok(Taken::NotInTime),
            Err(error) if ipc::is_removed(&error) => Ok(Taken::Gone),
            Err(error) => Err(error.into()),
        }
    }

    fn give_back(&self) -> Result<Released> {
        // Any other process that changed the value meanwhile was not kept out.
        if present(ipc::last_changed_by(self.id))? != Some(std::process::id()) {
            return Ok(Released::WasLost);
        }
        match ipc::give_back(self.id) {
            Ok(true) => Ok(Released::Yes),
            Ok(false) => Ok(Released::WasLost),
            Err(error) if ipc::is_removed(&error) => Ok(Released::WasLost),
            Err(error) => Err(error.into()),
        }
    }

    fn give(&self, number: u16) -> Result<bool> {
        present(ipc::give(self.id, number)).map(|done| done.is_some())
    }

    fn is_named(&self) -> Result<bool> {
        let named = match self.file.key()? {
            Some(key) => present(ipc::find_set(key))?,
            None => None,
        };
        Ok(named == Some(self.id))
    }

    fn id(&self) -> u64 {
        widened(self.id)
    }

    fn has_waiters(&self) -> Result<bool> {
        let facts = present(ipc::set_facts(self.id))?;
        Ok(facts.is_some_and(|facts| facts.waiters > 0))
    }

    fn remove(&self) -> Result<()> {
        self.file.remove_file(self.key)?;
        present(ipc::remove_set(self.id)).map(drop)
    }

    fn recover(&self) -> Result<bool> {
        // The kernel gives back what a dead process held.
        Ok(false)
    }
}
