//! `sharehold ls`: what segments there are.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use sharehold::{Listed, Summary};

use crate::exit::Exit;
use crate::foreign::{self, ForeignJson};
use crate::human;
use crate::output::{self, Format, Tone};
use crate::seen::{self, FaultJson, State, SummaryJson};
use crate::table::{Align, Cell, Table};

/// List this user's segments
///
/// LOCK says who holds a segment's lock, or died holding it. STATE is live (somebody is attached), idle (nobody is, and
/// it was created to stay) or stale (nobody is; it goes when its key is asked for). A file that is no whole segment has its
/// reason in its line. Nothing is changed by looking.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold ls                                         a line for each segment
  sharehold ls --all                                   and what other programs share
  sharehold ls --json | jq -r '.[].key'                the keys, for a script
  sharehold ls --json | jq '.[] | select(.state == \"stale\")'

Exit status: 0 listed, also when a file is damaged; 6 the directory is not to be trusted or not permitted.")]
pub(crate) struct Args {
    /// Also shared memory and semaphores that are not sharehold's: System V, POSIX, and Qt's among them
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    format: Format,
}

/// A segment, or what is wrong with a file.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Segment(Box<SummaryJson>),
    Fault(FaultJson),
    Foreign(ForeignJson),
}

/// Runs `sharehold ls`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let listed = sharehold::list()?;
    let others = if args.all {
        sharehold::list_foreign()?
    } else {
        Vec::new()
    };
    if args.format.json {
        let others = others.iter().map(|it| Entry::Foreign(it.into()));
        let entries: Vec<Entry> = listed.iter().map(entry).chain(others).collect();
        output::document(&entries)?;
    } else {
        output::text(&table(&listed).to_text())?;
        if args.all {
            output::text(&format!("\n{}", foreign::table(&others).to_text()))?;
        }
    }
    Ok(Exit::Done.into())
}

fn entry(it: &Listed) -> Entry {
    match &it.summary {
        Ok(summary) => Entry::Segment(Box::new(summary.into())),
        Err(error) => Entry::Fault(FaultJson::new(&it.file_name, error)),
    }
}

fn table(listed: &[Listed]) -> Table {
    let mut table = Table::new([
        ("KEY", Align::Left),
        ("SIZE", Align::Right),
        ("TYPE", Align::Left),
        ("ATTACHED", Align::Right),
        ("LOCK", Align::Left),
        ("STATE", Align::Left),
        ("AGE", Align::Right),
    ]);
    for it in listed {
        match &it.summary {
            Ok(summary) => table.row(row(summary)),
            Err(error) => {
                let name = seen::short_key(&it.file_name.to_string_lossy());
                let fault = seen::fault_word(error.kind());
                let text = format!("{fault}: {}", seen::reason(error));
                table.row([Cell::from(name), Cell::new(text, Tone::Bad)]);
            }
        }
    }
    table
}

fn row(summary: &Summary) -> [Cell; 7] {
    let (lock, tone) = seen::lock_words(summary);
    let state = State::of(summary);
    [
        seen::short_key(&summary.key).into(),
        human::bytes(summary.size as u64).into(),
        human::cut(&seen::type_name(summary), 24).into(),
        summary.attachments.len().to_string().into(),
        Cell::new(lock, tone),
        Cell::new(state.word(), state.tone()),
        human::age(summary.created_at).into(),
    ]
}
