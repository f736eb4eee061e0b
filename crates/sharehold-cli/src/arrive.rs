//! `sharehold arrive`: a script meets others at a barrier.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::exit::Exit;
use crate::output::{self, Format};
use crate::{target, units, users};

/// Arrive at a barrier, and wait until all the others have arrived
///
/// Each round needs as many as the barrier was created for; the same script may come to every round, or each time another one. Who has
/// met the others and comes to no further round is not missed there. A process that dies while it waits breaks the round for all, or is
/// left out from then on, as was chosen when the barrier was created.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold arrive com.example.steps start                 wait for the others
  sharehold arrive com.example.steps start --timeout 1m    or leave again after a minute

Exit status: 0 all have arrived, 1 a participant has died and the round is broken, 2 wrong usage, 3 no such key, 4 not in time,
5 damaged, or no such barrier, 6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// The barrier, such as start or inner.start
    barrier: String,

    /// Wait at most this long for the others: 5s, 500ms, 2m; without a limit unless given
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    format: Format,
}

/// Runs `sharehold arrive`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let options = args.owner.options();
    target::expect_users(&options, &args.key)?;
    let parts = options.attach_any_parts(&args.key)?;
    let barrier = parts.barrier(&args.barrier)?;
    let met = match args.timeout {
        None => barrier.wait(),
        Some(limit) => barrier.wait_timeout(limit),
    };
    // Also after a round that did not come about: this process comes to no other one.
    barrier.withdraw()?;
    let last = met?;
    if args.format.json {
        output::document(&json!({ "last": last }))?;
    }
    Ok(Exit::Done.into())
}
