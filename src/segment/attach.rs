//! Attaching to what exists: checked before it is mapped, present before it is used.

use super::header::{self, Found, Policy, damaged};
use super::location::{Location, system};
use super::options::Options;
use super::presence::{Gate, Passage, Patience, reader_byte};
use super::remove::{self, Name};
use super::{Attached, ReadOnlySegment, Segment, table};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::memory::Memory;
use crate::schema::Schema;
use crate::sys::{self, Access, Generation, Mapping, SegmentFile};

const ATTACH: &str = "attach to";

pub(super) fn attach(options: &Options, key: &Key) -> Result<Segment> {
    let (attached, hold) = enter(options, key, Access::ReadWrite, |attached| {
        table::take(&attached.memory, &attached.file, ATTACH)
    })?;
    Ok(Segment::new(attached, hold))
}

pub(super) fn attach_read_only(options: &Options, key: &Key) -> Result<ReadOnlySegment> {
    let (attached, ()) = enter(options, key, Access::ReadOnly, |attached| {
        let failed = |error| system(ATTACH, error);
        let me = sys::identity().map_err(failed)?;
        let present = attached
            .file
            .try_lock_shared(reader_byte(me.pid))
            .map_err(failed)?;
        if present {
            Ok(())
        } else {
            Err(damaged(ATTACH, "another program locks its file"))
        }
    })?;
    Ok(ReadOnlySegment::new(attached))
}

/// Goes in through the gate, as often as it takes to find the segment that has the name, and becomes present there
/// with `appear`.
fn enter<P>(
    options: &Options,
    key: &Key,
    access: Access,
    appear: impl Fn(&Attached) -> Result<P>,
) -> Result<(Attached, P)> {
    let failed = |error| system(ATTACH, error);
    let location = Location::of(key, options.owner);
    let directory = location.open(ATTACH)?;
    let mut patience = Patience::new();
    loop {
        let file = location
            .open_file(&directory, access, ATTACH)?
            .ok_or_else(|| not_found(ATTACH))?;
        let attached = map_checked(options, file, location.clone(), key, access)?;
        let gate = Gate::pass(&attached.file, Passage::Shared, ATTACH)?;
        if directory
            .names_file(location.name(), &attached.file)
            .map_err(failed)?
        {
            let persistent = attached.policy == Policy::Persistent;
            if persistent || table::any_present(&attached.memory, &attached.file) {
                let presence = appear(&attached)?;
                drop(gate);
                return Ok((attached, presence));
            }
            drop(gate);
            match remove::clear_name(&location, &directory, key, ATTACH) {
                Ok(Name::Free) => return Err(not_found(ATTACH)),
                // It is stale all the same, and its owner's to remove.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    return Err(not_found(ATTACH));
                }
                Ok(Name::Taken(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if !patience.rest() {
            let detail = "others keep replacing it; see who they are, then try again";
            return Err(Error::new(ErrorKind::Busy, ATTACH, detail));
        }
    }
}

/// Maps an opened file, if it is a whole segment and the key's own.
fn map_checked(
    options: &Options,
    file: SegmentFile,
    location: Location,
    key: &Key,
    access: Access,
) -> Result<Attached> {
    let found = header::read_of(&file, key, ATTACH)?;
    if let Some(here) = &options.schema {
        let there = header::read_schema(&file, &found, ATTACH)?;
        check_type(here, there.as_ref())?;
        if found.size < options.size_with(found.layout.sizes.slots) {
            return Err(damaged(ATTACH, "its data are too small for its type"));
        }
    }
    fill_holes(&file, &found, access)?;
    let memory = map(&file, &found, access, ATTACH)?;
    let generation = Generation::current().map_err(|error| system(ATTACH, error))?;
    Ok(Attached {
        key: key.clone(),
        location,
        policy: found.policy,
        access,
        generation,
        memory,
        file,
    })
}

fn check_type(here: &Schema, there: Option<&Schema>) -> Result<()> {
    let detail = match there {
        None => format!("it holds plain bytes, no {}; use another key", here.name()),
        Some(there) => match here.first_difference(there) {
            None => return Ok(()),
            Some(difference) => format!(
                "its type is another: {difference}; use the same version of {} everywhere, or another key",
                here.name()
            ),
        },
    };
    Err(Error::new(ErrorKind::TypeMismatch, ATTACH, detail))
}

/// Reserves the memory that creation had reserved, if a program that copied the file left holes where there were zeros:
/// on a full file system a store there would fault.
fn fill_holes(file: &SegmentFile, found: &Found, access: Access) -> Result<()> {
    let failed = |error| system(ATTACH, error);
    let len = found.layout.file_len(found.size).unwrap_or(0) as u64;
    if access == Access::ReadOnly || file.as_opened().reserved >= len {
        return Ok(());
    }
    file.reserve(len).map_err(failed)
}

pub(super) fn not_found(operation: &'static str) -> Error {
    let detail = "no segment has this key; create it, or use open_or_create";
    Error::new(ErrorKind::NotFound, operation, detail)
}

/// Maps a file whose header was found good.
pub(super) fn map(
    file: &SegmentFile,
    found: &Found,
    access: Access,
    operation: &'static str,
) -> Result<Memory> {
    let contradicts = || damaged(operation, "its header contradicts itself");
    let len = found
        .layout
        .file_len(found.layout.sizes.max_data)
        .ok_or_else(contradicts)?;
    let mapping = Mapping::new(file, len, access).map_err(|error| system(operation, error))?;
    let memory = Memory::new(mapping, found.layout.sizes).ok_or_else(contradicts)?;
    memory.know_size(found.size);
    Ok(memory)
}
