//! Mappings of shared memory of programs without this library.

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{self, Advice, MapFlags, ProtFlags};

use super::super::fork::{Generation, without_forks};
use super::sysv;
use crate::sys::{Access, SegmentFile};

/// The bytes of a System V segment or of a POSIX object, at one address until dropped.
///
/// The address is page-aligned, and the last page is mapped as a whole. A forked child does not
/// have this memory, and so does not count as attached.
#[derive(Debug)]
pub(crate) struct IpcMapping {
    base: NonNull<u8>,
    len: usize,
    access: Access,
    kind: Kind,
    generation: Generation,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    SystemV,
    File,
}

// SAFETY: a mapping is an address range of the process, the same for every thread.
unsafe impl Send for IpcMapping {}
// SAFETY: the type itself offers only its address and length.
unsafe impl Sync for IpcMapping {}

impl IpcMapping {
    /// Attaches the System V segment `id`, all of it.
    pub(crate) fn attach_segment(id: i32, access: Access) -> io::Result<IpcMapping> {
        let flags = match access {
            Access::ReadWrite => 0,
            Access::ReadOnly => libc::SHM_RDONLY,
        };
        IpcMapping::keep_from_children(Kind::SystemV, access, || {
            // SAFETY: a null address requests a fresh range, which overlaps no existing mapping.
            let base = unsafe { libc::shmat(id, ptr::null(), flags) };
            if base.addr() == usize::MAX {
                return Err(io::Error::last_os_error());
            }
            // After attaching: the identifier of an attached segment cannot become another
            // segment's.
            let size = sysv::segment_facts(id).map(|facts| facts.size);
            Ok((base, size))
        })
    }

    /// Maps the first `len` bytes of a file that has at least as many.
    pub(crate) fn map_file(
        file: &SegmentFile,
        len: usize,
        access: Access,
    ) -> io::Result<IpcMapping> {
        let protection = match access {
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
            Access::ReadOnly => ProtFlags::READ,
        };
        IpcMapping::keep_from_children(Kind::File, access, || {
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
            Ok((base, Ok(len)))
        })
    }

    /// Takes over the mapping that `map` makes, with its length, and marks it as not inherited,
    /// with no fork between the two.
    fn keep_from_children(
        kind: Kind,
        access: Access,
        map: impl FnOnce() -> io::Result<(*mut c_void, io::Result<usize>)>,
    ) -> io::Result<IpcMapping> {
        let generation = Generation::current()?;
        without_forks(generation, || {
            let (base, len) = map()?;
            let base = NonNull::new(base.cast()).ok_or(rustix::io::Errno::FAULT)?;
            let mut mapping = IpcMapping {
                base,
                len: 0,
                access,
                kind,
                generation,
            };
            mapping.len = len?;
            // SAFETY: the range is exactly one mapping, which this value owns.
            unsafe { mm::madvise(base.as_ptr().cast(), mapping.len, Advice::LinuxDontFork) }?;
            Ok(mapping)
        })
    }

    /// Returns the address of the first byte.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Returns the number of bytes, as requested by the maker of the memory.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the access that the mapping allows.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// Tells whether the memory is mapped: not in a forked child of the process that attached.
    pub(crate) fn is_here(&self) -> bool {
        self.generation.is_current()
    }
}

impl Drop for IpcMapping {
    fn drop(&mut self) {
        if !self.is_here() {
            return;
        }
        let base = self.base.as_ptr().cast();
        let gone = match self.kind {
            Kind::SystemV => {
                // SAFETY: the address is what `shmat` returned, and is detached once.
                unsafe { libc::shmdt(base) == 0 }
            }
            Kind::File => {
                // SAFETY: the range was mapped by `map_file` and is unmapped once.
                unsafe { mm::munmap(base, self.len) }.is_ok()
            }
        };
        debug_assert!(gone, "a mapping is given back once");
    }
}
