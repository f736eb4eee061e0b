//! What is seen of a segment, in the words and the JSON that all commands share.

use std::time::SystemTime;

use serde::Serialize;
use sharehold::{
    AbandonCause, Attachment, Consistency, Error, ErrorKind, ListEntry, LockState, Policy, Summary,
};

use crate::format;
use crate::output::Tone;
use crate::parts::{HeldJson, WaiterJson};

/// How a segment is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Processes are attached.
    Live,
    /// No process is attached, and it is persistent.
    Idle,
    /// No process is attached; the next use of its key removes it.
    Stale,
}

impl State {
    pub(crate) fn of(summary: &Summary) -> State {
        if summary.is_stale() {
            State::Stale
        } else if summary.attachments.is_empty() {
            State::Idle
        } else {
            State::Live
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Idle => "idle",
            State::Stale => "stale",
        }
    }

    pub(crate) fn tone(self) -> Tone {
        match self {
            State::Live => Tone::Good,
            State::Idle => Tone::Faint,
            State::Stale => Tone::Warning,
        }
    }
}

/// The key, short enough for a line.
pub(crate) fn short_key(key: &str) -> String {
    const LONGEST: usize = 60;
    format::cut(&format::visible(key), LONGEST)
}

/// Returns the number of data bytes: those of one value, or the plain ones. The second copy of a
/// value and the words around it do not count.
pub(crate) fn size(summary: &Summary) -> usize {
    let typed = summary.value_type.as_ref();
    typed.map_or(summary.size, |it| it.size)
}

/// Returns the number of data bytes to which the segment can grow.
fn max_size(summary: &Summary) -> usize {
    let typed = summary.value_type.as_ref();
    typed.map_or(summary.max_size, |it| it.size)
}

/// The type's name; a dash for plain bytes.
pub(crate) fn type_name(summary: &Summary) -> String {
    let named = summary.value_type.as_ref();
    named.map_or("-".to_owned(), |it| format::visible(&it.name))
}

/// A process as people know it: `4711 importer`.
pub(crate) fn who(attachment: Option<&Attachment>) -> String {
    let Some(it) = attachment else {
        return "a process that is no longer remembered".to_owned();
    };
    match it.executable.as_deref() {
        Some(name) if !name.is_empty() => format!("{} {}", it.pid, format::visible(name)),
        _ => it.pid.to_string(),
    }
}

/// The name of a process's program; a dash where that is not known.
pub(crate) fn program(attachment: &Attachment) -> String {
    let name = attachment.executable.as_deref();
    name.map_or("-".to_owned(), format::visible)
}

/// The lock in a few words, with what its last holder left.
pub(crate) fn lock_words(summary: &Summary) -> (String, Tone) {
    match (&summary.lock, &summary.condition) {
        (LockState::Held(holder), _) => {
            let by = who(holder.attachment.as_ref());
            (format!("held by {by}"), Tone::Plain)
        }
        (LockState::Abandoned(holder), _) => {
            let by = who(holder.attachment.as_ref());
            (format!("abandoned by {by}"), Tone::Bad)
        }
        (_, Consistency::Abandoned { previous_owner, .. }) => {
            let by = who(previous_owner.as_ref());
            (format!("free, unrepaired since {by}"), Tone::Bad)
        }
        _ => ("free".to_owned(), Tone::Faint),
    }
}

/// Whether no owner abandoned the segment's lock, or its data were marked consistent since.
pub(crate) fn is_calm(summary: &Summary) -> bool {
    let is_abandoned = matches!(summary.lock, LockState::Abandoned(_));
    !is_abandoned && summary.condition == Consistency::Consistent
}

/// How a holder ended.
pub(crate) fn cause_word(cause: AbandonCause) -> &'static str {
    match cause {
        AbandonCause::Panicked => "panicked",
        _ => "died",
    }
}

/// Why a file is no segment that can be looked at, in a word.
pub(crate) fn fault_word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Damaged => "damaged",
        ErrorKind::WrongVersion => "other version",
        ErrorKind::NotTrusted => "not trusted",
        ErrorKind::PermissionDenied => "no permission",
        _ => "unreadable",
    }
}

