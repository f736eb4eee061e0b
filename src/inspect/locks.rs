//! What can be seen of one lock from outside: who has it, and who waits for it.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::lock::UpdateMode;
use crate::memory::format::{LockWords, ThreadMark};
use crate::segment::table::{self, AttachmentId, Presence};
use crate::segment::waits::{self, WaitRecord};
use crate::segment::{Attachment, LivenessCheck, View};

/// Where the segment's own lock stands, as notes have it.
pub(super) const OWN_LOCK: u32 = 1;

/// Says whether a lock is held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockState {
    /// Nobody holds it.
    Free,
    /// Somebody who is attached holds it.
    Held(Holder),
    /// Somebody held it and died; the next one who locks takes it over.
    Abandoned(Holder),
}

/// Says who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The attachment; `None` when it is not remembered any more.
    pub attachment: Option<Attachment>,
    /// The thread of its process, numbered as that process sees it; `None` when it is not known.
    pub thread: Option<u32>,
    /// Whether it changes data in place, so that its death leaves them half written: not so in a transaction or for a typed value.
    pub in_place: bool,
    /// When it was first seen to hold it by one who still waits for it; `None` when nobody does. It may have held it for longer: a lock
    /// does not take the time.
    pub seen_since: Option<SystemTime>,
}

/// Says who sleeps until a lock is free.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiter {
    /// The attachment.
    pub attachment: Attachment,
    /// The thread of its process, numbered as that process sees it; `None` for a task.
    pub thread: Option<u32>,
    /// When it began to sleep.
    pub since: SystemTime,
}

/// A lock that is looked at.
pub(super) struct Looked<'a> {
    pub(super) view: &'a View,
    pub(super) words: &'a LockWords,
    /// Where it stands, as notes have it.
    pub(super) place: u32,
    /// Where the mark of the slot 0 stands that says which thread has it, and how far it is to the next one's; `None` where the slot
    /// itself says that.
    pub(super) threads: Option<(usize, usize)>,
}

impl<'a> Looked<'a> {
    /// The segment's own lock.
    pub(super) fn own(view: &'a View) -> Looked<'a> {
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
    pub(super) fn of(lock: &Looked<'_>, notes: &Notes, care: LivenessCheck) -> LockState {
        let owner = lock.words.owner.load(Ordering::Relaxed);
        if owner == 0 {
            return LockState::Free;
        }
        let id = AttachmentId::from_word(owner);
        let holder = Holder {
            attachment: named(lock.view, id),
            thread: lock.thread_of(id),
            in_place: UpdateMode::of(owner) == UpdateMode::InPlace,
            seen_since: notes.seen_since(lock.place, id),
        };
        match lock.view.presence_of(id, care) {
            Presence::There => LockState::Held(holder),
            Presence::Gone => LockState::Abandoned(holder),
        }
    }
}

/// What those who are attached have noted of what they wait for.
#[derive(Debug)]
pub(super) struct Notes(Vec<(Attachment, WaitRecord)>);

impl Notes {
    pub(super) fn of(view: &View, care: LivenessCheck) -> Notes {
        let mut found = Vec::new();
        for (id, noted) in notes(view, care) {
            found.extend(named(view, id).map(|attachment| (attachment, noted)));
        }
        found.sort_by_key(|(_, noted)| noted.began);
        Notes(found)
    }

    /// Who waits for the lock that stands there, the longest first.
    pub(super) fn waiters(&self, place: u32) -> Vec<Waiter> {
        let waits = self.of_lock(place);
        let waiters = waits.filter_map(|(attachment, noted)| {
            Some(Waiter {
                attachment: attachment.clone(),
                thread: noted.thread,
                since: moment(noted.began)?,
            })
        });
        waiters.collect()
    }

    fn seen_since(&self, place: u32, holder: AttachmentId) -> Option<SystemTime> {
        let waits = self.of_lock(place);
        let met = waits.filter(|(_, noted)| noted.holder == holder);
        moment(met.map(|(_, noted)| noted.met).min()?)
    }

    fn of_lock(&self, place: u32) -> impl Iterator<Item = &(Attachment, WaitRecord)> {
        self.0.iter().filter(move |(_, noted)| noted.lock == place)
    }
}

/// What those who are attached have noted. Only of who has noted something the system is asked whether it is there.
pub(super) fn notes(view: &View, care: LivenessCheck) -> Vec<(AttachmentId, WaitRecord)> {
    let mut found = Vec::new();
    for (id, slot) in view.taken() {
        let mut noted = waits::noted(&slot).peekable();
        if noted.peek().is_some() && view.presence_of(id, care) == Presence::There {
            found.extend(noted.map(|noted| (id, noted)));
        }
    }
    found
}

/// A time since 1970, as far as there is such a time.
pub(super) fn moment(since: Duration) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(since)
}

/// Who has a hold, if the segment remembers.
pub(super) fn named(view: &View, id: AttachmentId) -> Option<Attachment> {
    Some(Attachment::of(id, &view.recorded(id)?))
}
