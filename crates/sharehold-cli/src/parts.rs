//! The owners and waiters of a segment's locks and parts, and their recoveries, as text and JSON.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use sharehold::{
    Holder, Inspection, LockState, PartState, Recovery, Schema, Summary, Usage, Waiter,
};

use crate::describe::{self, AttachmentJson};
use crate::output::Tone;
use crate::table::{Align, Cell, Table};
use crate::{format, primitive, value};

/// What the segment's own lock is called beside those of parts.
const OWN: &str = "the lock";

/// The holders of each part, under a heading; empty if there are no parts.
pub(crate) fn parts(seen: &Inspection) -> Vec<Vec<Cell>> {
    let mut table = Table::new([
        ("PART", Align::Left),
        ("KIND", Align::Left),
        ("STATE", Align::Left),
    ]);
    for part in &seen.parts {
        let (words, tone) = primitive::words(&part.state);
        table.row([
            Cell::from(format::visible(&part.path)),
            Cell::new(part.state.primitive().name(), Tone::Faint),
            Cell::new(words, tone),
        ]);
    }
    lines_of(&table)
}

/// The values that parts guard: the path of each, what it is, and its bytes.
pub(crate) fn values(seen: &Inspection) -> impl Iterator<Item = (&str, Schema, &[u8])> {
    let schema = seen.schema.as_ref().ok().and_then(Option::as_ref);
    seen.parts.iter().filter_map(move |part| {
        let guarded = schema?.guarded_by(&part.path)?;
        Some((part.path.as_str(), guarded, part.value.as_deref()?))
    })
}

/// The waiters, what each waits for, and for how long, under a heading.
pub(crate) fn waiters(seen: &Inspection) -> Vec<Vec<Cell>> {
    let mut table = Table::new([
        ("WAITING", Align::Right),
        ("PROGRAM", Align::Left),
        ("THREAD", Align::Right),
        ("WHAT", Align::Left),
        ("SINCE", Align::Left),
        ("FOR", Align::Right),
    ]);
    let own = seen.summary.waiters.iter().map(|it| (OWN.to_owned(), it));
    let of_parts = seen.parts.iter().flat_map(|part| {
        let waiters = part.waiters.iter();
        waiters.map(|it| (format::visible(&part.path), it))
    });
    for (what, it) in own.chain(of_parts) {
        let thread = it.thread.map_or("-".to_owned(), |it| it.to_string());
        table.row([
            Cell::from(it.attachment.pid.to_string()),
            describe::program(&it.attachment).into(),
            thread.into(),
            what.into(),
            format::instant(it.since).into(),
            format::age(Some(it.since)).into(),
        ]);
    }
    lines_of(&table)
}

/// The recoveries: dead owner, lock, recovering process and duration, under a heading.
pub(crate) fn recoveries(seen: &Inspection) -> Vec<Vec<Cell>> {
    let mut table = Table::new([
        ("RECOVERED", Align::Left),
        ("WHAT", Align::Left),
        ("FROM THE DEAD", Align::Left),
        ("BY", Align::Left),
        ("TOOK", Align::Right),
    ]);
    for it in &seen.recoveries {
        let what = it.part.as_deref().map_or(OWN.to_owned(), format::visible);
        let took = took_ms(it).map_or("-".to_owned(), |ms| format!("{ms:.2} ms"));
        table.row([
            Cell::from(format::instant(it.at)),
            what.into(),
            describe::who(it.dead.as_ref()).into(),
            describe::who(it.by.as_ref()).into(),
            took.into(),
        ]);
    }
    lines_of(&table)
}

fn lines_of(table: &Table) -> Vec<Vec<Cell>> {
    if table.is_empty() {
        Vec::new()
    } else {
        table.lines()
    }
}

/// Empty if the recovering process had not waited.
fn took_ms(it: &Recovery) -> Option<f64> {
    (!it.took.is_zero()).then_some(it.took.as_secs_f64() * 1e3)
}

/// How many wait for the segment's own lock, as far as that is known.
pub(crate) fn awaited_words(summary: &Summary) -> Option<String> {
    match summary.waiters.len() {
        0 if summary.is_awaited => Some("a process may be waiting".to_owned()),
        0 => None,
        number => Some(format!("{number} waiting")),
    }
}

/// Which thread holds a lock, and for how long, as far as that is known.
pub(crate) fn holder_words(holder: &Holder) -> Vec<String> {
    let thread = holder.thread.map(|thread| format!("thread {thread}"));
    let seen = holder.seen_since;
    let seen = seen.map(|at| format!("for {} or longer", format::age(Some(at))));
    thread.into_iter().chain(seen).collect()
}

/// The state and owner of a lock, as JSON.
#[derive(Serialize)]
pub(crate) struct HeldJson {
    state: &'static str,
    holder: Option<AttachmentJson>,
    thread: Option<u32>,
    in_place: Option<bool>,
    seen_since: Option<String>,
}

