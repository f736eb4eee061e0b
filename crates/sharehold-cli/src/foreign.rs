//! Shared objects of other programs, as `ls --all` and `show` tell of them.

use anyhow::Result;
use serde::Serialize;
use sharehold::qt::{self, KeyType, NativeIpcKey, Status};
use sharehold::{ForeignKind, ForeignObject};

use crate::describe;
use crate::exit::{Exit, Failure};
use crate::format;
use crate::output::Tone;
use crate::table::{Align, Cell, Table};

/// An object as programs read it.
#[derive(Serialize)]
pub(crate) struct ForeignJson {
    foreign: &'static str,
    name: String,
    native_key: Option<String>,
    text_key: Option<String>,
    id: u64,
    size: u64,
    owner: u32,
    mode: String,
    attachments: Option<u64>,
    made_by: Option<u32>,
    last_used_by: Option<u32>,
}

impl From<&ForeignObject> for ForeignJson {
    fn from(it: &ForeignObject) -> ForeignJson {
        let native = it.native_key.as_ref();
        ForeignJson {
            foreign: kind_words(it),
            name: it.name.clone(),
            native_key: native.map(ToString::to_string),
            text_key: native.and_then(|it| it.text_key()).map(str::to_owned),
            id: it.id,
            size: it.size,
            owner: it.owner,
            mode: format!("{:04o}", it.mode),
            attachments: it.attachments,
            made_by: it.made_by,
            last_used_by: it.last_used_by,
        }
    }
}

fn kind_words(it: &ForeignObject) -> &'static str {
    match (it.kind, it.is_qt) {
        (ForeignKind::SystemV, true) => "Qt, System V",
        (ForeignKind::SystemV, false) => "System V",
        (ForeignKind::Posix, true) => "Qt, POSIX",
        (ForeignKind::PosixSemaphore, true) => "Qt, POSIX semaphore",
        (ForeignKind::PosixSemaphore, false) => "POSIX semaphore",
        _ => "POSIX",
    }
}

/// A line for each object.
pub(crate) fn table(found: &[ForeignObject]) -> Table {
    let mut table = Table::new([
        ("OTHERS' KEY", Align::Left),
        ("SIZE", Align::Right),
        ("KIND", Align::Left),
        ("ATTACHED", Align::Right),
        ("MADE BY", Align::Right),
        ("USER", Align::Right),
        ("MODE", Align::Left),
        ("ID", Align::Right),
    ]);
    let unknown = || "-".to_owned();
    for it in found {
        let native = it.native_key.as_ref();
        let key = match native.and_then(|it| it.text_key()) {
            Some(text) => text.to_owned(),
            None => native.map_or_else(|| it.name.clone(), |it| it.native_key().to_owned()),
        };
        table.row([
            Cell::from(describe::short_key(&key)),
            format::bytes(it.size).into(),
            kind_words(it).into(),
            it.attachments
                .map_or_else(unknown, |it| it.to_string())
                .into(),
            it.made_by.map_or_else(unknown, |it| it.to_string()).into(),
            it.owner.to_string().into(),
            format!("{:04o}", it.mode).into(),
            it.id.to_string().into(),
        ]);
    }
    table
}

/// Memory of Qt programs and its lock, as programs read it.
#[derive(Serialize)]
pub(crate) struct QtJson {
    native_key: String,
    id: u64,
    size: usize,
    owner: u32,
    mode: String,
    attachments: Option<u64>,
    made_by: Option<u32>,
    last_used_by: Option<u32>,
    lock: Option<QtLockJson>,
}

#[derive(Serialize)]
struct QtLockJson {
    free: u32,
    holder: Option<u32>,
    waiters: Option<u32>,
}

/// The native key that the text is, if it is one: it begins with the kind of objects, such as
/// `systemv:` or `posix:`.
pub(crate) fn native_key(text: &str) -> Option<NativeIpcKey> {
    text.parse().ok()
}

/// How to find what programs with Qt have or left, for each of the families of objects that they
/// can be built for.
pub(crate) fn families_of_qt() -> [qt::Options; 2] {
    [KeyType::SYSTEM_V, KeyType::Posix].map(|family| qt::Options::new().key_type(family))
}

/// Looks at the memory with a native key.
pub(crate) fn look(key: &NativeIpcKey) -> Result<Status> {
    let memory = qt::Options::new()
        .allow_others(true)
        .native_memory(key.clone());
    let status = memory.status().map_err(|error| {
        let exit = match error.kind() {
            qt::ErrorKind::PermissionDenied => Exit::Refused,
            qt::ErrorKind::KeyError => Exit::Usage,
            _ => Exit::Failed,
        };
        Failure::new(exit, error.to_string())
    })?;
    status.ok_or_else(|| {
        let detail = format!("no memory has the native key `{key}`; see `sharehold ls --all`");
        Failure::new(Exit::NotFound, detail).into()
    })
}

/// What is known of it, as programs read it.
pub(crate) fn json(key: &NativeIpcKey, status: &Status) -> QtJson {
    QtJson {
        native_key: key.to_string(),
        id: status.id,
        size: status.size,
        owner: status.owner,
        mode: format!("{:04o}", status.mode),
        attachments: status.attachments,
        made_by: status.made_by,
        last_used_by: status.last_used_by,
        lock: status.lock.map(|lock| QtLockJson {
            free: lock.free,
            holder: lock.holder,
            waiters: lock.waiters,
        }),
    }
}

/// What is known of it, a line for each fact.
pub(crate) fn facts(key: &NativeIpcKey, status: &Status) -> Table {
    let mut table = Table::without_heading(2);
    let mut fact = |name: &str, text: String| {
        table.row([Cell::new(name, Tone::Faint), Cell::from(text)]);
    };
    fact("key", format::visible(&key.to_string()));
    fact("kind", "shared memory of Qt programs".to_owned());
    fact("size", format::bytes(status.size as u64));
    let process = |pid: Option<u32>| pid.map_or("not known".to_owned(), |pid| pid.to_string());
    let attached = status.attachments.map(|number| number.to_string());
    fact("attached", attached.unwrap_or("not known".to_owned()));
    fact("lock", lock_words(status));
    fact("made by", process(status.made_by));
    fact("last used by", process(status.last_used_by));
    fact(
        "access",
        format!("mode {:04o}, user {}", status.mode, status.owner),
    );
    fact("id", status.id.to_string());
    table
}

fn lock_words(status: &Status) -> String {
    let Some(lock) = status.lock else {
        return "none yet: not needed so far".to_owned();
    };
    let words = match (lock.free, lock.holder) {
        (0, Some(pid)) => format!("held by {pid}"),
        (0, None) => "held".to_owned(),
        (1, _) => "free".to_owned(),
        (number, _) => format!("broken: {number} can hold it at once"),
    };
    match lock.waiters {
        None | Some(0) => words,
        Some(waiters) => format!("{words}, {waiters} waiting"),
    }
}
