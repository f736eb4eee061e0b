//! Wait records: what each waiter waits for, for diagnosis. No lock depends on them.
//!
//! A thread that goes to sleep for a lock records in its attachment's slot which lock it waits for
//! and which owner has it, and clears the record when it stops waiting. A slot has room for a few
//! records: if more threads of a process wait on one segment, the others are not recorded. The
//! records of a dead attachment are as invalid as its slot; the next attachment in the slot clears
//! them.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::id::AttachmentId;
use crate::memory::format::{Slot, WaitWords};
use crate::sys;

/// A wait record of the caller, until it is cleared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitHandle(usize);

/// The content of a wait record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitRecord {
    /// Which lock: see [`Memory::place_of`](crate::memory::Memory::place_of).
    pub(crate) lock: u32,
    /// The waiting thread; `None` for a task.
    pub(crate) thread: Option<u32>,
    /// The start of the wait, in time since 1970.
    pub(crate) began: Duration,
    /// The owner of the lock.
    pub(crate) holder: AttachmentId,
    /// The thread of the owner that holds the lock, if known.
    pub(crate) holding_thread: Option<u32>,
    /// The time since 1970 at which the waiter first observed this owner.
    pub(crate) met: Duration,
}

/// Records that a thread (0 for a task) waits for a lock; `None` if there is no room.
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

/// Records the owner of the lock, and its thread that holds the lock (0 if unknown).
pub(crate) fn set_owner(
    slot: &Slot,
    record: WaitHandle,
    holder: AttachmentId,
    holding_thread: u32,
) {
    let Some(words) = slot.waits.get(record.0) else {
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

/// Clears a wait record.
pub(crate) fn end(slot: &Slot, record: WaitHandle) {
    if let Some(words) = slot.waits.get(record.0) {
        wipe(words);
    }
}

/// Clears the records that an earlier attachment left in the slot. The taker of the slot calls it.
pub(super) fn end_all(slot: &Slot) {
    slot.waits.iter().for_each(wipe);
}

/// Returns the wait records in a slot. They are valid only while its attachment is alive.
pub(crate) fn records(slot: &Slot) -> impl Iterator<Item = WaitRecord> + '_ {
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
    let record = WaitRecord {
        lock: some(words.lock.load(Ordering::Relaxed))?,
        thread: some(words.thread.load(Ordering::Relaxed)),
        began,
        holder: AttachmentId::from_word(holder),
        holding_thread: some(words.holding_thread.load(Ordering::Relaxed)),
        met: began + Duration::from_millis(words.met.load(Ordering::Relaxed).into()),
    };
    fence(Ordering::Acquire);
    (holder != 0 && words.holder.load(Ordering::Relaxed) == holder).then_some(record)
}

const NANOS_PER_MILLI: u64 = 1_000_000;
