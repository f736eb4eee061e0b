//! The recovery statistics, and the records of the last recoveries.
//!
//! They are information for diagnosis; no lock depends on them. A process that dies while it writes
//! a record leaves no valid record. Two processes that write at once use different places, unless
//! one of them is stopped while sixteen more records are written; then its record may be a mixture.

use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::id::AttachmentId;
use super::record::{self, Recorded};
use crate::memory::format::{Header, RecoveryWords};
use crate::sys;

/// How often locks were recovered from dead owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryStats {
    /// The number of recoveries since the segment was created.
    pub count: u64,
    /// The longest recovery: the time from the owner's last sign of life to the recovery by a
    /// process that slept for the lock.
    pub longest: Duration,
}

impl RecoveryStats {
    pub(crate) fn of(header: &Header) -> RecoveryStats {
        let life = &header.life;
        RecoveryStats {
            count: life.recoveries.load(Ordering::Relaxed),
            longest: Duration::from_nanos(life.longest_recovery.load(Ordering::Relaxed)),
        }
    }
}

/// The record of one recovery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecoveryRecord {
    /// Which lock it was: see [`Memory::place_of`](crate::memory::Memory::place_of).
    pub(crate) lock: u32,
    /// The dead owner.
    pub(crate) dead: AttachmentId,
    /// What the dead owner had recorded of itself, if its record was still there.
    pub(crate) previous_owner: Option<Recorded>,
    /// The attachment that recovered the lock.
    pub(crate) by: AttachmentId,
    /// The time since the dead owner's last sign of life.
    pub(crate) took: Duration,
}

/// Counts a recovery and stores its record.
pub(crate) fn append(header: &Header, record: &RecoveryRecord) {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let took = nanos(record.took);
    let life = &header.life;
    let before = life.recoveries.fetch_add(1, Ordering::Relaxed);
    life.longest_recovery.fetch_max(took, Ordering::Relaxed);
    let words = place_of(header, before);
    words.number.store(0, Ordering::Relaxed);
    fence(Ordering::Release);
    words.at.store(sys::now_since_epoch(), Ordering::Relaxed);
    words.took.store(took, Ordering::Relaxed);
    words.id.store(record.dead.word(), Ordering::Relaxed);
    words.by.store(record.by.word(), Ordering::Relaxed);
    words.lock.store(record.lock, Ordering::Relaxed);
    match &record.previous_owner {
        Some(found) => record::write(&words.record, record.dead.generation(), found),
        None => words.record.generation.store(0, Ordering::Relaxed),
    }
    words
        .number
        .store(before.wrapping_add(1), Ordering::Release);
}

/// Returns the record with a number, counted from 1, and its time; `None` if it was overwritten or
/// is incomplete.
pub(crate) fn record(header: &Header, number: u64) -> Option<(SystemTime, RecoveryRecord)> {
    let words = place_of(header, number.checked_sub(1)?);
    if words.number.load(Ordering::Acquire) != number {
        return None;
    }
    let dead = AttachmentId::from_word(words.id.load(Ordering::Relaxed));
    let at = Duration::from_nanos(words.at.load(Ordering::Relaxed));
    let record = RecoveryRecord {
        lock: words.lock.load(Ordering::Relaxed),
        dead,
        previous_owner: record::read(&words.record, dead.generation()),
        by: AttachmentId::from_word(words.by.load(Ordering::Relaxed)),
        took: Duration::from_nanos(words.took.load(Ordering::Relaxed)),
    };
    fence(Ordering::Acquire);
    (words.number.load(Ordering::Relaxed) == number)
        .then_some((UNIX_EPOCH.checked_add(at)?, record))
}

/// Returns the numbers of the recoveries whose records may still exist, the latest first.
pub(crate) fn numbers(header: &Header) -> impl Iterator<Item = u64> + use<> {
    let last = header.life.recoveries.load(Ordering::Relaxed);
    let kept = header.last_recoveries.len() as u64;
    (last.saturating_sub(kept)..last)
        .map(|before| before + 1)
        .rev()
}

fn place_of(header: &Header, before: u64) -> &RecoveryWords {
    let places = &header.last_recoveries;
    let index = usize::try_from(before % places.len() as u64);
    &places[index.unwrap_or(0)]
}
