//! A shared mapping of a segment file.

use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};

use rustix::mm::{self, Advice, MapFlags, ProtFlags};

use super::file::SegmentFile;
use super::fork::{Generation, without_forks};
use crate::sys::Access;

/// The bytes of a file in this process's memory, at one address until dropped.
///
/// A forked child does not have this memory at all: it can neither read nor store the parent's
/// bytes, and keeps no reference to the file.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    generation: Generation,
}

// SAFETY: a mapping is an address range of the process, the same for every thread.
unsafe impl Send for Mapping {}
// SAFETY: the type itself offers only its address and length.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `file`, which may be shorter: an access beyond its end faults
    /// until it grows.
    pub(crate) fn new(file: &SegmentFile, len: usize, access: Access) -> io::Result<Mapping> {
        let protection = match access {
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
            Access::ReadOnly => ProtFlags::READ,
        };
        let generation = Generation::current()?;
        without_forks(generation, || {
            // SAFETY: a null address requests a fresh range, which overlaps no existing mapping.
            let base = unsafe {
                mm::mmap(
                    ptr::null_mut(),
                    len,
                    protection,
                    MapFlags::SHARED,
                    file.as_fd(),
                    0,
                )
            }?;
            let Some(base) = NonNull::new(base.cast::<u8>()) else {
                return Err(rustix::io::Errno::FAULT);
            };
            let mapping = Mapping {
                base,
                len,
                generation,
            };
            // SAFETY: the range is exactly the mapping made above, which no other thread knows yet.
            unsafe { mm::madvise(base.as_ptr().cast(), len, Advice::LinuxDontFork) }?;
            Ok(mapping)
        })
        .map_err(io::Error::from)
    }

    /// Returns the address of the first byte.
    #[inline]
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Gives memory to the bytes of the range, within the file, as if each page had been loaded
    /// from, or stored to.
    ///
    /// # Errors
    ///
    /// `EFAULT` where that would have raised a signal: beyond the end of the file, or on a full
    /// file system. `EINVAL` if the system does not support it (before Linux 5.14), or the range is
    /// not mapped.
    pub(crate) fn populate(&self, range: Range<usize>, access: Access) -> io::Result<()> {
        const PAGE: usize = 4096;
        let start = range.start / PAGE * PAGE;
        if range.end > self.len {
            return Err(rustix::io::Errno::INVAL.into());
        }
        let advice = match access {
            Access::ReadWrite => Advice::LinuxPopulateWrite,
            Access::ReadOnly => Advice::LinuxPopulateRead,
        };
        let len = range.end.saturating_sub(start);
        // SAFETY: the range lies inside the mapping.
        let first = unsafe { self.base.add(start) };
        // SAFETY: the advice changes no byte.
        let populate = || unsafe { mm::madvise(first.as_ptr().cast(), len, advice) };
        Ok(rustix::io::retry_on_intr(populate)?)
    }

    /// Returns the number of bytes mapped.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // A forked child has nothing there, or a mapping of its own.
        if self.generation.is_current() {
            // SAFETY: the range was mapped by `new` and is unmapped once; borrows of it end before
            // its owner.
            let unmapped = unsafe { mm::munmap(self.base.as_ptr().cast(), self.len) };
            debug_assert!(unmapped.is_ok(), "a mapping is unmapped once");
        }
    }
}
