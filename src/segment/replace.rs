//! Replacing a segment under its key by another one, in one step, even while processes are attached
//! to the old one.
//!
//! The new segment is completed in an unnamed file, gets the old one's name with the suffix
//! [`NEXT`](super::next::NEXT), and is then renamed over the old one. All of this happens
//! exclusively in the gate of the old file, while that file has the name, so that of several
//! processes only one replaces it.
//!
//! # Deaths
//!
//! The word `replacing` in the old segment's header is 1 from before the renaming. The owner of the
//! segment's lock changes it.
//!
//! | death | segment under the key | effect on attachments of the old segment |
//! |---|---|---|
//! | before `replacing` is 1 | the old one | they get the lock as after any death |
//! | before the renaming | the old one | they find that their segment still has the name, and continue |
//! | after the renaming | the new one | they find that it lost the name; they get the error to attach again |
//!
//! A death between naming and renaming leaves a file whose name ends in
//! [`NEXT`](super::next::NEXT). It has no user: the next process that replaces or removes the
//! segment removes it, and so does `gc`.

use std::ffi::OsStr;
use std::sync::atomic::Ordering;

use super::location::system;
use super::next::{next, remove_next};
use super::options::SegmentOptions;
use super::presence::{GateMode, RemovalGate};
use super::stored::Stored;
use super::{Attached, Segment, SegmentData, create, stale};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::{Directory, SegmentFile};

/// The operation, for error texts.
pub(crate) const MIGRATE: &str = "migrate";

/// Gives the name of an old segment to a new one. The caller is exclusively in the gate of the old
/// one.
fn rename(directory: &Directory, name: &OsStr, new: &SegmentFile) -> std::io::Result<()> {
    remove_next(directory, name)?;
    let next = next(name);
    directory.give_name(new, &next)?;
    directory.rename(&next, name).inspect_err(|_| {
        // If this fails, too, the file is left over as after a death.
        let _ = directory.remove_name(&next);
    })
}

/// Replaces `old` by a new segment; `None` if another segment has the name by now. The caller has
/// the lock of `old`.
///
/// `tell` wakes the waiters for a change of the old segment, after they can see that it is being
/// replaced.
pub(crate) fn replace(
    old: &Segment,
    options: &SegmentOptions,
    init: impl FnOnce(&mut SegmentData<'_>) -> Result<()>,
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
    let (draft, id) = create::draft(options, key, location, &directory, init)?;
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

/// Replaces a segment without attachments by a new one; `None` if another segment has the name by
/// now, or the old one has changed since its contents were read.
pub(crate) fn replace_unused(
    old: &Stored,
    options: &SegmentOptions,
    init: impl FnOnce(&mut SegmentData<'_>) -> Result<()>,
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
    let (draft, id) = create::draft(options, key, location, directory, init)?;
    file.facts().map_err(failed)?;
    let gate = RemovalGate::pass(file, GateMode::Exclusive, MIGRATE)?;
    if !directory
        .names_file(location.name(), file)
        .map_err(failed)?
    {
        return Ok(None);
    }
    if stale::is_used(file) {
        let detail = "it has attachments that cannot learn of a migration (of another version of sharehold, \
                      or users of parts); end these processes first";
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
    /// Tells whether a process has begun to replace the segment. That process may have died since.
    #[inline]
    pub(crate) fn is_being_replaced(&self) -> bool {
        self.memory.header().life.replacing.load(Ordering::Relaxed) != 0
    }

    /// Tells whether the segment was replaced: a process replaced it, and another segment has its
    /// name.
    ///
    /// # Errors
    ///
    /// The system does not reveal which file has the name.
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
            // This process may no longer open the directory, or has no free descriptor. The file
            // has no other name that it could have lost.
            Err(error) => match self.file.facts() {
                Ok(facts) => Ok(facts.names == 0),
                Err(_) => Err(error),
            },
        }
    }

    /// Returns the error for a segment that was replaced.
    #[cold]
    pub(crate) fn replaced(&self, operation: &'static str) -> Error {
        let detail = "it was migrated: a segment of another type has its key; attach again, with a program that has that type";
        Error::new(ErrorKind::Migrated, operation, detail).with_key(self.key())
    }
}
