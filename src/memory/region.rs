//! Access to the bytes of a mapping that is not a segment of this library.
//!
//! Copies use aligned words of eight bytes. A word of which a copy covers only a part is changed by
//! compare-and-exchange, so that a concurrent store to the rest of it is never undone: a program
//! without this library may store there at any time.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::Access;
use crate::sys::ipc::IpcMapping;

const WORD: usize = size_of::<u64>();

/// A mapping, with copies from and to it.
#[derive(Debug)]
pub(crate) struct Region {
    mapping: IpcMapping,
}

impl Region {
    pub(crate) fn new(mapping: IpcMapping) -> Region {
        Region { mapping }
    }

    pub(crate) fn mapping(&self) -> &IpcMapping {
        &self.mapping
    }

    /// Copies bytes out, from `offset` on; false, with nothing copied, if they are not inside.
    #[must_use]
    pub(crate) fn copy_out(&self, offset: usize, into: &mut [u8]) -> bool {
        if !self.holds(offset, into.len()) {
            return false;
        }
        let (head, rest) = into.split_at_mut(head_len(offset, into.len()));
        let mut at = offset + head.len();
        self.load_part(offset, head);
        let mut words = rest.chunks_exact_mut(WORD);
        for bytes in &mut words {
            bytes.copy_from_slice(&self.word(at).load(Ordering::Relaxed).to_ne_bytes());
            at += WORD;
        }
        self.load_part(at, words.into_remainder());
        true
    }

    /// Copies bytes in, from `offset` on; false, with nothing copied, if they are not inside, or
    /// the mapping is read-only.
    #[must_use]
    pub(crate) fn copy_in(&self, offset: usize, from: &[u8]) -> bool {
        if !self.holds(offset, from.len()) || self.mapping.access() == Access::ReadOnly {
            return false;
        }
        let (head, rest) = from.split_at(head_len(offset, from.len()));
        let mut at = offset + head.len();
        self.store_part(offset, head);
        let (words, tail) = rest.as_chunks::<WORD>();
        for bytes in words {
            self.word(at)
                .store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
            at += WORD;
        }
        self.store_part(at, tail);
        true
    }

    /// Loads a few bytes that lie within one word.
    fn load_part(&self, offset: usize, part: &mut [u8]) {
        if !part.is_empty() {
            let word = self.word(offset).load(Ordering::Relaxed).to_ne_bytes();
            let start = offset % WORD;
            part.copy_from_slice(&word[start..start + part.len()]);
        }
    }

    /// Stores a few bytes that lie within one word, and leaves the rest of it unchanged.
    fn store_part(&self, offset: usize, part: &[u8]) {
        if !part.is_empty() {
            let start = offset % WORD;
            // The closure always returns `Some`, so this always succeeds.
            let _ = self
                .word(offset)
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                    let mut word = word.to_ne_bytes();
                    word[start..start + part.len()].copy_from_slice(part);
                    Some(u64::from_ne_bytes(word))
                });
        }
    }

    fn holds(&self, offset: usize, len: usize) -> bool {
        let end = offset.checked_add(len);
        self.mapping.is_here() && end.is_some_and(|end| end <= self.mapping.len())
    }

    /// Returns the word with the byte at `offset`. The caller has checked that it is inside.
    fn word(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset < self.mapping.len(), "the caller checks bounds");
        // SAFETY: the offset lies inside the mapping, and the last page of a mapping is mapped as a
        // whole.
        let address = unsafe { self.mapping.base().add(offset / WORD * WORD) };
        // SAFETY: a mapping begins at a page, so the address is aligned; every value of the word is
        // valid.
        unsafe { address.cast().as_ref() }
    }
}

/// Returns how many of `len` bytes from `offset` precede the first whole word.
fn head_len(offset: usize, len: usize) -> usize {
    (offset.wrapping_neg() % WORD).min(len)
}
