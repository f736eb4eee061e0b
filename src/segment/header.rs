//! The header of a segment: writes the constant part of a new one, and validates that of an
//! existing one.

use std::sync::atomic::Ordering;

use super::id::MAX_SLOTS;
use super::location::system;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Key, MAX_KEY_LEN};
use crate::memory::format::{Header, MAGIC, OLDEST, VERSION};
use crate::memory::{Area, Layout, Memory, Sizes};
use crate::schema::Schema;
use crate::sys::{self, SegmentFile};

/// When a segment is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Policy {
    /// With its last attachment, however that one ends. A segment whose users all died is stale:
    /// attaching to it fails, and the next call that uses the key removes it.
    #[default]
    RemoveOnLastDetach,
    /// Only by [`destroy`](crate::Segment::destroy): the data outlive every process, until the
    /// machine restarts.
    Persistent,
}

impl Policy {
    fn code(self) -> u32 {
        match self {
            Policy::RemoveOnLastDetach => 0,
            Policy::Persistent => 1,
        }
    }

    fn from_code(code: u32) -> Option<Policy> {
        match code {
            0 => Some(Policy::RemoveOnLastDetach),
            1 => Some(Policy::Persistent),
            _ => None,
        }
    }
}

/// The constant part of a header, checked against the file's length.
#[derive(Debug, Clone)]
pub(crate) struct ParsedHeader {
    pub(crate) layout: Layout,
    pub(crate) policy: Policy,
    pub(crate) size: usize,
    pub(crate) created_at: u64,
    pub(crate) key: String,
    /// The version of the format; it may be an older one.
    pub(crate) version: u32,
    /// The number of bytes of undo records in the log.
    pub(crate) logged: usize,
    /// Whether no owner of the lock abandoned the data.
    pub(crate) is_consistent: bool,
}

impl ParsedHeader {
    /// Refuses a segment whose format version is not this library's own.
    pub(crate) fn of_own_version(self, operation: &'static str) -> Result<ParsedHeader> {
        if self.version == VERSION {
            return Ok(self);
        }
        Err(wrong_version(self.version, operation))
    }
}

#[cold]
fn wrong_version(version: u32, operation: &'static str) -> Error {
    let next_step = if (OLDEST..VERSION).contains(&version) {
        "export or migrate it"
    } else {
        "use one version of sharehold"
    };
    let reason = format!("it was made by format version {version}, this is version {VERSION}");
    let error = Error::new(ErrorKind::WrongVersion, operation, reason);
    error.advise(format!("{next_step}, or destroy it"))
}

/// Fills in the header of a segment that no other process can see yet. Its table is all zero: free.
pub(crate) fn write(memory: &Memory, key: &Key, schema: &str, policy: Policy, size: usize) {
    let header = memory.header();
    let layout = memory.layout();
    let sizes = layout.sizes;
    // These values are far below 2^32: see `SegmentOptions` and `Key`.
    let narrow = |size: usize| u32::try_from(size).unwrap_or(0);
    header
        .magic
        .store(u64::from_ne_bytes(MAGIC), Ordering::Relaxed);
    header.version.store(VERSION, Ordering::Relaxed);
    header.policy.store(policy.code(), Ordering::Relaxed);
    header.slots.store(narrow(sizes.slots), Ordering::Relaxed);
    header.key_len.store(narrow(sizes.key), Ordering::Relaxed);
    header
        .schema_len
        .store(sizes.schema as u64, Ordering::Relaxed);
    header.log_len.store(sizes.log as u64, Ordering::Relaxed);
    header
        .data_offset
        .store(layout.data_offset as u64, Ordering::Relaxed);
    header
        .max_size
        .store(sizes.max_data as u64, Ordering::Relaxed);
    header
        .created_at
        .store(sys::now_since_epoch(), Ordering::Relaxed);
    header.life.size.store(size as u64, Ordering::Relaxed);
    let written = memory.copy_in(layout.key, 0, key.as_str().as_bytes())
        && memory.copy_in(layout.schema, 0, schema.as_bytes());
    debug_assert!(written, "the layout was made for these");
}

/// Reads and checks the header of the file with the name of `key`, and checks that it is for this
/// key.
pub(crate) fn read_of(
    file: &SegmentFile,
    key: &Key,
    operation: &'static str,
) -> Result<ParsedHeader> {
    read_any_of(file, key, operation)?.of_own_version(operation)
}

/// Does the same for any version of the format that can be read.
pub(crate) fn read_any_of(
    file: &SegmentFile,
    key: &Key,
    operation: &'static str,
) -> Result<ParsedHeader> {
    let found = read_any(file, operation)?;
    if found.key == key.as_str() {
        Ok(found)
    } else {
        Err(damaged(operation, "its file is another key's"))
    }
}

/// Reads and checks the header of a file of this version of the format.
pub(crate) fn read(file: &SegmentFile, operation: &'static str) -> Result<ParsedHeader> {
    read_any(file, operation)?.of_own_version(operation)
}

