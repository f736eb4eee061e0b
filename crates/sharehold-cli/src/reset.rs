//! `sharehold reset`: resets an event.

use std::process::ExitCode;

use anyhow::Result;
use sharehold::Event;

use crate::exit::Exit;
use crate::{target, users};

/// Reset an event, so that later waiters wait again
///
/// `sharehold set KEY EVENT` sets it; `sharehold wait KEY EVENT` waits until it is set. Resetting
/// an event that is not set changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold reset com.example.config ready

Exit status: 0 reset, 2 wrong usage, 3 no such key, 5 damaged, or no such event, 6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// The event, such as ready or inner.ready
    event: String,
}

/// Runs `sharehold reset`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let options = args.owner.options();
    target::expect_users(&options, &args.key)?;
    let parts = options.attach_any_parts(&args.key)?;
    parts.part::<Event>(&args.event)?.reset()?;
    Ok(Exit::Done.into())
}
