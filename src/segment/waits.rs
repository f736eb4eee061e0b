//! Notes of who waits for what: evidence for people, on which nothing that a lock does depends.
//!
//! A thread that falls asleep for a lock notes it in its attachment's slot, and whose death or release it waits for; it wipes the note out when
//! it waits no more. A slot has room for a few notes: of the threads of a process that wait at the same time on one segment, no more are
//! noted. The notes of one who dies are as dead as its slot, and the next one in the slot wipes them out.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::table::AttachmentId;
use crate::memory::format::{Slot, WaitWords};
use crate::sys;

/// A note of one's own, until it is wiped out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitHandle(usize);

/// What a note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitRecord {
    /// Which lock: see [`Memory::place_of`](crate::memory::Memory::place_of).
    pub(crate) lock: u32,
    /// The thread that waits; `None` for a task.
    pub(crate) thread: Option<u32>,
    /// Since when, in time since 1970.
    pub(crate) began: Duration,
    /// Whom it waits for.
    pub(crate) holder: AttachmentId,
    /// The thread of that one that has the lock, if that is known.
    pub(crate) holding_thread: Option<u32>,
    /// Since when it waits for this one, in time since 1970.
    pub(crate) met: Duration,
}

/// Notes that a thread, 0 for a task, waits for a lock; `None` when there is no room.
pub(crate) fn begin(slot: &Slot, lock: u32, thread: u32) -> Option<WaitHandle> {
    let takes = |words: &WaitWords| {
        let free = &words.lock;
        free.compare_exchange(0, lock, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    };
    let index = slot.waits.iter().position(takes)?;
    let words = slot.waits.get(index)?;
    words.thread.store(thread, Ordering::Relaxed);
    words.began.store(sys::now_since_epoch(), Ordering::Relaxed);
    Some(WaitHandle(index))
}

/// Notes whom it waits for: a hold, and the thread that has the lock, 0 for none that is known.
pub(crate) fn meet(slot: &Slot, note: WaitHandle, holder: AttachmentId, holding_thread: u32) {
    let Some(words) = slot.waits.get(note.0) else {
        return;
    };
    let same = words.holder.load(Ordering::Relaxed) == holder.word()
        && words.holding_thread.load(Ordering::Relaxed) == holding_thread;
    if same {
        return;
    }
    words.holder.store(0, Ordering::Relaxed);
    fence(Ordering::Release);
    let began = words.began.load(Ordering::Relaxed);
    let since = sys::now_since_epoch().saturating_sub(began);
    let since = u32::try_from(since / NANOS_PER_MILLI).unwrap_or(u32::MAX);
    words.met.store(since, Ordering::Relaxed);
    words
        .holding_thread
        .store(holding_thread, Ordering::Relaxed);
    words.holder.store(holder.word(), Ordering::Release);
}

/// Wipes a note out.
pub(crate) fn end(slot: &Slot, note: WaitHandle) {
    if let Some(words) = slot.waits.get(note.0) {
        wipe(words);
    }
}

/// Wipes out what an earlier attachment has left in the slot. Called by the one who takes it.
pub(super) fn end_all(slot: &Slot) {
    slot.waits.iter().for_each(wipe);
}

/// The notes in a slot. They are as good as the attachment that has it.
pub(crate) fn noted(slot: &Slot) -> impl Iterator<Item = WaitRecord> + '_ {
    slot.waits.iter().filter_map(read)
}

fn wipe(words: &WaitWords) {
    words.holder.store(0, Ordering::Relaxed);
    words.lock.store(0, Ordering::Release);
}

fn read(words: &WaitWords) -> Option<WaitRecord> {
    let holder = words.holder.load(Ordering::Acquire);
    let some = |number: u32| (number != 0).then_some(number);
    let began = Duration::from_nanos(words.began.load(Ordering::Relaxed));
    let noted = WaitRecord {
        lock: some(words.lock.load(Ordering::Relaxed))?,
        thread: some(words.thread.load(Ordering::Relaxed)),
        began,
        holder: AttachmentId::from_word(holder),
        holding_thread: some(words.holding_thread.load(Ordering::Relaxed)),
        met: began + Duration::from_millis(words.met.load(Ordering::Relaxed).into()),
    };
    fence(Ordering::Acquire);
    (holder != 0 && words.holder.load(Ordering::Relaxed) == holder).then_some(noted)
}

const NANOS_PER_MILLI: u64 = 1_000_000;
