//! `sharehold create`: creates a persistent segment of plain bytes or of named fields.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::ArgGroup;
use rustix::fs::statvfs;
use sharehold::{Kind, Policy, Schema, Segment, SegmentOptions, summarize};

use crate::describe::SummaryJson;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::{format, units, users};

/// The type name that `sharehold ls` shows for a value whose fields were given on the command line.
const TYPE: &str = "Fields";

/// Create a segment that stays until it is removed
///
/// The segment is persistent; `sharehold rm` removes it. With --size it holds plain bytes, all
/// zero; with --fields a typed value whose fields are zero or empty. A program attaches to the
/// value with a `#[repr(C)]` struct of the same fields. Padding becomes `reserved` bytes, which the
/// schema in `sharehold show --json` lists.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("content").required(true))]
#[command(after_help = "\
Kinds of fields:
  u8 to u128, i8 to i128, f32, f64, bool, text32 (at most 32 bytes; also Text<32>), [u64; 8] (exactly 8), List<u64, 8> (at most 8),
  'enum u8 {Idle=0, Busy=1}'

Examples:
  sharehold create com.example.frame --size 8MiB
  sharehold create com.example.log --size 64KiB --max-size 1GiB      can grow
  sharehold create com.example.tally --fields 'value:u64, by_worker:[u64; 8]'
  sharehold create com.example.board --size 4KiB --mode 0660 --group staff
                                              the group may attach, with --owner and your name

Exit status: 0 created, 1 no memory, 2 wrong usage, 4 the key is taken, 6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    /// Size in plain bytes, such as 4096, 4KiB or 1MiB
    #[arg(long, value_name = "SIZE", value_parser = units::size, group = "content")]
    size: Option<usize>,

    /// Fields of a typed value, each NAME:KIND, separated by commas
    #[arg(
        long,
        value_name = "FIELDS",
        group = "content",
        conflicts_with = "max_size"
    )]
    fields: Option<String>,

    /// Maximum size to which it can grow [default: its size]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    max_size: Option<usize>,

    /// Maximum number of attachments
    #[arg(long, value_name = "N", default_value = "128")]
    slots: usize,

    /// Permissions, as for chmod
    #[arg(long, value_name = "MODE", value_parser = units::mode, default_value = "0600")]
    mode: u32,

    /// Group of the segment, by name or number [default: your group]
    #[arg(long, value_name = "GROUP", value_parser = users::group)]
    group: Option<u32>,

    #[command(flatten)]
    format: Format,
}

/// Runs `sharehold create`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let options = Segment::options()
        .policy(Policy::Persistent)
        .slots(args.slots)
        .mode(args.mode);
    let options = match args.group {
        Some(group) => options.group(group),
        None => options,
    };
    if let Some(fields) = &args.fields {
        let schema =
            schema(fields).map_err(|error| Failure::new(Exit::Usage, format!("{error:#}")))?;
        check_room(&schema, &options)?;
        let blank = schema
            .blank()
            .context("there is not enough memory for such a value")?;
        options
            .create_untyped(&args.key, &schema, &blank)?
            .detach()?;
    } else {
        let size = args.size.unwrap_or(0);
        let max_size = args.max_size.unwrap_or(size);
        let options = options.size(size).max_size(max_size);
        options.create(&args.key)?.detach()?;
    }
    if args.format.json {
        output::document(&SummaryJson::from(&summarize(&args.key)?))?;
    }
    Ok(Exit::Done.into())
}

/// Refuses a value that cannot have room, before memory is taken for it.
fn check_room(schema: &Schema, options: &SegmentOptions) -> Result<()> {
    // A value has two copies, the old one and the new one.
    let needed = (schema.size() as u64).saturating_mul(2);
    let directory = options.directory();
    // It is made with the first segment. What cannot be asked is found out by creating.
    let system = directory.ancestors().find_map(|it| statvfs(it).ok());
    let room = system.map(|it| it.f_bavail.saturating_mul(it.f_frsize));
    let limits = [
        room.map(|room| (room, directory.display().to_string())),
        available_memory().map(|memory| (memory, "this machine".to_owned())),
    ];
    let Some((free, place)) = limits.into_iter().flatten().min() else {
        return Ok(());
    };
    if needed <= free {
        return Ok(());
    }
    let detail = format!(
        "a value of these fields takes {} of memory in its two copies, and {place} has room for {}; use smaller fields",
        format::bytes(needed),
        format::bytes(free)
    );
    Err(Failure::new(Exit::Failed, detail).into())
}

/// How much memory programs can have without taking it from each other.
fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    let free = kibibytes("MemAvailable:")? + kibibytes("SwapFree:").unwrap_or(0);
    free.checked_mul(1024)
}

/// The schema of a value of these fields.
fn schema(fields: &str) -> Result<Schema> {
    let mut found = Vec::new();
    for field in split(fields) {
        let (name, kind) = field
            .split_once(':')
            .with_context(|| format!("`{field}` is not NAME:KIND, such as count:u64"))?;
        found.push((name.trim().to_owned(), self::kind(kind.trim())?));
    }
    Ok(Schema::from_fields(TYPE, found)?)
}

/// A kind as a schema has it, or `text32`, which needs no quotes in a shell.
fn kind(text: &str) -> Result<Kind> {
    let is_number = |most: &&str| most.parse::<usize>().is_ok();
    let short = text.strip_prefix("text").filter(is_number);
    let short = short.map(|most| format!("Text<{most}>"));
    Ok(short.as_deref().unwrap_or(text).parse()?)
}

/// Cuts at the commas that are not inside of a kind.
fn split(fields: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let outside = |it: char| {
        match it {
            '[' | '<' | '{' => depth += 1,
            ']' | '>' | '}' => depth -= 1,
            _ => {}
        }
        it == ',' && depth == 0
    };
    fields.split(outside).map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_cut_between_kinds() {
        assert_eq!(
            split("a:u8, b:[u8; 2],c:List<[u8; 2], 3> , d:enum u8 {A=0, B=1}"),
            [
                "a:u8",
                "b:[u8; 2]",
                "c:List<[u8; 2], 3>",
                "d:enum u8 {A=0, B=1}"
            ]
        );
    }
}
