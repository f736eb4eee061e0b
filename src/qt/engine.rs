//! What a handle does with the objects of its key, and in which order.
//!
//! Everything that makes, finds or removes a segment does so under the lock, because Qt programs
//! remove segments under it. Nothing that is attached is ever removed by detaching, and waiting for
//! the lock ends in time unless the caller asked for more.

use std::ptr::NonNull;
use std::thread;
use std::time::Duration;

use super::backend::{ExistingSegment, SegmentName};
use super::error::{Error, ErrorKind, Result};
use super::key::NativeIpcKey;
use super::lock::QtLock;
use super::names;
use super::options::Options;
use super::status::{LockStatus, Status};
use crate::deadline::Deadline;
use crate::memory::region::Region;
use crate::sys::Access;

/// How often others are asked whether they have left.
const NAP: Duration = Duration::from_millis(5);

/// Says which of two things [`SharedMemory::open_or_create`](super::SharedMemory::open_or_create)
/// did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// The memory is new, and all zero.
    Created,
    /// The memory was there.
    Attached,
}

/// What destroying does about other attached processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destroy {
    /// Waits until all have detached, for as long as it takes.
    Wait,
    /// Refuses.
    NoWait,
    /// Takes the name away from under them: they keep their memory until they detach, newcomers do
    /// not find it.
    ForceNoWait,
}

#[derive(Debug)]
pub(super) struct Engine {
    segment: Box<dyn SegmentName>,
    lock: QtLock,
    attached: Option<Attached>,
    access: Access,
    patience: Duration,
    stays: bool,
}

#[derive(Debug)]
struct Attached {
    region: Region,
    id: u64,
    was_stale: bool,
}

impl Attached {
    fn size(&self) -> usize {
        self.region.mapping().len()
    }
}

impl Engine {
    pub(super) fn new(
        key: &NativeIpcKey,
        lock_key: &NativeIpcKey,
        options: &Options,
    ) -> Result<Engine, String> {
        let semaphore = names::semaphore(lock_key, options.trust)?;
        Ok(Engine {
            segment: names::segment(key, options.trust)?,
            lock: QtLock::new(semaphore, options.patience),
            attached: None,
            access: options.access,
            patience: options.patience,
            stays: options.stays,
        })
    }

    pub(super) fn is_attached(&self) -> bool {
        self.attached.is_some()
    }

    pub(super) fn holds_lock(&self) -> bool {
        self.lock.is_held()
    }

    pub(super) fn was_stale(&self) -> bool {
        self.attached
            .as_ref()
            .is_some_and(|attached| attached.was_stale)
    }

    pub(super) fn size(&self) -> usize {
        self.attached.as_ref().map_or(0, Attached::size)
    }

    pub(super) fn address(&self) -> Option<NonNull<u8>> {
        let attached = self.attached.as_ref()?;
        Some(attached.region.mapping().base())
    }

    pub(super) fn create(&mut self, size: usize) -> Result<()> {
        self.while_locked(|engine| engine.make_and_map(size))
    }

    pub(super) fn create_without_attaching(&mut self, size: usize) -> Result<()> {
        self.while_locked(|engine| engine.make(size).map(drop))
    }

    pub(super) fn open_or_create(&mut self, size: usize) -> Result<Opened> {
        self.while_locked(|engine| match engine.segment.find()? {
            Some(found) => engine.attach_to(found.id).map(|()| Opened::Attached),
            None => engine.make_and_map(size).map(|()| Opened::Created),
        })
    }

    pub(super) fn replace_stale(&mut self, size: usize) -> Result<()> {
        self.heal_lock();
        self.while_locked(|engine| {
            engine.remove_if_unused()?;
            engine.make_and_map(size)
        })
    }

    pub(super) fn remove_stale(&mut self) -> Result<bool> {
        self.heal_lock();
        self.while_locked(Engine::remove_if_unused)
    }

    /// A lock that the dead hold would be waited for in vain.
    fn heal_lock(&mut self) {
        if !self.lock.is_held() {
            // A process that may be alive is waited for, up to the `patience` limit.
            let _ = self.lock.recover();
        }
    }

    pub(super) fn is_stale(&mut self) -> Result<bool> {
        if self.segment.find()?.is_none() {
            return Ok(false);
        }
        self.while_locked(|engine| match engine.segment.find()? {
            Some(found) => Ok(!engine.segment.is_used(found.id)?),
            None => Ok(false),
        })
    }

    pub(super) fn attach(&mut self) -> Result<()> {
        // Looked for without the lock first, since asking for the lock makes one.
        self.found()?;
        self.while_locked(|engine| {
            let found = engine.found()?;
            engine.attach_to(found.id)
        })
    }

