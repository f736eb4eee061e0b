//! The words that one can sleep on: which 32 bits of shared memory the system compares.

use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Names 32 bits of memory that the system, and nobody else, loads through this name.
///
/// So that half of a word of 64 bits can be slept on: Rust's memory model knows no atomics that overlap in part, and the system's
/// look is none of its accesses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'a>(pub(super) &'a AtomicU32);

impl<'a> From<&'a AtomicU32> for Word<'a> {
    fn from(word: &'a AtomicU32) -> Word<'a> {
        Word(word)
    }
}

impl<'a> Word<'a> {
    /// Names the low half of a word of 64 bits.
    pub(crate) fn low_half(word: &'a AtomicU64) -> Word<'a> {
        // 1 where the high half comes first.
        let half = usize::from(u16::from_ne_bytes([0, 1]) == 1);
        let low = ptr::from_ref(word).cast::<AtomicU32>().wrapping_add(half);
        // SAFETY: it is aligned, lies inside `word`, and all its values are valid; nobody loads or stores through it.
        Word(unsafe { &*low })
    }
}

/// Where such a word was: the system may be asked about it when it is there no longer, and says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(pub(super) usize);

impl Word<'_> {
    /// The word's address in this process.
    pub(crate) fn address(self) -> Address {
        Address(ptr::from_ref(self.0).addr())
    }
}

/// How a sleep on several words ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slept {
    /// Somebody woke those who sleep on the word with this number; others may have changed, too.
    Woken(usize),
    /// The time is over.
    TimedOut,
    /// In some other way: a word was not what was expected, or nobody knows.
    Unclear,
}

/// What a sleeper on the low half of a word of 64 bits compares it with.
pub(crate) fn low_half_of(value: u64) -> u32 {
    let bytes = value.to_le_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
