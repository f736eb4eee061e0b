//! Removing a segment's name: with the last attachment, when the segment is stale, or on demand.
//!
//! Every removal happens inside the gate of that file, exclusively, and after a check that the name
//! still refers to the file. So no process removes a segment that another process has just created
//! there. A death between the check and the removal leaves a stale segment, which the next call
//! that uses the key removes.

use std::thread;
use std::time::{Duration, Instant};

use super::header::{self, Policy};
use super::location::{Location, system};
use super::map::map;
use super::presence::{GateMode, Patience, RemovalGate};
use super::{Attached, next, stale};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::sys::{self, Access, Directory, SegmentFile};
use crate::timing::LONGEST_SLEEP;

const DESTROY: &str = "destroy";
const DETACH: &str = "detach from";

/// The state of a name.
#[derive(Debug)]
pub(super) enum Name {
    Free,
    /// A segment that is in use; its file was just opened.
    Taken(SegmentFile),
}

/// Tells whether the file is not needed: it is stale, or a process died while it replaced a segment
/// and left the file behind.
pub(super) fn is_unneeded(
    location: &Location,
    file: &SegmentFile,
    operation: &'static str,
) -> Result<bool> {
    if next::is_next(location.name()) {
        return Ok(!stale::is_used(file));
    }
    stale::is_stale(file, operation)
}

/// Removes a stale segment under the name, whatever its version and contents.
pub(super) fn clear_name(
    location: &Location,
    directory: &Directory,
    operation: &'static str,
) -> Result<Name> {
    let mut patience = Patience::new();
    loop {
        let Some(file) = location.open_file(directory, Access::ReadWrite, operation)? else {
            return Ok(Name::Free);
        };
        if !is_unneeded(location, &file, operation)? {
            return Ok(Name::Taken(file));
        }
        match remove_if_unused(location, directory, &file, operation)? {
            Removal::InUse => return Ok(Name::Taken(file)),
            Removal::Removed => return Ok(Name::Free),
            // Another process removed it, and perhaps created a new one there.
            Removal::NotNamed => {}
        }
        if !patience.rest() {
            let detail = "other processes keep replacing it; find out which, then try again";
            return Err(Error::new(ErrorKind::Busy, operation, detail));
        }
    }
}

/// The result of an attempt to remove a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    InUse,
    Removed,
    NotNamed,
}

fn remove_if_unused(
    location: &Location,
    directory: &Directory,
    file: &SegmentFile,
    operation: &'static str,
) -> Result<Removal> {
    remove_unless(location, directory, file, operation, || {
        stale::is_used(file)
    })
}

fn remove_unless(
    location: &Location,
    directory: &Directory,
    file: &SegmentFile,
    operation: &'static str,
    in_use: impl FnOnce() -> bool,
) -> Result<Removal> {
    let failed = |error| system(operation, error);
    let _gate = RemovalGate::pass(file, GateMode::Exclusive, operation)?;
    if !directory
        .names_file(location.name(), file)
        .map_err(failed)?
    {
        return Ok(Removal::NotNamed);
    }
    if in_use() {
        return Ok(Removal::InUse);
    }
    next::remove_next(directory, location.name()).map_err(failed)?;
    directory.remove_name(location.name()).map_err(failed)?;
    Ok(Removal::Removed)
}

/// Removes the segment if no attachment is left. The caller has given up its presence before, so of
/// two processes that leave at once, at least one sees no other. `file` is `None` if the program
/// has closed its descriptor.
pub(super) fn last_out(attached: &Attached, file: Option<&SegmentFile>) -> Result<()> {
    let Attached {
        location,
        policy,
        access,
        ..
    } = attached;
    if *policy == Policy::Persistent || file.is_some_and(stale::is_used) {
        return Ok(());
    }
    let removed = location.open(DETACH).and_then(|directory| match file {
        Some(file) if *access == Access::ReadWrite => {
            remove_if_unused(location, &directory, file, DETACH).map(|_| ())
        }
        // A file that was opened for reading cannot enter the gate exclusively.
        _ => clear_name(location, &directory, DETACH).map(|_| ()),
    });
    match removed {
        // Nothing is there, or this user may not remove it: the next process of its owner does.
        Err(error)
            if [ErrorKind::NotFound, ErrorKind::PermissionDenied].contains(&error.kind()) =>
        {
            Ok(())
        }
        removed => removed,
    }
}

/// Removes a stale segment at the location; returns false if there was none.
pub(super) fn remove_stale(location: &Location) -> Result<bool> {
    let directory = match location.open(DESTROY) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let was_there = directory
        .facts_of(location.name())
        .map_err(|error| system(DESTROY, error))?
        .is_some();
    let name = clear_name(location, &directory, DESTROY)?;
    Ok(was_there && matches!(name, Name::Free))
}

/// When [`destroy`](crate::Segment::destroy) removes the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DestroyMode {
    /// At once, even with attachments: they keep their memory, and the key is free.
    Immediate,
    /// When all attachments have ended, without a time limit.
    WhenUnused,
    /// When all attachments have ended, if that happens within the time limit.
    WhenUnusedWithin(Duration),
}

pub(super) fn destroy(key: &Key, owner: Option<u32>, when: DestroyMode) -> Result<()> {
    let location = Location::of(key, owner);
    let directory = location.open(DESTROY)?;
    let end = match when {
        DestroyMode::WhenUnusedWithin(limit) => Deadline::after(limit).instant(),
        DestroyMode::Immediate | DestroyMode::WhenUnused => None,
    };
    let mut seen = false;
    loop {
        let Some(file) = location.open_file(&directory, Access::ReadWrite, DESTROY)? else {
            return if seen {
                Ok(())
            } else {
                Err(not_found_to_destroy())
            };
        };
        seen = true;
        // A damaged file can be destroyed, too.
        let memory = header::read(&file, DESTROY)
            .and_then(|found| map(&file, &found, Access::ReadWrite, DESTROY))
            .ok();
        let departures = memory
            .as_ref()
            .map(|memory| &memory.header().life.departures);
        let before = departures.map(|word| word.load(std::sync::atomic::Ordering::Acquire));
        let in_use = || when != DestroyMode::Immediate && stale::is_used(&file);
        match remove_unless(&location, &directory, &file, DESTROY, in_use)? {
            Removal::Removed => return Ok(()),
            Removal::NotNamed => continue,
            Removal::InUse => {}
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            let error = Error::new(
                ErrorKind::Busy,
                DESTROY,
                "other processes are still attached to it",
            );
            return Err(
                error.advise("have them detach, or destroy it with `DestroyMode::Immediate`")
            );
        }
        let pause = left.map_or(LONGEST_SLEEP, |left| left.min(LONGEST_SLEEP));
        match departures.zip(before) {
            Some((word, before)) => sys::wait(word, before, Some(pause)),
            None => thread::sleep(pause),
        }
    }
}

fn not_found_to_destroy() -> Error {
    let error = Error::new(ErrorKind::NotFound, DESTROY, "no segment has this key");
    error.advise("there is nothing to do")
}
