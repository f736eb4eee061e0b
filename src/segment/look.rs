//! Looking at a segment without being present on it: nothing is locked, waited for, repaired or kept alive.
//!
//! Files are read, not mapped, so that one that is cut off meanwhile is an error and no signal.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::attach::map;
use super::header::{self, ParsedHeader, damaged};
use super::location::{self, Location, not_found, system};
use super::presence;
use super::table::{self, AttachmentId, Presence, Recorded};
use super::{remove, replace, stale};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::memory::format::{Block, Header, LockWords, Slot};
use crate::memory::{Area, Copied, Memory, block_from};
use crate::schema::Schema;
use crate::sys::{self, Access, Directory, FileMetadata, SegmentFile};

const LOOK: &str = "look at";
const LIST: &str = "list segments";
/// Enough for a table of the usual size, key and type included.
const FIRST_READ: usize = 28 * 1024;
/// Enough for the line of a schema that names the type.
const HEADLINE: usize = 512;

/// A segment that is looked at: not counted among its attachments.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) found: ParsedHeader,
    pub(crate) facts: FileMetadata,
    pub(crate) copied: Copied,
    file: SegmentFile,
}

/// How carefully a slot whose byte is taken is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LivenessCheck {
    /// The byte is taken: somebody is there.
    Quick,
    /// The byte may be kept by a forked child of one that has died.
    Thorough,
}

impl View {
    fn open(location: &Location, directory: &Directory) -> Result<Option<View>> {
        let Some(file) = location.open_file(directory, Access::ReadOnly, LOOK)? else {
            return Ok(None);
        };
        let mut bytes = read_up_to(&file, FIRST_READ)?;
        // Only now: who grows the segment makes the file longer first, and then says so in the header.
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

    /// Reads header and table once more; whether they say the same of who is there as before.
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

    /// The attachments with a slot, other than those who left in good order.
    pub(crate) fn attachments(
        &self,
        care: LivenessCheck,
    ) -> impl Iterator<Item = (AttachmentId, Presence)> + '_ {
        self.taken()
            .map(move |(id, slot)| (id, self.presence(&slot, id, care)))
    }

    /// The slots that are taken, by the living or the dead.
    pub(crate) fn taken(&self) -> impl Iterator<Item = (AttachmentId, Slot)> + '_ {
        (0..self.found.layout.sizes.slots).filter_map(|index| {
            // Mostly few are, and each is a copy.
            let generation = self.copied.generation(index)?;
            let slot = self
                .copied
                .slot(index)
                .filter(|_| table::is_taken(generation))?;
            Some((table::holder_of(&slot, index)?, slot))
        })
    }

    /// Whether the attachment that is named is there.
    pub(crate) fn presence_of(&self, id: AttachmentId, care: LivenessCheck) -> Presence {
        let slot = self.copied.slot(id.index());
        slot.map_or(Presence::Gone, |slot| self.presence(&slot, id, care))
    }

    fn presence(&self, slot: &Slot, id: AttachmentId, care: LivenessCheck) -> Presence {
        match care {
            LivenessCheck::Quick => table::seen_at_a_glance(slot, &self.file, id),
            LivenessCheck::Thorough => table::seen(slot, &self.file, id),
        }
    }

    /// What the attachment recorded that is named, if that is remembered.
    pub(crate) fn recorded(&self, id: AttachmentId) -> Option<Recorded> {
        let slot = self.copied.slot(id.index())?;
        table::recorded_in(&slot, id.generation())
    }

    /// Who has the lock that stands there, as notes have it, now; `None` where there is none.
    pub(crate) fn owner_at(&self, lock: u32) -> Option<AttachmentId> {
        let at = u64::from(lock) * align_of::<LockWords>() as u64;
        let mut owner = [0; size_of::<u64>()];
        let read = self.file.read_at(&mut owner, at).ok()?;
        (read == owner.len()).then(|| AttachmentId::from_word(u64::from_ne_bytes(owner)))
    }

    /// The processes that are attached read-only.
    pub(crate) fn readers(&self) -> Result<Vec<u32>> {
        presence::readers(&self.file).map_err(|error| system(LOOK, error))
    }

    /// What the segment says of the type of its data; nothing for plain bytes.
    pub(crate) fn schema(&self) -> Result<Option<Schema>> {
        header::read_schema(&self.file, &self.found, LOOK)
    }

    /// The first line of that; nothing for plain bytes.
    pub(crate) fn headline(&self) -> Option<&str> {
        let line = self.beginning()?.split(|&byte| byte == b'\n').next()?;
        str::from_utf8(line).ok().filter(|line| !line.is_empty())
    }

    /// The first lines of that, as far as they are at hand.
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

    /// Reads data from `offset` on, where the caller has seen some; whether they were all there.
    pub(crate) fn read_data(&self, offset: usize, into: &mut [u8]) -> Result<bool> {
        let start = self.found.layout.data_offset as u64;
        let at = start.saturating_add(offset as u64);
        let read = self.file.read_at(into, at);
        Ok(read.map_err(|error| system(LOOK, error))? == into.len())
    }

    /// A block of data, as it is now; `None` beyond the end of the file, or when that cannot be read.
    pub(crate) fn data_block<T: Block>(&self, offset: usize) -> Option<T> {
        let mut bytes = vec![0; size_of::<T>()];
        let is_there = self.read_data(offset, &mut bytes).ok()?;
        block_from(&bytes).filter(|_| is_there)
    }

    /// Whether there are so many bytes of data, and memory for them.
    pub(crate) fn has_data(&self, len: usize) -> Result<bool> {
        Ok(len <= self.found.size && header::is_plausible(len, &self.file, LOOK)?)
    }

    /// Maps the segment, only to look.
    pub(crate) fn map(&self) -> Result<Memory> {
        map_whole(&self.file, &self.found, &self.facts, LOOK)
    }
}

