//! The data in `/proc` about processes, and the check whether its PIDs are those of this process's
//! namespace.
//!
//! Another file system can be mounted over `/proc` at any time, and a process can move to other
//! namespaces. Each query therefore opens the directory anew, and reads the answer and its
//! conditions through that one descriptor.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

/// `/proc`, as the calling thread saw it when it was opened.
#[derive(Debug)]
pub(super) struct Procfs {
    directory: OwnedFd,
}

impl Procfs {
    pub(super) fn open() -> io::Result<Procfs> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        let directory = fs::open("/proc", flags, Mode::empty())?;
        Ok(Procfs { directory })
    }

    /// Reads the state of a process by its PID.
    pub(super) fn process(&self, pid: u32) -> Option<Stat> {
        self.stat(&format!("{pid}/stat")).ok()
    }

    /// Reads the state of the calling process.
    pub(super) fn own_process(&self) -> io::Result<Stat> {
        self.stat("self/stat")
    }

    fn stat(&self, path: &str) -> io::Result<Stat> {
        // 52 numbers of at most 20 digits and a name: one read returns all of it.
        let mut line = [0; 2048];
        let len = self.open_file(path)?.read(&mut line)?;
        let stat = line.get(..len).and_then(parse_stat);
        stat.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn open_file(&self, path: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(fs::openat(&self.directory, path, flags, Mode::empty())?.into())
    }

    /// Returns the inodes of the calling thread's PID namespace, in the high half, and of its time
    /// namespace, in the low half; 0 where they are unknown.
    ///
    /// The PID namespace of a process never changes. It may move to another time namespace.
    pub(super) fn own_namespaces(&self) -> u64 {
        match (self.own_namespace("pid"), self.own_namespace("time")) {
            (Ok(pid), Ok(time)) if pid != 0 => pid << 32 | time,
            _ => 0,
        }
    }

    /// Returns the inode of the calling thread's namespace of one kind, 0 if the system has no such
    /// namespaces.
    fn own_namespace(&self, kind: &str) -> Result<u64, Errno> {
        let path = format!("thread-self/ns/{kind}");
        match fs::statat(&self.directory, path, AtFlags::empty()) {
            Ok(found) => Ok(found.st_ino & u64::from(u32::MAX)),
            Err(Errno::NOENT) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Tells whether the numbers in this `/proc` are PIDs of this process's own namespace.
    ///
    /// `NSpid` lists the caller's PID in each namespace from that of `/proc` down to its own.
    pub(super) fn shows_own_namespace(&self) -> bool {
        let mut status = Vec::new();
        let read = self
            .open_file("thread-self/status")
            .and_then(|mut file| file.read_to_end(&mut status));
        read.is_ok() && has_one_pid(&String::from_utf8_lossy(&status))
    }

    /// Tells whether all threads of a process have ended, so that its program executes no further
    /// instruction.
    ///
    /// A list of threads is not a snapshot: a thread that is alive when it is listed can start
    /// another one and end. But ended threads stay ended. The check has three steps: all listed
    /// threads have ended; their number is that of the process; and still none of them has been
    /// released. So at the moment of counting, the process had exactly these threads.
    pub(super) fn all_threads_ended(&self, pid: u32) -> bool {
        let Ok(threads) = self.threads(pid) else {
            return false;
        };
        let have_ended = || {
            threads.iter().all(|thread| {
                let stat = self.stat(&format!("{pid}/task/{thread}/stat"));
                stat.is_ok_and(|stat| stat.has_ended())
            })
        };
        let are_all = || {
            let process = self.process(pid);
            process.is_some_and(|it| it.threads > 0 && it.threads == threads.len())
        };
        have_ended() && are_all() && have_ended()
    }

    fn threads(&self, pid: u32) -> io::Result<Vec<u32>> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let path = format!("{pid}/task");
        let mut threads = Vec::new();
        for entry in Dir::new(fs::openat(&self.directory, path, flags, Mode::empty())?)? {
            // The other two names are those of the directory and its parent.
            let name = entry?;
            let number = name.file_name().to_str().ok();
            threads.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        Ok(threads)
    }
}

/// Tells whether start times read in these namespaces can be compared with those of other
/// processes.
///
/// A time namespace shifts start times, and its inode may be used again by another namespace with
/// another shift. The system's first namespace has no shift and keeps its inode; 0 stands for a
/// system without time namespaces.
pub(super) fn times_compare(namespaces: u64) -> bool {
    /// `TIME_NS_INIT_INO` in `include/uapi/linux/nsfs.h`.
    const FIRST_TIME_NAMESPACE: u64 = 0xefff_fffa;
    matches!(namespaces & u64::from(u32::MAX), 0 | FIRST_TIME_NAMESPACE)
}

fn has_one_pid(status: &str) -> bool {
    let mut lines = status.lines();
    let pids = lines.find_map(|line| line.strip_prefix("NSpid:"));
    pids.is_some_and(|pids| pids.split_ascii_whitespace().count() == 1)
}

/// The flags of a thread that will not execute its program again, in the flags of `/proc/pid/stat`:
/// it is exiting, or a signal is ending it, possibly with a core dump (`PF_EXITING` and
/// `PF_SIGNALED` in `include/linux/sched.h`).
const ENDING: u64 = 0x4 | 0x400;

/// The fields of `/proc/pid/stat` with the state of a process or a thread; see `proc_pid_stat(5)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stat {
    state: u8,
    flags: u64,
    threads: usize,
    pub(super) start_time: u64,
    /// See [`program_at`].
    pub(super) program: u32,
}

impl Stat {
    /// Tells whether this thread, or the first thread of this process, no longer executes its
    /// program.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X') || self.flags & ENDING != 0
    }
}

