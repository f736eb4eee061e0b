//! Where parts are: one behind another in the data, and a row of marks for each slot behind them.
//!
//! All offsets follow from the types alone, in the order of declaration, so that the schema has them; how many rows there are
//! is for the segment to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::damaged;
use crate::error::Result;
use crate::lock::part::Marks;
use crate::memory::format::{Block, LockWords, MarkWord, ThreadMark};
use crate::segment::table::{self, AttachmentId};
use crate::segment::{Attached, Segment};

/// Rows, like parts, begin at multiples of this, so that no two attachments mark one cache line.
const LINE: usize = 128;
const MARK: usize = size_of::<MarkWord>();

/// The bytes of a slot's row of marks.
pub(crate) const fn row_len(marks: usize) -> usize {
    (marks * MARK).next_multiple_of(LINE)
}

/// The low half of an attachment's generation, which is what marks have of it.
pub(crate) fn low(id: AttachmentId) -> u32 {
    (id.generation() & 0xffff_ffff) as u32
}

/// One part: in which segment, and where in it.
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

    /// Where its value begins, behind `head` bytes.
    #[inline]
    pub(crate) fn behind(&self, head: usize) -> usize {
        self.offset + head
    }

    /// Its words, which are there unless somebody overwrote the segment.
    #[inline]
    pub(crate) fn words<B: Block>(&self, operation: &'static str) -> Result<&B> {
        let attached = self.segment.attached();
        attached.check_fork(operation)?;
        let words = attached.memory.data_block(self.offset);
        words.ok_or_else(|| damaged(self.segment.attached(), operation))
    }

    /// A slot's mark with this number, from 0.
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

    /// All slots' marks with this number that say something.
    pub(crate) fn marked(&self, number: usize) -> impl Iterator<Item = Marked<'_>> {
        let all = (0..).map_while(move |slot| self.mark(number, slot));
        all.filter(|mark| mark.value != 0)
    }

    /// What this attachment's own mark says.
    pub(crate) fn own(&self, number: usize) -> u32 {
        let own = self.mark(number, self.segment.id().index());
        let own = own.filter(|mark| mark.maker.is_some());
        own.map_or(0, |mark| mark.value)
    }

    /// Changes this attachment's own mark, which nobody else does meanwhile.
    pub(crate) fn set_own(&self, number: usize, value: u32) {
        let own = self.segment.id();
        if let Some(mark) = self.mark(number, own.index()) {
            let word = u64::from(low(own)) << 32 | u64::from(value);
            mark.word.store(word, Ordering::SeqCst);
        }
    }

    /// Clears a slot's mark, which nobody makes meanwhile.
    pub(crate) fn forget(&self, number: usize, slot: usize) {
        if let Some(mark) = self.mark(number, slot) {
            mark.word.store(0, Ordering::SeqCst);
        }
    }

    /// Empties this attachment's mark with this number, for a thread; what stands there is of one who had the slot before.
    pub(crate) fn empty_own(&self, number: usize) {
        let own = self.segment.id().index();
        let mark: Option<&ThreadMark> = self.marks(number).of(&self.segment, own);
        if let Some(mark) = mark {
            mark.holding_thread.store(0, Ordering::Relaxed);
        }
    }

    /// Takes the part's lock from this attachment, which has only just come into being: see [`table::disown`].
    pub(crate) fn disown_lock(&self) {
        let words: Option<&LockWords> = self.segment.attached().memory.data_block(self.offset);
        if let Some(words) = words {
            table::disown(&words.owner, self.segment.id());
        }
    }

    /// Makes a mark of this attachment, which has made none yet, one of an attachment that is gone: what it claims to have
    /// is given back as after a death.
    pub(crate) fn disown_mark(&self, number: usize) {
        const OTHER: u64 = 2 << 32;
        let own = self.mark(number, self.segment.id().index());
        if let Some(mark) = own.filter(|mark| mark.maker.is_some()) {
            mark.word.fetch_xor(OTHER, Ordering::SeqCst);
        }
    }

    /// Its marks with this number, from 0.
    #[inline]
    pub(crate) fn marks(&self, number: usize) -> Marks {
        Marks {
            first: self.marks.first + number * MARK,
            row: self.marks.row,
        }
    }
}

/// A slot's mark, as it was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marked<'a> {
    word: &'a AtomicU64,
    pub(crate) value: u32,
    /// Who made it, if that one has the slot still.
    pub(crate) maker: Option<AttachmentId>,
}

/// Finds the parts of a segment one after another.
#[derive(Debug)]
pub struct LayoutCursor {
    segment: Arc<Segment>,
    offset: usize,
    marks: Marks,
}

impl LayoutCursor {
    /// Begins, for parts of `size` bytes with so many marks in all.
    pub(crate) fn new(segment: Segment, size: usize, marks: usize) -> LayoutCursor {
        LayoutCursor {
            segment: Arc::new(segment),
            offset: 0,
            marks: Marks {
                first: size,
                row: row_len(marks),
            },
        }
    }

    /// Begins at a part that was found before.
    pub(crate) fn to(place: &PartRef) -> LayoutCursor {
        LayoutCursor {
            segment: Arc::clone(&place.segment),
            offset: place.offset,
            marks: place.marks,
        }
    }

    /// The next part, of `size` bytes with so many marks.
    pub(crate) fn next(&mut self, size: usize, marks: usize) -> PartRef {
        let place = PartRef {
            segment: Arc::clone(&self.segment),
            offset: self.offset,
            marks: self.marks,
        };
        self.offset += size;
        self.marks.first += marks * MARK;
        place
    }
}

/// Writes what parts begin with, one after another, into a segment that nobody else sees yet.
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

    /// Where the next part is, of `size` bytes.
    pub(crate) fn next(&mut self, size: usize) -> usize {
        let offset = self.offset;
        self.offset += size;
        offset
    }
}
