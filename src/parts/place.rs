//! Where parts are: one behind another in the data, and a row of marks for each slot behind them.
//!
//! All offsets follow from the types alone, in the order of declaration, so that the schema has them; how many rows there are
//! is for the segment to say.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::damaged;
use crate::error::Result;
use crate::memory::format::{Block, Mark};
use crate::segment::{Attached, Segment};
use crate::sync::part::Marks;

/// Rows, like parts, begin at multiples of this, so that no two attachments mark one cache line.
const LINE: usize = 128;
const MARK: usize = size_of::<Mark>();

/// The bytes of a slot's row of marks.
pub(super) const fn row_len(marks: usize) -> usize {
    (marks * MARK).next_multiple_of(LINE)
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
        words.ok_or_else(|| damaged(&self.segment, operation))
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

/// Finds the parts of a segment one after another.
#[derive(Debug)]
pub struct Walk {
    segment: Arc<Segment>,
    offset: usize,
    marks: Marks,
}

impl Walk {
    /// Begins, for parts of `size` bytes with so many marks in all, and empties this attachment's row: what stands there is of
    /// those who had the slot before.
    pub(super) fn new(segment: Segment, size: usize, marks: usize) -> Walk {
        let table = Marks {
            first: size,
            row: row_len(marks),
        };
        let own = segment.hold().index();
        for number in 0..marks {
            let first = table.first + number * MARK;
            if let Some(mark) = (Marks { first, ..table }).of::<Mark>(&segment, own) {
                mark.word.store(0, Ordering::SeqCst);
            }
        }
        Walk {
            segment: Arc::new(segment),
            offset: 0,
            marks: table,
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
