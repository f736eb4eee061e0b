//! The key files of System V, by path.

use std::ffi::OsString;
use std::fs::read_dir;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::super::file::facts;
use crate::sys::FileMetadata;

const OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);

/// An open file.
#[derive(Debug)]
pub(crate) struct NamedFile {
    fd: OwnedFd,
}

impl NamedFile {
    /// Opens a file for reading. A symbolic link is not followed; a pipe or device does not block.
    pub(crate) fn open(path: &Path) -> io::Result<NamedFile> {
        let flags =
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(NamedFile {
            fd: fs::open(path, flags, Mode::empty())?,
        })
    }

    /// Creates an empty file without a name on the file system of `directory`; it vanishes unless
    /// it gets one.
    pub(crate) fn make_unnamed(directory: &Path) -> io::Result<NamedFile> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(NamedFile {
            fd: fs::open(directory, flags, OWNER_ONLY)?,
        })
    }

    /// Creates an empty file under its name, for file systems without unnamed files;
    /// `AlreadyExists` if the name is taken.
    pub(crate) fn make(path: &Path) -> io::Result<NamedFile> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(NamedFile {
            fd: fs::open(path, flags, OWNER_ONLY)?,
        })
    }

    /// Gives an unnamed file its name, in one step; `AlreadyExists` if the name is taken.
    pub(crate) fn give_name(&self, path: &Path) -> io::Result<()> {
        let own = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        Ok(fs::linkat(
            fs::CWD,
            own,
            fs::CWD,
            path,
            AtFlags::SYMLINK_FOLLOW,
        )?)
    }

    /// Returns the current metadata of the file.
    pub(crate) fn facts(&self) -> io::Result<FileMetadata> {
        Ok(facts(&fs::fstat(&self.fd)?))
    }

    /// Takes the file's lock, which the kernel releases with this value or this process; false if
    /// another handle has it.
    pub(crate) fn try_lock(&self) -> io::Result<bool> {
        match fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }
}

/// Returns the metadata of the file at a path; a symbolic link is not followed.
pub(crate) fn file_facts(path: &Path) -> io::Result<FileMetadata> {
    Ok(facts(&fs::lstat(path)?))
}

/// Removes the name; processes that have the file open keep it.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    Ok(fs::unlink(path)?)
}

/// Returns the names in a directory with their inode numbers, in no particular order.
pub(crate) fn inodes_in(directory: &Path) -> io::Result<Vec<(OsString, u64)>> {
    read_dir(directory)?
        .map(|entry| entry.map(|entry| (entry.file_name(), entry.ino())))
        .collect()
}
