//! `sharehold acquire`: runs a command while holding permits of a semaphore.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use sharehold::{Error, ErrorKind, Semaphore};

use crate::exit::{Exit, Failure};
use crate::lock::{self, Relay};
use crate::{format, target, units, users};

/// Run a command while holding permits of a semaphore
///
/// The permits are released when COMMAND ends, or within 10 ms of the death of this command. If
/// this command dies, COMMAND is killed; processes that COMMAND started are not. Signals are
/// treated as by `sharehold lock`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold acquire com.example.config jobs -- ./encode a.mov       one permit of the part `jobs`
  sharehold acquire com.example.config jobs -n 2 -- ./encode b.mov  two permits together
  sharehold acquire com.example.config jobs --timeout 0 -- ./encode not if there is none left

Exit status: that of COMMAND, 128 + N if signal N ended it, 126 if it cannot be run, 127 if it is not found; before it ran: 2 wrong
usage, 3 no such key, 4 no permits in time, 5 damaged, or no such semaphore, 6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// The semaphore, such as jobs or inner.jobs
    semaphore: String,

    /// Number of permits, acquired together
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,

    /// Maximum time to wait, such as 5s, 500ms or 0 [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs `sharehold acquire`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    // Before permits are acquired, as for a lock.
    let relay = Relay::listen()?;
    let program = lock::program_of(&args.command);
    let options = args.owner.options().program(&program);
    target::expect_users(&options, &args.key)?;
    let parts = options.attach_any_parts(&args.key)?;
    let semaphore = parts.part::<Semaphore>(&args.semaphore)?;
    let permit = relay.wait_for(semaphore.acquire_many_async(args.count), args.timeout)?;
    let permit = match permit {
        Some(permit) => permit,
        // This error names the holders of permits.
        None => semaphore.acquire_many_timeout(args.count, Duration::ZERO),
    };
    let permit = permit.map_err(|error| not_acquired(args, error))?;
    let code = lock::run_command(&args.command, (lock::ABANDONED, None), &relay)?;
    drop(permit);
    Ok(ExitCode::from(code))
}

/// An error of acquiring, which for the library is one of a lock as well.
fn not_acquired(args: &Args, error: Error) -> anyhow::Error {
    if error.kind() != ErrorKind::Timeout && error.kind() != ErrorKind::WouldBlock {
        return error.into();
    }
    let (key, semaphore) = (format::visible(&args.key), format::visible(&args.semaphore));
    let reason = error.reason();
    let detail = format!("cannot acquire the semaphore `{semaphore}` of `{key}`: {reason}");
    Failure::new(Exit::Busy, detail).into()
}
