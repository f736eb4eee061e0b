//! Facts about this process: is it still the one that made the handle, and who is it?
//!
//! What is known of the own process stands on one page that the kernel empties in a forked child
//! (`MADV_WIPEONFORK`), so that no child ever mistakes its parent's facts for its own.

use std::cell::Cell;
use std::ffi::c_int;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, ProtFlags};

use super::file;
use super::procfs::Procfs;
use crate::sys::Identity;

const PAGE: usize = 4096;

/// What this process knows of itself; all zero in a freshly forked child.
#[repr(C)]
struct OwnPage {
    generation: AtomicU64,
    /// 1 when the fields below are filled in.
    known: AtomicU64,
    pid: AtomicU64,
    namespaces: AtomicU64,
    start_time: AtomicU64,
    program: AtomicU64,
    name: [AtomicU64; 2],
}

/// Returns the page; maps it and registers the fork handler at the first call.
fn own_page() -> io::Result<&'static OwnPage> {
    static PAGE_OF_PROCESS: OnceLock<Result<&'static OwnPage, i32>> = OnceLock::new();
    let page = PAGE_OF_PROCESS.get_or_init(|| map_own_page().map_err(Errno::raw_os_error));
    page.map_err(io::Error::from_raw_os_error)
}

fn map_own_page() -> Result<&'static OwnPage, Errno> {
    const { assert!(size_of::<OwnPage>() <= PAGE) };
    // SAFETY: a null address asks for a fresh mapping, which overlaps nothing that exists.
    let page = unsafe {
        mm::mmap_anonymous(
            ptr::null_mut(),
            PAGE,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    }?;
    // SAFETY: the range is exactly the mapping made above, which nobody else knows yet.
    unsafe { mm::madvise(page, PAGE, Advice::LinuxWipeOnFork) }?;
    // SAFETY: the handler only walks a list of atomics and calls `close`, both allowed between fork and exec.
    let failed = unsafe { pthread_atfork(None, None, Some(in_forked_child)) };
    if failed != 0 {
        return Err(Errno::from_raw_os_error(failed));
    }
    // SAFETY: the mapping is page-aligned, zeroed (a valid value of atomics), large enough, and never unmapped.
    Ok(unsafe { &*page.cast::<OwnPage>() })
}

// SAFETY: the signature is POSIX's, whose function pointers may be null.
unsafe extern "C" {
    /// POSIX `pthread_atfork`, which the `libc` crate does not declare for Linux.
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

extern "C" fn in_forked_child() {
    file::close_inherited();
}

/// One process between two forks: no longer current in a forked child.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generation {
    current: &'static AtomicU64,
    number: u64,
}

impl Generation {
    /// Returns the running process's generation, giving it one if this is the first question since a fork.
    pub(crate) fn current() -> io::Result<Generation> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let current = &own_page()?.generation;
        let mut number = current.load(Ordering::Relaxed);
        if number == 0 {
            let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
            number = match current.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => fresh,
                Err(other_thread) => other_thread,
            };
        }
        Ok(Generation { current, number })
    }

    /// Tells whether the process is still the one that asked for this generation, and not a forked child of it.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.current.load(Ordering::Relaxed) == self.number
    }
}

/// Returns the calling thread's identifier in this generation; a system call only at the thread's first question.
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
    if number == generation.number {
        return id;
    }
    let id = ask();
    let _ = KNOWN.try_with(|known| known.set((generation.number, id)));
    id
}

/// Runs `body` while no signal interrupts it, other than SIGKILL and SIGSTOP; those that come meanwhile are handled after it.
pub(super) fn without_signals<R>(body: impl FnOnce() -> R) -> R {
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: the call fills in the set that it is given, and knows no failure for one.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` was filled in, and `before` is written to; the mask is the calling thread's own.
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

/// Returns who this process is; reads `/proc` only at the first question since a fork.
pub(crate) fn identity() -> io::Result<Identity> {
    let page = own_page()?;
    if page.known.load(Ordering::Acquire) == 0 {
        // Two threads that come here at once store the same values.
        let pid = rustix::process::getpid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        page.pid.store(pid.into(), Ordering::Relaxed);
        if let Ok(proc) = Procfs::open() {
            let namespaces = proc.own_namespaces();
            page.namespaces.store(namespaces, Ordering::Relaxed);
            if let Some(own) = proc.own_process() {
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

/// The executable's file name, cut at a character's edge and padded with zero bytes.
fn executable_name() -> [u8; 16] {
    let mut name = [0; 16];
    let path = fs::read_link("/proc/self/exe").unwrap_or_default();
    let text = path.file_name().unwrap_or_default().to_string_lossy();
    let end = text.floor_char_boundary(name.len());
    for (to, from) in name.iter_mut().zip(text[..end].bytes()) {
        *to = from;
    }
    name
}
