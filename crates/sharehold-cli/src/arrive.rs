//! `sharehold arrive`: arrives at a barrier.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use sharehold::Barrier;

use crate::exit::Exit;
use crate::output::{self, Format};
use crate::{target, units, users};

/// Arrive at a barrier, and wait until all the others have arrived
///
/// Each round needs the number of participants that the barrier was created for; they may be the
/// same scripts in every round, or others. A script that has completed a round need not take part
/// in the next one. A participant that dies while it waits breaks the round, or is left out of all
/// later rounds, as chosen when the barrier was created.
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

    /// Maximum time to wait for the others, such as 5s, 500ms or 2m [default: no limit]
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
    let barrier = parts.part::<Barrier>(&args.barrier)?;
    let met = match args.timeout {
        None => barrier.wait(),
        Some(limit) => barrier.wait_timeout(limit),
    };
    // Also after a round that did not complete: this process takes part in no other.
    barrier.withdraw()?;
    let met = met?;
    if args.format.json {
        output::document(&json!({ "last": met.is_leader() }))?;
    }
    Ok(Exit::Done.into())
}