impl From<&LockState> for HeldJson {
    fn from(lock: &LockState) -> HeldJson {
        let (state, holder) = match lock {
            LockState::Held(holder) => ("held", Some(holder)),
            LockState::Abandoned(holder) => ("abandoned", Some(holder)),
            _ => ("free", None),
        };
        HeldJson {
            state,
            holder: holder.and_then(|it| it.attachment.as_ref()).map(Into::into),
            thread: holder.and_then(|it| it.thread),
            in_place: holder.map(|it| it.in_place),
            seen_since: holder.and_then(|it| it.seen_since).map(format::instant),
        }
    }
}

/// The waiters, as JSON.
#[derive(Serialize)]
pub(crate) struct WaiterJson {
    #[serde(flatten)]
    attachment: AttachmentJson,
    thread: Option<u32>,
    waits_since: String,
    waits_ms: f64,
}

impl From<&Waiter> for WaiterJson {
    fn from(it: &Waiter) -> WaiterJson {
        WaiterJson {
            attachment: (&it.attachment).into(),
            thread: it.thread,
            waits_since: format::instant(it.since),
            waits_ms: it.since.elapsed().unwrap_or_default().as_secs_f64() * 1e3,
        }
    }
}

/// A part, as programs read it.
#[derive(Serialize)]
pub(crate) struct PartJson {
    path: String,
    kind: &'static str,
    #[serde(flatten)]
    state: PartStateJson,
    value: Option<Value>,
    waiters: Vec<WaiterJson>,
}

/// All parts, as programs read them.
pub(crate) fn parts_json(seen: &Inspection) -> Vec<PartJson> {
    let values: HashMap<&str, Value> = values(seen)
        .filter_map(|(path, schema, bytes)| {
            let value = schema.get(bytes, ".").ok()?;
            Some((path, value::to_json(&value, schema.kind())))
        })
        .collect();
    let parts = seen.parts.iter().map(|part| PartJson {
        path: part.path.clone(),
        kind: part.state.primitive().name(),
        state: (&part.state).into(),
        value: values.get(part.path.as_str()).cloned(),
        waiters: part.waiters.iter().map(Into::into).collect(),
    });
    parts.collect()
}

#[derive(Serialize)]
#[serde(untagged)]
enum PartStateJson {
    Mutex {
        lock: HeldJson,
    },
    OnceLock {
        lock: HeldJson,
        made: bool,
    },
    RwLock {
        writer: HeldJson,
        readers: Vec<ShareJson>,
    },
    Semaphore {
        permits: u32,
        holders: Vec<ShareJson>,
    },
    Event {
        set: bool,
    },
    Barrier {
        participants: u32,
        arrived: Vec<ShareJson>,
    },
    Other {},
}

#[derive(Serialize)]
struct ShareJson {
    #[serde(flatten)]
    attachment: AttachmentJson,
    count: u32,
}

impl From<&PartState> for PartStateJson {
    fn from(state: &PartState) -> PartStateJson {
        let all = |shares: &[Usage]| {
            let shares = shares.iter().map(|it| ShareJson {
                attachment: (&it.attachment).into(),
                count: it.count,
            });
            shares.collect()
        };
        match state {
            PartState::Mutex(it) => PartStateJson::Mutex {
                lock: (&it.lock).into(),
            },
            PartState::OnceLock(it) => PartStateJson::OnceLock {
                lock: (&it.lock).into(),
                made: it.is_made,
            },
            PartState::RwLock(it) => PartStateJson::RwLock {
                writer: (&it.writer).into(),
                readers: all(&it.readers),
            },
            PartState::Semaphore(it) => PartStateJson::Semaphore {
                permits: it.permits,
                holders: all(&it.holders),
            },
            PartState::Event(it) => PartStateJson::Event { set: it.is_set },
            PartState::Barrier(it) => PartStateJson::Barrier {
                participants: it.participants,
                arrived: all(&it.arrived),
            },
            _ => PartStateJson::Other {},
        }
    }
}

/// A take-over from the dead, as programs read it.
#[derive(Serialize)]
pub(crate) struct RecoveryJson {
    number: u64,
    at: String,
    took_ms: Option<f64>,
    dead: Option<AttachmentJson>,
    by: Option<AttachmentJson>,
    part: Option<String>,
}

impl From<&Recovery> for RecoveryJson {
    fn from(it: &Recovery) -> RecoveryJson {
        RecoveryJson {
            number: it.number,
            at: format::instant(it.at),
            took_ms: took_ms(it),
            dead: it.dead.as_ref().map(Into::into),
            by: it.by.as_ref().map(Into::into),
            part: it.part.clone(),
        }
    }
}
