//! The shared bytes as Rust types: one struct for each block that `docs/format.md` describes.
//!
//! Every field is an atomic, because any attached process may store to it at any time. The code
//! that uses a field documents its meaning. No code relies on a field having a valid value.

use std::sync::atomic::{AtomicU32, AtomicU64};

/// The first bytes of every segment file.
pub(crate) const MAGIC: [u8; 8] = *b"sharehld";
/// The version of the shared bytes; a process attaches to its own version only.
pub(crate) const VERSION: u32 = 5;
/// The oldest version whose contents can be read: its header, blocks, typed data and log have the
/// same layout as in this version.
pub(crate) const OLDEST: u32 = 3;
/// Data begin at a multiple of this, and the length of a file is a multiple of it.
pub(crate) const GRANULE: usize = 4096;

/// The block at the start of the file: the constant fields, the mutable fields, the segment's lock,
/// and the last recoveries.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Header {
    // Written before the file gets its name, then constant.
    pub(crate) magic: AtomicU64,
    pub(crate) version: AtomicU32,
    pub(crate) policy: AtomicU32,
    pub(crate) slots: AtomicU32,
    pub(crate) key_len: AtomicU32,
    pub(crate) data_offset: AtomicU64,
    pub(crate) max_size: AtomicU64,
    pub(crate) created_at: AtomicU64,
    pub(crate) schema_len: AtomicU64,
    pub(crate) log_len: AtomicU64,
    pub(crate) life: MutableHeader,
    pub(crate) lock: LockWords,
    /// The last recoveries; recovery number *n* is at index *n* - 1 modulo the array length.
    pub(crate) last_recoveries: [RecoveryWords; 16],
}

/// The fields that change while a segment lives, except its lock and its data.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct MutableHeader {
    /// The number of bytes of data; only grows.
    pub(crate) size: AtomicU64,
    /// Raised, and woken, whenever an attachment leaves.
    pub(crate) departures: AtomicU32,
    /// Where the next attachment starts to look for a free slot.
    pub(crate) next_slot: AtomicU32,
    /// How many locks of dead owners were recovered.
    pub(crate) recoveries: AtomicU64,
    /// The longest recovery, in nanoseconds: from the owner's last sign of life to the recovery.
    pub(crate) longest_recovery: AtomicU64,
    /// Bytes of undo records in the log; 0 outside a transaction.
    pub(crate) logged: AtomicU64,
    /// 1 once the owner of the lock has begun to replace the segment under its key.
    pub(crate) replacing: AtomicU32,
    pub(crate) padding: AtomicU32,
    pub(crate) reserved: [AtomicU64; 2],
}

/// A lock: its owner, whether a waiter may sleep, and the state in which the last owner left the
/// data.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct LockWords {
    /// The owner; 0 if the lock is free.
    pub(crate) owner: AtomicU64,
    /// 1 when a waiter may be asleep and must be woken by the next release. Waiters sleep on this
    /// word.
    pub(crate) waiting: AtomicU32,
    /// 1 when a process without memory barriers is attached, so that every release must be a full
    /// fence.
    pub(crate) fenced: AtomicU32,
    /// The state of the data: 0 consistent, 1 an owner died, 2 an owner panicked.
    pub(crate) condition: AtomicU32,
    /// 1 when a waiter may be asleep on the version of the value under the lock.
    pub(crate) watched: AtomicU32,
    pub(crate) reserved: [AtomicU32; 2],
    /// The attachment ID of the owner that abandoned the lock, as it was in `owner`.
    pub(crate) previous_owner_id: AtomicU64,
    /// The record of that owner.
    pub(crate) previous_owner: Record,
    /// The seats of the waiters that check often whether the owner is alive: see `wait::liveness`.
    pub(crate) checkers: [AtomicU64; 4],
}

/// The recovery of a lock from a dead owner. Valid while `number` is the same before and after
/// reading.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct RecoveryWords {
    /// The number of this recovery, counted from 1; 0 while the record is written.
    pub(crate) number: AtomicU64,
    /// The time of the recovery, in nanoseconds since 1970.
    pub(crate) at: AtomicU64,
    /// The time since the dead owner's last sign of life, in nanoseconds.
    pub(crate) took: AtomicU64,
    /// The attachment ID of the dead owner.
    pub(crate) id: AtomicU64,
    /// The attachment ID of the process that recovered the lock.
    pub(crate) by: AtomicU64,
    /// Which lock: its offset in the file, divided by 128.
    pub(crate) lock: AtomicU32,
    pub(crate) padding: AtomicU32,
    /// The record of the dead owner.
    pub(crate) record: Record,
    pub(crate) reserved: AtomicU64,
}

/// The process of an attachment. Valid while `generation` is the expected one before and after
/// reading.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) generation: AtomicU64,
    pub(crate) pid: AtomicU32,
    pub(crate) program: AtomicU32,
    pub(crate) namespaces: AtomicU64,
    pub(crate) start_time: AtomicU64,
    pub(crate) since: AtomicU64,
    pub(crate) name: [AtomicU64; 2],
}

/// An entry of the attachment table.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Slot {
    /// Odd while taken, even while free; only grows.
    pub(crate) generation: AtomicU64,
    /// The thread of the slot's process that holds the segment's lock, 0 for none.
    pub(crate) holding_thread: AtomicU32,
    pub(crate) reserved: AtomicU32,
    /// The last two takers, so that the next one leaves the record of a dead one readable.
    /// Generation `g` uses index `g / 2 % 2`.
    pub(crate) records: [Record; 2],
    /// The wait records of its threads, for inspection.
    pub(crate) waits: [WaitWords; 2],
}