    /// Unmaps; then, if no other process is attached, removes what goes with its users.
    pub(super) fn detach(&mut self, deadline: Deadline) -> Result<()> {
        let Some(Attached { region, id, .. }) = self.attached.take() else {
            let detail = "this handle is not attached; attach it first";
            return Err(Error::new(ErrorKind::NotFound, detail));
        };
        let is_ours = region.mapping().is_here();
        drop(region);
        let goes = is_ours && !self.stays && self.segment.goes_with_its_users();
        if !goes || self.segment.is_used(id)? {
            return Ok(());
        }
        self.while_locked_until(deadline, |engine| {
            if engine.segment.is_used(id)? {
                Ok(())
            } else {
                engine.segment.remove(id)
            }
        })
    }

    pub(super) fn destroy(&mut self, how: Destroy) -> Result<bool> {
        if how != Destroy::ForceNoWait {
            // A caller that waits for all to detach must itself have detached.
            self.must_be_detached()?;
        }
        loop {
            let removed = self.while_locked(|engine| {
                let Some(found) = engine.segment.find()? else {
                    return Ok(Some(false));
                };
                if how != Destroy::ForceNoWait && engine.segment.is_used(found.id)? {
                    return Ok(None);
                }
                engine.segment.remove(found.id).map(|()| Some(true))
            })?;
            match removed {
                Some(removed) => return Ok(removed),
                None if how == Destroy::Wait => thread::sleep(NAP),
                None => return Err(in_use()),
            }
        }
    }

    /// Takes the lock for the caller; false when it was not to be had in time.
    pub(super) fn lock(&mut self, deadline: Deadline) -> Result<bool> {
        if !self.lock.take(deadline)? {
            return Ok(false);
        }
        let whole = self.memory_is_whole();
        if !matches!(whole, Ok(true)) {
            self.lock.give_back()?;
        }
        if whole? {
            return Ok(true);
        }
        let detail = "its memory was cut by another program; detach, and create it again";
        Err(Error::new(ErrorKind::InvalidSize, detail))
    }

    fn memory_is_whole(&self) -> Result<bool> {
        match &self.attached {
            Some(attached) => self.segment.is_whole(attached.id, attached.size()),
            None => Ok(true),
        }
    }

    /// Gives the lock back, or removes it when it is of no use to anybody.
    pub(super) fn unlock(&mut self) -> Result<()> {
        if !self.lock.is_held() {
            return Ok(());
        }
        let useless = !self.is_attached() && matches!(self.segment.find(), Ok(None));
        if useless && matches!(self.lock.remove_unless_wanted(), Ok(true)) {
            return Ok(());
        }
        if self.lock.give_back()? {
            Ok(())
        } else {
            Err(was_lost())
        }
    }

    /// Gives the lock back, and asks at the last moment whether it kept newcomers out.
    pub(super) fn unlock_and_tell(&mut self) -> Result<()> {
        let kept = !self.lock.is_held() || self.lock.excludes_newcomers()?;
        self.unlock()?;
        if kept { Ok(()) } else { Err(was_lost()) }
    }

    pub(super) fn recover_lock(&mut self) -> Result<bool> {
        self.lock.recover()
    }

    pub(super) fn status(&self) -> Result<Option<Status>> {
        let Some(found) = self.segment.find()? else {
            return Ok(None);
        };
        let process = |pid| Some(pid).filter(|pid| *pid != 0);
        let unused = || matches!(self.segment.is_used(found.id), Ok(false)).then_some(0);
        Ok(Some(Status {
            id: found.id,
            size: found.size,
            owner: found.owner,
            mode: found.mode,
            attachments: found.attached.or_else(unused),
            made_by: process(found.made_by),
            last_used_by: process(found.last_used_by),
            lock: self.lock.look()?.map(LockStatus::from),
        }))
    }

    pub(super) fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<()> {
        let len = bytes.len();
        let region = self.region()?;
        if region.copy_out(offset, bytes) {
            Ok(())
        } else {
            Err(outside(region, offset, len))
        }
    }

