//! Sleeping on a shared word until it changes, and memory barriers in other processes.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Timespec, WakeOp, WakeOpCmp};
use rustix::thread::{MembarrierCommand, membarrier, membarrier_query};

use crate::sys::Word;

/// Sleeps while `word` is `expected`, at most for `limit`. Returns after a wake-up, a changed word,
/// a passed limit or a signal alike: the caller checks again.
pub(crate) fn wait<'a>(word: impl Into<Word<'a>>, expected: u32, limit: Option<Duration>) {
    let limit = limit.map(|limit| Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    });
    // Shared, not private: the sleepers of one word are in several processes. Every error means the
    // same to the caller as a wake-up: check the word again.
    let _ = futex::wait(word.into().0, SHARED, expected, limit.as_ref());
}

const SHARED: futex::Flags = futex::Flags::empty();
const ALL: u32 = i32::MAX.unsigned_abs();

/// Wakes one sleeper on `word`, in any process.
pub(crate) fn wake_one<'a>(word: impl Into<Word<'a>>) {
    // It cannot fail on a mapped and aligned word, which a reference is.
    let _ = futex::wake(word.into().0, SHARED, 1);
}

/// Wakes every sleeper on `word`, in any process.
pub(crate) fn wake_all<'a>(word: impl Into<Word<'a>>) {
    let _ = futex::wake(word.into().0, SHARED, ALL);
}

/// Wakes up to `most` sleepers on `word`, in any process; returns how many it woke.
pub(crate) fn wake_some<'a>(word: impl Into<Word<'a>>, most: u32) -> u32 {
    let woken = futex::wake(word.into().0, SHARED, most.min(ALL)).unwrap_or(0);
    u32::try_from(woken).unwrap_or(u32::MAX)
}

/// Adds 1 to `word` and wakes every sleeper on it, in any process. No death separates the two.
pub(crate) fn add_and_wake<'a>(word: impl Into<Word<'a>>) -> bool {
    let word = word.into().0;
    // The comparison of the word's old value controls a second wake-up, which wakes no sleeper.
    let (add, never) = (WakeOp::Add, WakeOpCmp::Lt);
    futex::wake_op(word, SHARED, ALL, 0, word, add, never, 1, 0).is_ok()
}

/// Sets the bits of a small number in `word` and wakes every sleeper on it, in any process. No
/// death separates the two.
pub(crate) fn or_and_wake<'a>(word: impl Into<Word<'a>>, bits: u16) -> bool {
    let word = word.into().0;
    let (or, never) = (WakeOp::Or, WakeOpCmp::Lt);
    futex::wake_op(word, SHARED, ALL, 0, word, or, never, bits, 0).is_ok()
}

/// Tells whether this process can change a word and wake its sleepers in one step. It is tried
/// once, on a word without sleepers.
pub(crate) fn has_store_and_wake() -> bool {
    const YES: u32 = 1;
    const NO: u32 = 2;
    // Several threads may try at the same time. A lock here could be inherited by a child that is
    // forked meanwhile.
    static FOUND: AtomicU32 = AtomicU32::new(0);
    match FOUND.load(Ordering::Relaxed) {
        0 => {
            let found = or_and_wake(&AtomicU32::new(0), 1);
            FOUND.store(if found { YES } else { NO }, Ordering::Relaxed);
            found
        }
        found => found == YES,
    }
}

/// Registers this process, so that other processes can make its running threads pass a memory
/// barrier.
///
/// # Errors
///
/// The kernel is older than 4.16, or a filter forbids `membarrier`.
pub(crate) fn join_barriers() -> io::Result<()> {
    // The registration belongs to the address space, and a forked child inherits it with this word.
    // Several threads may register at the same time, which is harmless. A lock here could be
    // inherited by a child that is forked meanwhile.
    static JOINED: AtomicBool = AtomicBool::new(false);
    if JOINED.load(Ordering::Relaxed) {
        return Ok(());
    }
    if !membarrier_query().contains_command(MembarrierCommand::GlobalExpedited) {
        return Err(Errno::NOSYS.into());
    }
    membarrier(MembarrierCommand::RegisterGlobalExpedited)?;
    JOINED.store(true, Ordering::Relaxed);
    Ok(())
}

/// Makes every running thread of every registered process pass a full memory barrier; false if the
/// system does not do it.
pub(crate) fn barrier() -> bool {
    membarrier(MembarrierCommand::GlobalExpedited).is_ok()
}
