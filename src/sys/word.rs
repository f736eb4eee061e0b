//! The words on which a thread can sleep: the 32 bits of shared memory that the system compares.

use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// A name for 32 bits of memory. Only the system loads through it.
///
/// It allows sleeping on half of a word of 64 bits. Rust's memory model does not define atomics
/// that partly overlap, but the system's comparison is not an access in that model.
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
        // 1 if the high half comes first.
        let half = usize::from(u16::from_ne_bytes([0, 1]) == 1);
        let low = ptr::from_ref(word).cast::<AtomicU32>().wrapping_add(half);
        // SAFETY: it is aligned, lies inside `word`, and all its values are valid; no Rust code
        // loads or stores through it.
        Word(unsafe { &*low })
    }
}

/// The address of a word. The system accepts it even if the word is no longer mapped, and reports
/// that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(pub(super) usize);

impl Word<'_> {
    /// Returns the word's address in this process.
    pub(crate) fn address(self) -> Address {
        Address(ptr::from_ref(self.0).addr())
    }
}

/// How a sleep on several words ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slept {
    /// The word with this number was woken; other words may have changed, too.
    Woken(usize),
    /// The time limit has passed.
    TimedOut,
    /// Another reason: a word did not have the expected value, or the reason is unknown.
    Unclear,
}

/// Returns the value with which a sleeper on the low half of a word of 64 bits compares it.
pub(crate) fn low_half_of(value: u64) -> u32 {
    let bytes = value.to_le_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
