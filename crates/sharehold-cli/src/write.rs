//! `sharehold write`: writes standard input into the bytes of a segment.

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
/// Reads all of the input, then writes it under the lock. Input that does not fit, or would make a
/// typed value invalid, changes nothing.
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

    /// Offset of the first byte
    #[arg(long, value_name = "SIZE", value_parser = units::size, default_value = "0")]
    offset: usize,

    /// Maximum time to wait for the lock, such as 5s or 500ms [default: no limit]
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
