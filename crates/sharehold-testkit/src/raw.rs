//! What programs do to themselves behind a library's back, as tests need it.

#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, WaitStatus, waitid};

/// A way to make a child that shares the program so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// `fork`, which runs the handlers of `pthread_atfork`.
    Fork,
    /// `_Fork`, which does not.
    AsyncSignalSafe,
    /// The system call `clone`, of which the C library knows nothing.
    Clone,
}

// SAFETY: the signature is POSIX's.
unsafe extern "C" {
    /// POSIX.1-2024, in glibc since 2.34; the `libc` crate does not declare it.
    fn _Fork() -> libc::pid_t;
}

/// A forked child of this process.
#[derive(Debug)]
pub struct Forked(Pid);

impl Fork {
    /// Runs `body` in a forked child, which ends with what it returns, or with 101 if it panics.
    ///
    /// The process must have a single thread.
    pub fn start(self, body: impl FnOnce() -> i32) -> Forked {
        self.start_beside(0, body)
    }

    /// The same in a process with so many other threads, which all sleep in the kernel.
    pub fn start_beside(self, sleepers: usize, body: impl FnOnce() -> i32) -> Forked {
        self.fork(1 + sleepers).unwrap_or_else(|| end_with(body))
    }

    /// The same by `fork` in a process whose other threads run on, as programs do that fork without
    /// much thought.
    ///
    /// The C library puts its own locks right in the child. `body` must not need any other lock
    /// that those threads may have held, such as that of the standard output.
    pub fn start_beside_running_threads(body: impl FnOnce() -> i32) -> Forked {
        // SAFETY: the child only runs `body`, which needs no lock but those that `fork` puts right.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "the fork succeeds");
        Pid::from_raw(pid).map_or_else(|| end_with(body), Forked)
    }

    /// Forks, and returns the child in the parent, and nothing in the child.
    ///
    /// The process must have a single thread.
    pub fn continue_in_child(self) -> Option<Forked> {
        self.fork(1)
    }

    fn fork(self, threads: usize) -> Option<Forked> {
        assert_eq!(
            fs::read_dir("/proc/self/task").map_or(1, Iterator::count),
            threads,
            "a process with more threads must not go on after a fork"
        );
        let pid = match self {
            // SAFETY: its other threads, if any, are in no lock, so that the child may do all that
            // the parent may.
            Fork::Fork => unsafe { libc::fork() },
            // SAFETY: its other threads, if any, sleep, so that no lock of the C library is held.
            Fork::AsyncSignalSafe => unsafe { _Fork() },
            Fork::Clone => {
                // SAFETY: without flags, and with no stack of its own, `clone` does what `fork`
                // does.
                let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
                i32::try_from(pid).expect("process identifiers are small")
            }
        };
        assert!(pid >= 0, "the fork succeeds");
        Pid::from_raw(pid).map(Forked)
    }
}

/// Runs `body` in a forked child and ends it.
fn end_with(body: impl FnOnce() -> i32) -> ! {
    let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
    // SAFETY: it ends the child without running what the parent registered for its own end.
    unsafe { libc::_exit(code) }
}

impl Forked {
    /// Its process identifier.
    pub fn pid(&self) -> u32 {
        self.0.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits for its end; `None` if a signal ended it.
    pub fn exit_code(self) -> Option<i32> {
        let wait = || rustix::process::waitpid(Some(self.0), WaitOptions::empty());
        let (_, status) = rustix::io::retry_on_intr(wait)
            .expect("it is a child")
            .expect("it has ended");
        WaitStatus::exit_status(status)
    }
}

/// Closes every descriptor but the first three, as daemons do.
pub fn close_all_descriptors() {
    // SAFETY: what this breaks is what the test is about.
    let closed = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    assert_eq!(closed, 0, "close_range succeeds");
}

/// Loads a byte of a file that is mapped shared; a signal ends the process where the mapping does
/// not allow it.
pub fn load(address: NonNull<u8>) -> u8 {
    assert_mapped_shared(address);
    // SAFETY: the byte is in a shared mapping, in which any process may store at any time: all use
    // it atomically.
    unsafe { AtomicU8::from_ptr(address.as_ptr()) }.load(Ordering::Relaxed)
}

/// Stores a byte of a file that is mapped shared; a signal ends the process where the mapping does
/// not allow it.
pub fn store(address: NonNull<u8>, value: u8) {
    assert_mapped_shared(address);
    // SAFETY: the byte is in a shared mapping, in which any process may store at any time: all use
    // it atomically.
    unsafe { AtomicU8::from_ptr(address.as_ptr()) }.store(value, Ordering::Relaxed);
}

fn assert_mapped_shared(address: NonNull<u8>) {
    let address = address.as_ptr() as usize;
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
    let is_shared = maps.lines().any(|line| {
        let mut words = line.split([' ', '-']);
        let mut number = || usize::from_str_radix(words.next()?, 16).ok();
        let range = number().unwrap_or(0)..number().unwrap_or(0);
        range.contains(&address) && line.split(' ').nth(1).is_some_and(|it| it.ends_with('s'))
    });
    assert!(is_shared, "the address is in no shared mapping");
}

/// Becomes another user for good, without any supplementary group but those given.
pub fn become_user(user: u32, group: u32, groups: &[u32]) {
    // SAFETY: the pointer and length are those of a slice of `gid_t`.
    let set = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) };
    assert_eq!(set, 0, "root may set its groups");
    // SAFETY: the call takes a plain number.
    let set = unsafe { libc::setgid(group) };
    assert_eq!(set, 0, "root may set its group");
    // SAFETY: the call takes a plain number.
    let set = unsafe { libc::setuid(user) };
    assert_eq!(set, 0, "root may become anybody");
}

