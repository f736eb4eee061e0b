//! Linux: `O_TMPFILE` and `linkat`, open-file-description locks, futexes, `membarrier`, inotify,
//! `/proc`.

mod closing;
mod file;
mod fork;
#[cfg(feature = "qt")]
pub(crate) mod ipc;
mod many;
mod mapping;
mod process;
mod process_state;
mod procfs;
mod signals;
mod wait;

pub(crate) use closing::watch_closings;
pub(crate) use file::{Directory, SegmentFile, default_directories, default_directory};
pub(crate) use fork::Generation;
pub use many::Signal;
pub(crate) use many::{MOST_WORDS, differs, wait_any, wake_one_at};
pub(crate) use mapping::Mapping;
pub(crate) use process::{effective_user, identity, now_since_epoch, thread_id};
pub(crate) use process_state::process_state;
pub(crate) use signals::start_thread;
pub(crate) use wait::{
    add_and_wake, barrier, has_store_and_wake, join_barriers, or_and_wake, wait, wake_all,
    wake_one, wake_some,
};
