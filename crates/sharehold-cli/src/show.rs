//! `sharehold show`: shows everything that can be seen of one segment.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;
use sharehold::{
    Attachment, Consistency, ErrorKind, Field, Inspection, Kind, LockState, Policy, Schema, Summary,
};

use crate::describe::{self, State, SummaryJson};
use crate::exit::Exit;
use crate::output::{self, Format, Tone};
use crate::parts::{self, PartJson, RecoveryJson};
use crate::table::{self, Align, Cell, Table};
use crate::{foreign, format, hexdump, target, users, value};

/// Show everything about one segment: its type, users, waiters, deaths and value
///
/// For the lock and each part: owner, waiters and waiting times. For recent recoveries: which
/// process died, what it held, when, and how long recovery took. The value is a committed one,
/// field by field; of plain bytes, the first bytes are shown without locking. `show` changes
/// nothing, delays no process, and does not keep the segment alive. The key may also be a native
/// key of Qt programs, as printed by sharehold ls --all --json.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold show com.example.tally                     for people
  sharehold show com.example.tally --json | jq .lock   for a script
  sharehold show posix:/qipc_sharedmemory_1            memory of Qt programs

Exit status: 0 shown, 2 wrong usage, 3 no such key, 5 damaged or of another version, 6 not permitted or not trusted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    #[command(flatten)]
    format: Format,
}

/// How much of plain bytes is shown.
const BEGINNING: usize = 256;
/// The number of dead attachments that are shown, the most recently attached.
const MOST_DEPARTED: usize = 8;
/// The path of a value that is not a struct member.
const WHOLE: &str = ".";
/// How much of a field's value is shown.
const WIDEST: usize = 100;

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    summary: SummaryJson,
    file: String,
    schema: Option<String>,
    parts: Vec<PartJson>,
    last_recoveries: Vec<RecoveryJson>,
    value: Option<Value>,
    /// The first bytes of plain data, as hexadecimal digits.
    bytes: Option<String>,
    error: Option<String>,
}

/// Runs `sharehold show`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let seen = match args.owner.options().inspect(&args.key) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return show_foreign(args).unwrap_or(Err(error.into()));
        }
        seen => seen?,
    };
    if args.format.json {
        output::document(&shown(&seen))?;
    } else {
        output::text(&table::to_text(&lines(&seen)))?;
    }
    Ok(Exit::Done.into())
}

/// Shows memory of Qt programs, if the key is a native one.
fn show_foreign(args: &Args) -> Option<Result<ExitCode>> {
    let key = foreign::native_key(&args.key)?;
    let shown = foreign::look(&key).and_then(|status| {
        if args.format.json {
            output::document(&foreign::json(&key, &status))
        } else {
            output::text(&foreign::facts(&key, &status).to_text())
        }
    });
    Some(shown.map(|()| Exit::Done.into()))
}

fn shown(seen: &Inspection) -> Shown {
    let schema = seen.schema.as_ref().ok().and_then(Option::as_ref);
    let bytes = seen.content.as_deref().ok();
    let typed = schema.filter(|_| seen.parts.is_empty());
    let value = typed
        .zip(bytes)
        .map(|(schema, bytes)| schema.get(bytes, "."));
    let errors = [
        seen.schema.as_ref().err().map(ToString::to_string),
        seen.content.as_ref().err().map(ToString::to_string),
        value
            .as_ref()
            .and_then(|it| it.as_ref().err())
            .map(ToString::to_string),
    ];
    let plain = bytes.filter(|_| matches!(seen.schema, Ok(None)));
    Shown {
        summary: (&seen.summary).into(),
        file: seen.file_name.to_string_lossy().into_owned(),
        schema: schema.map(Schema::to_text),
        parts: parts::parts_json(seen),
        last_recoveries: seen.recoveries.iter().map(Into::into).collect(),
        value: value
            .and_then(Result::ok)
            .zip(schema)
            .map(|(value, schema)| value::to_json(&value, schema.kind())),
        bytes: plain.map(|bytes| hexdump::digits(beginning(bytes))),
        error: errors.into_iter().flatten().next(),
    }
}

fn beginning(bytes: &[u8]) -> &[u8] {
    bytes.get(..BEGINNING).unwrap_or(bytes)
}

/// The whole description as text: type, attachments, waiters, deaths and value.
pub(crate) fn lines(seen: &Inspection) -> Vec<Vec<Cell>> {
    let mut lines = facts(seen).lines();
    for part in [
        attachments(&seen.summary),
        departed(&seen.summary),
        parts::waiters(seen),
        parts::recoveries(seen),
        parts::parts(seen),
        content(seen),
    ] {
        if !part.is_empty() {
            lines.push(Vec::new());
            lines.extend(part);
        }
    }
    lines
}

