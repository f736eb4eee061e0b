//! Values as words: a piece of the data that is read and written in order, eight bytes at a time.
//!
//! A value in shared memory has no padding, so reading or writing it is a walk over its words from the first to the last.
//! [`Reader`] and [`Writer`] walk. They keep the word they stand in, so that each word is loaded or stored once,
//! however many fields lie in it; where positions are constants, as in every struct, the compiler leaves loads,
//! shifts and stores.
//!
//! Nothing here can go wrong in memory: a walk beyond the end of the piece reads zeros and makes the value invalid, or
//! writes nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Memory, WORD};

/// A piece of the data area, as whole words. Who may store to it, and when, is the caller's business.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a>(&'a [AtomicU64]);

impl<'a> Words<'a> {
    /// The words that hold `len` bytes from `offset` on, a multiple of 8; `None` when they are not within the data.
    ///
    /// The caller has checked them against the current size too.
    #[inline]
    pub(crate) fn new(memory: &'a Memory, offset: usize, len: usize) -> Option<Words<'a>> {
        let words = memory.data_words(offset, len.div_ceil(WORD))?;
        Some(Words(words))
    }

    /// Starts to read `len` bytes at `at`; `None` when they are not within the piece.
    #[inline]
    pub(crate) fn reader(&self, at: usize, len: usize) -> Option<Reader<'a>> {
        let mut reader = Reader::new(self.part(at, len)?);
        if !at.is_multiple_of(WORD) {
            reader.word = reader.word_at(0);
            reader.at = at % WORD;
        }
        Some(reader)
    }

    /// Starts to write `len` bytes at `at`; `None` when they are not within the piece.
    #[inline]
    pub(crate) fn writer(&self, at: usize, len: usize) -> Option<Writer<'a>> {
        let words = self.part(at, len)?;
        let at = at % WORD;
        let word = words.first().filter(|_| at > 0).map_or(0, |word| {
            word.load(Ordering::Relaxed).to_le() & low_bytes(at)
        });
        Some(Writer { words, at, word })
    }

    #[inline]
    fn part(&self, at: usize, len: usize) -> Option<&'a [AtomicU64]> {
        let end = at.checked_add(len)?.div_ceil(WORD);
        self.0.get(at / WORD..end)
    }
}

/// Reads a value from its first byte to its last.
#[derive(Debug)]
pub struct Reader<'a> {
    words: &'a [AtomicU64],
    /// How many bytes were read.
    at: usize,
    /// The word that holds the next byte, as little-endian memory has it; of no meaning at a word's beginning.
    word: u64,
    invalid: bool,
}

impl<'a> Reader<'a> {
    #[inline]
    fn new(words: &'a [AtomicU64]) -> Reader<'a> {
        Reader {
            words,
            at: 0,
            word: 0,
            invalid: false,
        }
    }

    /// Reads zeros, and says that they are invalid.
    #[inline]
    pub(crate) fn empty() -> Reader<'static> {
        Reader::new(&[])
    }

    /// Notes that what was read is no value of its type; the reader goes on.
    #[inline]
    pub fn reject(&mut self) {
        self.invalid = true;
    }

    #[inline]
    pub(crate) fn is_valid(&self) -> bool {
        !self.invalid
    }

    /// Reads `size` bytes, at most 8, into the low bytes of the result, in the order they have in memory; what is in
    /// its other bytes is unspecified.
    #[inline]
    pub(crate) fn bits(&mut self, size: usize) -> u64 {
        let inside = self.at % WORD;
        if inside + size > WORD {
            let mut bytes = [0; WORD];
            self.bytes(&mut bytes[..size]);
            return u64::from_le_bytes(bytes);
        }
        if inside == 0 {
            self.word = self.word_at(self.at / WORD);
        }
        self.at += size;
        self.word >> (8 * inside)
    }

