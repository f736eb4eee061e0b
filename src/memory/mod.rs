//! The only access to shared bytes: bounds, alignment, and copies by atomics of one width.
//!
//! [`Memory`] is a mapped segment whose layout was checked: a header, an attachment table, the key,
//! then data. It knows the positions and moves bytes. It knows neither their meaning nor the rules
//! about which process may access them when.
//!
//! # Why copies by atomic words
//!
//! Another process may store to any of these bytes at any time, by design or by mistake. A plain
//! load would then be a data race, which is undefined behaviour in Rust; a relaxed atomic load of
//! the same bytes is merely an unspecified mixture. All copies use aligned words of eight bytes,
//! never two widths for the same byte, because Rust's memory model does not define atomics that
//! partly overlap. A partly covered word at an edge is loaded, changed and stored as a whole, which
//! only the owner of the lock may do.

#![allow(unsafe_code)]

mod copied;
pub(crate) mod format;
#[cfg(feature = "qt")]
pub(crate) mod region;
mod words;

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

use crate::sys::{Access, Mapping};
pub(crate) use copied::{Copied, block_from};
use format::{Block, GRANULE, Header, LockWords, Slot};
pub use words::{Reader, Words, Writer};

const WORD: usize = size_of::<u64>();

/// The sizes of a segment's blocks, in bytes; the table's size is counted in slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) slots: usize,
    pub(crate) key: usize,
    pub(crate) schema: usize,
    pub(crate) log: usize,
    pub(crate) max_data: usize,
}

/// The positions of a segment's blocks: header, table, key, schema, log, data, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) sizes: Sizes,
    pub(crate) key: Area,
    pub(crate) schema: Area,
    pub(crate) log: Area,
    pub(crate) data_offset: usize,
}

/// A range of a segment, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl Area {
    fn end(self) -> Option<usize> {
        self.start.checked_add(self.len)
    }
}

impl Layout {
    /// Places the blocks; `None` if the total does not fit in the address space.
    pub(crate) fn new(sizes: Sizes) -> Option<Layout> {
        let table = sizes.slots.checked_mul(size_of::<Slot>())?;
        let key = Area {
            start: table.checked_add(size_of::<Header>())?,
            len: sizes.key,
        };
        let schema = Area {
            start: key.end()?,
            len: sizes.schema,
        };
        let log = Area {
            start: schema.end()?.checked_next_multiple_of(WORD)?,
            len: sizes.log,
        };
        let data_offset = log.end()?.checked_next_multiple_of(GRANULE)?;
        let layout = Layout {
            sizes,
            key,
            schema,
            log,
            data_offset,
        };
        layout.file_len(sizes.max_data).map(|_| layout)
    }

    /// Returns the length of a file with `size` bytes of data; `None` if it does not fit in the
    /// address space.
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
    /// How many bytes of data the file was seen to have: never more than the layout's largest size,
    /// and never fewer than before.
    known_size: AtomicUsize,
    /// How many of these bytes may be copied as bytes: all of them, or none in a typed segment.
    plain_size: AtomicUsize,
    /// The slot of this attachment; the first slot until it has one.
    own_slot: AtomicPtr<Slot>,
}

impl Memory {
    /// Takes over a mapping that is as long as the layout's largest size; `None` if it is shorter,
    /// or the layout has no slot.
    pub(crate) fn new(mapping: Mapping, sizes: Sizes) -> Option<Memory> {
        let layout = Layout::new(sizes)?;
        let fits = layout.file_len(sizes.max_data)? <= mapping.len();
        let memory = fits.then_some(Memory {
            mapping,
            layout,
            known_size: AtomicUsize::new(0),
            plain_size: AtomicUsize::new(0),
            own_slot: AtomicPtr::default(),
        })?;
        memory.own_slot_is(0).then_some(memory)
    }

    /// Records that the file was seen to have `size` bytes of data.
    pub(crate) fn know_size(&self, size: usize) {
        let size = size.min(self.layout.sizes.max_data);
        self.known_size.fetch_max(size, Ordering::Relaxed);
        if self.is_plain() {
            self.plain_size.fetch_max(size, Ordering::Relaxed);
        }
    }

