//! One lock of a segment, by its words: the segment's own lock, or that of a part.
//!
//! All locks are alike. They differ in the place of their words, in how an owner changes what the
//! lock protects, and in whether the lock belongs to a thread. This module does not know what the
//! lock protects.

use std::sync::atomic::{AtomicU32, Ordering};

use super::deadlock;
use super::error::AcquireError;
use crate::deadline::Deadline;
use crate::memory::format::{LockWords, ThreadMark};
use crate::segment::id::AttachmentId;
use crate::segment::marks::Marks;
use crate::segment::waits::{self, WaitHandle};
use crate::segment::{Attachment, Segment};
use crate::sys;

/// The update mode of an owner. It is a bit of the owner word, so that it is known from the first
/// moment of ownership, even if the owner dies then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// As wide as a word: a lock without padding stays in registers.
#[repr(u64)]
pub(crate) enum UpdateMode {
    /// In place: a death can leave half-written data.
    InPlace = 0,
    /// All or nothing, by one committing store: a death leaves nothing to repair.
    Atomic = UpdateMode::BIT,
}

impl UpdateMode {
    const BIT: u64 = 1 << 63;

    /// The update mode in an owner word.
    pub(crate) fn of(owner: u64) -> UpdateMode {
        if owner & UpdateMode::BIT == 0 {
            UpdateMode::InPlace
        } else {
            UpdateMode::Atomic
        }
    }

    /// An owner word with this update mode.
    #[inline(always)]
    pub(super) fn owner(self, id: AttachmentId) -> u64 {
        id.word() | self as u64
    }
}

/// The words in which each attachment stores which of its threads owns the lock.
#[derive(Debug, Clone, Copy)]
enum ThreadWords {
    /// None: the lock does not belong to a thread.
    None,
    /// One in each slot, for the segment's own lock.
    Slots,
    /// One in each mark of the part.
    Marks(Marks),
}

/// A lock of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawLock<'a> {
    pub(super) segment: &'a Segment,
    pub(super) words: &'a LockWords,
    threads: ThreadWords,
    mode: UpdateMode,
}

impl<'a> RawLock<'a> {
    /// The segment's own lock, for a thread. A task releases it in this form, too: that clears the
    /// thread word, which no thread has set.
    #[inline(always)]
    pub(crate) fn of_segment(segment: &'a Segment, mode: UpdateMode) -> RawLock<'a> {
        RawLock {
            segment,
            words: &segment.attached().memory.header().lock,
            threads: ThreadWords::Slots,
            mode,
        }
    }

    /// The segment's own lock, for a task that changes data in place.
    pub(crate) fn of_segment_for_task(segment: &'a Segment) -> RawLock<'a> {
        RawLock {
            threads: ThreadWords::None,
            ..RawLock::of_segment(segment, UpdateMode::InPlace)
        }
    }

    /// The lock of a part, for a thread that may run other code while it owns the lock. `threads`
    /// are the marks that store the thread's number.
    #[inline]
    pub(crate) fn of_part(
        segment: &'a Segment,
        words: &'a LockWords,
        threads: Marks,
    ) -> RawLock<'a> {
        RawLock {
            threads: ThreadWords::Marks(threads),
            ..RawLock::of_part_for_task(segment, words)
        }
    }

    /// The lock of a part, for a task, or for a thread that runs no other code while it owns the
    /// lock.
    #[inline]
    pub(crate) fn of_part_for_task(segment: &'a Segment, words: &'a LockWords) -> RawLock<'a> {
        RawLock {
            segment,
            words,
            threads: ThreadWords::None,
            mode: UpdateMode::Atomic,
        }
    }

    /// The owner word of this attachment.
    #[inline(always)]
    pub(super) fn own_word(self) -> u64 {
        self.mode.owner(self.segment.id())
    }

    /// The owner word: 0 if the lock is free.
    #[inline]
    pub(crate) fn owner(self) -> u64 {
        self.words.owner.load(Ordering::SeqCst)
    }

    /// The word in which the attachment in the slot `index` stores which of its threads owns the
    /// lock; `None` for a lock that does not belong to a thread.
    #[inline]
    pub(super) fn thread_word(self, index: usize) -> Option<&'a AtomicU32> {
        match self.threads {
            ThreadWords::None => None,
            ThreadWords::Slots => {
                let slot = self.segment.attached().memory.slot(index)?;
                Some(&slot.holding_thread)
            }
            ThreadWords::Marks(marks) => {
                let mark: &ThreadMark = marks.of(self.segment, index)?;
                Some(&mark.holding_thread)
            }
        }
    }

    /// The thread word of this attachment.
    #[inline(always)]
    fn own_thread_word(self) -> Option<&'a AtomicU32> {
        match self.threads {
            ThreadWords::Slots => Some(&self.segment.attached().memory.own_slot().holding_thread),
            _ => self.thread_word(self.segment.id().index()),
        }
    }

    /// Stores that the calling thread owns the lock that was just acquired.
    #[inline(always)]
    pub(super) fn store_thread(self) {
        if let Some(word) = self.own_thread_word() {
            let thread = sys::thread_id(self.segment.attached().generation);
            word.store(thread, Ordering::Relaxed);
        }
    }

    /// Clears what [`RawLock::store_thread`] stored.
    #[inline(always)]
    pub(super) fn clear_thread(self) {
        if let Some(word) = self.own_thread_word() {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Returns the error of a wait that ended: names the owner, and the wait cycle if the owner
    /// waits for the calling thread.
    #[cold]
    pub(crate) fn held_by(self, id: AttachmentId, deadline: Deadline) -> AcquireError {
        let segment = self.segment;
        let recorded = segment.recorded(id);
        let owner = recorded.map(|found| Attachment::of(id, &found));
        let cycle = matches!(deadline, Deadline::At(_)).then(|| {
            let thread = self.thread_word(id.index())?;
            deadlock::explain(segment, id, thread.load(Ordering::Relaxed))
        });
        match (owner, cycle.flatten()) {
            (Some(owner), Some(cycle)) => AcquireError::cycle(segment, owner, &cycle),
            (owner, _) => AcquireError::held(segment, owner, deadline == Deadline::Now),
        }
    }

    /// Records for which owner this thread, or task, sleeps. `record` is its wait record, if it has
    /// one.
    pub(crate) fn record_wait(
        self,
        record: Option<WaitHandle>,
        owner: AttachmentId,
    ) -> Option<WaitHandle> {
        let attached = self.segment.attached();
        let slot = attached.memory.own_slot();
        let record = record.or_else(|| {
            let place = attached.memory.place_of(self.words);
            let thread = self.own_thread_word();
            let thread = thread.map(|_| sys::thread_id(attached.generation));
            waits::begin(slot, place, thread.unwrap_or(0))
        })?;
        let thread = self.thread_word(owner.index());
        let thread = thread.map_or(0, |it| it.load(Ordering::Relaxed));
        waits::set_owner(slot, record, owner, thread);
        Some(record)
    }

    /// Clears the wait record at the end of a wait.
    pub(crate) fn clear_wait(self, record: Option<WaitHandle>) {
        if let Some(record) = record {
            waits::end(self.segment.attached().memory.own_slot(), record);
        }
    }
}
