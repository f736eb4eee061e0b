//! What became of the dead: how often locks were taken over, and the certificates of the last times.
//!
//! It is evidence for people; nothing that a lock does depends on it. Whoever dies as it writes a certificate leaves none. Two who write at
//! once write different ones, unless sixteen more were written while one of them was stopped: then that one may be a mixture.

use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::table::{AttachmentId, Recorded, read_record, write_record};
use crate::memory::format::{Header, RecoveryWords};
use crate::sys;

/// Says how often a lock was taken over from the dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryStats {
    /// How often, since the segment was created.
    pub count: u64,
    /// The longest time it took, from the holder's last sign of life to the take-over by one who slept for the lock.
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

/// The certificate of one take-over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecoveryRecord {
    /// Which lock it was: see [`Memory::place_of`](crate::memory::Memory::place_of).
    pub(crate) lock: u32,
    /// Whose hold it was.
    pub(crate) dead: AttachmentId,
    /// What that one had recorded of itself, if it was still remembered.
    pub(crate) previous_owner: Option<Recorded>,
    /// Who took it over.
    pub(crate) by: AttachmentId,
    /// How long after the dead one's last sign of life.
    pub(crate) took: Duration,
}

/// Counts a take-over and keeps its certificate.
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
        Some(found) => write_record(&words.record, record.dead.generation(), found),
        None => words.record.generation.store(0, Ordering::Relaxed),
    }
    words
        .number
        .store(before.wrapping_add(1), Ordering::Release);
}

/// The certificate with a number, counted from 1, and when it was made; `None` when it is there no more, or not whole.
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
        previous_owner: read_record(&words.record, dead.generation()),
        by: AttachmentId::from_word(words.by.load(Ordering::Relaxed)),
        took: Duration::from_nanos(words.took.load(Ordering::Relaxed)),
    };
    fence(Ordering::Acquire);
    (words.number.load(Ordering::Relaxed) == number)
        .then_some((UNIX_EPOCH.checked_add(at)?, record))
}

/// The numbers of the take-overs whose certificates can still be there, the last one first.
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
