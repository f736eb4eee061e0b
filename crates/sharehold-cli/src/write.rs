//! `sharehold write`: bytes of a segment become those of standard input.

use std::io::stdin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::content::Data;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::{units, users};

/// Write standard input into the bytes of a segment
///
/// All of it is read first, and then written at once, under the lock. What does not fit changes nothing, nor does what would make a
/// typed value none of its type.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold write com.example.frame < frame.raw
  printf 'Hello' | sharehold write com.example.greeting --offset 16

Exit status: 0 written, 1 it does not fit, 2 wrong usage, 3 no such key, 4 not locked in time, 5 damaged, or no value of its type,
6 not permitted. Bytes that a dead process left half written count as whole again only once all of them are written.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// Where to begin
    #[arg(long, value_name = "SIZE", value_parser = units::size, default_value = "0")]
    offset: usize,

    /// Wait at most so long for the lock: 5s, 500ms; as long as it takes unless given
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    format: Format,
}

/// Runs `sharehold write`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let data = Data::attach(&args.owner.options(), &args.key)?;
    let written = data.write(args.offset, stdin().lock(), args.timeout)?;
    if args.format.json {
        output::document(&json!({ "offset": args.offset, "written": written }))?;
    }
    Ok(Exit::Done.into())
}