/// Has a signal end the process after so many seconds: for a child that may hang.
pub fn end_after(seconds: u32) {
    // SAFETY: the call takes a plain number.
    unsafe { libc::alarm(seconds) };
}

/// Interrupts the process with a handled signal again and again, as a profiler does.
pub fn interrupt_every(period: Duration) {
    extern "C" fn ignore(_: libc::c_int) {}
    handle_alarms(ignore, period);
}

/// The child that a signal handler forked and that has not been ended yet; 0 for none.
static FORKED_IN_HANDLER: AtomicI32 = AtomicI32::new(0);

/// Interrupts the process again and again with a signal whose handler forks, unless a child is
/// there already; the child stops in the middle of what was interrupted. The process must have a
/// single thread.
pub fn fork_in_signal_handlers(period: Duration) {
    extern "C" fn fork(_: libc::c_int) {
        if FORKED_IN_HANDLER.load(Ordering::Relaxed) != 0 {
            return;
        }
        // SAFETY: no other thread is there, so that no lock is held that the C library takes here.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            loop {
                // SAFETY: it stops the process until it is ended.
                unsafe { libc::raise(libc::SIGSTOP) };
            }
        }
        FORKED_IN_HANDLER.store(pid.max(0), Ordering::Relaxed);
    }
    handle_alarms(fork, period);
}

/// Shows the child of a signal handler, if there is one, when it has come back from `fork`; and
/// ends it.
pub fn with_child_of_signal_handler<R>(body: impl FnOnce(u32) -> R) -> Option<R> {
    let child = Pid::from_raw(FORKED_IN_HANDLER.load(Ordering::Relaxed)).map(Forked)?;
    let stopped = || waitid(WaitId::Pid(child.0), WaitIdOptions::STOPPED);
    rustix::io::retry_on_intr(stopped).expect("it is a child");
    let result = body(child.pid());
    rustix::process::kill_process(child.0, rustix::process::Signal::KILL).expect("it is a child");
    child.exit_code();
    FORKED_IN_HANDLER.store(0, Ordering::Relaxed);
    Some(result)
}

fn handle_alarms(handler: extern "C" fn(libc::c_int), period: Duration) {
    // SAFETY: all zero is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: the handlers above do what a signal handler may; the old action is not asked for.
    let set = unsafe { libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()) };
    assert_eq!(set, 0, "the handler is set");
    let micros = libc::suseconds_t::from(period.subsec_micros());
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: micros,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: the pointer is to a timer value on the stack; the old value is not asked for.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) };
    assert_eq!(set, 0, "the timer is set");
}

/// Takes an open-file-description lock on a byte of a file, alone or together with others, until
/// the file is closed; false when another process is in the way.
pub fn lock_byte(file: &File, byte: u64, alone: bool) -> bool {
    let kind = if alone { libc::F_WRLCK } else { libc::F_RDLCK };
    let lock = libc::flock {
        l_type: kind.try_into().expect("it is small"),
        l_whence: 0,
        l_start: byte.try_into().expect("files are shorter"),
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open, and the command takes a pointer to a `flock`.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) == 0 }
}

/// Forks a child that has the same PID in this process's PID namespace and in the one around it,
/// and runs `body` there.
///
/// No fork handlers run, as with [`Fork::Clone`]. The process must be root in both namespaces and
/// have a single thread.
pub fn start_with_equal_pids(body: impl FnOnce() -> i32) -> Forked {
    // Each system has more PIDs than this. Those that are taken are refused.
    for pid in (10_000..30_000).rev() {
        let pids = [pid, pid];
        // SAFETY: all zero is a valid `clone_args`.
        let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
        arguments.exit_signal = u64::try_from(libc::SIGCHLD).expect("signals are small");
        arguments.set_tid = pids.as_ptr() as u64;
        arguments.set_tid_size = pids.len() as u64;
        let size = size_of::<libc::clone_args>();
        // SAFETY: without flags, and with no stack of its own, `clone3` does what `fork` does; it
        // has no other threads.
        let child = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size) };
        let error = io::Error::last_os_error();
        match (child, error.raw_os_error()) {
            (-1, Some(libc::EEXIST)) => {}
            (-1, _) => panic!("clone3 with PIDs of one's choice: {error}"),
            (child, _) => {
                let child = i32::try_from(child).expect("PIDs are small");
                let forked = Pid::from_raw(child).map(Forked);
                return forked.unwrap_or_else(|| end_with(body));
            }
        }
    }
    panic!("no PID is free in both namespaces")
}

