//! Creating a segment: it is completed in an unnamed file, and then named in one step.
//!
//! | death after | what is left |
//! |---|---|
//! | the unnamed file, its memory, its contents | nothing: the kernel frees an unnamed file |
//! | removing a stale segment | nothing under the key |
//! | naming | a complete segment whose only slot is dead: stale |

use super::header::{self, Policy};
use super::id::AttachmentId;
use super::location::{Location, system};
use super::options::SegmentOptions;
use super::presence::Patience;
use super::remove::{self, Name};
use super::table;
use super::{Attached, Segment, SegmentData, attach};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::memory::{Layout, Memory, Sizes};
use crate::schema::Schema;
use crate::sys::{Access, Directory, Generation, Mapping};

const CREATE: &str = "create";

pub(super) fn create(
    options: &SegmentOptions,
    key: &Key,
    init: impl FnOnce(&mut SegmentData<'_>) -> Result<()>,
) -> Result<Segment> {
    options.checked_sizes(CREATE)?;
    check_levels(options.schema.as_ref())?;
    options.check_owner(CREATE)?;
    let location = Location::of(key, options.owner);
    let directory = location.open_or_make(CREATE, options.is_shared())?;
    let free = |name| match name {
        Name::Free => Ok(()),
        // An unreadable segment occupies the name, too, and its error is more specific.
        Name::Taken(file) => Err(already_exists(header::read_of(&file, key, CREATE)?.policy)),
    };
    // Checked before the expensive work: usually the name's state is known by then.
    free(remove::clear_name(&location, &directory, CREATE)?)?;
    let (draft, id) = draft(options, key, &location, &directory, init)?;
    let mut patience = Patience::new();
    loop {
        match directory.give_name(&draft.file, location.name()) {
            Ok(()) => return Ok(Segment::new(draft, id)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                free(remove::clear_name(&location, &directory, CREATE)?)?;
            }
            Err(error) => return Err(location.not_made(CREATE, error)),
        }
        // Another process removed the segment under the name, and a third one was faster again.
        if !patience.rest() {
            let detail =
                "other processes keep creating and abandoning it; find out which, then try again";
            return Err(Error::new(ErrorKind::Busy, CREATE, detail));
        }
    }
}

/// Refuses a type whose schema could not be parsed by other programs.
fn check_levels(schema: Option<&Schema>) -> Result<()> {
    match schema {
        Some(schema) if !schema.can_be_parsed() => {
            let detail = format!(
                "{} is nested too deeply: a type has at most {} levels of structs, arrays, lists and parts",
                schema.name(),
                Schema::MAX_LEVELS
            );
            let error = Error::new(ErrorKind::InvalidOption, CREATE, detail);
            Err(error.advise("put fields of the inner structs into the outer ones"))
        }
        _ => Ok(()),
    }
}

pub(super) fn open_or_create(
    options: &SegmentOptions,
    key: &Key,
    init: impl Fn(&mut SegmentData<'_>) -> Result<()>,
) -> Result<Segment> {
    let mut patience = Patience::new();
    loop {
        match attach::attach(options, key) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            attached => return attached.and_then(|segment| large_enough(options, segment)),
        }
        match create(options, key, &init) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && patience.rest() => {}
            created => return created,
        }
    }
}

/// Grows plain data that are smaller than the options require. The size of a typed value was
/// checked with its type.
fn large_enough(options: &SegmentOptions, segment: Segment) -> Result<Segment> {
    if options.schema.is_none() && segment.size() < options.size {
        segment.grow(options.size)?;
    }
    Ok(segment)
}

/// Makes a complete segment without a name, with this process in its first slot.
pub(super) fn draft(
    options: &SegmentOptions,
    key: &Key,
    location: &Location,
    directory: &Directory,
    init: impl FnOnce(&mut SegmentData<'_>) -> Result<()>,
) -> Result<(Attached, AttachmentId)> {
    let failed = |error| system(CREATE, error);
    let (size, max_size) = options.checked_sizes(CREATE)?;
    let too_large = || {
        let detail = "no process has address space for its largest size; make it smaller";
        Error::new(ErrorKind::InvalidOption, CREATE, detail)
    };
    let schema = options
        .schema
        .as_ref()
        .map(Schema::to_text)
        .unwrap_or_default();
    let sizes = Sizes {
        slots: options.slots,
        key: key.as_str().len(),
        schema: schema.len(),
        log: options.log,
        max_data: max_size,
    };
    let layout = Layout::new(sizes).ok_or_else(too_large)?;
    let file_len = layout.file_len(size).ok_or_else(too_large)?;
    let map_len = layout.file_len(max_size).ok_or_else(too_large)?;
    let generation = Generation::current().map_err(failed)?;
    let file = directory
        .make_unnamed_file(options.mode)
        .map_err(|error| location.not_made(CREATE, error))?;
    if let Some(group) = options.group {
        file.give_to_group(group).map_err(failed)?;
    }
    file.reserve(file_len as u64)
        .map_err(|error| location.not_reserved(CREATE, error))?;
    let mapping = Mapping::new(&file, map_len, Access::ReadWrite).map_err(failed)?;
    let memory = Memory::new(mapping, sizes).ok_or_else(too_large)?;
    memory.know_size(size);
    header::write(&memory, key, &schema, options.policy, size);
    let attached = Attached {
        key: key.clone(),
        location: location.clone(),
        policy: options.policy,
        access: Access::ReadWrite,
        generation,
        memory,
        file,
    };
    init(&mut SegmentData::new(&attached))?;
    // If `init` forked, two processes continue here, and only one of them has the memory.
    attached.check_fork(CREATE)?;
    let name = options.program.as_deref();
    let id = table::take(&attached.memory, &attached.file, name, CREATE)?;
    Ok((attached, id))
}

/// Returns the error for a key that a living or persistent segment has.
fn already_exists(policy: Policy) -> Error {
    let (reason, advice) = match policy {
        Policy::RemoveOnLastDetach => (
            "it exists and is in use",
            "attach to it, or use open_or_create",
        ),
        Policy::Persistent => (
            "it exists and is persistent",
            "attach to it, or destroy it first",
        ),
    };
    Error::new(ErrorKind::AlreadyExists, CREATE, reason).advise(advice)
}
