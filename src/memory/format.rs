//! The shared bytes as Rust types: one struct for each block that `docs/format.md` describes, and nothing else.
//!
//! Every field is an atomic, since any attached process may store to it at any moment. What the values mean is
//! said where they are used; what they may be is never taken on trust.

use std::sync::atomic::{AtomicU32, AtomicU64};

/// The first bytes of every segment file.
pub(crate) const MAGIC: [u8; 8] = *b"sharehld";
/// The version of the shared bytes; a process attaches to its own version only.
pub(crate) const VERSION: u32 = 5;
/// The oldest version whose contents can be read: its header, blocks, typed data and log are laid out as in this one.
pub(crate) const OLDEST: u32 = 3;
/// Data begin at a multiple of this, and a file's length is one.
pub(crate) const GRANULE: usize = 4096;

/// The block at the start of the file: what never changes, then what does, the segment's lock, and what became of the dead.
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
    /// The last take-overs from the dead; number *n* has the place *n* - 1 modulo their number.
    pub(crate) last_recoveries: [RecoveryWords; 16],
}

/// What changes while a segment lives, other than its lock and its data.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct MutableHeader {
    /// Bytes of data there are; only grows.
    pub(crate) size: AtomicU64,
    /// Raised, and woken, whenever an attachment leaves.
    pub(crate) departures: AtomicU32,
    /// Where the next attachment begins to look for a free slot.
    pub(crate) next_slot: AtomicU32,
    /// How many holds of dead processes were taken over.
    pub(crate) recoveries: AtomicU64,
    /// The longest of them, in nanoseconds: from the holder's last sign of life to the take-over.
    pub(crate) longest_recovery: AtomicU64,
    /// Bytes of undo records in the log; 0 outside a transaction.
    pub(crate) logged: AtomicU64,
    /// 1 once the owner of the lock has begun to replace the segment under its key.
    pub(crate) replacing: AtomicU32,
    pub(crate) padding: AtomicU32,
    pub(crate) reserved: [AtomicU64; 2],
}

/// A lock: who holds it, whether somebody may sleep, and what condition the last holder left the data in.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct LockWords {
    /// The holder, 0 for nobody.
    pub(crate) owner: AtomicU64,
    /// 1 when somebody may be asleep and wants to be woken by the next release; what sleepers sleep on.
    pub(crate) waiting: AtomicU32,
    /// 1 when a process without memory barriers is about, so that every release must be a full fence itself.
    pub(crate) fenced: AtomicU32,
    /// What the data are worth: 0 consistent, 1 a holder died, 2 a holder panicked.
    pub(crate) condition: AtomicU32,
    /// 1 when somebody may be asleep on the version of the value under the lock.
    pub(crate) watched: AtomicU32,
    pub(crate) reserved: [AtomicU32; 2],
    /// The hold that was abandoned, as it stood in `owner`.
    pub(crate) previous_owner_id: AtomicU64,
    /// Who had that hold.
    pub(crate) previous_owner: Record,
    /// The seats of those waiters that check often whether the owner lives: see `sync::checkers`.
    pub(crate) checkers: [AtomicU64; 4],
}

/// A lock that was taken over from a dead process. Valid while `number` is the same before and after reading.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct RecoveryWords {
    /// How many there had been, this one included; 0 while it is written.
    pub(crate) number: AtomicU64,
    /// When, in nanoseconds since 1970.
    pub(crate) at: AtomicU64,
    /// How long after the dead one's last sign of life, in nanoseconds.
    pub(crate) took: AtomicU64,
    /// The hold that was taken over.
    pub(crate) id: AtomicU64,
    /// The hold of who took it over.
    pub(crate) by: AtomicU64,
    /// Which lock: its offset in the file, divided by 128.
    pub(crate) lock: AtomicU32,
    pub(crate) padding: AtomicU32,
    /// Who had that hold.
    pub(crate) record: Record,
    pub(crate) reserved: AtomicU64,
}

/// Who an attachment belongs to. Valid while `generation` is the one asked about, before and after reading.
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
    /// The last two takers, so that the next one leaves the record of a dead one readable: generation `g` has `g / 2 % 2`.
    pub(crate) records: [Record; 2],
    /// What its threads wait for, for those who look.
    pub(crate) waits: [WaitWords; 2],
}

/// That a thread waits for a lock, and for whom. Valid while `holder` is the same, and not 0, before and after reading.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct WaitWords {
    /// Which lock: its offset in the file, divided by 128; 0 for none.
    pub(crate) lock: AtomicU32,
    /// The thread that waits, 0 for a task.
    pub(crate) thread: AtomicU32,
    /// Since when, in nanoseconds since 1970.
    pub(crate) began: AtomicU64,
    /// The hold that it waits for.
    pub(crate) holder: AtomicU64,
    /// How many milliseconds after `began` it found this holder.
    pub(crate) met: AtomicU32,
    /// The thread of that holder, 0 for none that is known.
    pub(crate) holding_thread: AtomicU32,
}

