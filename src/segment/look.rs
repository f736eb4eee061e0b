//! Reading a segment without attaching: nothing is locked, waited for, repaired or kept alive.
//!
//! Files are read, not mapped, so that a file that is truncated meanwhile causes an error and no
//! signal.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::header::{self, ParsedHeader, damaged};
use super::id::AttachmentId;
use super::location::{self, Location, not_found, system};
use super::map::map_whole;
use super::presence;
use super::record::Recorded;
use super::table::{self, Presence};
use super::{next, remove, stale};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::memory::format::{Block, Header, LockWords, Slot};
use crate::memory::{Area, Copied, Memory, block_from};
use crate::schema::Schema;
use crate::sys::{self, Access, Directory, FileMetadata, SegmentFile};

const LOOK: &str = "look at";
const LIST: &str = "list segments";
/// Enough for a table of the default size, including key and schema.
const FIRST_READ: usize = 28 * 1024;
/// Enough for the line of a schema that names the type.
const HEADLINE: usize = 512;

/// A segment under inspection, which is not counted among its attachments.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) found: ParsedHeader,
    pub(crate) facts: FileMetadata,
    pub(crate) copied: Copied,
    file: SegmentFile,
}

/// How to check the liveness of an attachment whose byte is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LivenessCheck {
    /// A locked byte counts as a live attachment.
    Quick,
    /// The process is examined, too: a forked child of a dead process may keep the byte locked.
    Thorough,
}

impl View {
    fn open(location: &Location, directory: &Directory) -> Result<Option<View>> {
        let Some(file) = location.open_file(directory, Access::ReadOnly, LOOK)? else {
            return Ok(None);
        };
        let mut bytes = read_up_to(&file, FIRST_READ)?;
        // After the reading: a process that grows the segment changes the file first and then the
        // header.
        let facts = file.facts().map_err(|error| system(LOOK, error))?;
        let mut found = header::check(&bytes, facts.len, LOOK)?.of_own_version(LOOK)?;
        let schema = found.layout.schema;
        let wanted = schema.start + schema.len.min(HEADLINE);
        if bytes.len() < wanted {
            bytes = read_up_to(&file, wanted)?;
        }
        let key = bytes.get(area(found.layout.key)).map(<[u8]>::to_vec);
        let key = key.ok_or_else(|| damaged(LOOK, "it is cut off"))?;
        found.key =
            String::from_utf8(key).map_err(|_| damaged(LOOK, "it contains invalid UTF-8"))?;
        let copied = Copied::new(bytes).ok_or_else(|| damaged(LOOK, "it is cut off"))?;
        Ok(Some(View {
            found,
            facts,
            copied,
            file,
        }))
    }

    /// Reads header and table again; returns whether the lock and the table are unchanged.
    pub(crate) fn refresh(&mut self) -> Result<bool> {
        let again = Copied::new(read_up_to(&self.file, self.copied.bytes().len())?)
            .ok_or_else(|| damaged(LOOK, "it is cut off"))?;
        let before = std::mem::replace(&mut self.copied, again);
        let table = area(Area {
            start: std::mem::offset_of!(Header, lock),
            len: self.found.layout.key.start - std::mem::offset_of!(Header, lock),
        });
        Ok(before.bytes().get(table.clone()) == self.copied.bytes().get(table))
    }

