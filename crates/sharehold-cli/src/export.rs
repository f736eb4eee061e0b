//! `sharehold export`: what a segment holds, whatever its type and format version.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::exit::Exit;
use crate::{hexdump, output, users, value};

/// Print what a segment holds, also one of an older format version
///
/// The answer is JSON: the schema, which says in plain text what the value is, and the value; or the bytes, in hexadecimal. Nothing
/// is attached to, locked or changed, so that a segment can be saved that this version of sharehold does not attach to, or whose users
/// have all died.
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

    /// The bytes alone, as they are
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
