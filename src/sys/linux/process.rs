//! Facts about this process: its identity, user and threads.
//!
//! The facts of the process are stored on one page that the kernel zeroes in a forked child
//! (`MADV_WIPEONFORK`), so that no child ever mistakes its parent's facts for its own.

use std::cell::Cell;
use std::fs;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::fork::{self, Generation};
use super::procfs::Procfs;
use crate::sys::Identity;

/// The stored facts about this process; all zero in a freshly forked child.
#[repr(C)]
struct OwnPage {
    /// 1 when the fields below are filled in.
    known: AtomicU64,
    pid: AtomicU64,
    namespaces: AtomicU64,
    start_time: AtomicU64,
    program: AtomicU64,
    name: [AtomicU64; 2],
}

/// Returns the page; maps it at the first call.
fn own_page() -> io::Result<&'static OwnPage> {
    static PLACE: AtomicPtr<OwnPage> = AtomicPtr::new(ptr::null_mut());
    // SAFETY: all zero is a valid value of atomics.
    unsafe { fork::emptied_in_children(&PLACE) }
}

/// Returns the calling thread's ID in this generation; makes a system call only at the thread's
/// first call.
#[inline]
pub(crate) fn thread_id(generation: Generation) -> u32 {
    thread_local! {
        static KNOWN: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
    }
    #[cold]
    fn ask() -> u32 {
        rustix::thread::gettid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs()
    }
    // Not `get`, which is a call. While a thread ends, its cell may be gone.
    let (number, id) = KNOWN.try_with(Cell::get).unwrap_or_default();
    if number == generation.number() {
        return id;
    }
    let id = ask();
    let _ = KNOWN.try_with(|known| known.set((generation.number(), id)));
    id
}

/// Returns the effective user of this process.
pub(crate) fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Returns the time since 1970 in nanoseconds, 0 for a clock set before that.
pub(crate) fn now_since_epoch() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the identity of this process; reads `/proc` only at the first call since a fork.
///
/// # Errors
///
/// The system lacks descriptors or memory at that call. Without its identity, the process could not
/// detect the death of another process before the kernel frees that process's bytes.
pub(crate) fn identity() -> io::Result<Identity> {
    let page = own_page()?;
    if page.known.load(Ordering::Acquire) == 0 {
        // Two threads that get here at once store the same values.
        let pid = rustix::process::getpid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        page.pid.store(pid.into(), Ordering::Relaxed);
        if let Some(proc) = unless_lacking(Procfs::open())? {
            let namespaces = proc.own_namespaces();
            page.namespaces.store(namespaces, Ordering::Relaxed);
            if let Some(own) = unless_lacking(proc.own_process())? {
                page.start_time.store(own.start_time, Ordering::Relaxed);
                page.program.store(own.program.into(), Ordering::Relaxed);
            }
        }
        let name = executable_name();
        for (word, bytes) in page.name.iter().zip(name.chunks_exact(8)) {
            let bytes = <[u8; 8]>::try_from(bytes).unwrap_or_default();
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
        page.known.store(1, Ordering::Release);
    }
    let mut name = [0; 16];
    for (word, bytes) in page.name.iter().zip(name.chunks_exact_mut(8)) {
        bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
    }
    Ok(Identity {
        pid: u32::try_from(page.pid.load(Ordering::Relaxed)).unwrap_or(0),
        namespaces: page.namespaces.load(Ordering::Relaxed),
        start_time: page.start_time.load(Ordering::Relaxed),
        program: u32::try_from(page.program.load(Ordering::Relaxed)).unwrap_or(0),
        name,
    })
}

/// Returns what was found; `None` if `/proc` does not have it. A temporary lack of descriptors or
/// memory is an error, because it does not depend on `/proc`.
fn unless_lacking<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => Err(error),
            _ => Ok(None),
        },
    }
}

/// Returns the executable's file name, cut at a character boundary and padded with zero bytes.
fn executable_name() -> [u8; 16] {
    let path = fs::read_link("/proc/self/exe").unwrap_or_default();
    Identity::fitting(&path.file_name().unwrap_or_default().to_string_lossy())
}
