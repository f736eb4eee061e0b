//! The only way to touch shared bytes: bounds, alignment, and copies by atomics of one width.
//!
//! [`Memory`] is a mapped segment whose layout was checked: a header, an attachment table, the key, then data. It
//! knows where things are and moves bytes; it does not know what they mean, nor who may touch them when.
//!
//! # Why copies by atomic words
//!
//! Another process may store to any of these bytes at any time, by design or by mistake. A plain load would then be
//! a data race, which Rust leaves undefined; a relaxed atomic load of the same bytes is merely an unspecified mixture. All copies
//! use aligned words of eight bytes, never two widths for the same byte, because Rust's memory model says nothing
//! of atomics that overlap in part. A partly covered word at an edge is loaded, changed and stored whole, which only the
//! holder of the lock may do.

#![allow(unsafe_code)]

pub(crate) mod format;
pub(crate) mod region;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::Mapping;
use format::{Block, GRANULE, Header, Slot};

const WORD: usize = size_of::<u64>();

/// Where the blocks of a segment are, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) slots: usize,
    pub(crate) key_len: usize,
    pub(crate) data_offset: usize,
    pub(crate) max_size: usize,
}

impl Layout {
    /// Places the blocks one after another; `None` when the sum does not fit in memory.
    pub(crate) fn new(slots: usize, key_len: usize, max_size: usize) -> Option<Layout> {
        let key_offset = Layout::key_offset_of(slots)?;
        let data_offset = key_offset
            .checked_add(key_len)?
            .checked_next_multiple_of(GRANULE)?;
        let layout = Layout {
            slots,
            key_len,
            data_offset,
            max_size,
        };
        layout.file_len(max_size).map(|_| layout)
    }

    fn key_offset_of(slots: usize) -> Option<usize> {
        slots
            .checked_mul(size_of::<Slot>())?
            .checked_add(size_of::<Header>())
    }

    /// The offset of the key's text.
    pub(crate) fn key_offset(&self) -> usize {
        size_of::<Header>() + self.slots * size_of::<Slot>()
    }

    /// The length of a file with `size` bytes of data; `None` when it does not fit in memory.
    pub(crate) fn file_len(&self, size: usize) -> Option<usize> {
        let len = self
            .data_offset
            .checked_add(size)?
            .checked_next_multiple_of(GRANULE)?;
        (len <= isize::MAX.unsigned_abs()).then_some(len)
    }
}

/// A mapped segment.
#[derive(Debug)]
pub(crate) struct Memory {
    mapping: Mapping,
    layout: Layout,
}

impl Memory {
    /// Takes over a mapping that is as long as the layout's largest size; `None` when it is not.
    pub(crate) fn new(mapping: Mapping, layout: Layout) -> Option<Memory> {
        let laid_out = Layout::new(layout.slots, layout.key_len, layout.max_size)?;
        let fits = laid_out == layout && layout.file_len(layout.max_size)? <= mapping.len();
        fits.then_some(Memory { mapping, layout })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The block at the start.
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: `new` saw that the mapping is longer than a header, and a mapping begins at a page.
        unsafe { block_at(self.mapping.base()) }
    }

    /// The attachment table's entry; `None` beyond its end.
    #[inline]
    pub(crate) fn slot(&self, index: usize) -> Option<&Slot> {
        if index >= self.layout.slots {
            return None;
        }
        let offset = size_of::<Header>() + index * size_of::<Slot>();
        // SAFETY: `new` saw that the whole table lies inside the mapping.
        let slot = unsafe { self.mapping.base().add(offset) };
        // SAFETY: as above, and header and slot sizes are multiples of the slot's alignment.
        Some(unsafe { block_at(slot) })
    }

    /// Stores the key's text, whose length the layout has. Only for a segment that nobody else sees yet.
    pub(crate) fn write_key(&self, key: &str) {
        debug_assert_eq!(
            key.len(),
            self.layout.key_len,
            "the layout was made for this key"
        );
        let len = key.len().min(self.layout.key_len);
        // SAFETY: `new` saw that the key's place lies inside the mapping.
        let place = unsafe { self.mapping.base().add(self.layout.key_offset()) };
        // SAFETY: `len` bytes are readable in `key` and writable there; the two do not overlap, and nobody else
        // sees the segment yet.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(key.as_bytes()).cast(), len) };
    }