    /// Returns the attachments with a slot, except those that detached.
    pub(crate) fn attachments(
        &self,
        care: LivenessCheck,
    ) -> impl Iterator<Item = (AttachmentId, Presence)> + '_ {
        self.taken()
            .map(move |(id, slot)| (id, self.presence(&slot, id, care)))
    }

    /// Returns the slots that are taken, by live or dead attachments.
    pub(crate) fn taken(&self) -> impl Iterator<Item = (AttachmentId, Slot)> + '_ {
        (0..self.found.layout.sizes.slots).filter_map(|index| {
            // Usually few slots are taken, and each slot here is a copy.
            let generation = self.copied.generation(index)?;
            let slot = self
                .copied
                .slot(index)
                .filter(|_| table::is_taken(generation))?;
            Some((table::holder_of(&slot, index)?, slot))
        })
    }

    /// Tells whether an attachment still exists.
    pub(crate) fn presence_of(&self, id: AttachmentId, care: LivenessCheck) -> Presence {
        let slot = self.copied.slot(id.index());
        slot.map_or(Presence::Gone, |slot| self.presence(&slot, id, care))
    }

    fn presence(&self, slot: &Slot, id: AttachmentId, care: LivenessCheck) -> Presence {
        match care {
            LivenessCheck::Quick => table::seen_quickly(slot, &self.file, id),
            LivenessCheck::Thorough => table::seen(slot, &self.file, id),
        }
    }

    /// Returns what an attachment recorded of itself, unless the record was overwritten.
    pub(crate) fn recorded(&self, id: AttachmentId) -> Option<Recorded> {
        let slot = self.copied.slot(id.index())?;
        table::recorded_in(&slot, id.generation())
    }

    /// Reads the current owner of the lock at a place, as wait records state it; `None` if the file
    /// ends before it.
    pub(crate) fn owner_at(&self, lock: u32) -> Option<AttachmentId> {
        let at = u64::from(lock) * align_of::<LockWords>() as u64;
        let mut owner = [0; size_of::<u64>()];
        let read = self.file.read_at(&mut owner, at).ok()?;
        (read == owner.len()).then(|| AttachmentId::from_word(u64::from_ne_bytes(owner)))
    }

    /// Returns the processes that are attached read-only.
    pub(crate) fn readers(&self) -> Result<Vec<u32>> {
        presence::readers(&self.file).map_err(|error| system(LOOK, error))
    }

    /// Returns the schema of the segment's data; `None` for plain bytes.
    pub(crate) fn schema(&self) -> Result<Option<Schema>> {
        header::read_schema(&self.file, &self.found, LOOK)
    }

    /// Returns the first line of the schema; `None` for plain bytes.
    pub(crate) fn headline(&self) -> Option<&str> {
        let line = self.beginning()?.split(|&byte| byte == b'\n').next()?;
        str::from_utf8(line).ok().filter(|line| !line.is_empty())
    }

    /// Returns the first complete lines of the schema, as far as they were read.
    pub(crate) fn first_lines(&self) -> Option<&str> {
        let bytes = self.beginning()?;
        let end = bytes.iter().rposition(|&byte| byte == b'\n')?;
        str::from_utf8(bytes.get(..end)?).ok()
    }

    fn beginning(&self) -> Option<&[u8]> {
        let schema = self.found.layout.schema;
        let bytes = self.copied.bytes().get(schema.start..)?;
        bytes.get(..schema.len.min(HEADLINE))
    }

    /// Reads data from `offset` on; false if they are incomplete. The caller has checked that there
    /// are data.
    pub(crate) fn read_data(&self, offset: usize, into: &mut [u8]) -> Result<bool> {
        let start = self.found.layout.data_offset as u64;
        let at = start.saturating_add(offset as u64);
        let read = self.file.read_at(into, at);
        Ok(read.map_err(|error| system(LOOK, error))? == into.len())
    }

    /// Reads a block of data; `None` if it exceeds the file or cannot be read.
    pub(crate) fn data_block<T: Block>(&self, offset: usize) -> Option<T> {
        let mut bytes = vec![0; size_of::<T>()];
        let is_there = self.read_data(offset, &mut bytes).ok()?;
        block_from(&bytes).filter(|_| is_there)
    }

    /// Tells whether there are `len` bytes of data, and memory for them.
    pub(crate) fn has_data(&self, len: usize) -> Result<bool> {
        Ok(len <= self.found.size && header::is_plausible(len, &self.file, LOOK)?)
    }

    /// Maps the segment for reading.
    pub(crate) fn map(&self) -> Result<Memory> {
        map_whole(&self.file, &self.found, &self.facts, LOOK)
    }
}

fn area(area: Area) -> std::ops::Range<usize> {
    area.start..area.start.saturating_add(area.len)
}

fn read_up_to(file: &SegmentFile, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, 0);
    bytes.truncate(read.map_err(|error| system(LOOK, error))?);
    Ok(bytes)
}

/// Tells whether a living or persistent segment has the key.
pub(super) fn exists(key: &Key, owner: Option<u32>) -> Result<bool> {
    let location = Location::of(key, owner);
    let directory = match location.open(LOOK) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let Some(file) = location.open_file(&directory, Access::ReadOnly, LOOK)? else {
        return Ok(false);
    };
    Ok(!stale::is_stale(&file, LOOK)?)
}

/// Opens the segment with this key for inspection, with or without attachments.
pub(crate) fn one(key: &str, owner: Option<u32>) -> Result<(OsString, View)> {
    let key = &Key::new(key)?;
    let location = Location::of(key, owner);
    let directory = location.open(LOOK)?;
    let view = View::open(&location, &directory)?.ok_or_else(|| not_found(LOOK))?;
    if view.found.key != key.as_str() {
        return Err(damaged(LOOK, "its file is another key's"));
    }
    Ok((location.name().to_owned(), view))
}

/// Returns the location of a file of a user.
fn place_of(owner: u32, name: &OsStr) -> Location {
    Location::named(&location::directory_of(owner), name, owner)
}

