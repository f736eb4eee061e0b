//! Linux on x86-64: `ptrace`, hardware breakpoints and `/proc`.

#![allow(unsafe_code)]

use crate::error::Error;
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::sys::personality::{self, Persona};
use nix::sys::prctl;
use nix::sys::ptrace::{self, AddressType, Options};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::arch::asm;
use std::fs::File;
use std::hint::black_box;
use std::io;
use std::mem::{forget, offset_of};
use std::os::unix::fs::FileExt;
use std::process::{Command, abort};

/// Says whether a sweep can run on this platform.
pub(crate) const SUPPORTED: bool = true;

/// Runs `operation` between two breakpoint instructions, traced by the parent process.
pub(crate) fn operate<R>(operation: impl FnOnce() -> R) -> ! {
    if ptrace::traceme().is_err() {
        eprintln!("sharehold-sweep: the system refuses to let this process be traced");
        abort();
    }
    // SAFETY: `int3` changes no register, no memory and no flag; the tracer sees a stop and resumes
    // after it.
    unsafe { asm!("int3", options(nostack)) };
    let result = operation();
    // SAFETY: as above; the tracer kills this process here instead of resuming it.
    unsafe { asm!("int3", options(nostack)) };
    forget(black_box(result));
    abort()
}

/// Asks the system to kill this process when the thread that started it ends.
pub(crate) fn die_with_parent() -> io::Result<()> {
    Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)
}

/// Sends SIGKILL to a victim that has not been reaped.
pub(crate) fn kill(pid: u32) {
    // The one possible failure is that there is no such process; then it need not be killed.
    let _ = signal::kill(as_pid(pid), Signal::SIGKILL);
}

/// A child process that single-steps through an operation at this thread's command.
#[derive(Debug)]
pub(crate) struct Tracee {
    pid: Pid,
    memory: File,
    /// The signal that stopped the process last and that it gets when it is resumed.
    pending: Option<Signal>,
    state: State,
}

#[derive(Debug, PartialEq)]
enum State {
    Alive,
    Dead,
    Reaped,
}

