//! An unsupported platform: everything compiles, and every entry point returns an error.
//!
//! Types that can be reached only through a file or mapping, which do not exist here, are
//! uninhabited.

#[cfg(feature = "qt")]
pub(crate) mod ipc;

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::{Access, Address, FileMetadata, Identity, ProcessState, Slept, Word};

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

pub(crate) fn default_directories() -> io::Result<Vec<(u32, PathBuf)>> {
    Ok(Vec::new())
}

pub(crate) fn default_directory(_user: u32) -> PathBuf {
    PathBuf::from("/sharehold")
}

#[derive(Debug)]
pub(crate) struct Directory(Infallible);

impl Directory {
    pub(crate) fn open(_path: &Path) -> io::Result<Directory> {
        unsupported()
    }

    pub(crate) fn make(_path: &Path, _mode: u32) -> io::Result<bool> {
        unsupported()
    }

    pub(crate) fn facts(&self) -> io::Result<FileMetadata> {
        match self.0 {}
    }

    pub(crate) fn set_mode(&self, _mode: u32) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        match self.0 {}
    }

    pub(crate) fn open_file(&self, _name: &OsStr, _access: Access) -> io::Result<SegmentFile> {
        match self.0 {}
    }

    pub(crate) fn make_unnamed_file(&self, _mode: u32) -> io::Result<SegmentFile> {
        match self.0 {}
    }

    pub(crate) fn give_name(&self, _file: &SegmentFile, _name: &OsStr) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn facts_of(&self, _name: &OsStr) -> io::Result<Option<FileMetadata>> {
        match self.0 {}
    }

    pub(crate) fn names_file(&self, _name: &OsStr, _file: &SegmentFile) -> io::Result<bool> {
        match self.0 {}
    }

    pub(crate) fn rename(&self, _from: &OsStr, _to: &OsStr) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn remove_name(&self, _name: &OsStr) -> io::Result<()> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct SegmentFile(Infallible);

impl SegmentFile {
    pub(crate) fn as_opened(&self) -> &FileMetadata {
        match self.0 {}
    }

    pub(crate) fn facts(&self) -> io::Result<FileMetadata> {
        match self.0 {}
    }

    pub(crate) fn mapping_keeps_locks(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn give_to_group(&self, _group: u32) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn reserve(&self, _len: u64) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn read_at(&self, _bytes: &mut [u8], _offset: u64) -> io::Result<usize> {
        match self.0 {}
    }

    pub(crate) fn try_lock(&self, _byte: u64) -> io::Result<bool> {
        match self.0 {}
    }

    pub(crate) fn try_lock_shared(&self, _byte: u64) -> io::Result<bool> {
        match self.0 {}
    }

    pub(crate) fn unlock(&self, _byte: u64) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn first_locked(&self, _bytes: Range<u64>) -> io::Result<Option<u64>> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct Mapping(Infallible);

impl Mapping {
    pub(crate) fn new(file: &SegmentFile, _len: usize, _access: Access) -> io::Result<Mapping> {
        match file.0 {}
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        match self.0 {}
    }

    pub(crate) fn populate(&self, _range: Range<usize>, _access: Access) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn len(&self) -> usize {
        match self.0 {}
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Generation(Infallible);

impl Generation {
    pub(crate) fn current() -> io::Result<Generation> {
        unsupported()
    }

    pub(crate) fn is_current(&self) -> bool {
        match self.0 {}
    }
}

pub(crate) fn thread_id(generation: Generation) -> u32 {
    match generation.0 {}
}

pub(crate) fn start_thread(_name: &str, _run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    unsupported()
}

pub(crate) fn effective_user() -> u32 {
    0
}

pub(crate) fn now_since_epoch() -> u64 {
    0
}

pub(crate) fn identity() -> io::Result<Identity> {
    unsupported()
}

pub(crate) fn process_state(_who: &Identity) -> ProcessState {
    ProcessState::Unknown
}

pub(crate) fn join_barriers() -> io::Result<()> {
    unsupported()
}

pub(crate) fn barrier() -> bool {
    false
}

pub(crate) fn wait<'a>(_word: impl Into<Word<'a>>, _expected: u32, _limit: Option<Duration>) {}

pub(crate) fn wake_one<'a>(_word: impl Into<Word<'a>>) {}

pub(crate) fn wake_all<'a>(_word: impl Into<Word<'a>>) {}

pub(crate) fn wake_some<'a>(_word: impl Into<Word<'a>>, _most: u32) -> u32 {
    0
}

pub(crate) fn or_and_wake<'a>(_word: impl Into<Word<'a>>, _value: u16) -> bool {
    false
}

pub(crate) fn has_store_and_wake() -> bool {
    false
}

pub(crate) fn add_and_wake<'a>(_word: impl Into<Word<'a>>) -> bool {
    false
}

pub(crate) fn watch_closings(file: &SegmentFile) -> io::Result<&'static AtomicU32> {
    match file.0 {}
}

pub(crate) const MOST_WORDS: usize = 1;

pub(crate) fn wait_any(words: &[(Address, u32)], limit: Option<Duration>) -> Slept {
    // No thread gets here: see `start_thread`.
    match (words, limit) {
        ([], _) => Slept::Unclear,
        (_, Some(_)) => Slept::TimedOut,
        (_, None) => Slept::Woken(0),
    }
}

pub(crate) fn differs(_address: Address, _expected: u32) -> bool {
    true
}

pub(crate) fn wake_one_at(_address: Address) {}

/// A descriptor for event loops; it becomes readable when something has happened.
#[derive(Debug)]
pub struct Signal(Infallible);

impl Signal {
    pub(crate) fn new() -> io::Result<Signal> {
        unsupported()
    }

    pub(crate) fn raise(&self) {
        match self.0 {}
    }

    pub(crate) fn clear(&self) {
        match self.0 {}
    }
}