/// Why it is so, where the line says what it is about.
pub(crate) fn reason(error: &Error) -> String {
    let system = error.system();
    let system = system.map_or_else(String::new, |system| format!(" ({system})"));
    format::visible(&format!("{}{system}", error.reason()))
}

#[derive(Serialize)]
pub(crate) struct TypeJson {
    name: String,
    version: u32,
}

#[derive(Serialize)]
pub(crate) struct AttachmentJson {
    pid: u32,
    executable: Option<String>,
    slot: Option<usize>,
    read_only: bool,
    since: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct LockJson {
    #[serde(flatten)]
    held: HeldJson,
    awaited: bool,
    waiters: Vec<WaiterJson>,
}

#[derive(Serialize)]
pub(crate) struct ConditionJson {
    consistent: bool,
    cause: Option<&'static str>,
    previous_owner: Option<AttachmentJson>,
}

#[derive(Serialize)]
pub(crate) struct RecoveriesJson {
    count: u64,
    longest_ms: f64,
}

/// A summary as programs read it.
#[derive(Serialize)]
pub(crate) struct SummaryJson {
    key: String,
    state: State,
    size: usize,
    max_size: usize,
    reserved: u64,
    #[serde(rename = "type")]
    value_type: Option<TypeJson>,
    version: Option<u64>,
    persistent: bool,
    mode: String,
    owner: u32,
    group: u32,
    created_at: Option<String>,
    slots: usize,
    attachments: Vec<AttachmentJson>,
    departed: Vec<AttachmentJson>,
    lock: LockJson,
    condition: ConditionJson,
    in_transaction: bool,
    recoveries: RecoveriesJson,
}

impl From<&Attachment> for AttachmentJson {
    fn from(it: &Attachment) -> AttachmentJson {
        AttachmentJson {
            pid: it.pid,
            executable: it.executable.clone(),
            slot: it.slot,
            read_only: it.slot.is_none(),
            since: instant(it.since),
        }
    }
}

impl From<&Summary> for LockJson {
    fn from(summary: &Summary) -> LockJson {
        LockJson {
            held: (&summary.lock).into(),
            awaited: summary.is_awaited,
            waiters: summary.waiters.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Consistency> for ConditionJson {
    fn from(condition: &Consistency) -> ConditionJson {
        let (cause, previous_owner) = match condition {
            Consistency::Abandoned {
                cause,
                previous_owner,
            } => (Some(*cause), previous_owner.as_ref()),
            _ => (None, None),
        };
        ConditionJson {
            consistent: cause.is_none(),
            cause: cause.map(cause_word),
            previous_owner: previous_owner.map(Into::into),
        }
    }
}

impl From<&Summary> for SummaryJson {
    fn from(summary: &Summary) -> SummaryJson {
        let all = |them: &[Attachment]| them.iter().map(Into::into).collect();
        SummaryJson {
            key: summary.key.clone(),
            state: State::of(summary),
            size: size(summary),
            max_size: max_size(summary),
            reserved: summary.reserved,
            value_type: summary.value_type.as_ref().map(|it| TypeJson {
                name: it.name.clone(),
                version: it.version,
            }),
            version: summary.version,
            persistent: summary.policy == Policy::Persistent,
            mode: format!("{:04o}", summary.mode),
            owner: summary.owner,
            group: summary.group,
            created_at: instant(summary.created_at),
            slots: summary.slots,
            attachments: all(&summary.attachments),
            departed: all(&summary.departed),
            lock: summary.into(),
            condition: (&summary.condition).into(),
            in_transaction: summary.in_transaction,
            recoveries: RecoveriesJson {
                count: summary.recoveries.count,
                longest_ms: summary.recoveries.longest.as_secs_f64() * 1e3,
            },
        }
    }
}

/// Why a file is no segment that can be looked at, as programs read it.
#[derive(Serialize)]
pub(crate) struct FaultJson {
    file: String,
    owner: u32,
    kind: &'static str,
    error: String,
}

impl FaultJson {
    pub(crate) fn new(listed: &ListEntry, error: &Error) -> FaultJson {
        FaultJson {
            file: listed.file_name.to_string_lossy().into_owned(),
            owner: listed.owner,
            kind: fault_word(error.kind()),
            error: reason(error),
        }
    }
}

fn instant(at: Option<SystemTime>) -> Option<String> {
    at.map(format::instant)
}
