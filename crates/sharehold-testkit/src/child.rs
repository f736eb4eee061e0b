//! A process that plays a role for a test, and what the two say to each other.

use std::any::type_name;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{self, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

/// Names the role that this process plays.
pub(crate) const ROLE: &str = "SHAREHOLD_TEST_ROLE";

/// A child process that plays a role. It is killed when dropped, and with the thread that started
/// it.
pub struct Child {
    process: process::Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Child {
    /// Starts a child that plays `role`.
    pub fn of<F: Fn(&mut Talk)>(role: F) -> Child {
        Child::with(role, [""; 0])
    }

    /// Starts a child that plays `role`, which finds `arguments` in [`Talk::argument`].
    pub fn with<F: Fn(&mut Talk), A: AsRef<OsStr>>(
        role: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Child {
        Child::under::<&str, F, A>([], role, arguments)
    }

    /// Starts a child that plays `role` by way of a `wrapper` such as `unshare --pid --fork`, which
    /// is the process that [`Child::pid`] and [`Child::kill`] mean.
    pub fn under<W: AsRef<OsStr>, F: Fn(&mut Talk), A: AsRef<OsStr>>(
        wrapper: impl IntoIterator<Item = W>,
        _: F,
        arguments: impl IntoIterator<Item = A>,
    ) -> Child {
        let myself = env::current_exe().expect("the program knows where it is");
        let mut words = wrapper.into_iter();
        let mut command = match words.next() {
            None => Command::new(myself),
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(myself);
                command
            }
        };
        let mut process = command
            .args(arguments)
            .env(ROLE, type_name::<F>())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        Child {
            to: process.stdin.take(),
            from: BufReader::new(process.stdout.take().expect("it is piped")),
            process,
        }
    }

    /// Its process identifier.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the next thing that the child says.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("the pipe is whole");
        if line.is_empty() {
            let status = self.process.wait().expect("it is a child");
            panic!("the child ended ({status}) instead of saying something");
        }
        line.trim_end_matches('\n').to_owned()
    }

    /// Waits for the next thing that the child says, which must be this.
    #[track_caller]
    pub fn hears(&mut self, expected: &str) {
        let said = self.hear();
        assert_eq!(said, expected, "what the child said");
    }

    /// Waits for the next thing that the child says, which is a number.
    #[track_caller]
    pub fn hear_number(&mut self) -> u64 {
        let said = self.hear();
        said.parse()
            .unwrap_or_else(|_| panic!("`{said}` is not a number"))
    }

    /// Says something to the child.
    pub fn tell(&mut self, line: &str) {
        let to = self.to.as_mut().expect("the child is still told things");
        writeln!(to, "{line}").expect("the child listens");
    }

    /// Says the beginning of a line to the child. The next line that it is told ends it.
    pub fn tell_part(&mut self, part: &str) {
        let to = self.to.as_mut().expect("the child is still told things");
        to.write_all(part.as_bytes()).expect("the child listens");
    }

    /// Says something to the child and waits for the answer.
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal)
            .expect("it is a child, not yet reaped");
    }

    /// Kills it with SIGKILL and waits until the kernel has ended it.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let status = self.process.wait().expect("it is a child");
        assert_eq!(status.signal(), Some(9), "it ended before it was killed");
    }

    /// Kills it with SIGKILL without waiting, nor reaping it.
    pub fn kill_soon(&self) {
        self.signal(Signal::KILL);
    }

    /// Stops it, and waits until it has stopped.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let pid = Pid::from_child(&self.process);
        rustix::process::waitid(
            rustix::process::WaitId::Pid(pid),
            rustix::process::WaitIdOptions::STOPPED,
        )
        .expect("it is a child");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits until it sleeps in the kernel on a word of memory, as a waiter for a lock does.
    pub fn waits_for_memory(&self) {
        wait_until_asleep(self.pid());
    }

    /// Tells it that nothing more will be said, and waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        self.to = None;
        self.process.wait().expect("it is a child")
    }

    /// As [`Child::end`], which must be a success.
    #[track_caller]
    pub fn ends_well(&mut self) {
        let status = self.end();
        assert!(status.success(), "the child failed: {status}");
    }
}

/// Waits until the first thread of a process, which is not yet reaped, sleeps in the kernel on a
/// word of memory.
pub fn wait_until_asleep(pid: u32) {
    let call = format!("/proc/{pid}/syscall");
    let futex = format!("{} ", libc::SYS_futex);
    while !fs::read_to_string(&call)
        .expect("it is a process that this one may look at")
        .starts_with(&futex)
    {
        thread::yield_now();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail for a child that has been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A role's side of the talk with its test.
pub struct Talk {
    from: io::Lines<io::StdinLock<'static>>,
}

impl Talk {
    pub(crate) fn new() -> Talk {
        Talk {
            from: io::stdin().lock().lines(),
        }
    }

    /// The argument with this number, from 0.
    pub fn argument(&self, number: usize) -> String {
        env::args()
            .nth(number + 1)
            .expect("the test gives the argument")
    }

    /// The argument with this number, as a number.
    pub fn number(&self, number: usize) -> usize {
        self.argument(number)
            .parse()
            .expect("the argument is a number")
    }

    /// Says something to the test.
    pub fn say(&mut self, line: impl std::fmt::Display) {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")
            .and_then(|()| out.flush())
            .expect("the test listens");
    }

    /// Waits for the next thing that the test says; an empty text when nothing more will be said.
    pub fn hear(&mut self) -> String {
        self.from
            .next()
            .map(|line| line.expect("the pipe is whole"))
            .unwrap_or_default()
    }

    /// Waits for the end of the talk.
    pub fn wait_for_end(&mut self) {
        while !self.hear().is_empty() {}
    }
}
