//! Processes that a command starts to work for it: they run this program, and the kernel kills them
//! when the command dies.

use std::env;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getegid, getppid, set_parent_process_death_signal};

/// A command line that runs this program as one of its own subcommands, tied to this process.
pub(crate) fn again(subcommand: &str) -> Result<Command> {
    let own = env::current_exe().context("cannot find this command's own file")?;
    let mut command = Command::new(own);
    command
        // With a group, even its own, the child is made by fork instead of vfork. After vfork the
        // parent sleeps until the child executes; a child that Ctrl-Z stops before that would keep
        // the parent from stopping, and so the terminal from its shell.
        .gid(getegid().as_raw())
        .arg(subcommand)
        .arg(format!("--parent={}", std::process::id()));
    Ok(command)
}

/// A command line that becomes another program, tied to this process all the same; `options` are
/// those of `lock-child`.
pub(crate) fn tied<A: AsRef<OsStr>>(
    options: &[&str],
    line: impl IntoIterator<Item = A>,
) -> Result<Command> {
    let mut command = again("lock-child")?;
    command.args(options).arg("--").args(line);
    Ok(command)
}

/// The process that a subcommand works for.
#[derive(Debug, clap::Args)]
pub(crate) struct Parent {
    /// The process that started this one, and with which it is killed
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<i32>,
}

impl Parent {
    /// Lets the kernel kill this process with its parent, if it was started for one; false if that
    /// one has died already, so that there is nobody to work for, and nobody to be told.
    pub(crate) fn die_with(&self) -> Result<bool> {
        let Some(parent) = self.parent else {
            return Ok(true);
        };
        set_parent_process_death_signal(Some(Signal::KILL))
            .context("the system cannot kill a process with its parent")?;
        // A parent that died before the request is no longer the parent.
        let now = getppid().map(Pid::as_raw_nonzero).map(i32::from);
        Ok(now == Some(parent))
    }
}
