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

mod copied;
pub(crate) mod format;
pub(crate) mod region;
mod words;

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

use crate::sys::{Access, Mapping};
pub(crate) use copied::{Copied, block_from};
use format::{Block, GRANULE, Header, LockWords, Slot};
pub use words::{Reader, Words, Writer};

const WORD: usize = size_of::<u64>();

/// How large the blocks of a segment are, in bytes, except the table, which is counted in slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) slots: usize,
    pub(crate) key: usize,
    pub(crate) schema: usize,
    pub(crate) log: usize,
    pub(crate) max_data: usize,
}

/// Where the blocks of a segment are: header, table, key, schema, log, data, one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) sizes: Sizes,
    pub(crate) key: Area,
    pub(crate) schema: Area,
    pub(crate) log: Area,
    pub(crate) data_offset: usize,
}

/// A stretch of a segment, in bytes from its start.
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
    /// Places the blocks; `None` when the sum does not fit in memory.
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
    /// How many bytes of data the file was seen to have: never more than the layout's largest size, and never fewer than before.
    known_size: AtomicUsize,
    /// How many of them may be copied as bytes: all, or none where the segment has a type.
    plain_size: AtomicUsize,
    /// The slot of the attachment whose memory this is; the first one until it has one.
    own_slot: AtomicPtr<Slot>,
}

impl Memory {
    /// Takes over a mapping that is as long as the layout's largest size; `None` when it is not, or has no slot.
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

    /// Notes that the file was seen to have so many bytes of data.
    pub(crate) fn know_size(&self, size: usize) {
        let size = size.min(self.layout.sizes.max_data);
        self.known_size.fetch_max(size, Ordering::Relaxed);
        if self.is_plain() {
            self.plain_size.fetch_max(size, Ordering::Relaxed);
        }
    }

    /// Whether the data may be copied as bytes. Those of a segment with a type may not: a value is read without the lock,
    /// and among parts stand words of other widths, while no byte may be in two atomics.
    pub(crate) fn is_plain(&self) -> bool {
        self.layout.sizes.schema == 0
    }

    /// Gives all bytes of data up to `size` memory, without an open file; false where there is none to be had.
    pub(crate) fn populate(&self, size: usize, access: Access) -> bool {
        let end = self.layout.file_len(size);
        // From the start on: also the blocks before the data may have had holes.
        end.is_some_and(|end| self.mapping.populate(0..end, access).is_ok())
    }

    /// How many bytes of data the file was seen to have.
    #[inline]
    pub(crate) fn known_size(&self) -> usize {
        self.known_size.load(Ordering::Relaxed)
    }

    /// The bytes of data that may be copied, of those that the file was seen to have.
    pub(crate) fn known_data(&self) -> Area {
        Area {
            start: self.layout.data_offset,
            len: self.plain_size.load(Ordering::Relaxed),
        }
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
        if index >= self.layout.sizes.slots {
            return None;
        }
        let offset = size_of::<Header>() + index * size_of::<Slot>();
        // SAFETY: `new` saw that the whole table lies inside the mapping.
        let slot = unsafe { self.mapping.base().add(offset) };
        // SAFETY: as above, and header and slot sizes are multiples of the slot's alignment.
        Some(unsafe { block_at(slot) })
    }

    /// Where a lock of this segment stands: its offset in the file, divided by 128, which is its alignment.
    pub(crate) fn place_of(&self, lock: &LockWords) -> u32 {
        let offset = ptr::from_ref(lock).addr() - self.mapping.base().addr().get();
        // One beyond half a terabyte has no number.
        u32::try_from(offset / align_of::<LockWords>()).unwrap_or(0)
    }

    /// The lock that stands there, if that is the header's or within the data that the file was seen to have.
    pub(crate) fn lock_at(&self, place: u32) -> Option<&LockWords> {
        let offset = usize::try_from(place).ok()? * align_of::<LockWords>();
        if offset == std::mem::offset_of!(Header, lock) {
            return Some(&self.header().lock);
        }
        let offset = offset.checked_sub(self.layout.data_offset)?;
        let end = offset.checked_add(size_of::<LockWords>())?;
        self.data_block(offset).filter(|_| end <= self.known_size())
    }

    /// Notes which slot this attachment has; false for one beyond the table's end.
    pub(crate) fn own_slot_is(&self, index: usize) -> bool {
        let slot = self.slot(index);
        if let Some(slot) = slot {
            let address = ptr::from_ref(slot).cast_mut();
            self.own_slot.store(address, Ordering::Relaxed);
        }
        slot.is_some()
    }

    /// The slot of this attachment, without a look at the table's length.
    #[inline]
    pub(crate) fn own_slot(&self) -> &Slot {
        let slot = self.own_slot.load(Ordering::Relaxed);
        // SAFETY: `new` stored the address of a slot of this mapping, and only such addresses are ever stored.
        unsafe { &*slot }
    }

    /// The address of the data: page-aligned, `max_size` bytes of address space, of which `size` are usable.
    #[inline]
    pub(crate) fn data(&self) -> NonNull<u8> {
        // SAFETY: `new` saw that the data area lies inside the mapping.
        unsafe { self.mapping.base().add(self.layout.data_offset) }
    }

