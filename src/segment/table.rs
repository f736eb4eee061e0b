//! The attachment table: taking and giving up slots, the attachment in a slot, and the proof of
//! death.
//!
//! # A slot's life
//!
//! | byte | generation | meaning |
//! |---|---|---|
//! | free | even | free |
//! | taken | even | being taken, or being given up |
//! | taken | odd | attached |
//! | free | odd | its process died, or (if the mapping does not keep the byte) closed its descriptors: see the veto |
//!
//! 1. Only the process that has locked the byte changes the generation, which only grows.
//! 2. The byte is locked before the generation becomes odd, and unlocked after it became even.
//! 3. A word that names (slot, generation) names the same attachment forever. A higher generation
//!    in the slot means that the attachment is gone.
//!
//! A death between any two steps leaves the byte free. The next taker finds either an even
//! generation (a free slot) or an odd one (the slot of a dead attachment); it can take both.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::id::{AttachmentId, GENERATIONS};
use super::location::system;
use super::presence::slot_byte;
use super::record::{self, Recorded};
use super::waits;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::format::{Record, Slot};
use crate::memory::{Memory, load_acquire};
use crate::sys::{self, Identity, ProcessState, SegmentFile};

/// Takes a free slot, or else one whose process is proven dead. `name` replaces the executable's
/// name.
pub(crate) fn take(
    memory: &Memory,
    file: &SegmentFile,
    name: Option<&str>,
    operation: &'static str,
) -> Result<AttachmentId> {
    let mut who = sys::identity().map_err(|error| system(operation, error))?;
    if let Some(name) = name {
        who.name = Identity::fitting(name);
    }
    let slots = memory.layout().sizes.slots;
    // Takers start at different slots, so that the record of a dead process stays readable as long
    // as possible.
    let next = &memory.header().life.next_slot;
    let turn = next.fetch_add(1, Ordering::SeqCst);
    if turn > u32::MAX / 2 {
        // The counter must not wrap to 0: then no slot would count as used.
        next.store(narrow(slots + turn as usize % slots), Ordering::SeqCst);
    }
    let first = turn as usize % slots;
    for want_free in [true, false] {
        for index in (0..slots).map(|step| (first + step) % slots) {
            let Some(slot) = memory.slot(index) else {
                continue;
            };
            if is_taken(slot.generation.load(Ordering::Relaxed)) == want_free {
                continue;
            }
            // Before the slot is taken: a process that looks for attachments looks no further than
            // this.
            next.fetch_max(narrow(index + 1), Ordering::SeqCst);
            if let Some(id) =
                try_take(slot, index, file, &who).map_err(|error| system(operation, error))?
            {
                if !want_free {
                    // The table is nearly full: the next taker need not search among the live
                    // slots.
                    next.store(narrow(slots + index + 1), Ordering::SeqCst);
                }
                return Ok(id);
            }
        }
    }
    let detail = format!(
        "all of its {slots} slots are taken; detach somewhere, or create it with more slots"
    );
    Err(Error::new(ErrorKind::TooManyAttachments, operation, detail))
}

