//! The layout of parts: one after another in the data, followed by one row of marks for each slot.
//!
//! All offsets follow from the types alone, in the order of declaration, so the schema determines
//! them. The segment determines the number of rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::damaged;
use crate::error::Result;
use crate::memory::format::{Block, LockWords, MarkWord, ThreadMark};
use crate::schema::{MarkKind, Primitive};
use crate::segment::id::AttachmentId;
use crate::segment::marks::Marks;
use crate::segment::table;
use crate::segment::{Attached, Segment};

/// Rows and parts begin at multiples of this, so that the marks of two attachments never share a
/// cache line.
const LINE: usize = 128;
const MARK: usize = size_of::<MarkWord>();

/// Returns the size in bytes of a slot's row of marks.
pub(crate) const fn row_len(marks: usize) -> usize {
    (marks * MARK).next_multiple_of(LINE)
}

/// Returns the low half of an attachment's generation, which marks contain.
pub(crate) fn low(id: AttachmentId) -> u32 {
    (id.generation() & 0xffff_ffff) as u32
}

/// The location of one part: its segment and its offsets.
#[derive(Debug, Clone)]
pub(crate) struct PartRef {
    segment: Arc<Segment>,
    offset: usize,
    marks: Marks,
}

impl PartRef {
    #[inline]
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Returns the offset of its value, which follows `head` bytes.
    #[inline]
    pub(crate) fn behind(&self, head: usize) -> usize {
        self.offset + head
    }

    /// Returns its words. They exist unless the segment was overwritten.
    #[inline]
    pub(crate) fn words<B: Block>(&self, operation: &'static str) -> Result<&B> {
        let attached = self.segment.attached();
        attached.check_fork(operation)?;
        let words = attached.memory.data_block(self.offset);
        words.ok_or_else(|| damaged(self.segment.attached(), operation))
    }

    /// Returns the mark of a slot with this number, counted from 0.
    pub(crate) fn mark(&self, number: usize, slot: usize) -> Option<Marked<'_>> {
        let mark: &MarkWord = self.marks(number).of(&self.segment, slot)?;
        let id = self.segment.id_in(slot)?;
        let found = mark.word.load(Ordering::SeqCst);
        let (generation, value) = ((found >> 32) as u32, (found & 0xffff_ffff) as u32);
        Some(Marked {
            word: &mark.word,
            value,
            maker: (low(id) == generation).then_some(id),
        })
    }

    /// Returns all slots' marks with this number that are not 0.
    pub(crate) fn marked(&self, number: usize) -> impl Iterator<Item = Marked<'_>> {
        let all = (0..).map_while(move |slot| self.mark(number, slot));
        all.filter(|mark| mark.value != 0)
    }

    /// Returns the value of this attachment's own mark.
    pub(crate) fn own(&self, number: usize) -> u32 {
        let own = self.mark(number, self.segment.id().index());
        let own = own.filter(|mark| mark.maker.is_some());
        own.map_or(0, |mark| mark.value)
    }

    /// Changes this attachment's own mark. The caller ensures that no other thread changes it
    /// meanwhile.
    pub(crate) fn set_own(&self, number: usize, value: u32) {
        let own = self.segment.id();
        if let Some(mark) = self.mark(number, own.index()) {
            let word = u64::from(low(own)) << 32 | u64::from(value);
            mark.word.store(word, Ordering::SeqCst);
        }
    }

    /// Clears a slot's mark. The caller ensures that no attachment changes it meanwhile.
    pub(crate) fn forget(&self, number: usize, slot: usize) {
        if let Some(mark) = self.mark(number, slot) {
            mark.word.store(0, Ordering::SeqCst);
        }
    }

    /// Makes sure that this new attachment has nothing of the part, whatever the words and marks
    /// contain.
    fn disown(&self, primitive: Primitive) {
        if primitive.has_lock() {
            self.disown_lock();
        }
        for (number, kind) in primitive.mark_kinds().iter().enumerate() {
            match kind {
                MarkKind::Share => self.disown_mark(number),
                MarkKind::Thread => self.empty_own(number),
            }
        }
    }

    /// Clears this attachment's thread mark with this number, which may contain the thread of an
    /// earlier attachment in this slot.
    fn empty_own(&self, number: usize) {
        let own = self.segment.id().index();
        let mark: Option<&ThreadMark> = self.marks(number).of(&self.segment, own);
        if let Some(mark) = mark {
            mark.holding_thread.store(0, Ordering::Relaxed);
        }
    }

    /// Makes sure that this new attachment does not own the part's lock: see [`table::disown`].
    fn disown_lock(&self) {
        let words: Option<&LockWords> = self.segment.attached().memory.data_block(self.offset);
        if let Some(words) = words {
            table::disown(&words.owner, self.segment.id());
        }
    }

    /// Turns this attachment's mark into a mark of an attachment that is gone. This attachment has
    /// made no mark yet, so the mark is not its own, and what it claims is given back as after a
    /// death.
    fn disown_mark(&self, number: usize) {
        const OTHER: u64 = 2 << 32;
        let own = self.mark(number, self.segment.id().index());
        if let Some(mark) = own.filter(|mark| mark.maker.is_some()) {
            mark.word.fetch_xor(OTHER, Ordering::SeqCst);
        }
    }

    /// Returns the location of its marks with this number, counted from 0.
    #[inline]
    pub(crate) fn marks(&self, number: usize) -> Marks {
        Marks {
            first: self.marks.first + number * MARK,
            row: self.marks.row,
        }
    }
}

