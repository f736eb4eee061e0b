//! `sharehold acquire`: a command runs while it has permits of a semaphore.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::{lock, units, users};

/// Run a command while holding permits of a semaphore
///
/// The permits come back when the command has ended, or within 10 ms after this command has died, by whatever signal; its COMMAND is then
/// killed, though not what that one has started in turn. Signals to this command are passed on to COMMAND.
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

    /// How many permits, all at once
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,

    /// Wait at most this long: 5s, 500ms, 0; without a limit unless given
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs `sharehold acquire`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let program = lock::program_of(&args.command);
    let options = args.owner.options().program(&program);
    let parts = options.attach_any_parts(&args.key)?;
    let semaphore = parts.semaphore(&args.semaphore)?;
    let permit = match args.timeout {
        None => semaphore.acquire_many(args.count),
        Some(limit) => semaphore.acquire_many_timeout(args.count, limit),
    }?;
    let code = lock::run_command(&args.command, (lock::ABANDONED, None))?;
    drop(permit);
    Ok(ExitCode::from(code))
}
