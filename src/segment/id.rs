//! The ID of an attachment: the slot that it has, and how often that slot was taken before.

/// The largest number of slots of a segment.
pub(crate) const MAX_SLOTS: usize = 4000;

const INDEX_BITS: u32 = 12;

/// Generations stay below this, so that an attachment ID leaves the highest bit of a lock word to
/// the lock. No slot is taken that often; a slot with a higher generation was overwritten.
pub(crate) const GENERATIONS: u64 = 1 << (63 - INDEX_BITS);
const _: () = assert!(MAX_SLOTS < 1 << INDEX_BITS);

/// The ID of one attachment, valid forever: slot index and generation in one word, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttachmentId(u64);

impl AttachmentId {
    pub(crate) fn new(index: usize, generation: u64) -> AttachmentId {
        AttachmentId(generation << INDEX_BITS | index as u64)
    }

    /// An attachment that never existed: no segment has that many slots.
    pub(crate) const NEVER_ATTACHED: AttachmentId =
        AttachmentId(1 << INDEX_BITS | ((1 << INDEX_BITS) - 1));

    /// The owner of the lock of a segment that was replaced under its key: no attachment acquires
    /// it again.
    pub(crate) const REPLACED: AttachmentId =
        AttachmentId(3 << INDEX_BITS | ((1 << INDEX_BITS) - 1));

    /// Reads a word from a segment, which can have any value. The highest bit is not part of the
    /// ID: see [`GENERATIONS`].
    pub(crate) fn from_word(word: u64) -> AttachmentId {
        AttachmentId(word & !(1 << 63))
    }

    #[inline]
    pub(crate) fn word(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }

    pub(crate) fn generation(self) -> u64 {
        self.0 >> INDEX_BITS
    }
}
