//! `sharehold rm`: destroys segments.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use sharehold::DestroyMode;

use crate::exit::Exit;
use crate::output::{self, Format};
use crate::{units, users};

/// Remove segments, including persistent and damaged ones
///
/// A segment with live attachments stays unless --force is given. With --force, attached processes
/// keep their memory, and the key becomes free.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold rm com.example.tally              if it is not in use
  sharehold rm --wait 5s com.example.tally    as soon as it is not in use, within 5 seconds
  sharehold rm --force com.example.tally      even if it is in use

Exit status: 0 removed, 2 wrong usage, 3 no such key, 4 in use, 6 not permitted. Of several keys, each is tried, and the first
failure counts.")]
pub(crate) struct Args {
    /// The segments' keys
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,

    #[command(flatten)]
    owner: users::Owner,

    /// Maximum time to wait until the segment is unused, such as 5s, 500ms or 2m
    #[arg(long, value_name = "TIME", value_parser = units::duration, conflicts_with = "force")]
    wait: Option<Duration>,

    /// Remove the segment even if it is in use
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    format: Format,
}

/// The outcome for one segment, as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    key: &'a str,
    removed: bool,
}

/// Runs `sharehold rm`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let when = if args.force {
        DestroyMode::Immediate
    } else {
        DestroyMode::WhenUnusedWithin(args.wait.unwrap_or_default())
    };
    let mut failed = None;
    let mut answers = Vec::new();
    for key in &args.keys {
        let destroyed = args.owner.options().destroy(key, when);
        let removed = destroyed.is_ok();
        answers.push(Answer { key, removed });
        if let Err(error) = destroyed
            && let Some(before) = failed.replace(anyhow::Error::from(error))
        {
            // `main` prints the last error.
            output::complain(&before);
        }
    }
    if args.format.json {
        output::document(&answers)?;
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(Exit::Done.into()),
    }
}