fn parse_stat(text: &[u8]) -> Option<Stat> {
    // The second field is the name in parentheses, which may itself hold blanks and parentheses.
    let name_end = text.iter().rposition(|&byte| byte == b')')?;
    let rest = str::from_utf8(text.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    // `nth` continues after the last field: fields 3, 9, 20, 22, 26 and 28 of the line.
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

/// Distinguishes the programs that one process executes one after another, by the addresses of code
/// and stack, which the kernel chooses anew at each `exec`.
///
/// Returns 0 if the system does not provide them: for an ending process, for another user's
/// process, and for a program that may not be read. Without address randomization the values of two
/// programs can be equal.
fn program_at(code: u64, stack: u64) -> u32 {
    if stack == 0 {
        return 0;
    }
    // Code begins at a page, and a stack at a multiple of 16.
    let mixed = (stack >> 4) ^ (code >> 12);
    let folded = (mixed ^ (mixed >> 32)) & u64::from(u32::MAX);
    u32::try_from(folded).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_parsed_with_any_name() {
        let line = b"42 (a) b (c) S 1 42 42 0 -1 4194560 6 0 0 0 7 8 9 10 20 0 3 0 123456 1000 1 2 4096 5 160 6";
        let stat = parse_stat(line).expect("a whole line");
        assert_eq!(
            (stat.state, stat.flags, stat.threads, stat.start_time),
            (b'S', 4_194_560, 3, 123_456)
        );
        assert!(!stat.has_ended());
        assert_eq!(stat.program, program_at(4096, 160));
        assert!(parse_stat(b"42 (cut off").is_none());
        assert!(parse_stat(b"").is_none());
    }

    #[test]
    fn a_thread_has_ended_by_its_state_or_its_flags() {
        let stat = |state, flags| Stat {
            state,
            flags,
            threads: 1,
            start_time: 1,
            program: 1,
        };
        for (state, flags) in [(b'Z', 0), (b'X', 0), (b'D', 0x4), (b't', 0x400)] {
            assert!(stat(state, flags).has_ended(), "{state} {flags:#x}");
        }
        for state in [b'R', b'S', b'D', b'T', b't'] {
            assert!(!stat(state, !ENDING).has_ended(), "{state}");
        }
    }

    #[test]
    fn only_one_pid_is_a_view_of_the_own_namespace() {
        assert!(has_one_pid("Name:\ta\nNSpid:\t7\nNSpgid:\t7\n"));
        assert!(!has_one_pid("Name:\ta\nNSpid:\t7\t7\nNSpgid:\t7\n"));
        assert!(!has_one_pid("Name:\ta\nNSpid:\n"));
        assert!(!has_one_pid("Name:\ta\n"));
    }

    #[test]
    fn the_running_process_has_not_ended() {
        let proc = Procfs::open().expect("/proc is mounted");
        assert!(proc.shows_own_namespace());
        assert!(!proc.all_threads_ended(std::process::id()));
        assert!(!proc.all_threads_ended(0));
    }
}
