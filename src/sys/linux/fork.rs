//! Forks: what a child must not inherit, and how a process detects that it is a forked child.
//!
//! A child must not have any mapping or descriptor of a segment, because both keep the parent's
//! byte locks. The kernel leaves mappings out of the child (`MADV_DONTFORK`), and a fork handler
//! closes the descriptors, which are entered in a list. Each operation takes two steps: map and
//! mark, open and enter, take off the list and close. A fork between the two steps would give the
//! child what it must not have.
//!
//! # The lock
//!
//! [`without_forks`] runs two such steps under a lock of the process, which `fork` takes as well:
//!
//! | thread | lock | signals |
//! |---|---|---|
//! | between two steps | held | blocked, so that no handler forks here |
//! | in `fork`, from our prepare handler to our parent handler | held | as the program has set them |
//! | the child of a fork | free: the lock is on a page that the kernel zeroes | |
//!
//! 1. While the lock is held for two steps, the thread waits for nothing: it only makes system
//!    calls, and does not allocate memory.
//! 2. A thread that already holds the lock continues without acquiring it again: other fork
//!    handlers, and signal handlers, may use this library while the thread forks.
//! 3. A thread waits for at most [`PATIENCE`], and then continues without the lock. This is
//!    necessary because another fork handler may wait for a lock of the program whose holder is
//!    attaching. Such a fork may give the child what it must not have.
//!
//! A child made without fork handlers (`_Fork`, a bare `clone`) inherits all open descriptors, but
//! no lock on which it could hang.

use std::cell::Cell;
use std::ffi::c_int;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use std::time::{Duration, Instant};

use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, ProtFlags};

use super::signals::without_signals;
use super::wait::{wait, wake_one};

const PAGE: usize = 4096;
/// The longest time that a thread waits for the lock.
const PATIENCE: Duration = Duration::from_secs(1);

/// The data that the kernel zeroes in a forked child.
#[derive(Debug)]
#[repr(C)]
struct ForkPage {
    generation: AtomicU64,
    lock: ForkLock,
}

static FORK_PAGE: AtomicPtr<ForkPage> = AtomicPtr::new(ptr::null_mut());

/// Returns the page; maps it and registers the fork handlers at the first call.
fn fork_page() -> io::Result<&'static ForkPage> {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    // SAFETY: all zero is a valid value of atomics.
    let page = unsafe { emptied_in_children(&FORK_PAGE) }?;
    // Two threads, or a parent and its child, may both register: each handler can run twice.
    if !REGISTERED.load(Ordering::Acquire) {
        // SAFETY: the handlers use atomics and system calls only, both allowed between fork and
        // exec.
        let failed =
            unsafe { pthread_atfork(Some(before_fork), Some(after_fork), Some(in_forked_child)) };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        REGISTERED.store(true, Ordering::Release);
    }
    Ok(page)
}

/// Returns the value at `place`; maps it at the first call. The kernel fills it with zeros in each
/// forked child.
///
/// No thread waits for another one here, so a child that is forked meanwhile does not wait either.
///
/// # Safety
///
/// All zero is a valid value of `T`, and only its atomics change.
pub(super) unsafe fn emptied_in_children<T: Sync>(
    place: &'static AtomicPtr<T>,
) -> io::Result<&'static T> {
    const { assert!(size_of::<T>() <= PAGE && align_of::<T>() <= PAGE) };
    let mut page = place.load(Ordering::Acquire);
    if page.is_null() {
        let mapped = map_page()?.cast();
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        page = match place.compare_exchange(page, mapped, success, failure) {
            Ok(_) => mapped,
            Err(other_thread) => {
                // SAFETY: the range is exactly the mapping made above, which no other thread has
                // seen.
                let _ = unsafe { mm::munmap(mapped.cast(), PAGE) };
                other_thread
            }
        };
    }
    // SAFETY: the page was mapped by `map_page`, is large enough, holds a `T`, and is never
    // unmapped.
    Ok(unsafe { &*page })
}