impl Tracee {
    /// Starts `command` with its addresses not randomised, as far as the system allows that.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        // The setting belongs to this thread and is inherited by the child. A container may refuse
        // to change it; then addresses differ from run to run, which costs time and nothing else.
        let before = personality::get()?;
        let changed = personality::set(before | Persona::ADDR_NO_RANDOMIZE);
        let spawned = command.spawn();
        if changed.is_ok() {
            // What could be changed can be changed back.
            let _ = personality::set(before);
        }
        let pid = spawned?.id();
        // `spawn` returns once the new program is in place, so this is that program's memory.
        let memory = File::open(format!("/proc/{pid}/mem")).inspect_err(|_| kill(pid))?;
        Ok(Self {
            pid: as_pid(pid),
            memory,
            pending: None,
            state: State::Alive,
        })
    }

    /// Returns the process ID.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// Waits until the victim has set itself up and stands before the first instruction of its
    /// operation.
    pub(crate) fn wait_for_start(&mut self) -> Result<(), Error> {
        self.wait()?;
        Ok(ptrace::setoptions(self.pid, Options::PTRACE_O_EXITKILL).map_err(io::Error::from)?)
    }

    /// Does `work` with this thread and the victim on one processor.
    ///
    /// They never run at the same time, and handing over to another processor takes several times
    /// as long.
    pub(crate) fn on_one_processor<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let this_thread = Pid::from_raw(0);
        let before = sched_getaffinity(this_thread);
        // If the system refuses any of this, the work is slower and nothing else.
        let _ = pin(this_thread).and_then(|()| pin(self.pid));
        let result = work(self);
        let _ = before.and_then(|before| sched_setaffinity(this_thread, &before));
        result
    }

    /// Lets the victim execute one instruction; a system call is one, with all that happens in it.
    pub(crate) fn step(&mut self) -> Result<(), Error> {
        self.resume(ptrace::step)
    }

    /// Lets the victim run until it is about to execute the instruction at `address` for the
    /// `hits`-th time.
    ///
    /// Fails with [`Error::Missed`] if the victim stops elsewhere, as it does at the end of its
    /// operation.
    pub(crate) fn run_to(&mut self, address: u64, hits: usize) -> Result<(), Error> {
        // In debug register 7, bit 0 arms the address in register 0, and zeros elsewhere mean "on
        // execution".
        self.write_debug_register(0, address)?;
        self.write_debug_register(7, 1)?;
        for hit in 1..=hits {
            self.resume(ptrace::cont)?;
            if self.instruction_pointer()? != address {
                return Err(Error::Missed);
            }
            // Continued from here, a virtual processor now and then reports the same hit twice, and
            // a repeated string instruction reports one for each round. Only a victim that has
            // moved on can hit again.
            while hit < hits && self.instruction_pointer()? == address {
                self.step()?;
            }
        }
        Ok(self.write_debug_register(7, 0)?)
    }

    /// Returns the address of the instruction that the victim would execute next.
    pub(crate) fn instruction_pointer(&self) -> io::Result<u64> {
        let offset = offset_of!(libc::user, regs) + offset_of!(libc::user_regs_struct, rip);
        Ok(ptrace::read_user(self.pid, offset as AddressType)?.cast_unsigned())
    }

    /// Reads memory of the victim from `address` on, and returns how many bytes there were to read.
    pub(crate) fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        self.memory.read_at(bytes, address).unwrap_or(0)
    }

    /// Kills the victim with SIGKILL and waits until it is dead. It is then a zombie.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        kill(self.pid());
        while self.state == State::Alive {
            match self.wait() {
                Ok(()) | Err(Error::EndedEarly(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes the dead victim from the system's table of processes.
    pub(crate) fn reap(&mut self) -> io::Result<()> {
        while self.state == State::Dead {
            match waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED) {
                Ok(_) => self.state = State::Reaped,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Resumes the victim until it traps; hands it the signals that stop it on the way.
    fn resume(&mut self, how: fn(Pid, Option<Signal>) -> nix::Result<()>) -> Result<(), Error> {
        loop {
            how(self.pid, self.pending.take()).map_err(io::Error::from)?;
            self.wait()?;
            if self.pending.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits for the next stop or the death, and reaps nothing.
    fn wait(&mut self) -> Result<(), Error> {
        let events = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        loop {
            let how = match waitid(Id::Pid(self.pid), events) {
                Ok(WaitStatus::PtraceEvent(_, Signal::SIGTRAP, _)) => return Ok(()),
                Ok(WaitStatus::PtraceEvent(_, signal, _) | WaitStatus::Stopped(_, signal)) => {
                    self.pending = Some(signal);
                    return Ok(());
                }
                Ok(WaitStatus::Exited(_, code)) => format!("exited with status {code}"),
                Ok(WaitStatus::Signaled(_, signal, _)) => format!("was killed by {signal}"),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => return Err(io::Error::from(error).into()),
            };
            self.state = State::Dead;
            return Err(Error::EndedEarly(how));
        }
    }

    fn write_debug_register(&self, number: usize, value: u64) -> io::Result<()> {
        let offset = offset_of!(libc::user, u_debugreg) + number * size_of::<u64>();
        Ok(ptrace::write_user(
            self.pid,
            offset as AddressType,
            value.cast_signed(),
        )?)
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        // A victim that cannot be waited for is gone already; there is nothing left to do about it
        // here.
        if self.kill().is_ok() {
            let _ = self.reap();
        }
    }
}

/// Ties a thread to the processor that this thread runs on.
fn pin(thread: Pid) -> nix::Result<()> {
    let mut processors = CpuSet::new();
    processors.set(sched_getcpu()?)?;
    sched_setaffinity(thread, &processors)
}

fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed())
}
