//! The system's own named memory and semaphores, which programs without this library use: System V
//! by number, POSIX by file.

/// Whether the system has such objects.
pub(crate) const SUPPORTED: bool = true;

mod file;
mod mapping;
mod posix;
mod sysv;

pub(crate) use file::{NamedFile, file_facts, inodes_in, remove_file};
pub(crate) use mapping::IpcMapping;
pub(crate) use posix::{FileSemaphore, while_alone};
pub(crate) use sysv::{
    SetFacts, all_segments, find_segment, find_set, give, give_back, is_removed, last_changed_by,
    make_segment, make_set, remove_segment, remove_set, segment_facts, set_facts, set_value, take,
};
