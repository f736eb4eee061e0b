//! The command that runs under the lock, as a process: it dies with the holder of the lock, and
//! gets its signals.
//!
//! The kernel kills a process with its parent if that process asks for it, so this program is
//! started once more to ask, and then becomes the command.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::relay::Relay;
use crate::output;
use crate::process::{self, Parent};

/// What shells say of a command that is not there, or cannot be run.
pub(crate) const NOT_FOUND: u8 = 127;
pub(crate) const NOT_RUN: u8 = 126;

/// Become a command that is killed with its parent: what `sharehold lock` starts
#[derive(Debug, clap::Args)]
pub(crate) struct ChildArgs {
    #[command(flatten)]
    parent: Parent,

    /// Leave it to the parent to say that the command cannot be run
    #[arg(long)]
    quiet: bool,

    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs `sharehold lock-child`.
pub(crate) fn become_command(args: &ChildArgs) -> Result<ExitCode> {
    // Where the parent has died, the lock is another's.
    if !args.parent.die_with()? {
        return Ok(ExitCode::from(NOT_RUN));
    }
    let Some((program, arguments)) = args.command.split_first() else {
        return Ok(ExitCode::from(NOT_RUN));
    };
    let error = Command::new(program).args(arguments).exec();
    if !args.quiet {
        output::warn(&format!("cannot run {}: {error}", program.display()));
    }
    let code = match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_RUN,
    };
    Ok(ExitCode::from(code))
}

/// Runs the command with a variable in its environment that is set or not, and returns its exit
/// code as shells do.
///
/// # Errors
///
/// A signal has asked for an end before the command was started, or it cannot be started.
pub(crate) fn run(
    command: &[OsString],
    (name, value): (&str, Option<&str>),
    relay: &Relay,
) -> Result<u8> {
    let mut child = process::tied(&[], command)?;
    child.env_remove(name);
    if let Some(value) = value {
        child.env(name, value);
    }
    relay.check()?;
    let mut child = child.spawn().context("cannot start a process")?;
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
        .context("cannot watch a process")?;
    relay.hand_to(process);
    Ok(code_of(
        child.wait().context("cannot wait for the command")?,
    ))
}

fn code_of(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal);
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Waits, a second at most, until a process that was killed has ended to its last step, which is to
/// kill its command.
///
/// Its lock is free a few steps before. One that is not ending is another process that has its
/// number.
pub(super) fn await_end(pid: u32) {
    const LIMIT: Duration = Duration::from_secs(1);
    const PAUSE: Duration = Duration::from_micros(200);
    let end = Instant::now() + LIMIT;
    while is_ending(pid) && Instant::now() < end {
        thread::sleep(PAUSE);
    }
}

/// Whether the process executes its program no more, and is no zombie yet.
fn is_ending(pid: u32) -> bool {
    /// `PF_EXITING` and `PF_SIGNALED`, in the flags of `/proc/PID/stat`: see
    /// `include/linux/sched.h`.
    const ENDING: u64 = 0x4 | 0x400;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (_, rest) = stat.rsplit_once(") ").unwrap_or_default();
    let mut fields = rest.split(' ');
    let is_zombie = fields.next().is_none_or(|state| "ZX".contains(state));
    let flags = fields.nth(5).and_then(|flags| flags.parse().ok());
    !is_zombie && flags.is_some_and(|flags: u64| flags & ENDING != 0)
}
