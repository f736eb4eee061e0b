//! The first blocks of a segment as they were read from its file.
//!
//! Nobody else sees or changes such a copy, and making one does not map the file, so that nothing that becomes of the file
//! can stop the reader with a signal. A copy is as old as its reading: what has to be true now is asked again.

use super::format::{Block, Header, Slot};

/// Header and attachment table, and what else was read behind them.
#[derive(Debug)]
pub(crate) struct Copied {
    header: Header,
    bytes: Vec<u8>,
}

impl Copied {
    /// Takes the bytes from the segment's start; `None` when they are fewer than a header.
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Copied> {
        let header = block_from(&bytes)?;
        Some(Copied { header, bytes })
    }

    /// The block at the start, as it was.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The attachment table's entry, as it was; `None` when it was not read.
    pub(crate) fn slot(&self, index: usize) -> Option<Slot> {
        block_from(self.entry(index)?)
    }

    /// What that says first: its generation.
    pub(crate) fn generation(&self, index: usize) -> Option<u64> {
        let first = self.entry(index)?.first_chunk()?;
        Some(u64::from_ne_bytes(*first))
    }

    fn entry(&self, index: usize) -> Option<&[u8]> {
        let offset = index
            .checked_mul(size_of::<Slot>())?
            .checked_add(size_of::<Header>())?;
        self.bytes.get(offset..)
    }

    /// What was read, from the segment's start.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Makes a block of the first bytes; `None` when they are too few.
pub(crate) fn block_from<T: Block>(bytes: &[u8]) -> Option<T> {
    let whole = bytes.get(..size_of::<T>())?;
    // SAFETY: as many bytes as a `T` has are there, and a `Block` is valid for all bytes; the read needs no alignment.
    Some(unsafe { whole.as_ptr().cast::<T>().read_unaligned() })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn blocks_are_found_at_their_places_and_nowhere_else() {
        let mut bytes = vec![0; 2048 + 2 * 192];
        bytes[16] = 2;
        bytes[2048 + 192] = 7;
        let copied = Copied::new(bytes).expect("a whole header");
        assert_eq!(copied.header().slots.load(Ordering::Relaxed), 2);
        let second = copied.slot(1).expect("it was read");
        assert_eq!(second.generation.load(Ordering::Relaxed), 7);
        assert_eq!(copied.generation(1), Some(7));
        assert!(copied.slot(2).is_none() && copied.slot(usize::MAX).is_none());
        assert!(Copied::new(vec![0; 2047]).is_none());
    }
}
