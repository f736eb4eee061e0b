//! Maps the file of a segment.

use super::header::{ParsedHeader, damaged};
use super::location::system;
use crate::error::Result;
use crate::memory::Memory;
use crate::sys::{Access, FileMetadata, Mapping, SegmentFile};

/// Maps a file whose header was checked.
pub(super) fn map(
    file: &SegmentFile,
    found: &ParsedHeader,
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

/// Maps a file for reading. Refuses a file with holes: loading from a hole allocates memory, and
/// faults if there is none.
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
