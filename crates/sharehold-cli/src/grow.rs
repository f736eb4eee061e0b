//! `sharehold grow`: enlarges a segment of plain bytes.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::exit::Exit;
use crate::output::{self, Format};
use crate::{target, units, users};

/// Make a segment larger, for all attached processes
///
/// It can grow up to the maximum size given at its creation. The new bytes are zero; addresses stay
/// valid. A segment never shrinks: a smaller size changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold create com.example.log --size 64KiB --max-size 1GiB
  sharehold grow com.example.log 128KiB

Exit status: 0 it is at least as large, 1 no memory, 2 wrong usage, or beyond its largest size, 3 no such key, 5 damaged, 6 not
permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// New size, such as 4096, 4KiB or 1MiB
    #[arg(value_parser = units::size)]
    size: usize,

    #[command(flatten)]
    format: Format,
}

/// Runs `sharehold grow`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let options = args.owner.options();
    target::expect_users(&options, &args.key)?;
    let segment = options.attach(&args.key)?;
    segment.grow(args.size)?;
    let size = segment.size();
    segment.detach()?;
    if args.format.json {
        output::document(&json!({ "key": args.key, "size": size }))?;
    }
    Ok(Exit::Done.into())
}
