//! Values as words: a piece of the data that is read and written in order, eight bytes at a time.
//!
//! A value in shared memory has no padding, so reading or writing it visits its words from the
//! first to the last. [`Reader`] and [`Writer`] do this. They keep the current word, so that each
//! word is loaded or stored once, however many fields lie in it. Where positions are constants, as
//! in every struct, the compiler leaves only loads, shifts and stores.
//!
//! These types cannot access memory out of bounds: beyond the end of the piece, a reader reads
//! zeros and makes the value invalid, and a writer writes nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use super::WORD;

/// A piece of the data area, as whole words. The caller controls which process may store to it, and
/// when.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a>(&'a [AtomicU64]);

impl<'a> Words<'a> {
    #[inline(always)]
    pub(crate) fn over(words: &'a [AtomicU64]) -> Words<'a> {
        Words(words)
    }

    /// Starts to read `len` bytes at `at`; `None` if they are not within the piece.
    #[inline(always)]
    pub(crate) fn reader(&self, at: usize, len: usize) -> Option<Reader<'a>> {
        Some(Reader::new(self.part(at, len)?, at % WORD))
    }

    /// Starts to write `len` bytes at `at`; `None` if they are not within the piece.
    #[inline(always)]
    pub(crate) fn writer(&self, at: usize, len: usize) -> Option<Writer<'a>> {
        Some(Writer::new(self.part(at, len)?, at % WORD))
    }

    #[inline(always)]
    fn part(&self, at: usize, len: usize) -> Option<&'a [AtomicU64]> {
        let end = at.checked_add(len)?.div_ceil(WORD);
        self.0.get(at / WORD..end)
    }
}

/// Reads a value from its first byte to its last.
#[derive(Debug)]
pub struct Reader<'a> {
    words: &'a [AtomicU64],
    /// The next byte is byte `inside` of word `index`.
    index: usize,
    inside: usize,
    /// That word, with its bytes in little-endian order; unspecified while `inside` is 0.
    word: u64,
    invalid: bool,
}

// All methods are inlined by force: the positions must become constants, and they do not once the
// address of the reader is passed to a function.
impl<'a> Reader<'a> {
    #[inline(always)]
    fn new(words: &'a [AtomicU64], inside: usize) -> Reader<'a> {
        let mut reader = Reader {
            words,
            index: 0,
            inside,
            word: 0,
            invalid: false,
        };
        reader.skip(0);
        reader
    }

    /// Returns a reader that reads only zeros.
    #[inline(always)]
    pub(crate) fn empty() -> Reader<'static> {
        Reader::new(&[], 0)
    }

    /// Records that the bytes are not a valid value of the type; the reader continues.
    #[inline(always)]
    pub fn reject(&mut self) {
        self.invalid = true;
    }

