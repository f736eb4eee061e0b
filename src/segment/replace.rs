//! Replacing a segment under its key by another one, in one step, also while processes are attached to the old one.
//!
//! The new segment is made whole in a file without a name, gets the old one's name with [`NEXT`] behind it, and is then
//! renamed over the old one. All of that happens alone in the gate of the old file, which has the name, so that of several
//! processes one replaces it.
//!
//! # Deaths
//!
//! The word `replacing` of the old segment's header is 1 from before the renaming on. The owner of its lock changes it.
//!
//! | dies | under the key | those attached to the old segment |
//! |---|---|---|
//! | before `replacing` is 1 | the old segment | get the lock as after any death |
//! | before the renaming | the old segment | find their name still theirs, and go on with it |
//! | after the renaming | the new segment | find their name another's: they are told to attach again |
//!
//! A death between naming and renaming leaves a file whose name ends in [`NEXT`]. It belongs to nobody: the next process that
//! replaces or removes the segment removes it, and so does `gc`.

use std::ffi::{OsStr, OsString};
use std::sync::atomic::Ordering;

use super::location::system;
use super::options::SegmentOptions;
use super::presence::{GateMode, RemovalGate};
use super::stored::Stored;
use super::{Attached, Segment, SegmentData, create, stale};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::{Directory, SegmentFile};

/// What is done, as errors have it.
pub(crate) const MIGRATE: &str = "migrate";

/// What the name of a new segment ends in, until it has the old one's.
const NEXT: &str = ".next";

/// The name that a new segment has before it gets this one.
fn next(name: &OsStr) -> OsString {
    let mut next = name.to_owned();
    next.push(NEXT);
    next
}

/// Whether a file has such a name.
pub(super) fn is_next(name: &OsStr) -> bool {
    name.as_encoded_bytes().ends_with(NEXT.as_bytes())
}

/// Removes what a process left that died while it replaced the segment with this name. The caller is alone in that one's gate.
pub(super) fn remove_next(directory: &Directory, name: &OsStr) -> std::io::Result<()> {
    match directory.remove_name(&next(name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Gives the name, which an old segment has, to a new one. The caller is alone in the old one's gate.
fn rename(directory: &Directory, name: &OsStr, new: &SegmentFile) -> std::io::Result<()> {
    remove_next(directory, name)?;
    let next = next(name);
    directory.give_name(new, &next)?;
    directory.rename(&next, name).inspect_err(|_| {
        // If this fails, too, it is left as by a death.
        let _ = directory.remove_name(&next);
    })
}

/// Puts a new segment in the place of `old`, whose lock the caller has; `None` when another one has its name by now.
///
/// `tell` wakes those who wait for a change of the old one, after they can see that it is being replaced.
pub(crate) fn replace(
    old: &Segment,
    options: &SegmentOptions,
    first: impl FnOnce(&mut SegmentData<'_>) -> Result<()>,
    tell: impl FnOnce(),
) -> Result<Option<Segment>> {
    let failed = |error| system(MIGRATE, error);
    options.check_owner(MIGRATE)?;
    let attached = old.attached();
    attached.check_fork(MIGRATE)?;
    let Attached {
        key,
        location,
        file,
        memory,
        ..
    } = attached;
    let directory = location.open(MIGRATE)?;
    let (draft, id) = create::draft(options, key, location, &directory, first)?;
    file.facts().map_err(failed)?;
    let gate = RemovalGate::pass(file, GateMode::Exclusive, MIGRATE)?;
    if !directory
        .names_file(location.name(), file)
        .map_err(failed)?
    {
        return Ok(None);
    }
    let replacing = &memory.header().life.replacing;
    replacing.store(1, Ordering::SeqCst);
    tell();
    if let Err(error) = rename(&directory, location.name(), &draft.file) {
        replacing.store(0, Ordering::SeqCst);
        return Err(failed(error));
    }
    drop(gate);
    Ok(Some(Segment::new(draft, id)))
}

/// Puts a new segment in the place of one that nobody is attached to; `None` when another one has its name by now, or it has
/// changed since its contents were read.
pub(crate) fn replace_unused(
    old: &Stored,
    options: &SegmentOptions,
    first: impl FnOnce(&mut SegmentData<'_>) -> Result<()>,
    is_as_read: impl FnOnce() -> Result<bool>,
) -> Result<Option<Segment>> {
    let failed = |error| system(MIGRATE, error);
    options.check_owner(MIGRATE)?;
    let Stored {
        key,
        location,
        directory,
        file,
        ..
    } = old;
    let (draft, id) = create::draft(options, key, location, directory, first)?;
    file.facts().map_err(failed)?;
    let gate = RemovalGate::pass(file, GateMode::Exclusive, MIGRATE)?;
    if !directory
        .names_file(location.name(), file)
        .map_err(failed)?
    {
        return Ok(None);
    }
    if stale::is_used(file) {
        let detail = "processes are attached to it that cannot be told of a migration: of another version of sharehold, or \
                      users of parts; end them first";
        return Err(Error::new(ErrorKind::Busy, MIGRATE, detail));
    }
    if !is_as_read()? {
        return Ok(None);
    }
    rename(directory, location.name(), &draft.file).map_err(failed)?;
    drop(gate);
    Ok(Some(Segment::new(draft, id)))
}

impl Attached {
    /// Whether a process has begun to replace it, which may have died since.
    #[inline]
    pub(crate) fn is_being_replaced(&self) -> bool {
        self.memory.header().life.replacing.load(Ordering::Relaxed) != 0
    }

    /// Whether another segment has this one's name since a process replaced it.
    ///
    /// # Errors
    ///
    /// The system does not say who has the name.
    pub(crate) fn is_replaced(&self) -> Result<bool> {
        if !self.is_being_replaced() {
            return Ok(false);
        }
        let has_name = |directory: Directory| {
            let named = directory.names_file(self.location.name(), &self.file);
            named.map_err(|error| system(MIGRATE, error))
        };
        match self.location.open(MIGRATE).and_then(has_name) {
            Ok(is_own) => Ok(!is_own),
            // This process may open the directory no longer, or has no descriptor left. The file has no other name to lose.
            Err(error) => match self.file.facts() {
                Ok(facts) => Ok(facts.names == 0),
                Err(_) => Err(error),
            },
        }
    }

    /// Says that it is.
    #[cold]
    pub(crate) fn replaced(&self, operation: &'static str) -> Error {
        let detail = "it was migrated: a segment of another type has its key; attach again, with a program that has that type";
        Error::new(ErrorKind::Migrated, operation, detail).with_key(self.key())
    }
}
