//! Sleeping on a shared word until it changes, and memory barriers in other processes.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::thread::futex::{self, Timespec};
use rustix::thread::{MembarrierCommand, membarrier, membarrier_query};

/// Sleeps while `word` is `expected`, at most for `limit`. Returns for a wake-up, a changed word, a passed limit or
/// a signal alike: the caller looks again.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Option<Duration>) {
    let limit = limit.map(|limit| Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    });
    // Shared, not private: the sleepers of one word are in several processes.
    // Every error means the same to the caller as a wake-up: look at the word again.
    let _ = futex::wait(word, futex::Flags::empty(), expected, limit.as_ref());
}

/// Wakes one sleeper on `word`, in whatever process.
pub(crate) fn wake_one(word: &AtomicU32) {
    // It cannot fail on a mapped and aligned word, which a reference is.
    let _ = futex::wake(word, futex::Flags::empty(), 1);
}

/// Wakes every sleeper on `word`, in whatever process.
pub(crate) fn wake_all(word: &AtomicU32) {
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX.unsigned_abs());
}

/// Registers this process, once, as one whose running threads others may send a memory barrier to.
///
/// # Errors
///
/// The kernel is older than 4.16, or a filter forbids `membarrier`.
pub(crate) fn join_barriers() -> io::Result<()> {
    static JOINED: OnceLock<Result<(), i32>> = OnceLock::new();
    // The registration belongs to the address space, and a forked child inherits it.
    let joined = JOINED.get_or_init(|| {
        if !membarrier_query().contains_command(MembarrierCommand::GlobalExpedited) {
            return Err(libc::ENOSYS);
        }
        membarrier(MembarrierCommand::RegisterGlobalExpedited)
            .map_err(rustix::io::Errno::raw_os_error)
    });
    joined.map_err(io::Error::from_raw_os_error)
}

/// Has every running thread of every registered process pass a full memory barrier.
pub(crate) fn barrier() {
    // It fails only where it does not exist, and there nobody relies on it: see `join_barriers`.
    let _ = membarrier(MembarrierCommand::GlobalExpedited);
}