    /// Reads with `read`, and ignores a rejection by it.
    #[inline(always)]
    pub(crate) fn forgiving<R>(&mut self, read: impl FnOnce(&mut Reader<'a>) -> R) -> R {
        let invalid = self.invalid;
        let value = read(self);
        self.invalid = invalid;
        value
    }

    /// Tells whether no value was rejected.
    #[inline(always)]
    pub(crate) fn is_valid(&self) -> bool {
        !self.invalid
    }

    /// Reads `size` bytes, at most 8, into the low bytes of the result, in memory order. The other
    /// bytes of the result are unspecified.
    #[inline(always)]
    pub(crate) fn bits(&mut self, size: usize) -> u64 {
        if self.inside == 0 {
            self.word = self.word_at(self.index);
        }
        let mut bits = self.word >> (8 * self.inside);
        let end = self.inside + size;
        if end > WORD {
            self.word = self.word_at(self.index + 1);
            bits |= self.word << (8 * (WORD - self.inside));
        }
        self.index += end / WORD;
        self.inside = end % WORD;
        bits
    }

    /// Reads bytes until `into` is full.
    #[inline(always)]
    pub(crate) fn bytes(&mut self, into: &mut [u8]) {
        let mut words = into.chunks_exact_mut(WORD);
        for bytes in &mut words {
            bytes.copy_from_slice(&self.bits(WORD).to_le_bytes());
        }
        let rest = words.into_remainder();
        if !rest.is_empty() {
            let word = self.bits(rest.len()).to_le_bytes();
            rest.copy_from_slice(&word[..rest.len()]);
        }
    }

    /// Reads consecutive values of `size` bytes. Rejections after the first `len` values are
    /// ignored.
    #[inline(always)]
    pub(crate) fn array<T, const N: usize>(
        &mut self,
        size: usize,
        len: usize,
        read: impl Fn(&mut Reader<'a>) -> T,
    ) -> [T; N] {
        // A second reader, because `from_fn` is not always inlined.
        let mut elements = Reader { ..*self };
        let values = std::array::from_fn(|index| {
            let invalid = elements.invalid;
            let value = read(&mut elements);
            if index >= len {
                elements.invalid = invalid;
            }
            value
        });
        self.invalid = elements.invalid;
        self.skip(N * size);
        values
    }

    /// Skips the next `len` bytes.
    #[inline(always)]
    pub(crate) fn skip(&mut self, len: usize) {
        let end = self.inside + len;
        self.index += end / WORD;
        self.inside = end % WORD;
        if self.inside > 0 {
            self.word = self.word_at(self.index);
        }
    }

    #[inline(always)]
    fn word_at(&mut self, index: usize) -> u64 {
        let Some(word) = self.words.get(index) else {
            self.invalid = true;
            return 0;
        };
        word.load(Ordering::Relaxed).to_le()
    }
}

/// Writes a value from its first byte to its last. No other writer may write to these words
/// meanwhile.
#[derive(Debug)]
pub struct Writer<'a> {
    words: &'a [AtomicU64],
    /// The next byte is byte `inside` of word `index`.
    index: usize,
    inside: usize,
    /// The first `inside` bytes of that word, in little-endian order; the others are zero.
    word: u64,
}

// Inlined by force: see `Reader`.
impl<'a> Writer<'a> {
    #[inline(always)]
    fn new(words: &'a [AtomicU64], inside: usize) -> Writer<'a> {
        let mut writer = Writer {
            words,
            index: 0,
            inside,
            word: 0,
        };
        if inside > 0 {
            writer.word = writer.old_word() & low_bytes(inside);
        }
        writer
    }

    /// Writes the low `size` bytes, at most 8, of `bits`, of which the other bytes are zero.
    #[inline(always)]
    pub(crate) fn bits(&mut self, bits: u64, size: usize) {
        self.word |= bits << (8 * self.inside);
        let end = self.inside + size;
        if end >= WORD {
            self.store();
            self.word = if self.inside == 0 {
                0
            } else {
                bits >> (8 * (WORD - self.inside))
            };
        }
        self.index += end / WORD;
        self.inside = end % WORD;
    }

    /// Writes all of `from`.
    #[inline(always)]
    pub(crate) fn bytes(&mut self, from: &[u8]) {
        let mut words = from.chunks_exact(WORD);
        for bytes in &mut words {
            self.bits(bits_of(bytes), WORD);
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            self.bits(bits_of(rest), rest.len());
        }
    }

    /// Writes `len` zeros.
    #[inline(always)]
    pub(crate) fn zeros(&mut self, len: usize) {
        for _ in 0..len / WORD {
            self.bits(0, WORD);
        }
        self.bits(0, len % WORD);
    }

    /// Stores the last word if it was not filled; the bytes after the value keep their content.
    #[inline(always)]
    pub(crate) fn finish(mut self) {
        if self.inside > 0 {
            self.word |= self.old_word() & !low_bytes(self.inside);
            self.store();
        }
    }

    #[inline(always)]
    fn old_word(&self) -> u64 {
        let word = self.words.get(self.index);
        word.map_or(0, |word| word.load(Ordering::Relaxed).to_le())
    }

    #[inline(always)]
    fn store(&self) {
        if let Some(word) = self.words.get(self.index) {
            word.store(u64::from_le(self.word), Ordering::Relaxed);
        }
    }
}

/// Returns a word whose first `count` bytes, fewer than 8, are all ones.
#[inline(always)]
fn low_bytes(count: usize) -> u64 {
    (1 << (8 * count)) - 1
}

/// Returns at most 8 bytes as a word has them.
#[inline(always)]
fn bits_of(bytes: &[u8]) -> u64 {
    let mut word = [0; WORD];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}