/// Moves this process into a new time namespace, in which all start times are later by so many
/// seconds.
///
/// The process must be root and have a single thread.
pub fn enter_new_time_namespace(seconds: u32) {
    // SAFETY: the call takes flags only; the process's children are to be in a new time namespace.
    let made = unsafe { libc::unshare(libc::CLONE_NEWTIME) };
    let error = io::Error::last_os_error();
    assert_eq!(made, 0, "a new time namespace: {error}");
    let shift = format!("boottime {seconds} 0");
    fs::write("/proc/self/timens_offsets", shift).expect("the namespace is still empty");
    let namespace = File::open("/proc/self/ns/time_for_children").expect("it was just made");
    // SAFETY: the descriptor is open, and is a time namespace.
    let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWTIME) };
    let error = io::Error::last_os_error();
    assert_eq!(entered, 0, "setns: {error}");
}

/// Traces a thread until this process ends, and never waits for it. With `stop_at_exit` the thread
/// stops where it begins to exit, also when it was killed.
pub fn trace(thread: u32, stop_at_exit: bool) {
    let options = if stop_at_exit {
        libc::PTRACE_O_TRACEEXIT
    } else {
        0
    };
    // SAFETY: the call takes numbers only, and changes nothing in this process.
    let traced = unsafe { libc::ptrace(libc::PTRACE_SEIZE, thread, 0, options) };
    let error = io::Error::last_os_error();
    assert_eq!(traced, 0, "PTRACE_SEIZE: {error}");
}

/// Ends the calling thread alone, also the first one, and runs nothing of what the program has for
/// its end.
pub fn end_thread() -> ! {
    // SAFETY: nothing is run after it; what the thread has on its stack stays as it is.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("the thread has ended")
}

/// Has the system refuse a system call to the calling thread from here on, with `EPERM`, as a
/// container's filter does.
pub fn forbid_system_call(number: libc::c_long) {
    let refuse = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EPERM).expect("it is small");
    let number = u32::try_from(number).expect("it is small");
    install_filter(Some(number), refuse, 0);
}

/// Has `look` called by another thread before each system call that the calling thread makes from
/// here on.
pub fn before_each_system_call(mut look: impl FnMut() + Send + 'static) {
    static LISTENER: AtomicI32 = AtomicI32::new(-1);
    thread::spawn(move || {
        // The other thread can do no more than a store: whatever it asks the system is not answered
        // before this loop is there.
        let listener = loop {
            match LISTENER.load(Ordering::Acquire) {
                -1 => thread::yield_now(),
                listener => break listener,
            }
        };
        loop {
            // SAFETY: all zero is a valid value, and what the system asks for.
            let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
            // SAFETY: the command takes a pointer to such a value, which lives across the call.
            let got =
                unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
            assert_eq!(got, 0, "there is a next system call");
            look();
            let mut answer = libc::seccomp_notif_resp {
                id: call.id,
                val: 0,
                error: 0,
                flags: u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).expect("it is small"),
            };
            // SAFETY: the command takes a pointer to such a value, which lives across the call.
            unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
        }
    });
    let listener = install_filter(
        None,
        libc::SECCOMP_RET_USER_NOTIF,
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
    );
    LISTENER.store(listener, Ordering::Release);
}

/// Installs a filter for the calling thread that has one answer to one system call, or to all of
/// them, and allows the rest.
fn install_filter(only: Option<u32>, answer: u32, flags: libc::c_ulong) -> libc::c_int {
    let code = |bits: u32| u16::try_from(bits).expect("it is small");
    let statement = |bits, k| libc::sock_filter {
        code: code(bits),
        jt: 0,
        jf: 0,
        k,
    };
    let mut filter = Vec::new();
    if let Some(number) = only {
        // The number of the system call is the first field of what the filter is asked about.
        filter.push(statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0));
        filter.push(libc::sock_filter {
            code: code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
            jt: 1,
            jf: 0,
            k: number,
        });
        filter.push(statement(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ALLOW,
        ));
    }
    filter.push(statement(libc::BPF_RET | libc::BPF_K, answer));
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).expect("it is small"),
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the call takes plain numbers.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(set, 0, "any process may give up new privileges");
    // SAFETY: the pointer is to a program on the stack, whose filter lives across the call.
    let installed = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    assert!(
        installed >= 0,
        "the filter is installed: {}",
        io::Error::last_os_error()
    );
    libc::c_int::try_from(installed).expect("descriptors are small")
}