/// Takes a lock from an attachment that has only just come into being, and so never acquired it:
/// the owner word was overwritten. From here on the word names an attachment that is gone, and the
/// lock is recovered as from a dead owner.
pub(crate) fn disown(owner: &AtomicU64, new: AttachmentId) {
    let found = owner.load(Ordering::Relaxed);
    if AttachmentId::from_word(found) == new {
        let gone =
            AttachmentId::NEVER_ATTACHED.word() | (found & !AttachmentId::from_word(found).word());
        let _ = owner.compare_exchange(found, gone, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Returns how many slots were ever taken, counted from the first. Visiting the others would only
/// bring untouched memory in.
///
/// The load is sequentially consistent, as is the raising of the counter. A process that publishes
/// something, passes a fence and then visits the slots therefore misses no attachment that has not
/// seen the publication: see `rwlock::protocol`.
#[inline]
pub(crate) fn ever_taken(memory: &Memory) -> usize {
    let next = memory.header().life.next_slot.load(Ordering::SeqCst);
    memory.layout().sizes.slots.min(next as usize)
}

/// Narrows a slot number to 32 bits; slot numbers are far smaller.
fn narrow(slots: usize) -> u32 {
    u32::try_from(slots).unwrap_or(u32::MAX)
}

fn try_take(
    slot: &Slot,
    index: usize,
    file: &SegmentFile,
    who: &Identity,
) -> std::io::Result<Option<AttachmentId>> {
    if !file.try_lock(slot_byte(index))? {
        return Ok(None);
    }
    let found = slot.generation.load(Ordering::Acquire);
    if found >= GENERATIONS - 2 || is_taken(found) && is_vetoed(slot, file, found) {
        file.unlock(slot_byte(index))?;
        return Ok(None);
    }
    let generation = found + if is_taken(found) { 2 } else { 1 };
    slot.holding_thread.store(0, Ordering::Relaxed);
    waits::end_all(slot);
    slot.generation.store(generation, Ordering::Release);
    let record = record_of(slot, generation);
    record::write(
        record,
        generation,
        &Recorded {
            who: *who,
            since: sys::now_since_epoch(),
        },
    );
    Ok(Some(AttachmentId::new(index, generation)))
}

/// Gives up the slot of `id`; any lock that it still holds counts as abandoned. `file` is `None` if
/// the program has closed its descriptor.
pub(crate) fn give_up(memory: &Memory, file: Option<&SegmentFile>, id: AttachmentId) {
    if let Some(slot) = memory.slot(id.index()) {
        // Unless another attachment has taken the slot, which can happen to a process that closed
        // its descriptors and whose life is not visible.
        let (own, free) = (id.generation(), id.generation() + 1);
        let _ = slot
            .generation
            .compare_exchange(own, free, Ordering::Release, Ordering::Relaxed);
    }
    // If this fails, the file is about to be closed, and the lock ends with it.
    let _ = file.map(|file| file.unlock(slot_byte(id.index())));
    let departures = &memory.header().life.departures;
    departures.fetch_add(1, Ordering::Release);
    sys::wake_all(departures);
}

/// Tells whether the attachment `id` is proven gone. The caller is another attachment of the same
/// segment, or an opener without a slot; `id` never names an attachment of the same
/// [`SegmentFile`].
///
/// Each of these is a proof:
///
/// - The slot has a newer generation.
/// - The byte is free, and no veto stands.
/// - The byte is locked, or its state cannot be queried, and the recorded program visibly executes
///   no further instruction: its files are still being released, or a forked child inherited them.
///
/// "Not proven" may become "gone" at the next check.
pub(crate) fn is_gone(memory: &Memory, file: &SegmentFile, id: AttachmentId) -> bool {
    let Some(slot) = memory.slot(id.index()) else {
        // No attachment was ever named by such a word: the segment was overwritten.
        return true;
    };
    seen(slot, file, id) == Presence::Gone
}

/// Whether an attachment still exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is not proven gone.
    There,
    /// It left, or is proven dead.
    Gone,
}

/// Performs the check of [`is_gone`] on a slot.
pub(crate) fn seen(slot: &Slot, file: &SegmentFile, id: AttachmentId) -> Presence {
    let generation = id.generation();
    match seen_quickly(slot, file, id) {
        Presence::There if state_in(slot, generation) == Some(ProcessState::Gone) => Presence::Gone,
        seen => seen,
    }
}

/// Performs the same check, but takes a locked byte for the attachment's own. It examines the
/// process only if the byte is free.
pub(crate) fn seen_quickly(slot: &Slot, file: &SegmentFile, id: AttachmentId) -> Presence {
    let generation = id.generation();
    if !is_taken(generation) || load_acquire(&slot.generation) != generation {
        return Presence::Gone;
    }
    let byte = slot_byte(id.index());
    match first_locked(file, byte) {
        Ok(None)
            if load_acquire(&slot.generation) != generation
                || !is_vetoed(slot, file, generation) =>
        {
            Presence::Gone
        }
        // A daemon that closed its descriptors cannot query bytes; it only detects processes that
        // have ended.
        _ => Presence::There,
    }
}

/// Tells whether the attachment `id` keeps its slot, as far as the slot and its byte show: its
/// process lives, or a child of the dead process inherited its files.
pub(crate) fn is_kept(memory: &Memory, file: &SegmentFile, id: AttachmentId) -> bool {
    let byte = slot_byte(id.index());
    let has_slot = |slot: &Slot| slot.generation.load(Ordering::Acquire) == id.generation();
    memory.slot(id.index()).is_some_and(has_slot) && matches!(first_locked(file, byte), Ok(Some(_)))
}

/// Queries one byte through a file that may have been open for long.
fn first_locked(file: &SegmentFile, byte: u64) -> std::io::Result<Option<u64>> {
    file.facts()?;
    file.first_locked(byte..byte + 1)
}

/// Returns the attachment that has taken a slot.
pub(crate) fn holder_of(slot: &Slot, index: usize) -> Option<AttachmentId> {
    let generation = load_acquire(&slot.generation);
    is_taken(generation).then(|| AttachmentId::new(index, generation & (GENERATIONS - 1)))
}

/// Tells whether the veto stands: a process that is visibly alive does not lose its slot although
/// its byte is free, because a daemon may have closed all of its descriptors.
///
/// There is no veto where the mapping keeps the byte. There a free byte is the whole proof, and
/// what is seen of the process could only mislead: it may have executed another program. The caller
/// has just opened the file, or has just called `facts` on it.
fn is_vetoed(slot: &Slot, file: &SegmentFile, generation: u64) -> bool {
    !file.mapping_keeps_locks() && state_in(slot, generation) == Some(ProcessState::Living)
}

/// Returns the state of the process that recorded itself.
fn state_in(slot: &Slot, generation: u64) -> Option<ProcessState> {
    let found = recorded_in(slot, generation)?;
    Some(sys::process_state(&found.who))
}

/// Tells whether the process of an attachment is seen to have ended, whether or not its byte is
/// locked.
pub(crate) fn has_ended(slot: &Slot, id: AttachmentId) -> bool {
    state_in(slot, id.generation()) == Some(ProcessState::Gone)
}

/// Returns each slot's generation: how often the slot was taken and given up; odd while it is
/// taken, by a living or a dead process.
pub(crate) fn generations(memory: &Memory) -> impl Iterator<Item = u64> + '_ {
    (0..memory.layout().sizes.slots).map_while(|index| {
        let generation = &memory.slot(index)?.generation;
        Some(generation.load(Ordering::Acquire) & (GENERATIONS - 1))
    })
}

/// Returns the attachments that are not proven gone, without read-only ones. `own` is the caller's
/// own.
pub(crate) fn present<'a>(
    memory: &'a Memory,
    file: &'a SegmentFile,
    own: Option<AttachmentId>,
) -> impl Iterator<Item = AttachmentId> + 'a {
    // As `ever_taken`, for a caller that may only load: it may miss attachments made meanwhile.
    let next = memory.header().life.next_slot.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    let ever_taken = memory.layout().sizes.slots.min(next as usize);
    (0..ever_taken).filter_map(move |index| {
        let generation = load_acquire(&memory.slot(index)?.generation);
        let id = AttachmentId::new(index, generation);
        let there = is_taken(generation) && (Some(id) == own || !is_gone(memory, file, id));
        there.then_some(id)
    })
}

/// Returns the attachment that has a slot, or had it last; `None` beyond the last slot.
pub(crate) fn id_in(memory: &Memory, index: usize) -> Option<AttachmentId> {
    let generation = memory.slot(index)?.generation.load(Ordering::Acquire);
    Some(AttachmentId::new(index, generation))
}

/// Returns what the attachment `id` recorded; `None` once two later ones have taken the slot.
pub(crate) fn recorded(memory: &Memory, id: AttachmentId) -> Option<Recorded> {
    recorded_in(memory.slot(id.index())?, id.generation())
}

/// Returns what the slot's attachment of that generation recorded; `None` once two later ones have
/// taken the slot.
pub(crate) fn recorded_in(slot: &Slot, generation: u64) -> Option<Recorded> {
    record::read(record_of(slot, generation), generation)
}

pub(crate) fn is_taken(generation: u64) -> bool {
    generation % 2 == 1
}

fn record_of(slot: &Slot, generation: u64) -> &Record {
    let [first, second] = &slot.records;
    if (generation / 2).is_multiple_of(2) {
        first
    } else {
        second
    }
}
