//! Semaphores in files, in the C library's format for `sem_open`; and the check whether a file is
//! in use.

use std::ffi::{OsStr, c_int};
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::mapping::IpcMapping;
use crate::sys::{Access, Directory, FileMetadata, SegmentFile};

const LEN: usize = size_of::<libc::sem_t>();

/// The longest single sleep: the C library's waits use the wall clock, which may be set.
const NAP: Duration = Duration::from_millis(100);

/// Selects the signal for leases; `libc` lacks it. The value is the same on every supported
/// processor.
const F_SETSIG: c_int = 10;

fn checked(result: c_int) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Runs `action` while this is the only open description of the file, and no other process has it
/// mapped; otherwise does nothing, and returns `None`.
///
/// The kernel checks this as its condition for a write lease. While the action runs, other
/// processes that open the file wait.
pub(crate) fn while_alone<T>(
    file: &SegmentFile,
    action: impl FnOnce() -> T,
) -> io::Result<Option<T>> {
    let fd = file.as_fd().as_raw_fd();
    // A process that opens the file meanwhile causes this signal; the default action is to ignore
    // it.
    // SAFETY: the command takes an int.
    checked(unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) })?;
    // SAFETY: the command takes an int.
    let leased = checked(unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK) });
    match leased {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        leased => leased?,
    }
    let done = action();
    // SAFETY: the command takes an int.
    checked(unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) })?;
    Ok(Some(done))
}

/// A semaphore in a file.
#[derive(Debug)]
pub(crate) struct FileSemaphore {
    file: SegmentFile,
    mapping: IpcMapping,
}

impl FileSemaphore {
    /// Opens the semaphore of a file, after `trusted` accepted the file's metadata.
    pub(crate) fn open<E: From<io::Error>>(
        directory: &Directory,
        name: &OsStr,
        trusted: impl FnOnce(&FileMetadata) -> Result<(), E>,
    ) -> Result<FileSemaphore, E> {
        let file = directory.open_file(name, Access::ReadWrite)?;
        let facts = file.as_opened();
        trusted(facts)?;
        if !facts.regular || facts.len < LEN as u64 {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        Ok(FileSemaphore::map(file)?)
    }

    /// Makes a semaphore that is complete before it gets its name; `AlreadyExists` if the name is
    /// taken.
    pub(crate) fn make(
        directory: &Directory,
        name: &OsStr,
        value: u32,
    ) -> io::Result<FileSemaphore> {
        let file = directory.make_unnamed_file(0o600)?;
        file.reserve(LEN as u64)?;
        let semaphore = FileSemaphore::map(file)?;
        // SAFETY: the address is page-aligned, and all bytes of a `sem_t` are mapped and unknown to
        // others.
        checked(unsafe { libc::sem_init(semaphore.address(), 1, value) })?;
        directory.give_name(&semaphore.file, name)?;
        Ok(semaphore)
    }

    fn map(file: SegmentFile) -> io::Result<FileSemaphore> {
        let mapping = IpcMapping::map_file(&file, LEN, Access::ReadWrite)?;
        Ok(FileSemaphore { file, mapping })
    }

    fn address(&self) -> *mut libc::sem_t {
        self.mapping.base().as_ptr().cast()
    }

    fn here(&self) -> io::Result<*mut libc::sem_t> {
        let inherited =
            || io::Error::other("this handle belongs to the process it was forked from");
        if self.mapping.is_here() {
            Ok(self.address())
        } else {
            Err(inherited())
        }
    }

    /// Returns the file of the semaphore.
    pub(crate) fn file(&self) -> &SegmentFile {
        &self.file
    }

    /// Takes one unit; false if there was none until `deadline`. Without a deadline, waits without
    /// a limit. Calls `still_worth_it` periodically while waiting, and returns false when that
    /// returns false.
    pub(crate) fn take(
        &self,
        deadline: Option<Instant>,
        mut still_worth_it: impl FnMut() -> bool,
    ) -> io::Result<bool> {
        let address = self.here()?;
        loop {
            // SAFETY: the address is that of a mapped `sem_t`.
            let taken = checked(unsafe { libc::sem_trywait(address) });
            if was_taken(taken, libc::EAGAIN)? {
                return Ok(true);
            }
            let now = Instant::now();
            let left = deadline.map_or(NAP, |deadline| deadline.saturating_duration_since(now));
            if left.is_zero() {
                return Ok(false);
            }
            let until = SystemTime::now() + left.min(NAP);
            let until = until.duration_since(UNIX_EPOCH).unwrap_or_default();
            let until = libc::timespec {
                tv_sec: until.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: until.subsec_nanos().into(),
            };
            // SAFETY: the address is that of a mapped `sem_t`, and the time lives across the call.
            let taken = checked(unsafe { libc::sem_timedwait(address, &raw const until) });
            if was_taken(taken, libc::ETIMEDOUT)? {
                return Ok(true);
            }
            if !still_worth_it() {
                return Ok(false);
            }
        }
    }

    /// Adds one unit.
    pub(crate) fn give(&self) -> io::Result<()> {
        let address = self.here()?;
        // SAFETY: the address is that of a mapped `sem_t`.
        checked(unsafe { libc::sem_post(address) })
    }

    /// Returns the value.
    pub(crate) fn value(&self) -> io::Result<u32> {
        let address = self.here()?;
        let mut value = 0;
        // SAFETY: the address is that of a mapped `sem_t`, and the value lives across the call.
        checked(unsafe { libc::sem_getvalue(address, &raw mut value) })?;
        Ok(u32::try_from(value).unwrap_or(0))
    }
}

/// Tells whether a wait succeeded; false if it ended with `none` or by a signal.
fn was_taken(waited: io::Result<()>, none: c_int) -> io::Result<bool> {
    match waited {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(none) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}