/// A wait record: a thread that waits for a lock, and the lock's owner. Valid while `holder` is the
/// same, and not 0, before and after reading.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct WaitWords {
    /// Which lock: its offset in the file, divided by 128; 0 for none.
    pub(crate) lock: AtomicU32,
    /// The waiting thread; 0 for a task.
    pub(crate) thread: AtomicU32,
    /// Since when it waits, in nanoseconds since 1970.
    pub(crate) began: AtomicU64,
    /// The attachment ID of the owner that it waits for.
    pub(crate) holder: AtomicU64,
    /// How many milliseconds after `began` it first observed this owner.
    pub(crate) met: AtomicU32,
    /// The thread of that owner that holds the lock; 0 if unknown.
    pub(crate) holding_thread: AtomicU32,
}

/// The words of a read-write lock, including the lock of its writers.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct ReadWriteWords {
    pub(crate) lock: LockWords,
    /// Raised by each writer that leaves.
    pub(crate) phase: AtomicU32,
    /// Raised when waiting readers are to check again. They sleep on this word.
    pub(crate) turn: AtomicU32,
    /// 1 when a reader may be asleep on `turn`.
    pub(crate) readers_wait: AtomicU32,
    /// 1 when a writer may be asleep on this word until the readers have left.
    pub(crate) draining: AtomicU32,
    /// Raised by each reader that checks whether the writer is alive.
    pub(crate) asked: AtomicU32,
    pub(crate) padding: AtomicU32,
    /// How many tasks wait to read, and since which phase.
    pub(crate) tasks: AtomicU64,
    pub(crate) reserved: [AtomicU32; 24],
}

/// A semaphore: its lock and the number of permits.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct SemaphoreWords {
    pub(crate) lock: LockWords,
    /// The total number of permits.
    pub(crate) permits: AtomicU32,
    /// The number of permits that are not taken; recomputed from the marks after a death.
    pub(crate) available: AtomicU32,
    /// Raised whenever permits are returned. Waiters sleep on this word.
    pub(crate) change: AtomicU32,
    /// 1 when a waiter for one permit may be asleep on `change`; 2 when also a waiter for several
    /// may be.
    pub(crate) waiting: AtomicU32,
    /// The seats of the waiters that check often whether the holders are alive.
    pub(crate) checkers: [AtomicU64; 4],
    /// Raised by each waiter that checks.
    pub(crate) asked: AtomicU32,
    pub(crate) reserved: [AtomicU32; 19],
}

/// An event.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct EventWords {
    /// Whether it is set, whether a waiter may be asleep on this word, and the generation: see
    /// `event::protocol`.
    pub(crate) state: AtomicU32,
    /// 0: it stays set until it is reset; 1: the first waiter that consumes the signal resets it.
    pub(crate) auto: AtomicU32,
    pub(crate) reserved: [AtomicU32; 30],
}

/// A barrier: its lock, the number of participants, and the round.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct BarrierWords {
    pub(crate) lock: LockWords,
    /// The number of participants.
    pub(crate) participants: AtomicU32,
    /// 0: a death breaks the round; 1: dead participants are removed.
    pub(crate) leaves_out: AtomicU32,
    /// Raised whenever a round ends. Participants that have arrived sleep on this word.
    pub(crate) round: AtomicU32,
    pub(crate) padding: AtomicU32,
    /// How many participants have died (bits 48 to 63), and the slot, plus 1, whose mark is
    /// being cleared because of a death (bits 32 to 47).
    pub(crate) left_out: AtomicU64,
    /// Which of the last rounds were broken, one bit each.
    pub(crate) broken: AtomicU64,
    /// The seats of the waiters that check often whether other participants are alive.
    pub(crate) checkers: [AtomicU64; 4],
    /// Raised by each waiter that checks.
    pub(crate) asked: AtomicU32,
    pub(crate) reserved: [AtomicU32; 15],
}

/// A mark, the share of one attachment in one part: a word in the row of the attachment's slot.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct MarkWord {
    /// The low half of the slot's generation (high half), and the share (low half).
    pub(crate) word: AtomicU64,
}

/// The mark of a lock that a thread of the attachment may hold.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct ThreadMark {
    /// The thread that holds the lock; 0 for none.
    pub(crate) holding_thread: AtomicU32,
    pub(crate) reserved: AtomicU32,
}

/// Marks a type that consists only of atomics, is laid out as in C, and is valid for all bytes.
///
/// # Safety
///
/// Every byte lies in an atomic (so that other processes may store while a shared reference
/// exists), and every value is valid.
pub(crate) unsafe trait Block {}

/// Implements [`Block`] for types, and checks their sizes.
macro_rules! blocks {
    ($($name:ident: $size:literal,)+) => {
        $(
            // SAFETY: all fields are atomics, laid out as in C, and their sizes leave no padding.
            unsafe impl Block for $name {}
            const _: () = assert!(size_of::<$name>() == $size);
        )+
    };
}

blocks! {
    Header: 2048,
    Slot: 192,
    LockWords: 128,
    ReadWriteWords: 256,
    SemaphoreWords: 256,
    EventWords: 128,
    BarrierWords: 256,
    MarkWord: 8,
    ThreadMark: 8,
}

/// The sizes of the structs within blocks.
const _: () = {
    assert!(size_of::<MutableHeader>() == 64);
    assert!(size_of::<Record>() == 56);
    assert!(size_of::<RecoveryWords>() == 112);
    assert!(size_of::<WaitWords>() == 32);
};
