//! `sharehold lock`: runs a command while holding a segment's lock.
//!
//! This module has the arguments and the order of the steps. `child` starts the command and ties
//! its life to the lock's holder; `relay` handles signals.

mod child;
mod relay;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use sharehold::{ErrorKind, Segment};

use crate::exit::{Exit, Failure};
use crate::lock_result::Locked;
use crate::{output, poll, target, units, users};
pub(crate) use child::{ChildArgs, NOT_FOUND, NOT_RUN, become_command, run as run_command};
pub(crate) use relay::Relay;

/// The maximum number of waiters for a lock that `--create` made.
const SLOTS: usize = 1000;

/// Tells the command which process died holding the lock before it.
pub(crate) const ABANDONED: &str = "SHAREHOLD_ABANDONED";

/// Run a command while holding a segment's lock
///
/// No other process gets the lock until COMMAND has ended. If the holder dies for any reason, the
/// lock is free within 10 ms. If this command dies, COMMAND is killed; processes that COMMAND
/// started are not.
///
/// SIGHUP, SIGINT, SIGQUIT and SIGTERM to this command are passed on to COMMAND. Before COMMAND
/// runs, they end this command and release the lock. Signals from a terminal, such as Ctrl-C, reach
/// COMMAND directly. A signal sent to the whole process group reaches COMMAND twice: directly and
/// through this command, as with `timeout`.
///
/// If the previous owner died, this command reports it on standard error, and to COMMAND in the
/// environment variable `SHAREHOLD_ABANDONED`: the data may be half written. If COMMAND succeeds,
/// the data count as repaired.
///
/// COMMAND must not acquire the same lock, as `sharehold set` on the same key does: it would
/// deadlock.
///
/// The short options are those of flock(1), except -s: the lock of a segment has one owner at a
/// time and cannot be shared.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold lock --create com.example.backup -- ./backup.sh        one at a time, others wait
  sharehold lock --create -n com.example.cron -- ./job             one at a time, others leave
  sharehold lock --create -w 5s -E 75 com.example.mail -- ./send   others wait for 5 seconds, then end with 75
  sharehold lock --strict com.example.frame -- ./render            not on data that may be half written
  sharehold lock com.example.frame -- true                         mark checked data as consistent

Exit status: that of COMMAND, 128 + N if signal N ended it, 126 if it cannot be run, 127 if it is not found; before it ran: 2 wrong
usage, 3 no such key, 4 not locked in time (or what -E says), 5 abandoned (--strict), or damaged, 6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// Maximum time to wait, such as 5, 5s, 500ms or 0 [default: no limit]
    #[arg(short = 'w', long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,

    /// Do not wait: the same as --timeout 0
    #[arg(short = 'n', long, conflicts_with = "timeout")]
    nonblock: bool,

    /// Exit status if the lock is not acquired in time
    #[arg(short = 'E', long, value_name = "STATUS", default_value = "4")]
    conflict_exit_code: u8,

    /// Create the segment if it does not exist; it goes with the last holder or waiter
    #[arg(long)]
    create: bool,

    /// Do not run the command if the previous owner died
    #[arg(long)]
    strict: bool,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs `sharehold lock`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let begin = Instant::now();
    // Before the lock is acquired: a signal must not end this process between that and the start of
    // the command.
    let relay = Relay::listen()?;
    let limit = args.nonblock.then_some(Duration::ZERO).or(args.timeout);
    let in_vain = |error: anyhow::Error| match Exit::of(&error) {
        Exit::Busy => {
            output::complain(&error);
            Ok(ExitCode::from(args.conflict_exit_code))
        }
        _ => Err(error),
    };
    let segment = match open_in_time(args, limit, &relay) {
        Ok(segment) => segment,
        Err(error) => return in_vain(error),
    };
    let left = limit.map(|limit| limit.saturating_sub(begin.elapsed()));
    let code = match relay.wait_for(segment.lock_async(), left)? {
        Some(locked) => Locked::of(locked).map(|it| run_under(it, args, &relay)),
        // This error names the owner.
        None => {
            Locked::acquire(&segment, Some(Duration::ZERO)).map(|it| run_under(it, args, &relay))
        }
    };
    let code = match code {
        Ok(code) => code?,
        Err(error) => return in_vain(error.into()),
    };
    if let Err(error) = segment.detach() {
        // The command has done its work, and how that ended is what counts.
        output::complain(&error.into());
    }
    Ok(ExitCode::from(code))
}

/// Runs the command while the lock is held, and releases the lock.
fn run_under<B>(locked: Locked<'_, B>, args: &Args, relay: &Relay) -> Result<u8> {
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
        && let Some(previous_owner) = found.previous_owner()
    {
        child::await_end(previous_owner.pid);
    }
    let code = child::run(&args.command, (ABANDONED, left.as_deref()), relay)?;
    if code == 0 {
        locked.vouch();
    } else {
        drop(locked);
    }
    Ok(code)
}

/// Attaches; while all slots are taken, waits for one.
fn open_in_time(args: &Args, limit: Option<Duration>, relay: &Relay) -> Result<Segment> {
    if !args.create {
        target::expect_users(&args.owner.options(), &args.key)?;
    }
    let mut full = None;
    let found = poll::until(limit, || match open(args) {
        Err(error) if error.kind() == ErrorKind::TooManyAttachments => {
            relay.check()?;
            full = Some(error);
            Ok(None)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let error = anyhow::Error::from(error);
            Err(error.context("there is nothing to lock; --create makes it"))
        }
        opened => Ok(Some(opened?)),
    })?;
    match (found, full) {
        (Some(segment), _) => Ok(segment),
        (None, Some(error)) => Err(error.into()),
        (None, None) => Err(Failure::new(Exit::Busy, "it was not locked in time").into()),
    }
}

fn open(args: &Args) -> sharehold::Result<Segment> {
    let options = args.owner.options().program(&program_of(&args.command));
    if args.create {
        return options.size(1).slots(SLOTS).open_or_create(&args.key);
    }
    options.attach(&args.key)
}

/// What others see as the holder: the command, which this process only runs.
pub(crate) fn program_of(command: &[OsString]) -> String {
    let program = command.first().map(Path::new).and_then(Path::file_name);
    program.unwrap_or_default().to_string_lossy().into_owned()
}
