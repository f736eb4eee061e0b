//! Attaching to an existing segment: first check that it is needed and valid, then map it and
//! become present, and only then use it.

use super::header::{self, ParsedHeader, Policy, damaged};
use super::location::{Location, not_found, system};
use super::map::map;
use super::options::SegmentOptions;
use super::presence::{GateMode, Patience, RemovalGate, reader_byte};
use super::remove::{self, Name};
use super::{Attached, ReadOnlySegment, Segment, stale, table};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::memory::Memory;
use crate::schema::Schema;
use crate::sys::{self, Access, Generation, SegmentFile};

const ATTACH: &str = "attach to";

pub(super) fn attach(options: &SegmentOptions, key: &Key) -> Result<Segment> {
    let (attached, id) = enter(options, key, Access::ReadWrite, |memory, file| {
        let id = table::take(memory, file, options.program.as_deref(), ATTACH)?;
        table::disown(&memory.header().lock.owner, id);
        Ok(id)
    })?;
    Ok(Segment::new(attached, id))
}

pub(super) fn attach_read_only(options: &SegmentOptions, key: &Key) -> Result<ReadOnlySegment> {
    let (attached, ()) = enter(options, key, Access::ReadOnly, |_, file| {
        let failed = |error| system(ATTACH, error);
        let me = sys::identity().map_err(failed)?;
        if file.try_lock_shared(reader_byte(me.pid)).map_err(failed)? {
            Ok(())
        } else {
            Err(damaged(ATTACH, "another program locks its file"))
        }
    })?;
    Ok(ReadOnlySegment::new(attached))
}

/// Enters the gate, retrying until the file inside is the one that has the name, and becomes
/// present there with `appear`.
///
/// The first check is whether the segment is still needed: a stale one does not exist, whatever it
/// contains. All steps happen inside the gate, so that the answer holds until this process is
/// present.
fn enter<P>(
    options: &SegmentOptions,
    key: &Key,
    access: Access,
    appear: impl Fn(&Memory, &SegmentFile) -> Result<P>,
) -> Result<(Attached, P)> {
    let failed = |error| system(ATTACH, error);
    let location = Location::of(key, options.owner);
    let directory = location.open(ATTACH)?;
    let mut patience = Patience::new();
    loop {
        let file = location
            .open_file(&directory, access, ATTACH)?
            .ok_or_else(|| not_found(ATTACH))?;
        let gate = RemovalGate::pass(&file, GateMode::Shared, ATTACH)?;
        let is_named = directory
            .names_file(location.name(), &file)
            .map_err(failed)?;
        if is_named && !stale::is_stale(&file, ATTACH)? {
            let generation = Generation::current().map_err(failed)?;
            let (policy, memory) = map_checked(options, &file, key, access)?;
            let presence = appear(&memory, &file)?;
            drop(gate);
            let attached = Attached {
                key: key.clone(),
                location,
                policy,
                access,
                generation,
                memory,
                file,
            };
            return Ok((attached, presence));
        }
        drop(gate);
        if is_named {
            match remove::clear_name(&location, &directory, ATTACH) {
                Ok(Name::Free) => return Err(not_found(ATTACH)),
                // It is stale all the same; its owner can remove it.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    return Err(not_found(ATTACH));
                }
                Ok(Name::Taken(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if !patience.rest() {
            let detail = "other processes keep replacing it; find out which, then try again";
            return Err(Error::new(ErrorKind::Busy, ATTACH, detail));
        }
    }
}

/// Maps an opened file, if it is a complete segment with this key.
fn map_checked(
    options: &SegmentOptions,
    file: &SegmentFile,
    key: &Key,
    access: Access,
) -> Result<(Policy, Memory)> {
    let found = header::read_of(file, key, ATTACH)?;
    let there = header::read_schema(file, &found, ATTACH)?;
    if let Some(here) = &options.schema {
        check_type(here, there.as_ref())?;
        if found.size < options.size_with(found.layout.sizes.slots) {
            return Err(damaged(ATTACH, "its data are too small for its type"));
        }
    }
    let memory = map(file, &found, access, ATTACH)?;
    fill_holes(file, &found, &memory, access)?;
    Ok((found.policy, memory))
}

fn check_type(here: &Schema, there: Option<&Schema>) -> Result<()> {
    let detail = match there {
        None => format!(
            "it holds plain bytes, not a {}; use another key",
            here.name()
        ),
        Some(there) => match here.first_difference(there) {
            None => return Ok(()),
            Some(difference) => format!(
                "its type differs: {difference}; use the same version of {} everywhere, `migrate_shared`, or another key",
                here.name()
            ),
        },
    };
    Err(Error::new(ErrorKind::TypeMismatch, ATTACH, detail))
}

/// Reserves the memory that creation had reserved, if a program that copied the file left holes in
/// place of zeros. A store to a hole faults on a full file system; on one in memory, a load does,
/// too.
fn fill_holes(
    file: &SegmentFile,
    found: &ParsedHeader,
    memory: &Memory,
    access: Access,
) -> Result<()> {
    let len = found.layout.file_len(found.size).unwrap_or(0) as u64;
    if file.as_opened().is_whole(len) {
        return Ok(());
    }
    match access {
        Access::ReadWrite => file.reserve(len).map_err(|error| system(ATTACH, error)),
        Access::ReadOnly if memory.populate(found.size, access) => Ok(()),
        Access::ReadOnly => {
            let detail = "its file has holes, as a copy may, and the system has no memory to fill them; \
                          free some, or copy it without holes";
            Err(Error::new(ErrorKind::OutOfMemory, ATTACH, detail))
        }
    }
}