/// What the segment is, a line for each fact.
fn facts(seen: &Inspection) -> Table {
    let summary = &seen.summary;
    let state = State::of(summary);
    let mut table = Table::without_heading(2);
    let mut fact = |name: &str, text: String, tone: Tone| {
        table.row([Cell::new(name, Tone::Faint), Cell::new(text, tone)]);
    };
    fact("key", format::visible(&summary.key), Tone::Strong);
    fact("state", state_words(summary), state.tone());
    fact("type", type_words(seen), Tone::Plain);
    if let Some(version) = summary.version {
        fact("version", version.to_string(), Tone::Plain);
    }
    fact("size", size_words(seen), Tone::Plain);
    let (lock, tone) = lock_words(summary);
    fact("lock", lock, tone);
    let (data, tone) = data_words(summary);
    fact("data", data, tone);
    fact("recoveries", recovery_words(summary), Tone::Plain);
    let Summary {
        mode, owner, group, ..
    } = summary;
    let access = format!("mode {mode:04o}, user {owner}, group {group}");
    fact("access", access, Tone::Plain);
    if let Some(at) = summary.created_at {
        let age = format::age(Some(at));
        fact(
            "created",
            format!("{}, {age} ago", format::instant(at)),
            Tone::Plain,
        );
    }
    let file = format::visible(&seen.file_name.to_string_lossy());
    fact("file", file, Tone::Plain);
    table
}

fn state_words(summary: &Summary) -> String {
    let keeps = if summary.policy == Policy::Persistent {
        "stays until it is destroyed"
    } else {
        "goes with its last attachment"
    };
    match State::of(summary) {
        State::Stale => {
            "stale: no process is attached; the next use of its key removes it".to_owned()
        }
        state => format!("{}, {keeps}", state.word()),
    }
}

fn type_words(seen: &Inspection) -> String {
    match &seen.schema {
        Ok(None) => "plain bytes".to_owned(),
        Err(error) => describe::reason(error),
        Ok(Some(schema)) => format!(
            "{}, version {}, {} bytes",
            format::visible(schema.name()),
            schema.version(),
            schema.size()
        ),
    }
}

fn size_words(seen: &Inspection) -> String {
    let summary = &seen.summary;
    let schema = seen.schema.as_ref().ok().and_then(Option::as_ref);
    let copies = match schema {
        Some(schema) if !schema.is_of_parts() => " in two copies",
        _ => "",
    };
    let grows = if schema.is_none() && summary.max_size > summary.size {
        format!(", grows to {}", format::bytes(summary.max_size as u64))
    } else {
        String::new()
    };
    let size = format::bytes(describe::size(summary) as u64);
    format!(
        "{size} of data{copies}{grows}, takes {} of memory in all",
        format::bytes(summary.reserved)
    )
}

fn lock_words(summary: &Summary) -> (String, Tone) {
    let (words, tone) = describe::lock_words(summary);
    let mut parts = vec![words];
    if let LockState::Held(holder) | LockState::Abandoned(holder) = &summary.lock {
        parts.extend(parts::holder_words(holder));
        let how = if holder.in_place {
            "changes data in place"
        } else {
            "changes data all or nothing"
        };
        parts.push(how.to_owned());
    }
    parts.extend(parts::awaited_words(summary));
    (parts.join(", "), tone)
}

fn data_words(summary: &Summary) -> (String, Tone) {
    let transaction = if summary.in_transaction {
        ", a transaction is open"
    } else {
        ""
    };
    match &summary.condition {
        Consistency::Abandoned {
            cause,
            previous_owner,
        } => {
            let who = describe::who(previous_owner.as_ref());
            let cause = describe::cause_word(*cause);
            if summary.value_type.is_some() {
                let words = format!(
                    "consistent; {who} {cause} holding the lock, and the next owner gets an error{transaction}"
                );
                return (words, Tone::Plain);
            }
            let words = format!(
                "perhaps half written: {who} {cause} holding the lock, not marked consistent since{transaction}"
            );
            (words, Tone::Bad)
        }
        _ => (format!("consistent{transaction}"), Tone::Plain),
    }
}

fn recovery_words(summary: &Summary) -> String {
    match summary.recoveries.count {
        0 => "none".to_owned(),
        count => format!(
            "{count}, the longest in {:.2} ms",
            summary.recoveries.longest.as_secs_f64() * 1e3
        ),
    }
}

