//! The only calls into the operating system, behind one written contract.
//!
//! Each platform is a folder with the same items, and the matching one is re-exported here.
//! `unsupported` matches every other machine: it compiles everywhere and returns errors. This
//! module does not know what a segment is: it offers files, byte locks, mappings, waiting and facts
//! about processes. Its errors are the system's own.
//!
//! # What a platform promises
//!
//! - **Process** ([`Generation`]): a value that stops being current in a forked child; the check is
//!   one load. All items below that own something refuse to release it in such a child, because it
//!   is the parent's.
//! - **Directory, `SegmentFile`**: a file is created without a name, and gets its name in one step
//!   when it is complete. An open file is one *presence*: every byte lock taken through it ends
//!   with the process, whatever ends it, and not before the process's last thread has stopped
//!   storing. A forked child does not keep it alive.
//! - **Byte locks**: never block. They conflict between any two `SegmentFile`s, even of one
//!   process; a file does not see its own locks. Where `mapping_keeps_locks`, they also stay while
//!   the file is mapped, whatever closes its descriptor.
//! - **Process states**: `process_state` returns `Gone` only with proof, whatever file system is
//!   mounted at `/proc` and whatever namespace the calling process has moved to; see
//!   [`ProcessState`].
//! - **Mapping**: shared, at one address for its whole lifetime, not inherited by a forked child.
//!   Bytes beyond the end of the file become usable as soon as the file has grown. `populate` needs
//!   no open file: it gives memory to bytes, or returns an error if there is none, where a load or
//!   store would raise a signal.
//! - **Waiting**: `wait` sleeps only while the word still has the expected value. It returns after
//!   a `wake` on the same shared word, after a timeout, or spuriously. `wake` wakes sleepers in
//!   every process. `add_and_wake` and `or_and_wake` change a word and wake its sleepers in one
//!   step: a process that dies has done both or neither. The step is a full fence. It returns
//!   false, with nothing done, if the system does not support it; `has_store_and_wake` tells
//!   whether it does.
//! - **`ipc`**: the system's own named memory and semaphores, for programs without this library.
//!   Identifiers, waits and permissions are the system's; a mapping there is page-aligned, complete
//!   to the end of its last page, and not inherited.
//! - **Many words**: `wait_any` sleeps in the same way on up to `MOST_WORDS` words, by their
//!   addresses; `differs` checks one word, and `wake_one_at` wakes. None of them loads anything in
//!   this process, so that a word may be unmapped meanwhile: then it counts as changed.
//! - **Closings**: `watch_closings` gives a word of this process that changes whenever an open file
//!   (a presence) ends, by a death or by closing; its byte locks end a moment later. It is a hint:
//!   it may change without need, and in rare cases it may miss a closing.
//! - **Barrier**: when `barrier()` returns true, every thread of every process that has called
//!   `join_barriers()` has passed a full memory barrier since the call, so a plain store followed
//!   by a plain load in such a thread is ordered. Without a barrier, that pair needs a fence. The
//!   barrier may stop working at any time: then it returns false.

#![allow(unsafe_code)]

mod per_process;
mod word;

#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    target_endian = "little",
    not(sharehold_unsupported)
))]
#[path = "linux/mod.rs"]
mod platform;

#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    target_endian = "little",
    not(sharehold_unsupported)
)))]
#[path = "unsupported/mod.rs"]
mod platform;

pub(crate) use per_process::PerProcess;
pub use platform::Signal;
#[cfg(feature = "qt")]
pub(crate) use platform::ipc;
pub(crate) use platform::{
    Directory, Generation, MOST_WORDS, Mapping, SegmentFile, add_and_wake, barrier,
    default_directories, default_directory, differs, effective_user, has_store_and_wake, identity,
    join_barriers, now_since_epoch, or_and_wake, process_state, start_thread, thread_id, wait,
    wait_any, wake_all, wake_one, wake_one_at, wake_some, watch_closings,
};
pub(crate) use word::{Address, Slept, Word, low_half_of};

/// The metadata of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileMetadata {
    /// Whether it is a regular file, and not a directory, pipe, device or symbolic link.
    pub(crate) regular: bool,
    /// The user that owns it.
    pub(crate) owner: u32,
    /// The group that owns it.
    pub(crate) group: u32,
    /// The permission bits, as in `chmod`, without the file type.
    pub(crate) mode: u32,
    /// The number of its names (hard links).
    pub(crate) names: u64,
    /// The length in bytes.
    pub(crate) len: u64,
    /// The memory that it occupies, in bytes; less than its length if it has holes.
    pub(crate) reserved: u64,
    /// Device and inode: equal for two open files exactly if they are the same file.
    pub(crate) id: (u64, u64),
}

impl FileMetadata {
    /// Tells whether the first `len` bytes exist and have memory.
    ///
    /// This compares the memory of the whole file with its length. A file with more memory than its
    /// length does not count as whole, because the memory after its end may make up for a hole.
    /// Memory that is reserved after the end and is exactly as large as the holes is not noticed.
    /// `SEEK_HOLE` does not help: it also reports reserved but unwritten memory as a hole.
    pub(crate) fn is_whole(&self, len: u64) -> bool {
        self.len >= len && self.reserved == self.len
    }
}

/// The access that a mapping allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Loads and stores.
    ReadWrite,
    /// Loads only; a store faults.
    ReadOnly,
}

/// The identity of a process: for display, and, within the same namespaces, to check whether it is
/// alive.
///
/// Two identities are equal if they name the same process while it runs the same program; the name
/// is not compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    /// The process ID in the process's own PID namespace.
    pub(crate) pid: u32,
    /// The namespaces in which `pid` and `start_time` are valid; 0 is unknown and equals no
    /// namespaces.
    pub(crate) namespaces: u64,
    /// The start time of the process, in the system's own unit.
    pub(crate) start_time: u64,
    /// Distinguishes the programs that the process executes one after another; 0 is unknown and
    /// equals no program.
    pub(crate) program: u32,
    /// The executable's file name, or the name that an attachment set; cut to fit, padded with zero
    /// bytes.
    pub(crate) name: [u8; 16],
}

impl Identity {
    /// Tells whether this identifies one process. A PID alone does not: each container has a
    /// process 1.
    pub(crate) fn is_known(&self) -> bool {
        self.namespaces != 0
    }

    /// Cuts a name at a character boundary, so that it fits.
    pub(crate) fn fitting(name: &str) -> [u8; 16] {
        let mut fitting = [0; 16];
        let fits = |&end: &usize| name.is_char_boundary(end);
        let end = (0..=fitting.len()).rev().find(fits).unwrap_or(0);
        for (to, from) in fitting.iter_mut().zip(name[..end].bytes()) {
            *to = from;
        }
        fitting
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        let facts = |it: &Identity| (it.pid, it.namespaces, it.start_time, it.program);
        facts(self) == facts(other)
    }
}

impl Eq for Identity {}

/// The state of a process named by an [`Identity`].
///
/// No result relies on the process being visible: an invisible process is `Unknown`, never `Gone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessState {
    /// A process with this PID and start time has a thread that has not ended.
    ///
    /// It may execute another program by now: no other process can prove that.
    Living,
    /// The program that recorded itself executes no further instruction: its process has ended, or
    /// all of its threads are ending, or it is the calling process, which executes another program
    /// by now.
    ///
    /// Its memory and its files may still exist: while they are being released, or because a child
    /// inherited them.
    Gone,
    /// The process is not visible from here.
    Unknown,
}
