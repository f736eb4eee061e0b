//! The view of a part from outside, for inspection.
//!
//! The words are read one after the other while other processes change them.

use std::sync::atomic::Ordering;

use super::layout::low;
use crate::lock::state::{LockState, Looked, WaitRecords, named};
use crate::memory::format::{Block, LockWords, MarkWord};
use crate::segment::table::Presence;
use crate::segment::{Attachment, LivenessCheck, View};

const MARK: usize = size_of::<MarkWord>();

/// The share of one attachment in a part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The attachment; dead ones that have not been noticed yet are left out.
    pub attachment: Attachment,
    /// The number of threads or permits.
    pub count: u32,
}

/// A part under inspection.
pub(crate) struct PartView<'a> {
    pub(crate) view: &'a View,
    pub(crate) offset: usize,
    pub(crate) waits: &'a WaitRecords,
    pub(crate) care: LivenessCheck,
    /// The offset of its first mark in the row of slot 0, and the length of a row.
    pub(crate) marks: usize,
    pub(crate) row: usize,
}

impl PartView<'_> {
    /// Returns its words, or `None` if the data end before.
    pub(crate) fn words<B: Block>(&self) -> Option<B> {
        self.view.data_block(self.offset)
    }

    /// Returns the version of the value that follows its words, which have `head` bytes.
    pub(crate) fn version(&self, head: usize) -> Option<u64> {
        let version: MarkWord = self.view.data_block(self.offset.checked_add(head)?)?;
        Some(version.word.load(Ordering::Relaxed))
    }

    /// Returns the place of its lock, as wait records state it.
    pub(crate) fn place(&self) -> u32 {
        let data = self.view.found.layout.data_offset;
        let place = data.saturating_add(self.offset) / align_of::<LockWords>();
        u32::try_from(place).unwrap_or(0)
    }

    /// Returns the state of the lock at the part's beginning. `thread` is the number of the mark
    /// with the thread that holds it.
    pub(crate) fn lock(&self, words: &LockWords, thread: usize) -> LockState {
        let looked = Looked {
            view: self.view,
            words,
            place: self.place(),
            threads: Some((self.marks + thread * MARK, self.row)),
        };
        LockState::of(&looked, self.waits, self.care)
    }

    /// Returns the shares of live attachments; `of` computes one from a slot's first mark and the
    /// word after it.
    pub(crate) fn usages(&self, of: impl Fn(u64, u64) -> u32) -> Vec<Usage> {
        let mut found = Vec::new();
        for (id, _) in self.view.taken() {
            let at = self
                .row
                .saturating_mul(id.index())
                .saturating_add(self.marks);
            let word = |at| {
                let mark: Option<MarkWord> = self.view.data_block(at);
                mark.map_or(0, |mark| mark.word.load(Ordering::Relaxed))
            };
            let first = word(at);
            let is_of_this = (first >> 32) as u32 == low(id);
            let count = if is_of_this {
                of(first, word(at.saturating_add(MARK)))
            } else {
                0
            };
            if count > 0 && self.view.presence_of(id, self.care) == Presence::There {
                let attachment = named(self.view, id);
                found.extend(attachment.map(|attachment| Usage { attachment, count }));
            }
        }
        found
    }
}

/// Returns the low half of a mark, which contains the share.
pub(crate) fn share(mark: u64) -> u32 {
    (mark & 0xffff_ffff) as u32
}