/// A slot's mark, as it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marked<'a> {
    word: &'a AtomicU64,
    pub(crate) value: u32,
    /// The attachment that made the mark, if it still has the slot.
    pub(crate) maker: Option<AttachmentId>,
}

/// Finds the parts of a segment one after another.
#[derive(Debug)]
pub struct LayoutCursor {
    segment: Arc<Segment>,
    offset: usize,
    marks: Marks,
    /// Whether the attachment is new, so that it cannot have anything of the parts yet.
    is_new: bool,
}

impl LayoutCursor {
    /// Begins at the first of the parts, which have `size` bytes and `marks` marks in all. The
    /// attachment is new.
    pub(crate) fn new(segment: Segment, size: usize, marks: usize) -> LayoutCursor {
        LayoutCursor {
            segment: Arc::new(segment),
            offset: 0,
            marks: Marks {
                first: size,
                row: row_len(marks),
            },
            is_new: true,
        }
    }

    /// Begins at a part that was found before, and that this attachment may be using.
    pub(crate) fn to(place: &PartRef) -> LayoutCursor {
        LayoutCursor {
            segment: Arc::clone(&place.segment),
            offset: place.offset,
            marks: place.marks,
            is_new: false,
        }
    }

    /// Returns the next part, which has `size` bytes with its value.
    pub(crate) fn next(&mut self, primitive: Primitive, size: usize) -> PartRef {
        let place = PartRef {
            segment: Arc::clone(&self.segment),
            offset: self.offset,
            marks: self.marks,
        };
        self.offset += size;
        self.marks.first += primitive.marks() * MARK;
        if self.is_new {
            place.disown(primitive);
        }
        place
    }
}

/// Writes the initial contents of parts, one after another, into a segment that no other process
/// can see yet.
#[derive(Debug)]
pub struct Initializer<'a> {
    attached: &'a Attached,
    offset: usize,
}

impl<'a> Initializer<'a> {
    pub(crate) fn new(attached: &'a Attached) -> Initializer<'a> {
        let offset = 0;
        Initializer { attached, offset }
    }

    pub(crate) fn attached(&self) -> &'a Attached {
        self.attached
    }

    /// Returns the offset of the next part, which has `size` bytes.
    pub(crate) fn next(&mut self, size: usize) -> usize {
        let offset = self.offset;
        self.offset += size;
        offset
    }
}
