//! `sharehold export`: prints the content of a segment of any type and format version.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::exit::Exit;
use crate::{hexdump, output, users, value};

/// Print the content of a segment, even one of an older format version
///
/// The output is JSON: the schema, which describes the value in plain text, and the value; or the
/// bytes in hexadecimal. Exporting attaches to nothing, locks nothing and changes nothing. It can
/// therefore save a segment that this version cannot attach to, or whose users have all died.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold export com.example.jobs > jobs.json    save it before an upgrade
  sharehold export --raw com.example.frame         the bytes alone

Exit status: 0 printed, 2 wrong usage, 3 no such key, 5 damaged, of a version that cannot be read, or it holds parts: see
`sharehold show`, 6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// Write only the bytes, unchanged
    #[arg(long)]
    raw: bool,
}

/// Runs `sharehold export`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let contents = args.owner.options().contents(&args.key)?;
    if args.raw {
        output::bytes(contents.bytes())?;
        return Ok(Exit::Done.into());
    }
    let version = contents.format_version();
    let answer = match contents.schema() {
        Some(schema) => json!({
            "key": args.key,
            "format_version": version,
            "schema": schema.to_text(),
            "value": value::to_json(&contents.get(".")?, schema.kind()),
        }),
        None => json!({
            "key": args.key,
            "format_version": version,
            "bytes": hexdump::digits(contents.bytes()),
            "is_consistent": contents.is_consistent(),
        }),
    };
    output::document(&answer)?;
    Ok(Exit::Done.into())
}
