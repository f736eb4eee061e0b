//! Semaphores in files, in the C library's format, as `sem_open` makes them.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::file::NamedFile;
use super::mapping::IpcMapping;
use crate::sys::{Access, FileFacts};

const LEN: usize = size_of::<libc::sem_t>();

/// How long one sleep may be: the C library's waits follow the wall clock, which may be set.
const NAP: Duration = Duration::from_millis(100);

/// A semaphore in a file.
#[derive(Debug)]
pub(crate) struct FileSemaphore {
    mapping: IpcMapping,
    id: (u64, u64),
}

impl FileSemaphore {
    /// Opens the semaphore of a file, after `trusted` agreed to what the file is.
    pub(crate) fn open<E: From<io::Error>>(
        path: &Path,
        trusted: impl FnOnce(&FileFacts) -> Result<(), E>,
    ) -> Result<FileSemaphore, E> {
        let file = NamedFile::open(path, Access::ReadWrite)?;
        let facts = file.facts()?;
        trusted(&facts)?;
        if !facts.regular || facts.len < LEN as u64 {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        Ok(FileSemaphore::map(&file, &facts)?)
    }

    /// Makes a semaphore, whole before it has its name; `AlreadyExists` when the name is taken.
    pub(crate) fn make(path: &Path, value: u32) -> io::Result<FileSemaphore> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let file = NamedFile::make_unnamed(directory)?;
        file.reserve(LEN as u64)?;
        let semaphore = FileSemaphore::map(&file, &file.facts()?)?;
        // SAFETY: the address is a page's, and as many bytes as a `sem_t` has are mapped and unknown to others.
        let done = unsafe { libc::sem_init(semaphore.address(), 1, value) };
        checked(done)?;
        file.give_name(path)?;
        Ok(semaphore)
    }

    fn map(file: &NamedFile, facts: &FileFacts) -> io::Result<FileSemaphore> {
        let mapping = IpcMapping::map_file(file, LEN, Access::ReadWrite)?;
        Ok(FileSemaphore {
            mapping,
            id: facts.id,
        })
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

    /// Device and inode of the file.
    pub(crate) fn id(&self) -> (u64, u64) {
        self.id
    }

    /// Takes one. False when there was none until `deadline`; without one, waits. `still_worth_it` is asked now and
    /// then while waiting, and ends it too.
    pub(crate) fn take(
        &self,
        deadline: Option<Instant>,
        mut still_worth_it: impl FnMut() -> bool,
    ) -> io::Result<bool> {
        let address = self.here()?;
        loop {
            // SAFETY: the address is that of a mapped `sem_t`.
            let taken = unsafe { libc::sem_trywait(address) };
            match checked(taken) {
                Ok(()) => return Ok(true),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN | libc::EINTR) => {}
                    _ => return Err(error),
                },
            }
            let now = Instant::now();
            let left = deadline.map_or(NAP, |deadline| deadline.saturating_duration_since(now));
            if left.is_zero() {
                return Ok(false);
            }
            if self.nap(address, left.min(NAP))? {
                return Ok(true);
            }
            if !still_worth_it() {
                return Ok(false);
            }
        }
    }

    /// Waits once, for a short while.
    fn nap(&self, address: *mut libc::sem_t, nap: Duration) -> io::Result<bool> {
        let until = SystemTime::now() + nap;
        let until = until.duration_since(UNIX_EPOCH).unwrap_or_default();
        let until = libc::timespec {
            tv_sec: until.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: until.subsec_nanos().into(),
        };
        // SAFETY: the address is that of a mapped `sem_t`, and the time lives across the call.
        let taken = unsafe { libc::sem_timedwait(address, &raw const until) };
        match checked(taken) {
            Ok(()) => Ok(true),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIMEDOUT | libc::EINTR) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Adds one.
    pub(crate) fn give(&self) -> io::Result<()> {
        let address = self.here()?;
        // SAFETY: the address is that of a mapped `sem_t`.
        checked(unsafe { libc::sem_post(address) })
    }

    /// The value.
    pub(crate) fn value(&self) -> io::Result<u32> {
        let address = self.here()?;
        let mut value = 0;
        // SAFETY: the address is that of a mapped `sem_t`, and the value lives across the call.
        checked(unsafe { libc::sem_getvalue(address, &raw mut value) })?;
        Ok(u32::try_from(value).unwrap_or(0))
    }
}

fn checked(result: i32) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