    /// The word that holds the byte at `position` from the segment's start; the caller has seen that it lies in an area.
    #[inline]
    fn word(&self, position: usize) -> &AtomicU64 {
        debug_assert!(position < self.mapping.len(), "the caller checks bounds");
        // SAFETY: an area lies inside the mapping, whose length is a multiple of the granule, hence of a word.
        let address = unsafe { self.mapping.base().add(position / WORD * WORD) };
        // SAFETY: a mapping begins at a page, so the address is aligned; every value of the word is valid.
        unsafe { address.cast().as_ref() }
    }

    /// Words of data from `offset` on, a multiple of 8; `None` when they do not lie within the largest size.
    #[inline(always)]
    pub(crate) fn data_words(&self, offset: usize, count: usize) -> Option<&[AtomicU64]> {
        let len = count.checked_mul(WORD)?;
        // Data end at a granule's multiple, so that the last word is there in full.
        let end = offset.checked_add(len)?;
        if !offset.is_multiple_of(WORD) || end > self.layout.sizes.max_data.next_multiple_of(WORD) {
            return None;
        }
        // SAFETY: `new` saw that the data area, up to a multiple of the granule, lies inside the mapping.
        let first = unsafe { self.data().add(offset) };
        // SAFETY: as above; data begin at a granule's multiple, so that the words are aligned, and every value is valid.
        Some(unsafe { std::slice::from_raw_parts(first.cast().as_ptr(), count) })
    }

    /// A block of data at `offset`; `None` when it does not lie within the largest size, or not at a multiple of its alignment.
    #[inline]
    pub(crate) fn data_block<T: Block>(&self, offset: usize) -> Option<&T> {
        let end = offset.checked_add(size_of::<T>())?;
        if !offset.is_multiple_of(align_of::<T>()) || end > self.layout.sizes.max_data {
            return None;
        }
        // SAFETY: `new` saw that the data area lies inside the mapping.
        let block = unsafe { self.data().add(offset) };
        // SAFETY: as above; data begin at a granule's multiple, which is one of every block's alignment.
        Some(unsafe { block_at(block) })
    }

    /// The `count` words from the one that holds the byte at `position`; the caller has seen that they lie in an area.
    #[inline]
    fn words(&self, position: usize, count: usize) -> &[AtomicU64] {
        debug_assert!(
            position + count * WORD <= self.mapping.len(),
            "the caller checks bounds"
        );
        // SAFETY: an area lies inside the mapping, whose length is a multiple of a word.
        let first = unsafe { self.mapping.base().add(position / WORD * WORD) };
        // SAFETY: as above; a mapping begins at a page, so the words are aligned, and every value is valid.
        unsafe { std::slice::from_raw_parts(first.cast().as_ptr(), count) }
    }

    /// Whole words of the known data, as numbers are; `None` for anything else.
    #[inline(always)]
    fn known_words(&self, offset: usize, len: usize) -> Option<&[AtomicU64]> {
        let end = offset.checked_add(len)?;
        let known = self.plain_size.load(Ordering::Relaxed);
        if !(offset | len).is_multiple_of(WORD) || end > known {
            return None;
        }
        // SAFETY: `new` saw that the data area lies inside the mapping, and no more is ever known than it has.
        let first = unsafe { self.data().add(offset) };
        // SAFETY: as above; data begin at a granule's multiple, so that the words are aligned, and every value is valid.
        Some(unsafe { std::slice::from_raw_parts(first.cast().as_ptr(), len / WORD) })
    }

    /// Copies whole words of the known data. False, and nothing copied, when it is anything else that is asked for.
    // Makes no call, so that a number stays in a register.
    #[inline(always)]
    #[must_use]
    pub(crate) fn load_words(&self, offset: usize, into: &mut [u8]) -> bool {
        let Some(words) = self.known_words(offset, into.len()) else {
            return false;
        };
        copy_words_out(words, into);
        true
    }

    /// Stores whole words of the known data. False, and nothing stored, when it is anything else that is asked for.
    #[inline(always)]
    #[must_use]
    pub(crate) fn store_words(&self, offset: usize, from: &[u8]) -> bool {
        let Some(words) = self.known_words(offset, from.len()) else {
            return false;
        };
        copy_words_in(words, from);
        true
    }

    /// Copies bytes out of an area, from `offset` on. False, and nothing copied, when that reaches beyond it.
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

    /// Copies bytes into an area, from `offset` on. False, and nothing copied, when that reaches beyond it.
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
/// The standard library guarantees no atomic access to such memory but a relaxed load. The fence behind it makes it at least
/// as strong as an acquire load, and costs nothing where loads are ordered.
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

/// Where the `len` bytes from `offset` of the area begin; `None` when they reach beyond it.
#[inline]
fn position(area: Area, offset: usize, len: usize) -> Option<usize> {
    let end = offset.checked_add(len)?;
    (end <= area.len).then(|| area.start + offset)
}

/// How many of `len` bytes from `at` stand before the first whole word.
#[inline]
fn head_len(at: usize, len: usize) -> usize {
    (at.wrapping_neg() % WORD).min(len)
}

/// # Safety
///
/// The address is aligned for `T` and is inside a mapping, with all of `T`, for as long as `'a`.
#[inline]
unsafe fn block_at<'a, T: Block>(address: NonNull<u8>) -> &'a T {
    // SAFETY: the caller vouches for the place; a `Block` may be shared with writers and is valid for all bytes.
    unsafe { address.cast::<T>().as_ref() }
}
