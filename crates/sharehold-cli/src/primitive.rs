//! What the command says of each primitive: its state in words, its value, and its commands.

use sharehold::{
    Holder, LockState, OnceLockState, PartState, Primitive, RwLockState, Schema, SemaphoreState,
    Usage,
};

use crate::output::Tone;
use crate::{describe, parts};

/// The state of a part in words, with the holders of the part.
pub(crate) fn words(state: &PartState) -> (String, Tone) {
    match state {
        PartState::Mutex(it) => lock_words(&it.lock),
        PartState::OnceLock(it) => once_words(it),
        PartState::RwLock(it) => rwlock_words(it),
        PartState::Semaphore(it) => {
            let words = format!("{} of {} left", left(it), it.permits);
            with_shares(words, ", taken by ", &it.holders)
        }
        PartState::Event(it) if it.is_set => ("set".to_owned(), Tone::Plain),
        PartState::Event(_) => ("not set".to_owned(), Tone::Faint),
        PartState::Barrier(it) => {
            let words = format!("{} of {} here", sum(&it.arrived), it.participants);
            with_shares(words, ": ", &it.arrived)
        }
        _ => ("-".to_owned(), Tone::Faint),
    }
}

/// What commands read of a part without a value, with its type: whether an event is set, the
/// permits that are left, or the arrivals at a barrier.
pub(crate) fn reading(state: &PartState) -> Option<(Schema, Vec<u8>)> {
    let number = |number: u32| (Schema::of::<u32>(), number.to_ne_bytes().to_vec());
    match state {
        PartState::Semaphore(it) => Some(number(left(it))),
        PartState::Event(it) => Some((Schema::of::<bool>(), vec![u8::from(it.is_set)])),
        PartState::Barrier(it) => Some(number(sum(&it.arrived))),
        _ => None,
    }
}

/// The commands that use a part without a value.
pub(crate) fn commands(primitive: Primitive) -> &'static str {
    match primitive {
        Primitive::Semaphore => "`sharehold acquire` takes its permits",
        Primitive::Barrier => "`sharehold arrive` meets the others there",
        Primitive::Event => {
            "`sharehold set KEY EVENT` sets it, `sharehold reset KEY EVENT` resets it"
        }
        _ => "`sharehold help` lists the commands",
    }
}

fn once_words(once: &OnceLockState) -> (String, Tone) {
    match &once.lock {
        LockState::Free if once.is_made => ("made".to_owned(), Tone::Faint),
        LockState::Free => ("not made yet".to_owned(), Tone::Faint),
        lock => {
            let (words, tone) = lock_words(lock);
            (format!("being made, {words}"), tone)
        }
    }
}

fn rwlock_words(rwlock: &RwLockState) -> (String, Tone) {
    let readers = &rwlock.readers;
    match &rwlock.writer {
        LockState::Free if readers.is_empty() => ("free".to_owned(), Tone::Faint),
        LockState::Free => (format!("read by {}", shares(readers)), Tone::Plain),
        writer => {
            let (words, tone) = lock_words(writer);
            let words = format!("to write, {words}");
            if readers.is_empty() {
                (words, tone)
            } else {
                (format!("{words}; still read by {}", shares(readers)), tone)
            }
        }
    }
}

fn lock_words(lock: &LockState) -> (String, Tone) {
    let words = |how: &str, holder: &Holder| {
        let by = format!("{how} by {}", describe::who(holder.attachment.as_ref()));
        let more = parts::holder_words(holder);
        std::iter::once(by)
            .chain(more)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match lock {
        LockState::Held(holder) => (words("held", holder), Tone::Plain),
        LockState::Abandoned(holder) => (words("abandoned", holder), Tone::Bad),
        _ => ("free".to_owned(), Tone::Faint),
    }
}

/// Adds the holders to the words, if there are any.
fn with_shares(words: String, by: &str, holders: &[Usage]) -> (String, Tone) {
    if holders.is_empty() {
        (words, Tone::Faint)
    } else {
        (format!("{words}{by}{}", shares(holders)), Tone::Plain)
    }
}

fn left(semaphore: &SemaphoreState) -> u32 {
    semaphore.permits.saturating_sub(sum(&semaphore.holders))
}

fn sum(shares: &[Usage]) -> u32 {
    shares.iter().map(|it| it.count).sum()
}

/// The holders and their counts: `4711 importer, 4712 viewer (2)`.
fn shares(shares: &[Usage]) -> String {
    let words = shares.iter().map(|it| {
        let holder = describe::who(Some(&it.attachment));
        match it.count {
            1 => holder,
            count => format!("{holder} ({count})"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}
