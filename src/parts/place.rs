//! Where parts are: one behind another in the data, and a row of marks for each slot behind them.
//!
//! All offsets follow from the types alone, in the order of declaration, so that the schema has them; how many rows there are
//! is for the segment to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::damaged;
use crate::error::Result;
use crate::memory::format::{Block, LockWords, Mark, ThreadMark};
use crate::segment::table::{self, Hold};
use crate::segment::{Attached, Segment};
use crate::sync::part::Marks;

/// Rows, like parts, begin at multiples of this, so that no two attachments mark one cache line.
const LINE: usize = 128;
const MARK: usize = size_of::<Mark>();

/// The bytes of a slot's row of marks.
pub(crate) const fn row_len(marks: usize) -> usize {
    (marks * MARK).next_multiple_of(LINE)
}

/// The low half of an attachment's generation, which is what marks have of it.
pub(crate) fn low(hold: Hold) -> u32 {
    (hold.generation() & 0xffff_ffff) as u32
}

/// One part: in which segment, and where in it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    segment: Arc<Segment>,
    offset: usize,
    marks: Marks,
}

impl Place {
    #[inline]
    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Where its value begins, behind `head` bytes.
    #[inline]
    pub(super) fn behind(&self, head: usize) -> usize {
        self.offset + head
    }

    /// Its words, which are there unless somebody overwrote the segment.
    #[inline]
    pub(super) fn words<B: Block>(&self, operation: &'static str) -> Result<&B> {
        let attached = self.segment.attached();
        attached.check_fork(operation)?;
        let words = attached.memory.data_block(self.offset);
        words.ok_or_else(|| damaged(self.segment.attached(), operation))
    }

    /// A slot's mark with this number, from 0.
    pub(super) fn mark(&self, number: usize, slot: usize) -> Option<Marked<'_>> {
        let mark: &Mark = self.marks(number).of(&self.segment, slot)?;
        let hold = self.segment.hold_in(slot)?;
        let found = mark.word.load(Ordering::SeqCst);
        let (generation, value) = ((found >> 32) as u32, (found & 0xffff_ffff) as u32);
        Some(Marked {
            word: &mark.word,
            value,
            maker: (low(hold) == generation).then_some(hold),
        })
    }

    /// All slots' marks with this number that say something.
    pub(super) fn marked(&self, number: usize) -> impl Iterator<Item = Marked<'_>> {
        let all = (0..).map_while(move |slot| self.mark(number, slot));
        all.filter(|mark| mark.value != 0)
    }

    /// What this attachment's own mark says.
    pub(super) fn own(&self, number: usize) -> u32 {
        let own = self.mark(number, self.segment.hold().index());
        let own = own.filter(|mark| mark.maker.is_some());
        own.map_or(0, |mark| mark.value)
    }

    /// Changes this attachment's own mark, which nobody else does meanwhile.
    pub(super) fn set_own(&self, number: usize, value: u32) {
        let own = self.segment.hold();
        if let Some(mark) = self.mark(number, own.index()) {
            let word = u64::from(low(own)) << 32 | u64::from(value);
            mark.word.store(word, Ordering::SeqCst);
        }
    }

    /// Clears a slot's mark, which nobody makes meanwhile.
    pub(super) fn forget(&self, number: usize, slot: usize) {
        if let Some(mark) = self.mark(number, slot) {
            mark.word.store(0, Ordering::SeqCst);
        }
    }

    /// Empties this attachment's mark with this number, for a thread; what stands there is of one who had the slot before.
    pub(super) fn empty_own(&self, number: usize) {
        let own = self.segment.hold().index();
        let mark: Option<&ThreadMark> = self.marks(number).of(&self.segment, own);
        if let Some(mark) = mark {
            mark.holding_thread.store(0, Ordering::Relaxed);
        }
    }

    /// Takes the part's lock from this attachment, which has only just come into being: see [`table::disown`].
    pub(super) fn disown_lock(&self) {
        let words: Option<&LockWords> = self.segment.attached().memory.data_block(self.offset);
        if let Some(words) = words {
            table::disown(&words.owner, self.segment.hold());
        }
    }

    /// Makes a mark of this attachment, which has made none yet, one of an attachment that is gone: what it claims to have
    /// is given back as after a death.
    pub(super) fn disown_mark(&self, number: usize) {
        const OTHER: u64 = 2 << 32;
        let own = self.mark(number, self.segment.hold().index());
        if let Some(mark) = own.filter(|mark| mark.maker.is_some()) {
            mark.word.fetch_xor(OTHER, Ordering::SeqCst);
        }
    }

    /// Its marks with this number, from 0.
    #[inline]
    pub(super) fn marks(&self, number: usize) -> Marks {
        Marks {
            first: self.marks.first + number * MARK,
            row: self.marks.row,
        }
    }
}

/// A slot's mark, as it was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marked<'a> {
    word: &'a AtomicU64,
    pub(super) value: u32,
    /// Who made it, if that one has the slot still.
    pub(super) maker: Option<Hold>,
}

/// Finds the parts of a segment one after another.
#[derive(Debug)]
pub struct Walk {
    segment: Arc<Segment>,
    offset: usize,
    marks: Marks,
}

impl Walk {
    /// Begins, for parts of `size` bytes with so many marks in all.
    pub(super) fn new(segment: Segment, size: usize, marks: usize) -> Walk {
        Walk {
            segment: Arc::new(segment),
            offset: 0,
            marks: Marks {
                first: size,
                row: row_len(marks),
            },
        }
    }

    /// Begins at a part that was found before.
    pub(super) fn to(place: &Place) -> Walk {
        Walk {
            segment: Arc::clone(&place.segment),
            offset: place.offset,
            marks: place.marks,
        }
    }

    /// The next part, of `size` bytes with so many marks.
    pub(super) fn next(&mut self, size: usize, marks: usize) -> Place {
        let place = Place {
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
pub struct Draft<'a> {
    attached: &'a Attached,
    offset: usize,
}

impl<'a> Draft<'a> {
    pub(super) fn new(attached: &'a Attached) -> Draft<'a> {
        let offset = 0;
        Draft { attached, offset }
    }

    pub(super) fn attached(&self) -> &'a Attached {
        self.attached
    }

    /// Where the next part is, of `size` bytes.
    pub(super) fn next(&mut self, size: usize) -> usize {
        let offset = self.offset;
        self.offset += size;
        offset
    }
}
