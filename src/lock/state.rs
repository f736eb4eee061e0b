//! The view of one lock from outside, for inspection: its holder and its waiters.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::UpdateMode;
use crate::memory::format::{LockWords, ThreadMark};
use crate::segment::id::AttachmentId;
use crate::segment::table::{self, Presence};
use crate::segment::waits::{self, WaitRecord};
use crate::segment::{Attachment, LivenessCheck, View};

/// The place of the segment's own lock, as wait records state it.
pub(crate) const OWN_LOCK: u32 = 1;

/// The state of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockState {
    /// The lock is free.
    Free,
    /// A live attachment holds it.
    Held(Holder),
    /// Its holder died; the next process that locks it recovers it.
    Abandoned(Holder),
}

/// The holder of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The attachment; `None` if its record was overwritten.
    pub attachment: Option<Attachment>,
    /// The thread of its process, numbered as that process sees it; `None` if unknown.
    pub thread: Option<u32>,
    /// Whether it changes data in place, so that its death can leave half-written data. This is not
    /// so in a transaction or for a typed value.
    pub in_place: bool,
    /// The earliest time at which a current waiter observed this holder; `None` without waiters.
    /// The lock may have been held longer, because acquisitions are not timestamped.
    pub seen_since: Option<SystemTime>,
}

/// A waiter that sleeps until a lock is free.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiter {
    /// The attachment.
    pub attachment: Attachment,
    /// The thread of its process, numbered as that process sees it; `None` for a task.
    pub thread: Option<u32>,
    /// The time at which it began to sleep.
    pub since: SystemTime,
}

/// A lock under inspection.
pub(crate) struct Looked<'a> {
    pub(crate) view: &'a View,
    pub(crate) words: &'a LockWords,
    /// Its place, as wait records state it.
    pub(crate) place: u32,
    /// The offset of slot 0's mark with the thread that holds the lock, and the distance between
    /// the marks of two slots; `None` if the slot itself records the thread.
    pub(crate) threads: Option<(usize, usize)>,
}

impl<'a> Looked<'a> {
    /// Returns the segment's own lock.
    pub(crate) fn own(view: &'a View) -> Looked<'a> {
        Looked {
            view,
            words: &view.copied.header().lock,
            place: OWN_LOCK,
            threads: None,
        }
    }

    fn thread_of(&self, id: AttachmentId) -> Option<u32> {
        let slot = self.view.copied.slot(id.index())?;
        if table::holder_of(&slot, id.index()) != Some(id) {
            return None;
        }
        let thread = match self.threads {
            None => slot.holding_thread.load(Ordering::Relaxed),
            Some((first, row)) => {
                let mark: ThreadMark = self.view.data_block(first + id.index() * row)?;
                mark.holding_thread.load(Ordering::Relaxed)
            }
        };
        (thread != 0).then_some(thread)
    }
}

impl LockState {
    pub(crate) fn of(lock: &Looked<'_>, waits: &WaitRecords, care: LivenessCheck) -> LockState {
        let owner = lock.words.owner.load(Ordering::Relaxed);
        if owner == 0 {
            return LockState::Free;
        }
        let id = AttachmentId::from_word(owner);
        let holder = Holder {
            attachment: named(lock.view, id),
            thread: lock.thread_of(id),
            in_place: UpdateMode::of(owner) == UpdateMode::InPlace,
            seen_since: waits.seen_since(lock.place, id),
        };
        match lock.view.presence_of(id, care) {
            Presence::There => LockState::Held(holder),
            Presence::Gone => LockState::Abandoned(holder),
        }
    }
}

/// The wait records of all live attachments.
#[derive(Debug)]
pub(crate) struct WaitRecords(Vec<(Attachment, WaitRecord)>);

impl WaitRecords {
    pub(crate) fn of(view: &View, care: LivenessCheck) -> WaitRecords {
        let mut found = Vec::new();
        for (id, record) in records(view, care) {
            found.extend(named(view, id).map(|attachment| (attachment, record)));
        }
        found.sort_by_key(|(_, record)| record.began);
        WaitRecords(found)
    }

    /// Returns the waiters for the lock at a place, the longest wait first.
    pub(crate) fn waiters(&self, place: u32) -> Vec<Waiter> {
        let waits = self.of_lock(place);
        let waiters = waits.filter_map(|(attachment, record)| {
            Some(Waiter {
                attachment: attachment.clone(),
                thread: record.thread,
                since: moment(record.began)?,
            })
        });
        waiters.collect()
    }

    fn seen_since(&self, place: u32, holder: AttachmentId) -> Option<SystemTime> {
        let waits = self.of_lock(place);
        let met = waits.filter(|(_, record)| record.holder == holder);
        moment(met.map(|(_, record)| record.met).min()?)
    }

    fn of_lock(&self, place: u32) -> impl Iterator<Item = &(Attachment, WaitRecord)> {
        self.0
            .iter()
            .filter(move |(_, record)| record.lock == place)
    }
}

/// Returns the wait records of live attachments. It checks the liveness only of attachments that
/// have wait records.
pub(crate) fn records(view: &View, care: LivenessCheck) -> Vec<(AttachmentId, WaitRecord)> {
    let mut found = Vec::new();
    for (id, slot) in view.taken() {
        let mut records = waits::records(&slot).peekable();
        if records.peek().is_some() && view.presence_of(id, care) == Presence::There {
            found.extend(records.map(|record| (id, record)));
        }
    }
    found
}

/// Converts a time since 1970; `None` if it is out of range.
pub(crate) fn moment(since: Duration) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(since)
}

/// Describes an attachment, if the segment still has its record.
pub(crate) fn named(view: &View, id: AttachmentId) -> Option<Attachment> {
    Some(Attachment::of(id, &view.recorded(id)?))
}
