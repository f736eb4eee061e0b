//! `sharehold ls`: lists segments.

use std::borrow::Cow;
use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use anyhow::Result;
use rustix::process::geteuid;
use serde::Serialize;
use sharehold::{ListEntry, Summary};

use crate::describe::{self, FaultJson, State, SummaryJson};
use crate::exit::Exit;
use crate::foreign::{self, ForeignJson};
use crate::output::{self, Format, Tone};
use crate::table::{Align, Cell, Table};
use crate::{format, users};

/// List your segments; as root, those of all users
///
/// LOCK shows the owner of a segment's lock, or the owner that died holding it. STATE is live
/// (processes are attached), idle (persistent, without attachments) or stale (not persistent,
/// without live attachments; the next use of its key removes it). For a file that is not a complete
/// segment, the line shows the reason. Listing changes nothing. OWNER is shown as root, and in a
/// directory of several users that `SHAREHOLD_DIR` names; only that directory is then listed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold ls                                         a line for each segment
  sharehold ls --all                                   and what other programs share
  sharehold ls --json | jq -r '.[].key // empty'     the keys, for a script
  sharehold ls --json | jq '.[] | select(.state == \"stale\")'

Exit status: 0 listed, also when a file is damaged; 6 the directory is not to be trusted or not permitted.")]
pub(crate) struct Args {
    /// Also list other shared memory and semaphores: System V, POSIX and Qt
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
    ForeignObject(ForeignJson),
}

/// Runs `sharehold ls`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let listed = listed()?;
    let others = if args.all {
        sharehold::list_foreign()?
    } else {
        Vec::new()
    };
    if args.format.json {
        let others = others.iter().map(|it| Entry::ForeignObject(it.into()));
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

/// The segments of all users that this user may see, sorted by owner and key.
fn listed() -> Result<Vec<ListEntry>> {
    let mut listed = sharehold::list_all_users()?;
    listed.sort_by(|a, b| (a.owner, name(a)).cmp(&(b.owner, name(b))));
    Ok(listed)
}

/// The key, or the file name if the file is not a segment.
fn name(it: &ListEntry) -> Cow<'_, str> {
    match &it.summary {
        Ok(summary) => Cow::Borrowed(&summary.key),
        Err(_) => it.file_name.to_string_lossy(),
    }
}

fn entry(it: &ListEntry) -> Entry {
    match &it.summary {
        Ok(summary) => Entry::Segment(Box::new(summary.into())),
        Err(error) => Entry::Fault(FaultJson::new(it, error)),
    }
}

fn table(listed: &[ListEntry]) -> Table {
    let me = geteuid().as_raw();
    let shows_owner = listed.iter().any(|it| it.owner != me);
    let mut columns = vec![
        ("KEY", Align::Left),
        ("SIZE", Align::Right),
        ("TYPE", Align::Left),
        ("ATTACHED", Align::Right),
        ("LOCK", Align::Left),
        ("STATE", Align::Left),
        ("AGE", Align::Right),
    ];
    if shows_owner {
        columns.insert(0, ("OWNER", Align::Left));
    }
    let mut table = Table::new(columns);
    for it in listed {
        let owner = shows_owner.then(|| Cell::from(users::name(it.owner)));
        let mut cells: Vec<Cell> = owner.into_iter().collect();
        match &it.summary {
            Ok(summary) => cells.extend(row(summary)),
            Err(error) => {
                let fault = describe::fault_word(error.kind());
                let text = format!("{fault}: {}", describe::reason(error));
                cells.extend([Cell::from(key(&name(it))), Cell::new(text, Tone::Bad)]);
            }
        }
        table.row(cells);
    }
    table
}

/// The key as it is shown; on a terminal it is cut to fit the line.
fn key(key: &str) -> String {
    if stdout().is_terminal() {
        describe::short_key(key)
    } else {
        format::visible(key)
    }
}

fn row(summary: &Summary) -> [Cell; 7] {
    let (lock, tone) = describe::lock_words(summary);
    let state = State::of(summary);
    [
        key(&summary.key).into(),
        format::bytes(describe::size(summary) as u64).into(),
        format::cut(&describe::type_name(summary), 24).into(),
        summary.attachments.len().to_string().into(),
        Cell::new(lock, tone),
        Cell::new(state.word(), state.tone()),
        format::age(summary.created_at).into(),
    ]
}
