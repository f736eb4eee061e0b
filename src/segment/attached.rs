//! The common part of both kinds of handles: a mapped segment, its open file, and its known size.

use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::header::{self, Policy};
use super::id::AttachmentId;
use super::location::{Location, system};
use super::table;
use super::{Attachment, presence};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::memory::{Area, Memory, load_acquire};
use crate::schema::Schema;
use crate::sys::{self, Access, FileMetadata, Generation, SegmentFile};

/// The common part of both kinds of handles.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(super) key: Key,
    pub(super) location: Location,
    pub(super) policy: Policy,
    pub(super) access: Access,
    pub(crate) generation: Generation,
    // Unmapped before the file is closed, so that no store can follow once the byte is free.
    pub(crate) memory: Memory,
    pub(super) file: SegmentFile,
}

impl Attached {
    /// Tells whether this process made the handle, and is not a forked child of the process that
    /// did.
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.generation.is_current()
    }

    /// Copies data out; false if they exceed the current size, or in a forked child.
    #[inline(always)]
    pub(crate) fn copy_out(&self, offset: usize, into: &mut [u8]) -> bool {
        self.load_words(offset, into) || self.copy_bytes_out(offset, into)
    }

    /// Copies data in; false if they exceed the current size, or in a forked child.
    #[inline(always)]
    pub(crate) fn copy_in(&self, offset: usize, from: &[u8]) -> bool {
        self.store_words(offset, from) || self.copy_bytes_in(offset, from)
    }

    /// Copies data out without any call; false, with nothing copied, if loads of whole words are
    /// not enough.
    #[inline(always)]
    pub(super) fn load_words(&self, offset: usize, into: &mut [u8]) -> bool {
        self.is_ours() && self.memory.load_words(offset, into)
    }

    #[inline(always)]
    fn store_words(&self, offset: usize, from: &[u8]) -> bool {
        self.is_ours() && self.memory.store_words(offset, from)
    }

    #[inline(never)]
    fn copy_bytes_out(&self, offset: usize, into: &mut [u8]) -> bool {
        self.is_ours() && self.memory.copy_out(self.data(), offset, into)
    }

    #[inline(never)]
    fn copy_bytes_in(&self, offset: usize, from: &[u8]) -> bool {
        self.is_ours() && self.memory.copy_in(self.data(), offset, from)
    }

    /// Returns the area of the data of the current size.
    pub(crate) fn data(&self) -> Area {
        self.learn_size();
        self.memory.known_data()
    }

    /// Returns the current size: that of the header, provided that the file is that long.
    pub(super) fn size(&self) -> usize {
        self.learn_size();
        self.memory.known_size()
    }

    /// Checks whether another process has grown the segment.
    fn learn_size(&self) {
        if !self.is_ours() {
            return;
        }
        let stated = load_acquire(&self.memory.header().life.size);
        let stated = usize::try_from(stated).unwrap_or(usize::MAX);
        if stated > self.memory.known_size()
            && stated <= self.memory.layout().sizes.max_data
            && self.has_memory_for(stated)
        {
            self.memory.know_size(stated);
        }
    }

    /// Tells whether the file is long enough for `size` bytes of data, and all of them have memory,
    /// so that no access to them raises a signal.
    fn has_memory_for(&self, size: usize) -> bool {
        let Some(len) = self.memory.layout().file_len(size) else {
            return false;
        };
        match self.file.facts() {
            Ok(facts) if facts.is_whole(len as u64) => true,
            Ok(facts) if facts.len < len as u64 => false,
            // A copy with holes after its data, or a daemon that has closed its descriptors and
            // cannot query.
            _ => self.memory.populate(size, self.access),
        }
    }

    /// Makes all threads of all attached processes, including the calling thread, pass a full
    /// memory barrier. False if the system no longer supports this, because a filter has forbidden
    /// it since. In that case the other processes are requested to use fences, which they may
    /// notice too late for the calling thread: it must not wait without a limit.
    pub(crate) fn barrier(&self) -> bool {
        // Pairs with the fences of the processes that were requested to use them.
        fence(Ordering::SeqCst);
        let passed = sys::barrier();
        if !passed {
            self.ask_for_fences();
        }
        passed
    }

    /// Makes each release of a lock and each commit a full fence from now on.
    pub(super) fn ask_for_fences(&self) {
        let fenced = &self.memory.header().lock.fenced;
        fenced.store(1, Ordering::Relaxed);
    }

    /// Returns the metadata of the file at the time it was opened.
    pub(crate) fn file_facts(&self) -> &FileMetadata {
        self.file.as_opened()
    }

    pub(crate) fn key(&self) -> &str {
        self.key.as_str()
    }

    #[inline]
    pub(crate) fn check_fork(&self, operation: &'static str) -> Result<()> {
        if self.is_ours() {
            Ok(())
        } else {
            Err(forked(operation).with_key(self.key.as_str()))
        }
    }

    /// Returns the schema of the segment's data; `None` for plain bytes.
    pub(crate) fn schema(&self, operation: &'static str) -> Result<Option<Schema>> {
        let area = self.memory.layout().schema;
        header::read_schema_at(&self.file, area, operation)
            .map_err(|error| error.with_key(self.key()))
    }

    /// Returns a word of this process that is raised, as a hint, when an attachment ends: see
    /// [`sys::watch_closings`].
    pub(crate) fn closings(&self) -> std::io::Result<&'static AtomicU32> {
        sys::watch_closings(&self.file)
    }

    /// Returns the file, unless the program has closed its descriptor, as daemons close all of
    /// theirs.
    pub(super) fn open_file(&self) -> Option<&SegmentFile> {
        self.file.facts().is_ok().then_some(&self.file)
    }

    pub(super) fn attachments(&self, own: Option<AttachmentId>) -> Result<Vec<Attachment>> {
        self.check_fork("look at")?;
        let mut found = Vec::new();
        for id in table::present(&self.memory, &self.file, own) {
            found.extend(table::recorded(&self.memory, id).map(|it| Attachment::of(id, &it)));
        }
        for pid in presence::readers(&self.file).map_err(|error| system("look at", error))? {
            found.push(Attachment::read_only(pid));
        }
        Ok(found)
    }
}

/// Returns the error for a handle that belongs to the parent process.
#[cold]
pub(crate) fn forked(operation: &'static str) -> Error {
    let detail = "this process was forked from the one that attached; attach again here";
    Error::new(ErrorKind::Forked, operation, detail)
}
