//! The marks of a part: a few words for each slot of the segment, in which the attachment in the
//! slot stores what it has of the part.

use super::{Segment, table};
use crate::memory::format::Block;

/// The place of the marks of one part: each slot has its mark in its own row of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    /// The offset of the mark of slot 0 in the data.
    pub(crate) first: usize,
    /// The distance from the mark of one slot to that of the next slot.
    pub(crate) row: usize,
}

impl Marks {
    /// The mark of a slot; `None` beyond the last slot that was ever taken, or when the segment is
    /// too small.
    #[inline]
    pub(crate) fn of<B: Block>(self, segment: &Segment, slot: usize) -> Option<&B> {
        let memory = &segment.attached().memory;
        if slot >= table::ever_taken(memory) {
            return None;
        }
        memory.data_block(self.first + slot * self.row)
    }
}
