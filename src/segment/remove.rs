//! Taking a segment's name away: with the last attachment, when stale, or on demand.
//!
//! Every removal happens alone in the gate of the very file, after a look that the name still stands for it; so
//! nobody removes what another has just put there. A death between the look and the removal leaves a stale segment, which the
//! next one who asks for the key removes.

use std::thread;
use std::time::{Duration, Instant};

use super::attach::map;
use super::header::{self, Policy};
use super::location::{Location, system};
use super::presence::{GateMode, Patience, RemovalGate};
use super::{Attached, replace, stale};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::sys::{self, Access, Directory, SegmentFile};
use crate::timing::LONGEST_SLEEP;

const DESTROY: &str = "destroy";
const DETACH: &str = "detach from";

/// What stands under a name.
#[derive(Debug)]
pub(super) enum Name {
    Free,
    /// A segment that somebody needs; its file was just opened.
    Taken(SegmentFile),
}

/// Whether nobody needs the file: it is stale, or what a process left that died while it replaced a segment.
pub(super) fn is_unneeded(
    location: &Location,
    file: &SegmentFile,
    operation: &'static str,
) -> Result<bool> {
    if replace::is_next(location.name()) {
        return Ok(!stale::is_used(file));
    }
    stale::is_stale(file, operation)
}

/// Removes what is stale under the name, whatever its version and contents.
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
            // Somebody else removed it, and perhaps put another there.
            Removal::NotNamed => {}
        }
        if !patience.rest() {
            let detail = "others keep replacing it; see who they are, then try again";
            return Err(Error::new(ErrorKind::Busy, operation, detail));
        }
    }
}

/// What became of the attempt to remove a file.
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
    replace::remove_next(directory, location.name()).map_err(failed)?;
    directory.remove_name(location.name()).map_err(failed)?;
    Ok(Removal::Removed)
}

/// Removes the segment if nobody is left. The leaver has given up its presence before, so of two that leave at once at least
/// one sees nobody. The file is none if somebody has closed it.
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
        // A file that was opened to read cannot pass the gate alone.
        _ => clear_name(location, &directory, DETACH).map(|_| ()),
    });
    match removed {
        // Nothing is there, or it is not this user's to remove: its owner's next process does it.
        Err(error)
            if [ErrorKind::NotFound, ErrorKind::PermissionDenied].contains(&error.kind()) =>
        {
            Ok(())
        }
        removed => removed,
    }
}

/// Removes what is stale at the place; false when there was nothing.
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

/// When [`destroy`](crate::Segment::destroy) takes the segment away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DestroyMode {
    /// At once, whoever is attached: they keep their memory, and the key is free.
    Immediate,
    /// When everyone has detached or died, however long that takes.
    WhenUnused,
    /// When everyone has detached or died, if that happens within the time.
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
            let error = Error::new(ErrorKind::Busy, DESTROY, "others are still attached to it");
            return Err(error.advise("have them detach, or destroy it with `When::Now`"));
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