/// Reads and checks the header of a file, each field once.
fn read_any(file: &SegmentFile, operation: &'static str) -> Result<ParsedHeader> {
    let mut bytes = [0; size_of::<Header>()];
    let read = file.read_at(&mut bytes, 0);
    let read = read.map_err(|error| system(operation, error))?;
    let bytes = &bytes[..read];
    let found = check(bytes, file.as_opened().len, operation).or_else(|_| {
        // The file may have grown since: a process that grows it changes the header after the file.
        let facts = file.facts().map_err(|error| system(operation, error))?;
        check(bytes, facts.len, operation)
    })?;
    let key = read_text(file, found.layout.key, operation)?;
    Ok(ParsedHeader { key, ..found })
}

/// Checks a header, of any version that can be read. `len` is the length of the file at the time of
/// reading or later. The key, which is stored elsewhere, is left empty.
pub(crate) fn check(bytes: &[u8], len: u64, operation: &'static str) -> Result<ParsedHeader> {
    let Some(bytes) = bytes.first_chunk() else {
        return Err(damaged(operation, "its file is shorter than a header"));
    };
    let fields = Fields(bytes);
    if fields.bytes(0) != MAGIC {
        return Err(damaged(
            operation,
            "its file does not begin as a segment does",
        ));
    }
    let version = fields.u32(8);
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(wrong_version(version, operation));
    }
    checked(&fields, len).ok_or_else(|| damaged(operation, "its header contradicts itself"))
}

/// Reads the schema of the segment's data; `None` for plain bytes.
pub(crate) fn read_schema(
    file: &SegmentFile,
    found: &ParsedHeader,
    operation: &'static str,
) -> Result<Option<Schema>> {
    read_schema_at(file, found.layout.schema, operation)
}

/// Does the same for a mapped segment.
pub(crate) fn read_schema_at(
    file: &SegmentFile,
    area: Area,
    operation: &'static str,
) -> Result<Option<Schema>> {
    if area.len == 0 {
        return Ok(None);
    }
    let text = read_text(file, area, operation)?;
    let schema = Schema::parse(&text);
    schema
        .map(Some)
        .map_err(|_| damaged(operation, "its schema cannot be parsed"))
}

fn read_text(file: &SegmentFile, area: Area, operation: &'static str) -> Result<String> {
    let text = read_area(file, area, operation)?;
    String::from_utf8(text).map_err(|_| damaged(operation, "it contains invalid UTF-8"))
}

/// Reads a range of a file.
pub(crate) fn read_area(
    file: &SegmentFile,
    area: Area,
    operation: &'static str,
) -> Result<Vec<u8>> {
    // The length in the header is within the file's length, and may still exceed the available
    // memory.
    let mut bytes = Vec::new();
    if !is_plausible(area.len, file, operation)? {
        return Err(damaged(operation, "it claims to be larger than its memory"));
    }
    let lack = |_| damaged(operation, "it claims to be larger than memory");
    bytes.try_reserve_exact(area.len).map_err(lack)?;
    bytes.resize(area.len, 0);
    let read = file
        .read_at(&mut bytes, area.start as u64)
        .map_err(|error| system(operation, error))?;
    if read != bytes.len() {
        return Err(damaged(operation, "it is cut off"));
    }
    Ok(bytes)
}

/// Tells whether a file of the stated length, which may have holes, can really have `len` bytes of
/// memory.
pub(crate) fn is_plausible(
    len: usize,
    file: &SegmentFile,
    operation: &'static str,
) -> Result<bool> {
    const SMALL: usize = 1 << 20;
    if len <= SMALL {
        return Ok(true);
    }
    let facts = file.facts().map_err(|error| system(operation, error))?;
    Ok(len as u64 <= facts.reserved)
}

fn checked(fields: &Fields, len: u64) -> Option<ParsedHeader> {
    let wide = |offset| usize::try_from(fields.u64(offset)).ok();
    let policy = Policy::from_code(fields.u32(12))?;
    let sizes = Sizes {
        slots: usize::try_from(fields.u32(16)).ok()?,
        key: usize::try_from(fields.u32(20)).ok()?,
        max_data: wide(32)?,
        schema: wide(48)?,
        log: wide(56)?,
    };
    let size = wide(64)?;
    let logged = wide(96)?;
    if !(1..=MAX_SLOTS).contains(&sizes.slots) || !(1..=MAX_KEY_LEN).contains(&sizes.key) {
        return None;
    }
    let layout = Layout::new(sizes)?;
    let whole = layout.data_offset == wide(24)?
        && (1..=sizes.max_data).contains(&size)
        && layout.file_len(size)? as u64 <= len;
    whole.then(|| ParsedHeader {
        layout,
        policy,
        size,
        created_at: fields.u64(40),
        key: String::new(),
        version: fields.u32(8),
        logged,
        is_consistent: fields.u32(144) == 0,
    })
}

/// The advice for a damaged segment.
const CREATE_AGAIN: &str = "destroy it and create it again";

pub(crate) fn damaged(operation: &'static str, what: &str) -> Error {
    let reason = format!("{what}; nothing in it can be trusted");
    Error::new(ErrorKind::Damaged, operation, reason).advise(CREATE_AGAIN)
}

/// The bytes of a header, read field by field at the offsets of `docs/format.md`.
struct Fields<'a>(&'a [u8; size_of::<Header>()]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[offset..offset + N]);
        bytes
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.bytes(offset))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.bytes(offset))
    }
}