/// What a read-write lock has besides the lock of its writers.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct ReadWriteWords {
    pub(crate) lock: LockWords,
    /// Raised by each writer that leaves.
    pub(crate) phase: AtomicU32,
    /// Raised when readers that wait are to look again; what they sleep on.
    pub(crate) turn: AtomicU32,
    /// 1 when somebody may be asleep on `turn`.
    pub(crate) readers_wait: AtomicU32,
    /// 1 when a writer may be asleep on this until readers leave.
    pub(crate) draining: AtomicU32,
    /// Raised by each reader that asks whether the writer lives.
    pub(crate) asked: AtomicU32,
    pub(crate) padding: AtomicU32,
    /// How many tasks wait to read, and since which phase.
    pub(crate) tasks: AtomicU64,
    pub(crate) reserved: [AtomicU32; 24],
}

/// A semaphore: its lock, and how many permits there are.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct SemaphoreWords {
    pub(crate) lock: LockWords,
    /// How many permits there are in all.
    pub(crate) permits: AtomicU32,
    /// How many of them nobody has; recomputed from the marks after a death.
    pub(crate) available: AtomicU32,
    /// Raised whenever permits come back; what those who want some sleep on.
    pub(crate) change: AtomicU32,
    /// 1 when somebody may be asleep on `change` who wants one permit, 2 when also one who wants more.
    pub(crate) waiting: AtomicU32,
    /// The seats of those waiters that check often whether others live.
    pub(crate) checkers: [AtomicU64; 4],
    /// Raised by whoever asks.
    pub(crate) asked: AtomicU32,
    pub(crate) reserved: [AtomicU32; 19],
}

/// An event.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct EventWords {
    /// Whether it is set, whether somebody may be asleep on this, and the generation: see `event::protocol`.
    pub(crate) state: AtomicU32,
    /// 0: it stays set until it is reset; 1: the first who waits resets it.
    pub(crate) auto: AtomicU32,
    pub(crate) reserved: [AtomicU32; 30],
}

/// A barrier: its lock, how many meet, and which round it is.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct BarrierWords {
    pub(crate) lock: LockWords,
    /// How many meet.
    pub(crate) participants: AtomicU32,
    /// 0: a death breaks the round; 1: the dead are left out.
    pub(crate) leaves_out: AtomicU32,
    /// Raised whenever a round ends; what those who have arrived sleep on.
    pub(crate) round: AtomicU32,
    pub(crate) padding: AtomicU32,
    /// How many of the participants have died (bits 48 to 63), and whose mark is being cleared for that (bits 32 to 47).
    pub(crate) left_out: AtomicU64,
    /// Which of the last rounds were broken, a bit each.
    pub(crate) broken: AtomicU64,
    /// The seats of those waiters that check often whether others live.
    pub(crate) checkers: [AtomicU64; 4],
    /// Raised by whoever asks.
    pub(crate) asked: AtomicU32,
    pub(crate) reserved: [AtomicU32; 15],
}

/// What an attachment has of one part: a word of its own in the row of its slot.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct MarkWord {
    /// The low half of the slot's generation (high half), and what it has (low half).
    pub(crate) word: AtomicU64,
}

/// The mark of a lock that a thread of the attachment may have.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct ThreadMark {
    /// The thread that has the lock, 0 for none.
    pub(crate) holding_thread: AtomicU32,
    pub(crate) reserved: AtomicU32,
}

/// Marks a type that is nothing but atomics, laid out as in C, valid for all bytes.
///
/// # Safety
///
/// Every byte lies in an atomic (so that a shared reference allows others to store) and every value is valid.
pub(crate) unsafe trait Block {}

// SAFETY: all fields are atomics; the sizes below leave no padding.
unsafe impl Block for Header {}
// SAFETY: all fields are atomics; the sizes below leave no padding.
unsafe impl Block for Slot {}
// SAFETY: all fields are atomics; the sizes below leave no padding.
unsafe impl Block for LockWords {}
// SAFETY: all fields are atomics; the sizes below leave no padding.
unsafe impl Block for ReadWriteWords {}
// SAFETY: all fields are atomics; the sizes below leave no padding.
unsafe impl Block for SemaphoreWords {}
// SAFETY: all fields are atomics; the sizes below leave no padding.
unsafe impl Block for EventWords {}
// SAFETY: all fields are atomics; the sizes below leave no padding.
unsafe impl Block for BarrierWords {}
// SAFETY: its field is an atomic.
unsafe impl Block for MarkWord {}
// SAFETY: its fields are atomics, four bytes each.
unsafe impl Block for ThreadMark {}

const _: () = {
    assert!(size_of::<MutableHeader>() == 64);
    assert!(size_of::<Record>() == 56);
    assert!(size_of::<LockWords>() == 128);
    assert!(size_of::<RecoveryWords>() == 112);
    assert!(size_of::<Header>() == 2048);
    assert!(size_of::<WaitWords>() == 32);
    assert!(size_of::<Slot>() == 192);
    assert!(size_of::<ReadWriteWords>() == 256);
    assert!(size_of::<SemaphoreWords>() == 256);
    assert!(size_of::<EventWords>() == 128);
    assert!(size_of::<BarrierWords>() == 256);
    assert!(size_of::<MarkWord>() == 8);
    assert!(size_of::<ThreadMark>() == 8);
};
