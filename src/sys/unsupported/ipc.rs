//! An implementation without shared objects of other programs: every entry point returns an error.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::ptr::NonNull;
use std::time::Instant;

use super::{Directory, SegmentFile, unsupported};
use crate::sys::{Access, FileMetadata};

pub(crate) const SUPPORTED: bool = false;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    pub(crate) size: usize,
    pub(crate) owner: u32,
    pub(crate) maker: u32,
    pub(crate) mode: u32,
    pub(crate) attached: u64,
    pub(crate) made_by: u32,
    pub(crate) last_used_by: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetFacts {
    pub(crate) owner: u32,
    pub(crate) maker: u32,
    pub(crate) mode: u32,
    pub(crate) value: u32,
    pub(crate) last_changed_by: u32,
    pub(crate) waiters: u32,
    pub(crate) operated: bool,
}

pub(crate) fn is_removed(_error: &io::Error) -> bool {
    false
}

pub(crate) fn make_segment(_key: i32, _size: usize) -> io::Result<i32> {
    unsupported()
}

pub(crate) fn find_segment(_key: i32) -> io::Result<i32> {
    unsupported()
}

pub(crate) fn segment_facts(_id: i32) -> io::Result<SegmentFacts> {
    unsupported()
}

pub(crate) fn all_segments() -> io::Result<Vec<(i32, i32, SegmentFacts)>> {
    unsupported()
}

pub(crate) fn remove_segment(_id: i32) -> io::Result<()> {
    unsupported()
}

pub(crate) fn make_set(_key: i32, _mode: u32) -> io::Result<i32> {
    unsupported()
}

pub(crate) fn find_set(_key: i32) -> io::Result<i32> {
    unsupported()
}

pub(crate) fn set_facts(_id: i32) -> io::Result<SetFacts> {
    unsupported()
}

pub(crate) fn last_changed_by(_id: i32) -> io::Result<u32> {
    unsupported()
}

pub(crate) fn set_value(_id: i32, _value: u16) -> io::Result<()> {
    unsupported()
}

pub(crate) fn remove_set(_id: i32) -> io::Result<()> {
    unsupported()
}

pub(crate) fn take(_id: i32, _deadline: Option<Instant>) -> io::Result<bool> {
    unsupported()
}

pub(crate) fn give(_id: i32, _number: u16) -> io::Result<()> {
    unsupported()
}

pub(crate) fn give_back(_id: i32) -> io::Result<bool> {
    unsupported()
}

pub(crate) fn file_facts(_path: &Path) -> io::Result<FileMetadata> {
    unsupported()
}

pub(crate) fn remove_file(_path: &Path) -> io::Result<()> {
    unsupported()
}

pub(crate) fn inodes_in(_directory: &Path) -> io::Result<Vec<(OsString, u64)>> {
    unsupported()
}

pub(crate) fn while_alone<T>(
    _file: &SegmentFile,
    _action: impl FnOnce() -> T,
) -> io::Result<Option<T>> {
    unsupported()
}

#[derive(Debug)]
pub(crate) struct NamedFile(Infallible);

impl NamedFile {
    pub(crate) fn open(_path: &Path) -> io::Result<NamedFile> {
        unsupported()
    }

    pub(crate) fn make_unnamed(_directory: &Path) -> io::Result<NamedFile> {
        unsupported()
    }

    pub(crate) fn make(_path: &Path) -> io::Result<NamedFile> {
        unsupported()
    }

    pub(crate) fn give_name(&self, _path: &Path) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn facts(&self) -> io::Result<FileMetadata> {
        match self.0 {}
    }

    pub(crate) fn try_lock(&self) -> io::Result<bool> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct IpcMapping(Infallible);

impl IpcMapping {
    pub(crate) fn attach_segment(_id: i32, _access: Access) -> io::Result<IpcMapping> {
        unsupported()
    }

    pub(crate) fn map_file(
        _file: &SegmentFile,
        _len: usize,
        _access: Access,
    ) -> io::Result<IpcMapping> {
        unsupported()
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        match self.0 {}
    }

    pub(crate) fn len(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn access(&self) -> Access {
        match self.0 {}
    }

    pub(crate) fn is_here(&self) -> bool {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct FileSemaphore(Infallible);

impl FileSemaphore {
    pub(crate) fn open<E: From<io::Error>>(
        _directory: &Directory,
        _name: &OsStr,
        _trusted: impl FnOnce(&FileMetadata) -> Result<(), E>,
    ) -> Result<FileSemaphore, E> {
        Err(io::Error::from(io::ErrorKind::Unsupported).into())
    }

    pub(crate) fn make(
        _directory: &Directory,
        _name: &OsStr,
        _value: u32,
    ) -> io::Result<FileSemaphore> {
        unsupported()
    }

    pub(crate) fn file(&self) -> &SegmentFile {
        match self.0 {}
    }

    pub(crate) fn take(
        &self,
        _deadline: Option<Instant>,
        _still_worth_it: impl FnMut() -> bool,
    ) -> io::Result<bool> {
        match self.0 {}
    }

    pub(crate) fn give(&self) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn value(&self) -> io::Result<u32> {
        match self.0 {}
    }
}