fn map_page() -> Result<*mut std::ffi::c_void, Errno> {
    // SAFETY: a null address requests a fresh mapping, which overlaps no existing one.
    let page = unsafe {
        mm::mmap_anonymous(
            ptr::null_mut(),
            PAGE,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    }?;
    // SAFETY: the range is exactly the mapping made above, which no other thread knows yet.
    let marked = unsafe { mm::madvise(page, PAGE, Advice::LinuxWipeOnFork) };
    if let Err(error) = marked {
        // SAFETY: the range is exactly the mapping made above, which no other thread knows.
        let _ = unsafe { mm::munmap(page, PAGE) };
        return Err(error);
    }
    Ok(page)
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

extern "C" fn before_fork() {
    // SAFETY: the page was mapped before this handler was registered, and is never unmapped.
    if let Some(page) = unsafe { FORK_PAGE.load(Ordering::Acquire).as_ref() } {
        page.lock.acquire();
    }
}

extern "C" fn after_fork() {
    // SAFETY: the page was mapped before this handler was registered, and is never unmapped.
    if let Some(page) = unsafe { FORK_PAGE.load(Ordering::Acquire).as_ref() } {
        page.lock.release_own();
    }
}

extern "C" fn in_forked_child() {
    close_inherited();
}

/// The time of one process between two forks; not current in a forked child.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generation {
    page: &'static ForkPage,
    number: u64,
}

impl Generation {
    /// Returns the running process's generation; assigns one at the first call since a fork.
    pub(crate) fn current() -> io::Result<Generation> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let page = fork_page()?;
        let mut number = page.generation.load(Ordering::Relaxed);
        if number == 0 {
            let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            number = match page.generation.compare_exchange(0, fresh, success, failure) {
                Ok(_) => fresh,
                Err(other_thread) => other_thread,
            };
        }
        Ok(Generation { page, number })
    }

    /// Tells whether the process is the one that got this generation, and not a forked child of it.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.page.generation.load(Ordering::Relaxed) == self.number
    }

    /// Returns the number, which no process that descends from this one by forks has.
    #[inline]
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

/// Runs `body` while no thread of the process forks. It makes system calls and changes atomics, and
/// does nothing else.
pub(super) fn without_forks<R>(generation: Generation, body: impl FnOnce() -> R) -> R {
    without_signals(|| {
        let lock = &generation.page.lock;
        let acquired = lock.acquire();
        let result = body();
        if acquired {
            lock.release_own();
        }
        result
    })
}

/// The lock of this process; all zero is free.
#[derive(Debug)]
#[repr(C)]
struct ForkLock {
    /// [`FREE`], [`HELD`] or [`AWAITED`].
    state: AtomicU32,
    /// The [`mark`] of the holding thread; 0 for none.
    holder: AtomicUsize,
}

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and another thread may sleep on it.
const AWAITED: u32 = 2;

impl ForkLock {
    /// Acquires the lock; false if the thread holds it already, or if it did not become free in
    /// time.
    fn acquire(&self) -> bool {
        // Only this thread stores its own mark.
        if self.holder.load(Ordering::Relaxed) == mark() {
            return false;
        }
        let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
        let tried = self.state.compare_exchange(FREE, HELD, success, failure);
        let acquired = tried.is_ok() || self.wait();
        if acquired {
            self.holder.store(mark(), Ordering::Relaxed);
        }
        acquired
    }

    #[cold]
    fn wait(&self) -> bool {
        let start = Instant::now();
        while self.state.swap(AWAITED, Ordering::Acquire) != FREE {
            let left = PATIENCE.saturating_sub(start.elapsed());
            if left.is_zero() {
                return false;
            }
            wait(&self.state, AWAITED, Some(left));
        }
        true
    }

    /// Releases the lock if the calling thread holds it.
    fn release_own(&self) {
        if self.holder.load(Ordering::Relaxed) != mark() {
            return;
        }
        self.holder.store(0, Ordering::Relaxed);
        if self.state.swap(FREE, Ordering::Release) == AWAITED {
            wake_one(&self.state);
        }
    }
}

/// Returns a number that no other running thread of the process has, never 0.
fn mark() -> usize {
    thread_local! {
        static MARK: Cell<u8> = const { Cell::new(0) };
    }
    MARK.with(|mark| ptr::from_ref(mark).addr())
}

