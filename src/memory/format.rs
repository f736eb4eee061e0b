//! The shared bytes as Rust types: one struct for each block that `docs/format.md` describes, and nothing else.
//!
//! Every field is an atomic, since any attached process may store to it at any moment. What the values mean is
//! said where they are used; what they may be is never taken on trust.

use std::sync::atomic::{AtomicU32, AtomicU64};

/// The first bytes of every segment file.
pub(crate) const MAGIC: [u8; 8] = *b"sharehld";
/// The version of the shared bytes; a process attaches to its own version only.
pub(crate) const VERSION: u32 = 1;
/// Data begin at a multiple of this, and a file's length is one.
pub(crate) const GRANULE: usize = 4096;

/// The block at the start of the file: what never changes, then what does, then the segment's lock.
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
    pub(crate) life: Life,
    pub(crate) lock: LockWords,
}

/// What changes while a segment lives, other than its lock and its data.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Life {
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
    pub(crate) reserved: [AtomicU64; 3],
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
    pub(crate) reserved: [AtomicU32; 3],
    /// The hold that was abandoned, as it stood in `owner`.
    pub(crate) culprit_hold: AtomicU64,
    /// Who had that hold.
    pub(crate) culprit: Record,
    pub(crate) padding: [AtomicU64; 4],
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
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Slot {
    /// Odd while taken, even while free; only grows.
    pub(crate) generation: AtomicU64,
    /// The thread of the slot's process that holds the segment's lock, 0 for none.
    pub(crate) holding_thread: AtomicU32,
    pub(crate) reserved: AtomicU32,
    /// The last two takers, so that the next one leaves the record of a dead one readable: generation `g` has `g / 2 % 2`.
    pub(crate) records: [Record; 2],
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

const _: () = {
    assert!(size_of::<Life>() == 64);
    assert!(size_of::<Record>() == 56);
    assert!(size_of::<LockWords>() == 128);
    assert!(size_of::<Header>() == 256);
    assert!(size_of::<Slot>() == 128);
};