    /// Tells whether the data may be copied as bytes. Those of a typed segment may not: a value is
    /// read without the lock, and parts have words of other widths, while no byte may lie in two
    /// atomics.
    pub(crate) fn is_plain(&self) -> bool {
        self.layout.sizes.schema == 0
    }

    /// Gives memory to all bytes of data up to `size`, without an open file; false if there is none
    /// left.
    pub(crate) fn populate(&self, size: usize, access: Access) -> bool {
        let end = self.layout.file_len(size);
        // From the start: the blocks before the data may have had holes, too.
        end.is_some_and(|end| self.mapping.populate(0..end, access).is_ok())
    }

    /// Returns how many bytes of data the file was seen to have.
    #[inline]
    pub(crate) fn known_size(&self) -> usize {
        self.known_size.load(Ordering::Relaxed)
    }

    /// Returns the area of the known data that may be copied as bytes.
    pub(crate) fn known_data(&self) -> Area {
        Area {
            start: self.layout.data_offset,
            len: self.plain_size.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the block at the start.
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: `new` checked that the mapping is longer than a header, and a mapping begins at a
        // page.
        unsafe { block_at(self.mapping.base()) }
    }

    /// Returns an entry of the attachment table; `None` beyond its end.
    #[inline]
    pub(crate) fn slot(&self, index: usize) -> Option<&Slot> {
        if index >= self.layout.sizes.slots {
            return None;
        }
        let offset = size_of::<Header>() + index * size_of::<Slot>();
        // SAFETY: `new` checked that the whole table lies inside the mapping.
        let slot = unsafe { self.mapping.base().add(offset) };
        // SAFETY: as above, and header and slot sizes are multiples of the slot's alignment.
        Some(unsafe { block_at(slot) })
    }

    /// Returns the place of a lock of this segment: its offset in the file, divided by 128, its
    /// alignment.
    pub(crate) fn place_of(&self, lock: &LockWords) -> u32 {
        let offset = ptr::from_ref(lock).addr() - self.mapping.base().addr().get();
        // A lock beyond half a terabyte has no number.
        u32::try_from(offset / align_of::<LockWords>()).unwrap_or(0)
    }

    /// Returns the lock at a place, if that is the header's lock or within the data that the file
    /// was seen to have.
    pub(crate) fn lock_at(&self, place: u32) -> Option<&LockWords> {
        let offset = usize::try_from(place).ok()? * align_of::<LockWords>();
        if offset == std::mem::offset_of!(Header, lock) {
            return Some(&self.header().lock);
        }
        let offset = offset.checked_sub(self.layout.data_offset)?;
        let end = offset.checked_add(size_of::<LockWords>())?;
        self.data_block(offset).filter(|_| end <= self.known_size())
    }

    /// Records the slot of this attachment; false if it is beyond the table's end.
    pub(crate) fn own_slot_is(&self, index: usize) -> bool {
        let slot = self.slot(index);
        if let Some(slot) = slot {
            let address = ptr::from_ref(slot).cast_mut();
            self.own_slot.store(address, Ordering::Relaxed);
        }
        slot.is_some()
    }

    /// Returns the slot of this attachment, without a check of the table's length.
    #[inline]
    pub(crate) fn own_slot(&self) -> &Slot {
        let slot = self.own_slot.load(Ordering::Relaxed);
        // SAFETY: `new` stored the address of a slot of this mapping, and only such addresses are
        // ever stored.
        unsafe { &*slot }
    }

    /// Returns the address of the data: page-aligned, `max_size` bytes of address space, of which
    /// `size` are usable.
    #[inline]
    pub(crate) fn data(&self) -> NonNull<u8> {
        // SAFETY: `new` checked that the data area lies inside the mapping.
        unsafe { self.mapping.base().add(self.layout.data_offset) }
    }

    /// Returns the word with the byte at `position` from the segment's start. The caller has
    /// checked that the position lies in an area.
    #[inline]
    fn word(&self, position: usize) -> &AtomicU64 {
        debug_assert!(position < self.mapping.len(), "the caller checks bounds");
        // SAFETY: an area lies inside the mapping, whose length is a multiple of the granule, hence
        // of a word.
        let address = unsafe { self.mapping.base().add(position / WORD * WORD) };
        // SAFETY: a mapping begins at a page, so the address is aligned; every value of the word is
        // valid.
        unsafe { address.cast().as_ref() }
    }

    /// Returns words of data from `offset` on, a multiple of 8; `None` if they exceed the largest
    /// size.
    #[inline(always)]
    pub(crate) fn data_words(&self, offset: usize, count: usize) -> Option<&[AtomicU64]> {
        let len = count.checked_mul(WORD)?;
        // The data area ends at a multiple of the granule, so that the last word is inside it.
        let end = offset.checked_add(len)?;
        if !offset.is_multiple_of(WORD) || end > self.layout.sizes.max_data.next_multiple_of(WORD) {
            return None;
        }
        // SAFETY: `new` checked that the data area, up to a multiple of the granule, lies inside
        // the mapping.
        let first = unsafe { self.data().add(offset) };
        // SAFETY: as above; data begin at a multiple of the granule, so that the words are aligned,
        // and every value is valid.
        Some(unsafe { std::slice::from_raw_parts(first.cast().as_ptr(), count) })
    }

    /// Returns a block of data at `offset`; `None` if it exceeds the largest size or is not
    /// aligned.
    #[inline]
    pub(crate) fn data_block<T: Block>(&self, offset: usize) -> Option<&T> {
        let end = offset.checked_add(size_of::<T>())?;
        if !offset.is_multiple_of(align_of::<T>()) || end > self.layout.sizes.max_data {
            return None;
        }
        // SAFETY: `new` checked that the data area lies inside the mapping.
        let block = unsafe { self.data().add(offset) };
        // SAFETY: as above; data begin at a multiple of the granule, which is a multiple of every
        // block's alignment.
        Some(unsafe { block_at(block) })
    }

    /// Returns `count` words, starting with the one with the byte at `position`. The caller has
    /// checked that they lie in an area.
    #[inline]
    fn words(&self, position: usize, count: usize) -> &[AtomicU64] {
        debug_assert!(
            position + count * WORD <= self.mapping.len(),
            "the caller checks bounds"
        );
        // SAFETY: an area lies inside the mapping, whose length is a multiple of a word.
        let first = unsafe { self.mapping.base().add(position / WORD * WORD) };
        // SAFETY: as above; a mapping begins at a page, so the words are aligned, and every value
        // is valid.
        unsafe { std::slice::from_raw_parts(first.cast().as_ptr(), count) }
    }

    /// Returns whole words of the known data, such as a number; `None` if the range is not made of
    /// whole words.
    #[inline(always)]
    fn known_words(&self, offset: usize, len: usize) -> Option<&[AtomicU64]> {
        let end = offset.checked_add(len)?;
        let known = self.plain_size.load(Ordering::Relaxed);
        if !(offset | len).is_multiple_of(WORD) || end > known {
            return None;
        }
        // SAFETY: `new` checked that the data area lies inside the mapping, and the known size
        // never exceeds it.
        let first = unsafe { self.data().add(offset) };
        // SAFETY: as above; data begin at a multiple of the granule, so that the words are aligned,
        // and every value is valid.
        Some(unsafe { std::slice::from_raw_parts(first.cast().as_ptr(), len / WORD) })
    }

    /// Copies whole words of the known data; false, with nothing copied, for any other range.
    #[inline(always)]
    #[must_use]
    pub(crate) fn load_words(&self, offset: usize, into: &mut [u8]) -> bool {
        let Some(words) = self.known_words(offset, into.len()) else {
            return false;
        };
        copy_words_out(words, into);
        true
    }

    /// Stores whole words of the known data; false, with nothing stored, for any other range.
    #[inline(always)]
    #[must_use]
    pub(crate) fn store_words(&self, offset: usize, from: &[u8]) -> bool {
        let Some(words) = self.known_words(offset, from.len()) else {
            return false;
        };
        copy_words_in(words, from);
        true
    }

    /// Copies bytes out of an area, from `offset` on; false, with nothing copied, if they exceed
    /// it.
    #[must_use]
    pub(crate) fn copy_out(&self, area: Area, offset: usize, into: &mut [u8]) -> bool {
        let Some(at) = position(area, offset, into.len()) else {
            return false;
        };
        let mut at = at;
        let (first, rest) = into.split_at_mut(head_len(at, into.len()));
        if !first.is_empty() {
            let word = self.word(at).load(Ordering::Relaxed).to_ne_bytes();
            first.copy_from_slice(&word[at % WORD..][..first.len()]);
            at += first.len();
        }
        let (whole, last) = rest.split_at_mut(rest.len() / WORD * WORD);
        copy_words_out(self.words(at, whole.len() / WORD), whole);
        if !last.is_empty() {
            let word = self.word(at + whole.len()).load(Ordering::Relaxed);
            last.copy_from_slice(&word.to_ne_bytes()[..last.len()]);
        }
        true
    }

    /// Copies bytes into an area, from `offset` on; false, with nothing copied, if they exceed it.
    #[must_use]
    pub(crate) fn copy_in(&self, area: Area, offset: usize, from: &[u8]) -> bool {
        let Some(at) = position(area, offset, from.len()) else {
            return false;
        };
        let mut at = at;
        let (first, rest) = from.split_at(head_len(at, from.len()));
        if !first.is_empty() {
            self.change_word(at, first);
            at += first.len();
        }
        let (whole, last) = rest.split_at(rest.len() / WORD * WORD);
        copy_words_in(self.words(at, whole.len() / WORD), whole);
        if !last.is_empty() {
            self.change_word(at + whole.len(), last);
        }
        true
    }

    /// Stores part of one word.
    fn change_word(&self, at: usize, part: &[u8]) {
        let shared = self.word(at);
        let mut word = shared.load(Ordering::Relaxed).to_ne_bytes();
        word[at % WORD..][..part.len()].copy_from_slice(part);
        shared.store(u64::from_ne_bytes(word), Ordering::Relaxed);
    }
}

/// Loads a word of memory that may be mapped read-only, as an acquire operation.
///
/// The standard library guarantees only relaxed loads of such memory. The fence after the load
/// makes it at least as strong as an acquire load, and costs nothing on processors that keep loads
/// in order.
#[inline(always)]
pub(crate) fn load_acquire(word: &AtomicU64) -> u64 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}

