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
        let half = usize::from(cfg!(target_endian = "big"));
        let low = ptr::from_ref(word).cast::<AtomicU32>().wrapping_add(half);
        // SAFETY: it is aligned, lies inside `word`, and all its values are valid; nobody loads or stores through it.
        Word(unsafe { &*low })
    }
}

/// What a sleeper on the low half of a word of 64 bits compares it with.
pub(crate) fn low_half_of(value: u64) -> u32 {
    (value & u64::from(u32::MAX)) as u32
}
