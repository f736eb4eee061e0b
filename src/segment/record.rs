//! What an attachment records of its process: for messages after its death, and for the proof of
//! death.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::memory::format::Record;
use crate::memory::load_acquire;
use crate::sys::Identity;

/// What an attachment recorded of itself when it took its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) who: Identity,
    /// When it attached, in nanoseconds since 1970.
    pub(crate) since: u64,
}

/// Writes a record so that a reader sees all of it or nothing.
pub(crate) fn write(record: &Record, generation: u64, found: &Recorded) {
    record.generation.store(0, Ordering::Relaxed);
    fence(Ordering::Release);
    record.pid.store(found.who.pid, Ordering::Relaxed);
    record.program.store(found.who.program, Ordering::Relaxed);
    record
        .namespaces
        .store(found.who.namespaces, Ordering::Relaxed);
    record
        .start_time
        .store(found.who.start_time, Ordering::Relaxed);
    record.since.store(found.since, Ordering::Relaxed);
    let halves = found.who.name.as_chunks::<8>().0;
    for (word, half) in record.name.iter().zip(halves) {
        word.store(u64::from_ne_bytes(*half), Ordering::Relaxed);
    }
    record.generation.store(generation, Ordering::Release);
}

/// Reads the record if it has this generation from the beginning to the end of the read.
pub(crate) fn read(record: &Record, generation: u64) -> Option<Recorded> {
    if load_acquire(&record.generation) != generation {
        return None;
    }
    let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
    let mut name = [0; 16];
    for (half, word) in name.chunks_exact_mut(8).zip(&record.name) {
        half.copy_from_slice(&load(word).to_ne_bytes());
    }
    let who = Identity {
        pid: record.pid.load(Ordering::Relaxed),
        program: record.program.load(Ordering::Relaxed),
        namespaces: load(&record.namespaces),
        start_time: load(&record.start_time),
        name,
    };
    let since = load(&record.since);
    fence(Ordering::Acquire);
    (record.generation.load(Ordering::Relaxed) == generation).then_some(Recorded { who, since })
}
