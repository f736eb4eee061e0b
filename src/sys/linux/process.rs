//! Facts about processes: is this still the one that made the handle, who is it, and does another one live?
//!
//! What is known of the own process stands on one page that the kernel empties in a forked child
//! (`MADV_WIPEONFORK`), so that no child ever mistakes its parent's facts for its own.

use std::cell::Cell;
use std::ffi::c_int;
use std::fs;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, ProtFlags};
use rustix::process::{Pid, test_kill_process};

use super::file;
use crate::sys::{Fate, Identity};

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
    /// 1 when `/proc` shows this process's own PID namespace.
    proc_is_ours: AtomicU64,
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
        page.namespaces.store(own_namespaces(), Ordering::Relaxed);
        if let Some(own) = read_stat(Path::new("/proc/self/stat")) {
            page.start_time.store(own.start_time, Ordering::Relaxed);
            page.program.store(own.program.into(), Ordering::Relaxed);
        }
        let name = executable_name();
        for (word, bytes) in page.name.iter().zip(name.chunks_exact(8)) {
            let bytes = <[u8; 8]>::try_from(bytes).unwrap_or_default();
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
        let shown = fs::read_link("/proc/self").ok();
        let ours =
            shown.is_some_and(|link| link.as_os_str().as_bytes() == pid.to_string().as_bytes());
        page.proc_is_ours.store(ours.into(), Ordering::Relaxed);
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

/// The inodes of the PID namespace (numbers processes) and the time namespace (shifts start times) in one number;
/// 0 when the first is not to be had.
fn own_namespaces() -> u64 {
    let inode = |path| fs::metadata(path).map_or(0, |facts| facts.ino() & u64::from(u32::MAX));
    match inode("/proc/self/ns/pid") {
        0 => 0,
        pid => pid << 32 | inode("/proc/self/ns/time"),
    }
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

/// Tells whether the process named by `who` still lives, as far as it can be seen from this one.
pub(crate) fn fate_of(who: &Identity) -> Fate {
    let Ok(me) = identity() else {
        return Fate::Unknown;
    };
    if me.namespaces == 0 || me.namespaces != who.namespaces || who.start_time == 0 {
        return Fate::Unknown;
    }
    if me == *who {
        return Fate::Living;
    }
    let Some(pid) = i32::try_from(who.pid).ok().and_then(Pid::from_raw) else {
        return Fate::Unknown;
    };
    // `/proc` may be mounted so that it hides other users' processes; a signal 0 sees them.
    if test_kill_process(pid) == Err(Errno::SRCH) {
        return Fate::Gone;
    }
    let proc_is_ours = own_page().is_ok_and(|page| page.proc_is_ours.load(Ordering::Relaxed) == 1);
    if !proc_is_ours {
        return Fate::Unknown;
    }
    match read_stat(Path::new(&format!("/proc/{}/stat", who.pid))) {
        None => Fate::Unknown,
        Some(stat) if stat.start_time != who.start_time => Fate::Gone,
        // `exec` ends all threads and the memory of the old program before the new one shows.
        Some(stat) if stat.program != 0 && who.program != 0 && stat.program != who.program => {
            Fate::Gone
        }
        // A leader may have ended while other threads of the process run on.
        Some(stat) if stat.threads > 1 => Fate::Living,
        Some(stat) if matches!(stat.state, b'Z' | b'X') => Fate::Gone,
        Some(stat) if stat.flags & PF_EXITING != 0 => Fate::Unknown,
        Some(_) => Fate::Living,
    }
}

/// The kernel's mark of a task that is being ended, in the flags of `/proc/pid/stat` (`include/linux/sched.h`).
const PF_EXITING: u64 = 0x4;

/// The fields of `/proc/pid/stat` that say how a process is; see `proc_pid_stat(5)`.
struct Stat {
    state: u8,
    flags: u64,
    threads: u64,
    start_time: u64,
    /// See [`program_at`].
    program: u32,
}

fn read_stat(path: &Path) -> Option<Stat> {
    // 52 numbers of at most 20 digits and a name: one read brings all of it.
    let mut line = [0; 2048];
    let len = fs::File::open(path).ok()?.read(&mut line).ok()?;
    parse_stat(line.get(..len)?)
}

fn parse_stat(text: &[u8]) -> Option<Stat> {
    // The second field is the name in parentheses, which may itself hold blanks and parentheses.
    let name_end = text.iter().rposition(|&byte| byte == b')')?;
    let rest = str::from_utf8(text.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    // `nth` counts on from where it stopped: fields 3, 9, 20, 22, 26 and 28 of the line.
    let state = *fields.next()?.as_bytes().first()?;
    let flags = fields.nth(5)?.parse().ok()?;
    let threads = fields.nth(10)?.parse().ok()?;
    let start_time = fields.nth(1)?.parse().ok()?;
    let code = fields.nth(3)?.parse().ok()?;
    let stack = fields.nth(1)?.parse().ok()?;
    Some(Stat {
        state,
        flags,
        threads,
        start_time,
        program: program_at(code, stack),
    })
}

/// Tells programs that run in one process after another apart by where their code and stack begin, which the kernel
/// chooses anew at each `exec`; 0 where it does not say: of an ending process, or of another user's.
fn program_at(code: u64, stack: u64) -> u32 {
    if stack == 0 {
        return 0;
    }
    // Code begins at a page, a stack at a multiple of 16.
    let mixed = (stack >> 4) ^ (code >> 12);
    let folded = (mixed ^ (mixed >> 32)) & u64::from(u32::MAX);
    u32::try_from(folded).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_parsed_with_any_name() {
        let line = b"42 (a) b (c) S 1 42 42 0 -1 4194564 6 0 0 0 7 8 9 10 20 0 3 0 123456 1000 1 2 4096 5 160 6";
        let stat = parse_stat(line).expect("a whole line");
        assert_eq!(
            (stat.state, stat.flags, stat.threads, stat.start_time),
            (b'S', 4_194_564, 3, 123_456)
        );
        assert_eq!(stat.program, program_at(4096, 160));
        assert!(parse_stat(b"42 (cut off").is_none());
        assert!(parse_stat(b"").is_none());
    }

    #[test]
    fn this_process_lives_and_is_itself() {
        let me = identity().expect("Linux knows its processes");
        assert_eq!(me.pid, std::process::id());
        assert_eq!(fate_of(&me), Fate::Living);
        assert_eq!(
            fate_of(&Identity {
                start_time: me.start_time - 1,
                ..me
            }),
            Fate::Gone
        );
        assert_eq!(
            fate_of(&Identity {
                program: me.program ^ 2,
                ..me
            }),
            Fate::Gone
        );
        assert_eq!(fate_of(&Identity { program: 0, ..me }), Fate::Living);
        assert_eq!(
            fate_of(&Identity {
                namespaces: 0,
                ..me
            }),
            Fate::Unknown
        );
    }
}