/// One descriptor that a forked child must close, because it would keep the parent's locks alive.
///
/// The entries form a list that only grows (a free entry is used again) and contains only atomics,
/// so that the child can traverse it right after `fork`, whatever other threads were doing.
#[derive(Debug)]
pub(super) struct Inheritable {
    /// The descriptor, [`UNUSED`], or [`NO_DESCRIPTOR`].
    fd: AtomicI32,
    /// Device and inode of its file.
    id: [AtomicU64; 2],
    next: AtomicPtr<Inheritable>,
}

/// The entry is free.
const UNUSED: i32 = -1;
/// The entry is taken, but contains no descriptor: not yet, or no longer.
const NO_DESCRIPTOR: i32 = -2;
static INHERITABLE: AtomicPtr<Inheritable> = AtomicPtr::new(ptr::null_mut());

impl Inheritable {
    fn all() -> impl Iterator<Item = &'static Inheritable> {
        let at = |link: &AtomicPtr<Inheritable>| {
            // SAFETY: the list contains only leaked boxes, which are never freed.
            unsafe { link.load(Ordering::Acquire).as_ref() }
        };
        std::iter::successors(at(&INHERITABLE), move |entry| at(&entry.next))
    }

    /// Takes a free entry, or adds one.
    pub(super) fn take() -> &'static Inheritable {
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        let mut all = Inheritable::all();
        let free = all.find(|entry| {
            let taken = entry
                .fd
                .compare_exchange(UNUSED, NO_DESCRIPTOR, success, failure);
            taken.is_ok()
        });
        free.unwrap_or_else(Inheritable::add)
    }

    fn add() -> &'static Inheritable {
        let entry = Box::leak(Box::new(Inheritable {
            fd: AtomicI32::new(NO_DESCRIPTOR),
            id: [AtomicU64::new(0), AtomicU64::new(0)],
            next: AtomicPtr::new(ptr::null_mut()),
        }));
        let mut head = INHERITABLE.load(Ordering::Relaxed);
        loop {
            entry.next.store(head, Ordering::Relaxed);
            let pushed = INHERITABLE.compare_exchange(
                head,
                ptr::from_ref(entry).cast_mut(),
                Ordering::Release,
                Ordering::Relaxed,
            );
            match pushed {
                Ok(_) => return entry,
                Err(newer) => head = newer,
            }
        }
    }

    /// Enters a descriptor that was just opened.
    pub(super) fn enter(&self, fd: RawFd, id: (u64, u64)) {
        for entry in Inheritable::all() {
            // The system has just assigned this number, so its previous entry lost it to code that
            // closes descriptors of others.
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = entry
                .fd
                .compare_exchange(fd, NO_DESCRIPTOR, success, failure);
        }
        self.id[0].store(id.0, Ordering::Relaxed);
        self.id[1].store(id.1, Ordering::Relaxed);
        self.fd.store(fd, Ordering::Release);
    }

    /// Frees the entry, in which no descriptor was entered.
    pub(super) fn give_back(&self) {
        self.fd.store(UNUSED, Ordering::Release);
    }

    /// Tells whether the entry contains this descriptor.
    pub(super) fn has(&self, fd: RawFd) -> bool {
        self.fd.load(Ordering::Relaxed) == fd
    }

    /// Frees the entry; returns whether it still contained the descriptor.
    pub(super) fn leave(&self, fd: RawFd) -> bool {
        self.fd.swap(UNUSED, Ordering::Release) == fd
    }
}

/// Closes the descriptors that a forked child inherited. Called in the child, before `fork` returns
/// there.
fn close_inherited() {
    for entry in Inheritable::all() {
        let fd = entry.fd.swap(UNUSED, Ordering::Acquire);
        if fd < 0 {
            continue;
        }
        // SAFETY: the number is not negative, and is used only to query its file.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let id = [&entry.id[0], &entry.id[1]].map(|half| half.load(Ordering::Relaxed));
        if fstat(borrowed).is_ok_and(|found| [found.st_dev, found.st_ino] == id) {
            // SAFETY: an entered descriptor that still refers to its file has no other owner, and
            // was taken off the list before it is closed.
            unsafe { rustix::io::close(fd) };
        }
    }
}
