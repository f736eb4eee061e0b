//! A private copy of the first blocks of a segment, read from its file.
//!
//! No other process sees or changes the copy. Making it does not map the file, so that no change of
//! the file can raise a signal in the reader. A copy is as old as its reading: a check that must
//! hold now reads again.

use super::format::{Block, Header, Slot};

/// Header and attachment table, and further bytes that were read after them.
#[derive(Debug)]
pub(crate) struct Copied {
    header: Header,
    bytes: Vec<u8>,
}

impl Copied {
    /// Takes the bytes from the segment's start; `None` if they are fewer than a header.
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Copied> {
        let header = block_from(&bytes)?;
        Some(Copied { header, bytes })
    }

    /// Returns the header, as it was.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Returns an entry of the attachment table, as it was; `None` if it was not read.
    pub(crate) fn slot(&self, index: usize) -> Option<Slot> {
        block_from(self.entry(index)?)
    }

    /// Returns the generation of an entry, its first word.
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

    /// Returns all bytes that were read, from the segment's start.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Makes a block of the first bytes; `None` if they are too few.
pub(crate) fn block_from<T: Block>(bytes: &[u8]) -> Option<T> {
    let whole = bytes.get(..size_of::<T>())?;
    // SAFETY: `whole` has the size of a `T`, and a `Block` is valid for all bytes; the read needs
    // no alignment.
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