/// Maps a file, only to look. A hole would take memory when it is loaded from, and fault where there is none.
pub(super) fn map_whole(
    file: &SegmentFile,
    found: &ParsedHeader,
    facts: &FileMetadata,
    operation: &'static str,
) -> Result<Memory> {
    let len = found.layout.file_len(found.size).unwrap_or(0);
    if !facts.is_whole(len as u64) {
        return Err(damaged(operation, "its file has holes"));
    }
    map(file, found, Access::ReadOnly, operation)
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

/// Tells whether an attacher would find something living or persistent under the key.
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

/// Looks at the segment with this key, also when nobody is attached to it any more.
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

/// The place of a file among those of a user.
fn place_of(owner: u32, name: &OsStr) -> Location {
    Location::named(&location::directory_of(owner), name, owner)
}

/// Tells whether the file is a segment that nobody needs, whatever its version and contents; false where that cannot be told.
pub(crate) fn is_stale_file(owner: u32, name: &OsStr) -> bool {
    let place = place_of(owner, name);
    let opened = place
        .open(LOOK)
        .and_then(|directory| place.open_file(&directory, Access::ReadOnly, LOOK));
    opened.is_ok_and(|file| {
        file.is_some_and(|file| remove::is_unneeded(&place, &file, LOOK).unwrap_or(false))
    })
}

/// Removes the file if it is such a segment; whether it was.
pub(crate) fn remove_stale_file(owner: u32, name: &OsStr) -> Result<bool> {
    remove::remove_stale(&place_of(owner, name))
}

/// Looks at every file of this user's directory, in the order of their names, at one after the other.
pub(crate) fn all<T>(
    mut seen: impl FnMut(View) -> Result<T>,
) -> Result<Vec<(OsString, Result<T, Error>)>> {
    let user = sys::effective_user();
    let path = location::directory_of(user);
    let mut found = Vec::new();
    each(&path, user, Whose::Directory, |_, name, view| {
        found.push((name, view.and_then(&mut seen)));
    })?;
    Ok(found)
}

/// What was seen of a user's file, or why it was not.
pub(crate) struct Owned<T> {
    pub(crate) owner: u32,
    pub(crate) name: OsString,
    pub(crate) seen: Result<T>,
}

/// Looks at every file of all users that this user may look at, in the order of their owners and names; each comes with its owner.
///
/// A directory that this user may not list is left out. One that is not to be trusted stands there as a file would.
pub(crate) fn all_users<T>(mut seen: impl FnMut(View) -> Result<T>) -> Result<Vec<Owned<T>>> {
    let me = sys::effective_user();
    let mut found = Vec::new();
    for (user, path) in location::directories().map_err(|error| system(LIST, error))? {
        let whose = user.map_or(Whose::File, |_| Whose::Directory);
        let user = user.unwrap_or(me);
        let listed = each(&path, user, whose, |owner, name, view| {
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

/// Returns the users who have a file under the key's name, as far as this user may see.
pub(crate) fn owners(key: &str) -> Result<Vec<u32>> {
    let key = Key::new(key)?;
    let mut found = Vec::new();
    for (user, path) in location::directories().map_err(|error| system(LIST, error))? {
        let user = user.unwrap_or_else(sys::effective_user);
        let location = Location::named(&path, &key.file_name(), user);
        // What is not to be trusted, or not to be entered, is nobody's segment.
        let facts = location.open(LOOK).ok();
        let facts = facts.and_then(|directory| directory.facts_of(location.name()).ok()?);
        found.extend(facts.filter(|it| it.regular).map(|it| it.owner));
    }
    Ok(found)
}

/// Who is trusted with a file in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The user whose directory it is.
    Directory,
    /// The owner of the file, where several users share a directory.
    File,
}

/// Opens each file of a directory, in the order of their names.
fn each(
    path: &Path,
    user: u32,
    whose: Whose,
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
        let owner = match whose {
            Whose::Directory => user,
            Whose::File => {
                let facts = directory.facts_of(&name).ok().flatten();
                facts.map_or(user, |facts| facts.owner)
            }
        };
        if replace::is_next(&name) {
            // While its process lives it is about to have its name, and after its death it is nobody's.
            if is_stale_file(owner, &name) {
                let detail = "a process died while it migrated a segment, and left this";
                seen(owner, name, Err(damaged(LIST, detail)));
            }
            continue;
        }
        match View::open(&here(&name, owner), &directory) {
            Ok(Some(view)) => seen(owner, name, Ok(view)),
            Err(error) => seen(owner, name, Err(error)),
            // It vanished meanwhile.
            Ok(None) => {}
        }
    }
    Ok(())
}