    /// The address of the data: page-aligned, `max_size` bytes of address space, of which `size` are usable.
    #[inline]
    pub(crate) fn data(&self) -> NonNull<u8> {
        // SAFETY: `new` saw that the data area lies inside the mapping.
        unsafe { self.mapping.base().add(self.layout.data_offset) }
    }

    /// The word of data that holds the byte at `offset`; the caller has checked `offset < max_size`.
    #[inline]
    fn data_word(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset < self.layout.max_size, "the caller checks bounds");
        // SAFETY: an offset below `max_size` lies inside the mapping, whose length is a multiple of the granule.
        let address = unsafe { self.data().add(offset / WORD * WORD) };
        // SAFETY: data begin at a granule's multiple, so the address is aligned; every value of the word is valid.
        unsafe { address.cast().as_ref() }
    }

    /// Copies data out, from `offset` on. False, and nothing copied, when that is not within the first `size` bytes.
    #[inline]
    #[must_use]
    pub(crate) fn copy_out(&self, offset: usize, into: &mut [u8], size: usize) -> bool {
        if !self.within(offset, into.len(), size) {
            return false;
        }
        let head = head_len(offset, into.len());
        let (first, rest) = into.split_at_mut(head);
        if !first.is_empty() {
            let word = self.data_word(offset).load(Ordering::Relaxed).to_ne_bytes();
            let start = offset % WORD;
            first.copy_from_slice(&word[start..start + head]);
        }
        let mut at = offset + head;
        let mut words = rest.chunks_exact_mut(WORD);
        for bytes in &mut words {
            bytes.copy_from_slice(&self.data_word(at).load(Ordering::Relaxed).to_ne_bytes());
            at += WORD;
        }
        let tail = words.into_remainder();
        if !tail.is_empty() {
            let word = self.data_word(at).load(Ordering::Relaxed).to_ne_bytes();
            tail.copy_from_slice(&word[..tail.len()]);
        }
        true
    }

    /// Copies data in, from `offset` on. False, and nothing copied, when that is not within the first `size` bytes.
    #[inline]
    #[must_use]
    pub(crate) fn copy_in(&self, offset: usize, from: &[u8], size: usize) -> bool {
        if !self.within(offset, from.len(), size) {
            return false;
        }
        let head = head_len(offset, from.len());
        let (first, rest) = from.split_at(head);
        if !first.is_empty() {
            self.change_word(offset, first);
        }
        let mut at = offset + head;
        let mut words = rest.chunks_exact(WORD);
        for bytes in &mut words {
            let mut word = [0; WORD];
            word.copy_from_slice(bytes);
            self.data_word(at)
                .store(u64::from_ne_bytes(word), Ordering::Relaxed);
            at += WORD;
        }
        if !words.remainder().is_empty() {
            self.change_word(at, words.remainder());
        }
        true
    }

    /// Stores part of one word.
    fn change_word(&self, offset: usize, part: &[u8]) {
        let shared = self.data_word(offset);
        let mut word = shared.load(Ordering::Relaxed).to_ne_bytes();
        let start = offset % WORD;
        word[start..start + part.len()].copy_from_slice(part);
        shared.store(u64::from_ne_bytes(word), Ordering::Relaxed);
    }

    #[inline]
    fn within(&self, offset: usize, len: usize, size: usize) -> bool {
        let end = offset.checked_add(len);
        end.is_some_and(|end| end <= size.min(self.layout.max_size))
    }
}

/// How many of `len` bytes from `offset` stand before the first whole word.
#[inline]
fn head_len(offset: usize, len: usize) -> usize {
    (offset.wrapping_neg() % WORD).min(len)
}

/// # Safety
///
/// The address is aligned for `T` and is inside a mapping, with all of `T`, for as long as `'a`.
#[inline]
unsafe fn block_at<'a, T: Block>(address: NonNull<u8>) -> &'a T {
    // SAFETY: the caller vouches for the place; a `Block` may be shared with writers and is valid for all bytes.
    unsafe { address.cast::<T>().as_ref() }
}