    /// Reads bytes until `into` is full.
    #[inline]
    pub(crate) fn bytes(&mut self, into: &mut [u8]) {
        let head = (self.at.wrapping_neg() % WORD).min(into.len());
        let (first, rest) = into.split_at_mut(head);
        if !first.is_empty() {
            let word = self.bits(head).to_le_bytes();
            first.copy_from_slice(&word[..head]);
        }
        let mut words = rest.chunks_exact_mut(WORD);
        for bytes in &mut words {
            bytes.copy_from_slice(&self.word_at(self.at / WORD).to_le_bytes());
            self.at += WORD;
        }
        let last = words.into_remainder();
        if !last.is_empty() {
            let word = self.bits(last.len()).to_le_bytes();
            last.copy_from_slice(&word[..last.len()]);
        }
    }

    /// Goes on behind the next `len` bytes.
    #[inline]
    pub(crate) fn skip(&mut self, len: usize) {
        self.at += len;
        if !self.at.is_multiple_of(WORD) {
            self.word = self.word_at(self.at / WORD);
        }
    }

    #[inline]
    fn word_at(&mut self, index: usize) -> u64 {
        let Some(word) = self.words.get(index) else {
            self.invalid = true;
            return 0;
        };
        word.load(Ordering::Relaxed).to_le()
    }
}

/// Writes a value from its first byte to its last. Only for who alone may write to these words.
#[derive(Debug)]
pub struct Writer<'a> {
    words: &'a [AtomicU64],
    /// How many bytes were written.
    at: usize,
    /// The word that holds the next byte, as little-endian memory has it, as far as it was written.
    word: u64,
}

impl Writer<'_> {
    /// Writes the low `size` bytes, at most 8, of `bits`, in which all others are zero.
    #[inline]
    pub(crate) fn bits(&mut self, bits: u64, size: usize) {
        let inside = self.at % WORD;
        if inside + size > WORD {
            self.bytes(&bits.to_le_bytes()[..size]);
            return;
        }
        self.word |= bits << (8 * inside);
        self.at += size;
        if inside + size == WORD {
            self.store(self.at / WORD - 1);
        }
    }

    /// Writes all of `from`.
    #[inline]
    pub(crate) fn bytes(&mut self, from: &[u8]) {
        let head = (self.at.wrapping_neg() % WORD).min(from.len());
        let (first, rest) = from.split_at(head);
        if !first.is_empty() {
            self.bits(bits_of(first), first.len());
        }
        let mut words = rest.chunks_exact(WORD);
        for bytes in &mut words {
            self.bits(bits_of(bytes), WORD);
        }
        let last = words.remainder();
        if !last.is_empty() {
            self.bits(bits_of(last), last.len());
        }
    }

    /// Writes `len` zeros.
    #[inline]
    pub(crate) fn zeros(&mut self, len: usize) {
        let mut left = len;
        while left > 0 {
            let size = (WORD - self.at % WORD).min(left);
            self.bits(0, size);
            left -= size;
        }
    }

    /// Stores the last word, if it was not filled, with the bytes that others have in it.
    #[inline]
    pub(crate) fn finish(mut self) {
        let inside = self.at % WORD;
        let index = self.at / WORD;
        if inside > 0
            && let Some(word) = self.words.get(index)
        {
            self.word |= word.load(Ordering::Relaxed).to_le() & !low_bytes(inside);
            self.store(index);
        }
    }

    #[inline]
    fn store(&mut self, index: usize) {
        if let Some(word) = self.words.get(index) {
            word.store(u64::from_le(self.word), Ordering::Relaxed);
        }
        self.word = 0;
    }
}

/// The first `count` bytes of a word, fewer than 8, all ones.
#[inline]
fn low_bytes(count: usize) -> u64 {
    (1 << (8 * count)) - 1
}

/// At most 8 bytes as they are in a word.
#[inline]
fn bits_of(bytes: &[u8]) -> u64 {
    let mut word = [0; WORD];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}
