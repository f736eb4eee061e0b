//! Blocking signals during a few system calls, and in the library's own threads.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::thread;

/// Runs `body` while no signal except SIGKILL and SIGSTOP interrupts it; signals that arrive
/// meanwhile are handled afterwards.
pub(super) fn without_signals<R>(body: impl FnOnce() -> R) -> R {
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: the call fills in the given set, and cannot fail for a valid one.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` was filled in, and `before` is written to; the mask is the calling thread's
    // own.
    let blocked =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr()) };
    let result = body();
    if blocked == 0 {
        // SAFETY: `before` was filled in by the call that succeeded.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    }
    result
}

/// Starts a thread that no signal interrupts: signals are for the program's own threads.
pub(crate) fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    without_signals(|| thread.spawn(run)).map(drop)
}