#[inline(always)]
fn copy_words_out(words: &[AtomicU64], into: &mut [u8]) {
    for (bytes, word) in into.as_chunks_mut::<WORD>().0.iter_mut().zip(words) {
        *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
    }
}

#[inline(always)]
fn copy_words_in(words: &[AtomicU64], from: &[u8]) {
    for (bytes, word) in from.as_chunks::<WORD>().0.iter().zip(words) {
        word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
    }
}

/// Returns the position of `len` bytes at `offset` of the area; `None` if they exceed it.
#[inline]
fn position(area: Area, offset: usize, len: usize) -> Option<usize> {
    let end = offset.checked_add(len)?;
    (end <= area.len).then(|| area.start + offset)
}

/// Returns how many of `len` bytes from `at` precede the first whole word.
#[inline]
fn head_len(at: usize, len: usize) -> usize {
    (at.wrapping_neg() % WORD).min(len)
}

/// Returns the block at an address.
///
/// # Safety
///
/// The address is aligned for `T`, and all of the `T` lies inside a mapping that lives at least as
/// long as `'a`.
#[inline]
unsafe fn block_at<'a, T: Block>(address: NonNull<u8>) -> &'a T {
    // SAFETY: the caller guarantees alignment and extent; a `Block` may be shared with writers and
    // is valid for all bytes.
    unsafe { address.cast::<T>().as_ref() }
}
