//! The only calls into the operating system, behind one written contract.
//!
//! Each platform is a folder with the same items; the one that fits is re-exported here, and `unsupported` fits
//! every other machine: it compiles everywhere and answers with errors. Nothing here knows what a segment is: it
//! offers files, byte locks, mappings, waiting and facts about processes. Errors are the system's own.
//!
//! # What a platform promises
//!
//! - **Process** ([`Generation`]): a value that stops being current in a forked child, checked with one load. All
//!   of the items below that own something refuse to release it in such a child, because it is the parent's.
//! - **Directory, `SegmentFile`**: a file is made without a name, and gets its name in one step when it is whole.
//!   An open file is one *presence*: every byte lock taken through it goes with the process, whatever ends it, and
//!   not before its last thread has stopped storing. A forked child does not keep it alive.
//! - **Byte locks**: never block; conflict between any two `SegmentFile`s, also of one process; a file does not see its own.
//!   Where `mapping_keeps_locks`, they also stay while the file is mapped, whatever closes its descriptor.
//! - **Fates**: `fate_of` says `Gone` on proof only, whatever `/proc` is mounted and wherever the asking process has moved;
//!   see [`ProcessState`].
//! - **Mapping**: shared, at one address for its whole life, not inherited by a forked child. Bytes beyond the end of the
//!   file become usable as soon as the file has grown. `populate` needs no open file: it gives bytes memory, or says
//!   that there is none, where a load or store would raise a signal.
//! - **Waiting**: `wait` sleeps only while the word still has the expected value, until a `wake` on the same
//!   shared word, or a timeout, or for no reason. `wake` wakes sleepers of every process. `add_and_wake` and `or_and_wake` change a word and wake in one
//!   step: a process that dies has done both or neither. It is a full fence, and false, with nothing done, where the system has no such step;
//!   `has_store_and_wake` says whether it has.
//! - **`ipc`**: the system's own named memory and semaphores, for programs without this library. Identifiers, waits and
//!   permissions are the system's; a mapping there is page-aligned, whole to its last page, and not inherited.
//! - **Many words**: `wait_any` does the same on up to `MOST_WORDS` words, by their addresses; `differs` asks about one, and `wake_one_at` wakes. None loads
//!   anything in this process, so that a word may be unmapped meanwhile: it counts as changed then.
//! - **Closings**: `watch_closings` gives a word of this process that changes whenever an open file, a presence, ends, by a death as
//!   by itself; its byte locks go a moment later. A hint, which may come without need, or be missed in rare cases.
//! - **Barrier**: when `barrier()` returns true, every thread of every process that has called `join_barriers()` has passed a full
//!   memory barrier since the call, so a plain store followed by a plain load over there is ordered. Without it, the pair needs a fence. It may
//!   cease to work at any time: then it returns false.

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
pub(crate) use platform::{
    Directory, Generation, MOST_WORDS, Mapping, SegmentFile, add_and_wake, barrier,
    default_directories, default_directory, differs, effective_user, fate_of, has_store_and_wake,
    identity, ipc, join_barriers, now_since_epoch, or_and_wake, start_thread, thread_id, wait,
    wait_any, wake_all, wake_one, wake_one_at, wake_some, watch_closings,
};
pub(crate) use word::{Address, Slept, Word, low_half_of};

/// What the system says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileMetadata {
    /// Whether it is a regular file; a directory, pipe, device or link is not.
    pub(crate) regular: bool,
    /// The user it belongs to.
    pub(crate) owner: u32,
    /// The group it belongs to.
    pub(crate) group: u32,
    /// The permission bits, as in `chmod`, without the kind.
    pub(crate) mode: u32,
    /// How many names it has.
    pub(crate) names: u64,
    /// The length in bytes.
    pub(crate) len: u64,
    /// The bytes of memory it has, which are fewer than its length when it has holes.
    pub(crate) reserved: u64,
    /// Device and inode: the same for two open files exactly when they are one file.
    pub(crate) id: (u64, u64),
}

impl FileMetadata {
    /// Whether the first `len` bytes exist and have memory.
    ///
    /// This compares the memory of the whole file with its length. A file with more memory than its
    /// length does not count as whole, because the memory behind its end may make up for a hole.
    /// Memory that is reserved behind the end and is exactly as large as the holes is not noticed.
    /// `SEEK_HOLE` does not help: it also reports reserved memory that nobody has written as a hole.
    pub(crate) fn is_whole(&self, len: u64) -> bool {
        self.len >= len && self.reserved == self.len
    }
}

/// May a mapping be stored to?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Loads and stores.
    ReadWrite,
    /// Loads only; a store faults.
    ReadOnly,
}

/// Who a process is: for people to read, and, within the same namespaces, to see whether it still lives.
///
/// Two are equal that are of the same process while it runs the same program; the name has no part in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    /// The process identifier in its own PID namespace.
    pub(crate) pid: u32,
    /// Which namespaces `pid` and `start_time` are meant in; 0 is unknown and compares with nothing.
    pub(crate) namespaces: u64,
    /// When the process started, in the system's own unit.
    pub(crate) start_time: u64,
    /// Tells one program that the process runs from the next one that it becomes; 0 is unknown and compares with nothing.
    pub(crate) program: u32,
    /// The executable's file name, or another one that an attachment chose; cut to fit, padded with zero bytes.
    pub(crate) name: [u8; 16],
}

impl Identity {
    /// Tells whether this names one process. A PID alone does not: each container has a process 1.
    pub(crate) fn is_known(&self) -> bool {
        self.namespaces != 0
    }

    /// Cuts a name at a character's edge, so that it fits.
    pub(crate) fn fitting(name: &str) -> [u8; 16] {
        let mut fitting = [0; 16];
        let end = name.floor_char_boundary(fitting.len());
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

/// What is known about a process named by an [`Identity`].
///
/// No answer depends on a process being visible: one that cannot be seen is `Unknown`, never `Gone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessState {
    /// A process with this PID and start time has a thread that has not ended.
    ///
    /// It may execute another program than it did: no other process can prove that.
    Living,
    /// The program that recorded itself executes no further instruction: its process has ended, or all of its threads are
    /// ending, or the asking process is the same one and executes another program by now.
    ///
    /// Its memory and its files may still be there: while they are released, or because a child inherited them.
    Gone,
    /// It cannot be seen from here.
    Unknown,
}