    pub(super) fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        let region = self.region()?;
        if region.mapping().access() == Access::ReadOnly {
            let detail =
                "this handle maps the memory for reading only; leave out Options::read_only";
            return Err(Error::new(ErrorKind::PermissionDenied, detail));
        }
        if region.copy_in(offset, bytes) {
            Ok(())
        } else {
            Err(outside(region, offset, bytes.len()))
        }
    }

    fn region(&self) -> Result<&Region> {
        let Some(attached) = &self.attached else {
            let detail = "this handle is not attached; attach it first";
            return Err(Error::new(ErrorKind::NotFound, detail));
        };
        if !attached.region.mapping().is_here() {
            let detail =
                "this handle belongs to the process that this one was forked from; make one here";
            return Err(Error::new(ErrorKind::NotFound, detail));
        }
        Ok(&attached.region)
    }

    /// Does something under the lock, which is taken within the handle's patience unless it is held
    /// already.
    fn while_locked<T>(&mut self, action: impl FnOnce(&mut Engine) -> Result<T>) -> Result<T> {
        self.while_locked_until(Deadline::after(self.patience), action)
    }

    fn while_locked_until<T>(
        &mut self,
        deadline: Deadline,
        action: impl FnOnce(&mut Engine) -> Result<T>,
    ) -> Result<T> {
        if self.lock.is_held() {
            return action(self);
        }
        if !self.lock.take(deadline)? {
            return Err(self.busy());
        }
        let done = action(self);
        // That the lock was reset meanwhile changes nothing about what was done.
        let _ = self.unlock();
        done
    }

    fn busy(&self) -> Error {
        let lock = self.lock.look().ok().flatten().map(LockStatus::from);
        let detail = match lock.and_then(|lock| lock.holder) {
            Some(pid) => format!("process {pid} holds its lock; let it go on, or end it: the kernel gives the lock back"),
            None => "somebody holds its lock; let it go on; if it is dead, recover_lock gives a POSIX lock back".to_owned(),
        };
        Error::new(ErrorKind::LockError, detail)
    }

    fn found(&self) -> Result<ExistingSegment> {
        let none = || {
            Error::new(
                ErrorKind::NotFound,
                "the key has no memory; create it first",
            )
        };
        self.segment.find()?.ok_or_else(none)
    }

    fn make(&self, size: usize) -> Result<u64> {
        if size == 0 {
            let detail = "memory of 0 bytes cannot be had; ask for 1 or more";
            return Err(Error::new(ErrorKind::InvalidSize, detail));
        }
        self.segment
            .make(size)
            .map_err(|error| self.explain_existing(error))
    }

    fn make_and_map(&mut self, size: usize) -> Result<()> {
        self.must_be_detached()?;
        let id = self.make(size)?;
        self.map(id, false).inspect_err(|_| {
            // What could not be attached is of no use to anybody; the reason why is the one to
            // report.
            let _ = self.segment.remove(id);
        })
    }

    fn explain_existing(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::AlreadyExists {
            return error;
        }
        let unused = |found: ExistingSegment| matches!(self.segment.is_used(found.id), Ok(false));
        let detail = match self.segment.find() {
            Ok(Some(found)) if unused(found) => {
                "it exists, but nobody is attached: attach to find its data, or replace it with replace_stale"
            }
            _ => "it exists and is in use; attach to it",
        };
        Error::new(ErrorKind::AlreadyExists, detail)
    }

    fn attach_to(&mut self, id: u64) -> Result<()> {
        let was_stale = matches!(self.segment.is_used(id), Ok(false));
        self.map(id, was_stale)
    }

    fn map(&mut self, id: u64, was_stale: bool) -> Result<()> {
        self.must_be_detached()?;
        let region = Region::new(self.segment.attach(id, self.access)?);
        self.attached = Some(Attached {
            region,
            id,
            was_stale,
        });
        Ok(())
    }

    fn must_be_detached(&self) -> Result<()> {
        if self.is_attached() {
            let detail = "this handle is attached already; detach it first";
            return Err(Error::new(ErrorKind::AlreadyExists, detail));
        }
        Ok(())
    }

    fn remove_if_unused(&mut self) -> Result<bool> {
        let Some(found) = self.segment.find()? else {
            return Ok(false);
        };
        if self.segment.is_used(found.id)? {
            return Err(in_use());
        }
        self.segment.remove(found.id).map(|()| true)
    }
}

fn was_lost() -> Error {
    let detail = "another program reset or removed the lock while it was held, so somebody else may have been \
                  inside; Qt's create() and the destructor of the object that created do this";
    Error::new(ErrorKind::LockError, detail)
}

fn in_use() -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        "somebody is attached to it; wait until all have detached",
    )
}

fn outside(region: &Region, offset: usize, len: usize) -> Error {
    let size = region.mapping().len();
    let detail = format!(
        "there are {size} bytes, not {len} from {offset} on; stay within SharedMemory::size"
    );
    Error::new(ErrorKind::InvalidSize, detail)
}
