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
/// Plain bytes are read under the lock, so that nobody is writing meanwhile; a typed value is a snapshot, without the lock. On
/// a terminal they are shown in hexadecimal, elsewhere they are written as they are.
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

    /// Where to begin
    #[arg(long, value_name = "SIZE", value_parser = units::size, default_value = "0")]
    offset: usize,

    /// How many bytes; all from there on unless given
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    length: Option<usize>,

    /// In hexadecimal, wherever it goes
    #[arg(long, conflicts_with = "json")]
    hex: bool,

    /// Wait at most so long for the lock: 5s, 500ms; as long as it takes unless given
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
