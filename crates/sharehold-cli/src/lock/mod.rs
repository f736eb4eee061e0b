//! `sharehold lock`: a command runs while a segment's lock is held.
//!
//! Here is what is asked and in which order things happen; `child` is the command as a process: started, told of signals,
//! and killed with the one that holds the lock for it.

mod child;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use sharehold::{ErrorKind, Segment};

use crate::exit::{Exit, Failure};
use crate::locked::Locked;
use crate::{output, units};
pub(crate) use child::{ChildArgs, NOT_FOUND, NOT_RUN, become_command};

/// How many may wait for a lock that was made here.
const SLOTS: usize = 1000;

/// Tells the command who died holding the lock before it.
const ABANDONED: &str = "SHAREHOLD_ABANDONED";

/// Run a command while holding a segment's lock
///
/// Nobody else gets the lock until the command has ended. Whoever dies holding it, this command or another, by whatever
/// signal, the lock is free again within 10 ms; with this command its COMMAND is killed, though not what that one has started in
/// turn. Signals to this command are passed on to COMMAND.
///
/// If the holder before has died, that is said on standard error and to COMMAND in the environment variable
/// `SHAREHOLD_ABANDONED`, since the data may be half written. If COMMAND succeeds, they count as repaired.
///
/// COMMAND must not ask for the same lock, as `sharehold set` on the same key does: it would wait for itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold lock --create com.example.backup -- ./backup.sh        one at a time, others wait
  sharehold lock --create --timeout 0 com.example.cron -- ./job    one at a time, others leave
  sharehold lock --strict com.example.frame -- ./render            not on data that may be half written
  sharehold lock com.example.frame -- true                         vouch for the data after a look at them

Exit status: that of COMMAND, 128 + N if signal N ended it, 126 if it cannot be run, 127 if it is not found; before it ran: 2 wrong
usage, 3 no such key, 4 not locked in time, 5 abandoned (--strict), or damaged, 6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    /// Wait at most so long: 5s, 500ms, 0; as long as it takes unless given
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,

    /// Make the segment if there is none; it goes with the last one who holds or waits for the lock
    #[arg(long)]
    create: bool,

    /// Do not run the command if the holder before has died
    #[arg(long)]
    strict: bool,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs `sharehold lock`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let segment = open(args)?;
    let locked = Locked::acquire(&segment, args.timeout)?;
    let left = locked.left();
    if let Some(left) = &left {
        if args.strict {
            let detail = format!(
                "{left} and may have left its data half written; look at them, then run without --strict"
            );
            return Err(Failure::new(Exit::Damaged, detail).into());
        }
        output::warn(left);
    }
    if let Locked::Left(found) = &locked
        && let Some(culprit) = found.culprit()
    {
        child::await_end(culprit.pid);
    }
    let code = child::run(&args.command, (ABANDONED, left.as_deref()))?;
    if code == 0 {
        locked.vouch();
    } else {
        drop(locked);
    }
    if let Err(error) = segment.detach() {
        // The command has done its work, and how that ended is what counts.
        output::complain(&error.into());
    }
    Ok(ExitCode::from(code))
}

fn open(args: &Args) -> Result<Segment> {
    if args.create {
        let options = Segment::options().size(1).slots(SLOTS);
        return Ok(options.open_or_create(&args.key)?);
    }
    Segment::attach(&args.key).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            anyhow::Error::from(error).context("there is nothing to lock; --create makes it")
        }
        _ => error.into(),
    })
}