/// A table of processes under the given heading.
fn processes<'a>(
    heading: &'static str,
    processes: impl Iterator<Item = (&'a Attachment, &'static str)>,
) -> Table {
    let mut table = Table::new([
        (heading, Align::Right),
        ("PROGRAM", Align::Left),
        ("SLOT", Align::Right),
        ("SINCE", Align::Left),
        ("", Align::Left),
    ]);
    for (it, note) in processes {
        let slot = it.slot.map_or("-".to_owned(), |slot| slot.to_string());
        let program = describe::program(it);
        let since = it.since.map_or("-".to_owned(), format::instant);
        table.row([
            it.pid.to_string().into(),
            program.into(),
            slot.into(),
            since.into(),
            note.into(),
        ]);
    }
    table
}

/// The live attachments, under a heading.
fn attachments(summary: &Summary) -> Vec<Vec<Cell>> {
    let attached = summary.attachments.iter().map(|it| {
        let holds = summary.holder() == Some(it);
        let note = match it.slot {
            None => "reads only",
            Some(_) if holds => "holds the lock",
            Some(_) => "",
        };
        (it, note)
    });
    let table = processes("ATTACHED", attached);
    if table.is_empty() {
        Vec::new()
    } else {
        table.lines()
    }
}

/// The dead attachments, under a heading.
fn departed(summary: &Summary) -> Vec<Vec<Cell>> {
    let mut departed: Vec<&Attachment> = summary.departed.iter().collect();
    departed.sort_by_key(|it| std::cmp::Reverse(it.since));
    let (shown, rest) = departed.split_at(departed.len().min(MOST_DEPARTED));
    let table = processes("DIED", shown.iter().map(|it| (*it, "")));
    if table.is_empty() {
        return Vec::new();
    }
    let mut lines = table.lines();
    if !rest.is_empty() {
        let more = format!("and {} more that died", rest.len());
        lines.push(vec![Cell::new(more, Tone::Faint)]);
    }
    lines
}

/// The value field by field, that of each part, or the first bytes, under a heading.
fn content(seen: &Inspection) -> Vec<Vec<Cell>> {
    if !seen.parts.is_empty() {
        let mut table = table_of_fields();
        for (path, schema, value) in parts::values(seen) {
            add_fields(&mut table, path, &schema, value);
        }
        return if table.is_empty() {
            Vec::new()
        } else {
            table.lines()
        };
    }
    let bytes = match &seen.content {
        Ok(bytes) => bytes,
        Err(error) => return vec![vec![Cell::new(describe::reason(error), Tone::Bad)]],
    };
    if let Ok(Some(schema)) = &seen.schema {
        let mut table = table_of_fields();
        add_fields(&mut table, WHOLE, schema, bytes);
        return table.lines();
    }
    let shown = beginning(bytes);
    let dump = hexdump::of(shown, 0);
    let mut lines: Vec<Vec<Cell>> = dump.lines().map(|line| vec![line.into()]).collect();
    let rest = seen.summary.size - shown.len();
    if rest > 0 {
        let more = format!("and {rest} bytes more");
        lines.push(vec![Cell::new(more, Tone::Faint)]);
    }
    lines
}

fn table_of_fields() -> Table {
    Table::new([
        ("FIELD", Align::Left),
        ("KIND", Align::Left),
        ("VALUE", Align::Left),
    ])
}

/// Adds a line for each field of a value that has a value of its own. The value stands at a path.
fn add_fields(table: &mut Table, at: &str, schema: &Schema, bytes: &[u8]) {
    for field in leaves(schema) {
        let (text, tone) = match schema.get(bytes, &field.path) {
            Ok(value) => (format::visible(&value.to_string()), Tone::Plain),
            Err(error) => (error.to_string(), Tone::Bad),
        };
        let path = match (at, field.path.as_str()) {
            (WHOLE, path) => path.to_owned(),
            (at, WHOLE) => at.to_owned(),
            (at, path) => format!("{at}.{path}"),
        };
        table.row([
            Cell::from(path),
            Cell::new(format::cut(&field.kind.to_string(), 30), Tone::Faint),
            Cell::new(format::cut(&text, WIDEST), tone),
        ]);
    }
}

/// The fields that are no structs, and no parts of elements.
pub(crate) fn leaves(schema: &Schema) -> Vec<Field> {
    let is_leaf = |field: &Field| {
        let name = field.path.rsplit('.').next().unwrap_or_default();
        let is_whole = !matches!(field.kind, Kind::Struct { .. });
        is_whole && !field.path.contains("[]") && !target::is_padding(name, &field.kind)
    };
    schema.fields().into_iter().filter(is_leaf).collect()
}
