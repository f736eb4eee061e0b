//! `sharehold read`: the bytes of a segment.

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::content::Data;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::{hexdump, units, users};

/// Write the bytes of a segment to standard output
///
/// Plain bytes are read under the lock, so that no process writes meanwhile; a typed value is a
/// snapshot, read without the lock. On a terminal the bytes are shown in hexadecimal; elsewhere
/// they are written unchanged.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold read com.example.frame > frame.raw
  sharehold read com.example.frame --offset 4KiB --length 64     on a terminal: in hexadecimal
  sharehold read com.example.frame --hex | less

Exit status: 0 written, 1 there are no such bytes, 2 wrong usage, 3 no such key, 4 not locked in time, 5 damaged, 6 not permitted.
Bytes that a dead process left half written are written all the same, with a warning.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// Offset of the first byte
    #[arg(long, value_name = "SIZE", value_parser = units::size, default_value = "0")]
    offset: usize,

    /// Number of bytes [default: all after the offset]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    length: Option<usize>,

    /// Write hexadecimal, even if the output is not a terminal
    #[arg(long, conflicts_with = "json")]
    hex: bool,

    /// Maximum time to wait for the lock, such as 5s or 500ms [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    format: Format,
}

/// Runs `sharehold read`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let bytes = Data::attach(&args.owner.options(), &args.key)?.read(
        args.offset,
        args.length,
        args.timeout,
    )?;
    if args.format.json {
        let digits = hexdump::digits(&bytes);
        output::document(
            &json!({ "offset": args.offset, "length": bytes.len(), "bytes": digits }),
        )?;
    } else if args.hex || stdout().is_terminal() {
        output::text(&hexdump::of(&bytes, args.offset))?;
    } else {
        output::bytes(&bytes)?;
    }
    Ok(Exit::Done.into())
}
