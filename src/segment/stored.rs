//! A segment as stored in its file, in any version that can be read: not attached to, and not
//! mapped.

use super::header::{self, ParsedHeader, damaged};
use super::location::{Location, not_found, system};
use super::map::map_whole;
use super::options::SegmentOptions;
use super::{stale, undo};
use crate::error::Result;
use crate::key::Key;
use crate::memory::{Area, Memory};
use crate::schema::Schema;
use crate::sys::{Access, Directory, FileMetadata, SegmentFile};

const READ: &str = "read";

/// A segment's file and its parsed header.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(super) key: Key,
    pub(super) location: Location,
    pub(super) directory: Directory,
    pub(super) file: SegmentFile,
    pub(crate) found: ParsedHeader,
}

impl Stored {
    /// Opens the segment that has the key, even if it is stale.
    pub(crate) fn open(options: &SegmentOptions, key: &str, access: Access) -> Result<Stored> {
        let key = Key::new(key)?;
        let location = Location::of(&key, options.owner);
        let directory = location.open(READ)?;
        let file = location
            .open_file(&directory, access, READ)?
            .ok_or_else(|| not_found(READ))?;
        let found = header::read_any_of(&file, &key, READ)?;
        Ok(Stored {
            key,
            location,
            directory,
            file,
            found,
        })
    }

    /// Tells whether it is stale: its key is free, and the next process that attaches removes it.
    pub(crate) fn is_stale(&self) -> Result<bool> {
        stale::is_stale(&self.file, READ)
    }

    /// Returns the schema of the segment's data; `None` for plain bytes.
    pub(crate) fn schema(&self) -> Result<Option<Schema>> {
        header::read_schema(&self.file, &self.found, READ)
    }

    /// Returns the metadata of the file at the time it was opened.
    pub(crate) fn facts(&self) -> &FileMetadata {
        self.file.as_opened()
    }

    /// Tells whether there are `len` bytes of data, and memory for them.
    pub(crate) fn has_data(&self, len: usize) -> Result<bool> {
        Ok(len <= self.found.size && header::is_plausible(len, &self.file, READ)?)
    }

    /// Reads data from `offset` on; false if they are incomplete.
    pub(crate) fn read_data(&self, offset: usize, into: &mut [u8]) -> Result<bool> {
        let at = (self.found.layout.data_offset as u64).saturating_add(offset as u64);
        let read = self.file.read_at(into, at);
        Ok(read.map_err(|error| system(READ, error))? == into.len())
    }

    /// Returns plain data as of the last commit.
    pub(crate) fn plain(&self) -> Result<Vec<u8>> {
        let layout = &self.found.layout;
        let read = |start, len| header::read_area(&self.file, Area { start, len }, READ);
        let mut data = read(layout.data_offset, self.found.size)?;
        let log = read(layout.log.start, layout.log.len.min(self.found.logged))?;
        undo::undo(&log, &mut data)
            .then_some(data)
            .ok_or_else(|| damaged(READ, "its log contradicts itself"))
    }

    /// Maps the segment for reading.
    pub(crate) fn map(&self) -> Result<Memory> {
        map_whole(&self.file, &self.found, self.file.as_opened(), READ)
    }
}