/// Tells whether the file is not needed, whatever its version and contents: it is a stale segment,
/// or left over from a replacement. False if that is unknown.
pub(crate) fn is_stale_file(owner: u32, name: &OsStr) -> bool {
    let place = place_of(owner, name);
    let opened = place
        .open(LOOK)
        .and_then(|directory| place.open_file(&directory, Access::ReadOnly, LOOK));
    opened.is_ok_and(|file| {
        file.is_some_and(|file| remove::is_unneeded(&place, &file, LOOK).unwrap_or(false))
    })
}

/// Removes the file if it is not needed; returns whether it did.
pub(crate) fn remove_stale_file(owner: u32, name: &OsStr) -> Result<bool> {
    remove::remove_stale(&place_of(owner, name))
}

/// Passes each file of this user's directory to `seen`, in the order of their names.
pub(crate) fn all<T>(
    mut seen: impl FnMut(View) -> Result<T>,
) -> Result<Vec<(OsString, Result<T, Error>)>> {
    let user = sys::effective_user();
    let path = location::directory_of(user);
    let mut found = Vec::new();
    each(&path, user, TrustedOwner::Directory, |_, name, view| {
        found.push((name, view.and_then(&mut seen)));
    })?;
    Ok(found)
}

/// The result for one file of a user.
pub(crate) struct Owned<T> {
    pub(crate) owner: u32,
    pub(crate) name: OsString,
    pub(crate) seen: Result<T>,
}

/// Passes each file of all users that this user may list to `seen`; returns the results in the
/// order of owners and names.
///
/// A directory that this user may not list is left out. An untrusted directory is reported like a
/// file.
pub(crate) fn all_users<T>(mut seen: impl FnMut(View) -> Result<T>) -> Result<Vec<Owned<T>>> {
    let me = sys::effective_user();
    let mut found = Vec::new();
    for (user, path) in location::directories().map_err(|error| system(LIST, error))? {
        let trusted = user.map_or(TrustedOwner::File, |_| TrustedOwner::Directory);
        let user = user.unwrap_or(me);
        let listed = each(&path, user, trusted, |owner, name, view| {
            found.push(Owned {
                owner,
                name,
                seen: view.and_then(&mut seen),
            });
        });
        match listed {
            Err(error) if user == me => return Err(error),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            Err(error) => {
                let name = path.file_name().unwrap_or(path.as_os_str());
                found.push(Owned {
                    owner: user,
                    name: name.to_owned(),
                    seen: Err(error),
                });
            }
            Ok(()) => {}
        }
    }
    found.sort_by(|a, b| (a.owner, &a.name).cmp(&(b.owner, &b.name)));
    Ok(found)
}

/// Returns the users that have a file under the key's name, as far as this user can see.
pub(crate) fn owners(key: &str) -> Result<Vec<u32>> {
    let key = Key::new(key)?;
    let mut found = Vec::new();
    for (user, path) in location::directories().map_err(|error| system(LIST, error))? {
        let user = user.unwrap_or_else(sys::effective_user);
        let location = Location::named(&path, &key.file_name(), user);
        // A directory that is untrusted or inaccessible counts as empty.
        let facts = location.open(LOOK).ok();
        let facts = facts.and_then(|directory| directory.facts_of(location.name()).ok()?);
        found.extend(facts.filter(|it| it.regular).map(|it| it.owner));
    }
    Ok(found)
}

/// The user that must own a file of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrustedOwner {
    /// The user whose directory it is.
    Directory,
    /// The owner of the file; for a directory that several users share.
    File,
}

/// Opens each file of a directory, in the order of their names.
fn each(
    path: &Path,
    user: u32,
    trusted: TrustedOwner,
    mut seen: impl FnMut(u32, OsString, Result<View>),
) -> Result<()> {
    let here = |name: &OsStr, owner| Location::named(path, name, owner);
    let directory = match here(OsStr::new(""), user).open(LIST) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut names = directory.names().map_err(|error| system(LIST, error))?;
    names.sort_unstable();
    for name in names {
        let owner = match trusted {
            TrustedOwner::Directory => user,
            TrustedOwner::File => {
                let facts = directory.facts_of(&name).ok().flatten();
                facts.map_or(user, |facts| facts.owner)
            }
        };
        if next::is_next(&name) {
            // While its process lives, the file is about to get its final name. After a death it is
            // left over.
            if is_stale_file(owner, &name) {
                let detail = "a process died while it migrated a segment, and left this";
                seen(owner, name, Err(damaged(LIST, detail)));
            }
            continue;
        }
        match View::open(&here(&name, owner), &directory) {
            Ok(Some(view)) => seen(owner, name, Ok(view)),
            Err(error) => seen(owner, name, Err(error)),
            // The file was removed meanwhile.
            Ok(None) => {}
        }
    }
    Ok(())
}
