//! Sleeping on several shared words at once, by their addresses, and a descriptor that wakes event
//! loops.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::thread::futex::{Wait, WaitFlags, WaitPtr, WaitvFlags, waitv};
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::sys::{Address, Slept};

/// The maximum number of words for one sleep.
pub(crate) const MOST_WORDS: usize = 128;
/// The longest sleep on the first word alone, on systems that cannot sleep on several words.
const POLL: Duration = Duration::from_millis(2);

/// Sleeps while each word has its expected value, at most for `limit`.
pub(crate) fn wait_any(words: &[(Address, u32)], limit: Option<Duration>) -> Slept {
    static MISSING: AtomicBool = AtomicBool::new(false);
    if MISSING.load(Ordering::Relaxed) {
        return wait_first(words, limit);
    }
    let waits: Vec<Wait> = words
        .iter()
        .map(|&(address, expected)| {
            let mut wait = Wait::new();
            wait.val = expected.into();
            wait.uaddr = WaitPtr::new(ptr::without_provenance_mut(address.0));
            wait.flags = WaitFlags::SIZE_U32;
            wait
        })
        .collect();
    let end = limit.map(after);
    match waitv(
        &waits,
        WaitvFlags::empty(),
        end.as_ref(),
        ClockId::Monotonic,
    ) {
        Ok(index) => Slept::Woken(index),
        Err(Errno::NOSYS | Errno::PERM) => {
            MISSING.store(true, Ordering::Relaxed);
            wait_first(words, limit)
        }
        Err(Errno::TIMEDOUT) => Slept::TimedOut,
        Err(_) => Slept::Unclear,
    }
}

/// Sleeps on the first word for a short time; the other words may have changed meanwhile.
fn wait_first(words: &[(Address, u32)], limit: Option<Duration>) -> Slept {
    if let Some(&(first, expected)) = words.first() {
        let limit = limit.map_or(POLL, |limit| limit.min(POLL));
        // However it ends, the caller checks all words.
        let _ = futex_wait(first, expected, limit);
    }
    Slept::Unclear
}

/// Returns the time after `limit`, on the clock that `futex_waitv` uses.
fn after(limit: Duration) -> Timespec {
    let now = clock_gettime(ClockId::Monotonic);
    let limit = Timespec::try_from(limit).unwrap_or(Timespec {
        tv_sec: i64::MAX,
        tv_nsec: 0,
    });
    now.checked_add(limit).unwrap_or(Timespec {
        tv_sec: i64::MAX,
        tv_nsec: 0,
    })
}

/// Tells whether the word has another value than expected, or is no longer mapped.
pub(crate) fn differs(address: Address, expected: u32) -> bool {
    matches!(
        futex_wait(address, expected, Duration::ZERO),
        Err(libc::EAGAIN | libc::EFAULT | libc::EINVAL)
    )
}

/// Wakes one sleeper on the word, if it is still mapped.
pub(crate) fn wake_one_at(address: Address) {
    const ONE: libc::c_int = 1;
    // SAFETY: the system loads nothing from the address, and returns an error if nothing is mapped
    // there.
    unsafe { libc::syscall(libc::SYS_futex, address.0, libc::FUTEX_WAKE, ONE) };
}

/// Calls the system's wait by address: the address need not be mapped.
fn futex_wait(address: Address, expected: u32, limit: Duration) -> Result<(), i32> {
    let limit = libc::timespec {
        tv_sec: 0,
        tv_nsec: limit.subsec_nanos().into(),
    };
    // SAFETY: the system itself loads from the address, and returns an error if nothing is mapped
    // there; `limit` lives across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            address.0,
            libc::FUTEX_WAIT,
            expected,
            &raw const limit,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

/// A descriptor for event loops; it becomes readable when something has happened.
#[derive(Debug)]
pub struct Signal(OwnedFd);

impl Signal {
    pub(crate) fn new() -> io::Result<Signal> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Signal(eventfd(0, flags)?))
    }

    pub(crate) fn raise(&self) {
        // The counter is full only after some quintillion calls: then the descriptor is readable
        // anyway.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    pub(crate) fn clear(&self) {
        // This fails if the signal was not raised.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsRawFd for Signal {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::sys::Word;

    /// An address at which nothing is ever mapped.
    const NOWHERE: Address = Address(4096);
    const SOON: Option<Duration> = Some(Duration::from_millis(1));

    #[test]
    fn a_word_is_compared_where_it_is_and_differs_where_nothing_is() {
        let word = AtomicU32::new(7);
        let there = Word::from(&word).address();
        assert!(!differs(there, 7));
        assert!(differs(there, 8));
        assert!(differs(NOWHERE, 0));
    }

    #[test]
    fn a_sleep_on_many_words_times_out_or_ends_at_once() {
        let word = AtomicU32::new(7);
        let there = Word::from(&word).address();
        assert_eq!(wait_any(&[(there, 7), (there, 7)], SOON), Slept::TimedOut);
        assert_eq!(wait_any(&[(there, 7), (there, 8)], None), Slept::Unclear);
        assert_eq!(wait_any(&[(there, 7), (NOWHERE, 0)], None), Slept::Unclear);
    }

    #[test]
    fn a_sleep_on_the_first_word_alone_is_short() {
        let word = AtomicU32::new(7);
        let there = Word::from(&word).address();
        assert_eq!(wait_first(&[(there, 7), (there, 7)], None), Slept::Unclear);
    }
}
