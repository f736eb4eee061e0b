//! The directory of segment files, the files, and the byte locks on them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::ptr;

use rustix::fs::{self, AtFlags, Dir, FallocateFlags, FileType, Gid, Mode, OFlags, Stat};
use rustix::process::Resource;

use super::fork::{Generation, Inheritable, without_forks};
use super::signals::without_signals;
use crate::sys::{Access, FileMetadata};

/// The memory file system that every Linux has.
const DEFAULT_PARENT: &str = "/dev/shm";
/// The prefix of the name of a user's directory; the user's number follows.
const DEFAULT_NAME: &str = "sharehold-";

/// Returns the default directory of a user's segments: a directory per user on the memory file
/// system.
pub(crate) fn default_directory(user: u32) -> PathBuf {
    PathBuf::from(format!("{DEFAULT_PARENT}/{DEFAULT_NAME}{user}"))
}

/// Returns the default directories of all users that have one, with the users' numbers, ordered by
/// them.
pub(crate) fn default_directories() -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(DEFAULT_PARENT)? {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|it| it.strip_prefix(DEFAULT_NAME));
        let user = digits.and_then(|it| it.parse().ok());
        // Only the exact form that is written here: `+1` and `01` are other names.
        found.extend(
            user.map(|user| (user, default_directory(user)))
                .filter(|(_, path)| path.file_name() == Some(&name)),
        );
    }
    found.sort_unstable();
    Ok(found)
}

/// An open directory of segment files.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
}

impl Directory {
    /// Opens the directory; a symbolic link in its place is not followed.
    pub(crate) fn open(path: &Path) -> io::Result<Directory> {
        // As a path only: other users may enter, but not list, the directory of a user that shares
        // segments.
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::PATH | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty())?;
        Ok(Directory { fd })
    }

    /// Creates the directory, with these permission bits except those in the umask; false if the
    /// path exists.
    pub(crate) fn make(path: &Path, mode: u32) -> io::Result<bool> {
        match fs::mkdir(path, Mode::from_raw_mode(mode)) {
            Err(rustix::io::Errno::EXIST) => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }

    /// Returns the directory's metadata.
    pub(crate) fn facts(&self) -> io::Result<FileMetadata> {
        Ok(facts(&fs::fstat(&self.fd)?))
    }

    /// Sets the permission bits.
    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        match fs::chmodat(&self.fd, ".", mode, AtFlags::empty()) {
            // This user may not enter the directory, for example because of the umask.
            Err(rustix::io::Errno::ACCESS) => {
                let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
                Ok(fs::chmod(path, mode)?)
            }
            done => Ok(done?),
        }
    }

    /// Returns the names in the directory, in no particular order.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        for entry in Dir::new(fs::openat(&self.fd, ".", flags, Mode::empty())?)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Opens a file by name. A symbolic link is not followed; a pipe or device does not block.
    pub(crate) fn open_file(&self, name: &OsStr, access: Access) -> io::Result<SegmentFile> {
        let access = match access {
            Access::ReadWrite => OFlags::RDWR,
            Access::ReadOnly => OFlags::RDONLY,
        };
        let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        SegmentFile::open(|| fs::openat(&self.fd, name, flags, Mode::empty()))
    }

    /// Creates a file without a name, with exactly these permission bits. It vanishes with the
    /// process unless it gets a name.
    pub(crate) fn make_unnamed_file(&self, mode: u32) -> io::Result<SegmentFile> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let file = SegmentFile::open(|| fs::openat(&self.fd, ".", flags, mode))?;
        // The process's umask may have removed bits.
        if file.as_opened.mode != mode.as_raw_mode() {
            fs::fchmod(file.as_fd(), mode)?;
        }
        Ok(file)
    }

    /// Gives an unnamed file its name, in one step.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if the name is taken.
    pub(crate) fn give_name(&self, file: &SegmentFile, name: &OsStr) -> io::Result<()> {
        match fs::linkat(file.as_fd(), "", &self.fd, name, AtFlags::EMPTY_PATH) {
            // Systems before Linux 6.10 require a privilege for that, but not for this.
            Err(rustix::io::Errno::NOENT) => {
                let path = format!("/proc/self/fd/{}", file.fd);
                let follow = AtFlags::SYMLINK_FOLLOW;
                Ok(fs::linkat(fs::CWD, path, &self.fd, name, follow)?)
            }
            linked => Ok(linked?),
        }
    }

    /// Returns the metadata of the file under `name`, without following a link; `None` if there is
    /// none.
    pub(crate) fn facts_of(&self, name: &OsStr) -> io::Result<Option<FileMetadata>> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(facts(&stat))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells whether `name` refers to this file.
    pub(crate) fn names_file(&self, name: &OsStr, file: &SegmentFile) -> io::Result<bool> {
        Ok(self
            .facts_of(name)?
            .is_some_and(|found| found.id == file.as_opened.id))
    }

    /// Renames the file `from` to `to`, in one step; the previous file under `to` loses this name.
    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Removes the name; processes that have the file open keep it.
    pub(crate) fn remove_name(&self, name: &OsStr) -> io::Result<()> {
        Ok(fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }
}

pub(super) fn facts(stat: &Stat) -> FileMetadata {
    // Blocks always have 512 bytes here, whatever the file system's own block size.
    let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
    FileMetadata {
        regular: FileType::from_raw_mode(stat.st_mode).is_file(),
        owner: stat.st_uid,
        group: stat.st_gid,
        mode: stat.st_mode & 0o7777,
        names: stat.st_nlink,
        len: u64::try_from(stat.st_size).unwrap_or(0),
        reserved: blocks.saturating_mul(512),
        id: (stat.st_dev, stat.st_ino),
    }
}

/// An open segment file: the presence of one handle, and the owner of its byte locks.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    fd: RawFd,
    as_opened: FileMetadata,
    generation: Generation,
    entry: &'static Inheritable,
}

impl SegmentFile {
    /// Opens a file, and enters it in the list of descriptors that a forked child closes, with no
    /// fork between the two.
    fn open(open: impl FnOnce() -> rustix::io::Result<OwnedFd>) -> io::Result<SegmentFile> {
        let generation = Generation::current()?;
        let entry = Inheritable::take();
        let opened = without_forks(generation, || {
            let fd = open()?;
            let as_opened = facts(&fs::fstat(&fd)?);
            entry.enter(fd.as_raw_fd(), as_opened.id);
            Ok((fd.into_raw_fd(), as_opened))
        });
        match opened {
            Ok((fd, as_opened)) => Ok(SegmentFile {
                fd,
                as_opened,
                generation,
                entry,
            }),
            Err(error) => {
                entry.give_back();
                Err(error)
            }
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open until `drop`, which ends the borrow. (A program that
        // closes descriptors it does not own breaks this for every library; `facts` detects it.)
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }

    /// Returns the number of its descriptor.
    pub(super) fn number(&self) -> RawFd {
        self.fd
    }

    /// Returns the metadata of the file at the time it was opened.
    pub(crate) fn as_opened(&self) -> &FileMetadata {
        &self.as_opened
    }

    /// Returns the current metadata of the file.
    ///
    /// # Errors
    ///
    /// The descriptor is closed or refers to another file by now: a daemon may have closed all of
    /// its descriptors. Each operation on a file that was not just opened calls this first.
    pub(crate) fn facts(&self) -> io::Result<FileMetadata> {
        let found = facts(&fs::fstat(self.as_fd())?);
        // The number may even refer to the same file again, through another handle.
        if found.id == self.as_opened.id && self.entry.has(self.fd) {
            Ok(found)
        } else {
            Err(rustix::io::Errno::BADF.into())
        }
    }

    /// Tells whether a mapping of the file keeps its byte locks, even when the descriptor is
    /// closed. The precondition is that of [`SegmentFile::try_lock`].
    ///
    /// A mapping keeps the open file, and so its locks. Some file systems map another file instead,
    /// such as overlayfs.
    pub(crate) fn mapping_keeps_locks(&self) -> bool {
        fs::fstatfs(self.as_fd()).is_ok_and(|found| found.f_type == libc::TMPFS_MAGIC)
    }

    /// Changes the group of the file.
    pub(crate) fn give_to_group(&self, group: u32) -> io::Result<()> {
        Ok(fs::fchown(self.as_fd(), None, Some(Gid::from_raw(group)))?)
    }

    /// Reserves memory for all bytes below `len` and makes the file at least that long; new bytes
    /// are zero.
    pub(crate) fn reserve(&self, len: u64) -> io::Result<()> {
        // Beyond this limit the system not only refuses, but also sends a signal that ends the
        // process.
        let limit = rustix::process::getrlimit(Resource::Fsize).current;
        if limit.is_some_and(|limit| limit < len) {
            return Err(rustix::io::Errno::FBIG.into());
        }
        let reserve = || fs::fallocate(self.as_fd(), FallocateFlags::empty(), 0, len);
        match reserve() {
            // A signal makes the system undo all of it and start again: with a periodic timer, this
            // never ends.
            Err(rustix::io::Errno::INTR) => {
                Ok(without_signals(|| rustix::io::retry_on_intr(reserve))?)
            }
            done => Ok(done?),
        }
    }

    /// Reads up to `bytes.len()` bytes from `offset`; returns how many there were.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            match rustix::io::pread(self.as_fd(), &mut bytes[done..], at)? {
                0 => break,
                read => done += read,
            }
        }
        Ok(done)
    }

    /// Locks the byte exclusively for this handle; false if another handle has it locked in any
    /// way. The caller has just opened the file, or has just called `facts` on it.
    pub(crate) fn try_lock(&self, byte: u64) -> io::Result<bool> {
        self.set_lock(libc::F_WRLCK, byte)
    }

    /// Locks the byte shared; false if another handle has it locked exclusively. The precondition
    /// is that of [`SegmentFile::try_lock`].
    pub(crate) fn try_lock_shared(&self, byte: u64) -> io::Result<bool> {
        self.set_lock(libc::F_RDLCK, byte)
    }

    /// Unlocks the byte. The precondition is that of [`SegmentFile::try_lock`].
    pub(crate) fn unlock(&self, byte: u64) -> io::Result<()> {
        self.set_lock(libc::F_UNLCK, byte).map(|_| ())
    }

    /// Returns a byte in the range that another handle has locked, shared or exclusively. The
    /// precondition is that of [`SegmentFile::try_lock`].
    pub(crate) fn first_locked(&self, bytes: Range<u64>) -> io::Result<Option<u64>> {
        let start = bytes.start;
        let found = self.lock_command(libc::F_OFD_GETLK, libc::F_WRLCK, bytes)?;
        if i32::from(found.l_type) == libc::F_UNLCK {
            return Ok(None);
        }
        // A lock that began before the range is reported with its own start.
        Ok(Some(
            u64::try_from(found.l_start).unwrap_or(start).max(start),
        ))
    }

    fn set_lock(&self, kind: i32, byte: u64) -> io::Result<bool> {
        match self.lock_command(libc::F_OFD_SETLK, kind, byte..byte + 1) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn lock_command(&self, command: i32, kind: i32, bytes: Range<u64>) -> io::Result<libc::flock> {
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let mut lock = libc::flock {
            l_type: i16::try_from(kind).map_err(invalid)?,
            l_whence: 0, // SEEK_SET
            l_start: i64::try_from(bytes.start).map_err(invalid)?,
            l_len: i64::try_from(bytes.end.saturating_sub(bytes.start)).map_err(invalid)?,
            l_pid: 0,
        };
        // SAFETY: the command takes a pointer to a `flock`, which lives across the call.
        let result = unsafe { libc::fcntl(self.fd, command, ptr::from_mut(&mut lock)) };
        if result == -1 {
            Err(io::Error::last_os_error())
        } else {
            Ok(lock)
        }
    }
}

impl Drop for SegmentFile {
    fn drop(&mut self) {
        // In a forked child the descriptor was closed at the fork, and its number may belong to
        // another file by now. A daemon may have closed the descriptor, and even have opened the
        // same file under the same number.
        if self.generation.is_current() {
            without_forks(self.generation, || {
                let is_open = self.facts().is_ok();
                let was_entered = self.entry.leave(self.fd);
                if is_open && was_entered {
                    // SAFETY: the descriptor is open, is our file, and is closed once.
                    unsafe { rustix::io::close(self.fd) };
                }
            });
        }
    }
}
