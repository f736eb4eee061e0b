//! `Text<N>`: text of a fixed capacity.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::str::FromStr;

use super::kind::LEN;
use super::support::require;
use super::{Description, Kind, Shareable, in_place};
use crate::memory::{Reader, Writer};

/// A text of at most `N` bytes of UTF-8, stored in place: the counterpart of a `String` in a struct
/// in shared memory.
///
/// It dereferences to `&str`. In memory it is its length in eight bytes, then `N` bytes, of which
/// those after the text have no meaning. The empty text can be all zeros. It may be at any offset,
/// so it needs no padding before it. If `N` is a multiple of 8, the next field needs none either.
///
/// # Examples
///
/// ```
/// use sharehold::Text;
///
/// let mut name = Text::<8>::try_from("import")?;
/// assert_eq!(name, "import");
/// assert!(name.starts_with("imp"));
///
/// let refused = name.push_str("er 12").unwrap_err();
/// assert_eq!(refused.to_string(), "`er 12` does not fit: 2 of 8 bytes are free");
/// assert_eq!(name, "import");
/// # Ok::<(), sharehold::TextTooLong>(())
/// ```
#[doc(alias = "String")]
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Text<const N: usize> {
    /// The length, at most `N`; stored as bytes, which need no alignment.
    len: [u8; LEN],
    /// UTF-8, then bytes without meaning.
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// Makes an empty text.
    pub const fn new() -> Text<N> {
        Text {
            len: [0; LEN],
            bytes: [0; N],
        }
    }

    /// Returns the capacity `N` in bytes.
    pub const fn capacity(&self) -> usize {
        N
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        // Each constructor ensures that this is UTF-8. Relying on that would need unsafe code.
        str::from_utf8(self.used()).unwrap_or_default()
    }

    /// Appends all of `text`.
    ///
    /// # Errors
    ///
    /// [`TextTooLong`] if `text` does not fit. Then nothing is appended.
    pub fn push_str(&mut self, text: &str) -> Result<(), TextTooLong> {
        let len = self.used().len();
        let free = &mut self.bytes[len..];
        let Some(place) = free.get_mut(..text.len()) else {
            let free = free.len();
            return Err(TextTooLong {
                text: text.to_owned(),
                free,
                capacity: N,
            });
        };
        place.copy_from_slice(text.as_bytes());
        self.set_len(len + text.len());
        Ok(())
    }

    /// Removes the last character, and returns it.
    pub fn pop(&mut self) -> Option<char> {
        let last = self.as_str().chars().next_back()?;
        self.truncate(self.used().len() - last.len_utf8());
        Some(last)
    }

    /// Shortens the text to its first `len` bytes, or to fewer if that is inside a character. A
    /// shorter text stays as it is.
    pub fn truncate(&mut self, len: usize) {
        let text = self.as_str();
        let fits = |&len: &usize| text.is_char_boundary(len);
        let len = (0..=len.min(text.len())).rev().find(fits).unwrap_or(0);
        self.bytes[len..].fill(0);
        self.set_len(len);
    }

    /// Removes the whole text.
    pub fn clear(&mut self) {
        self.bytes.fill(0);
        self.set_len(0);
    }

    #[inline(always)]
    fn used(&self) -> &[u8] {
        // The length fits, because only `set_len` sets it.
        let len = usize::try_from(u64::from_ne_bytes(self.len)).unwrap_or(N);
        &self.bytes[..len.min(N)]
    }

    /// By value: a text whose address is used is not kept in registers.
    #[inline(never)]
    fn is_utf8(self) -> bool {
        str::from_utf8(self.used()).is_ok()
    }

    #[inline(always)]
    fn set_len(&mut self, len: usize) {
        self.len = (len.min(N) as u64).to_ne_bytes();
    }

    /// Reads a text into this one, without a copy on the stack.
    pub(super) fn read_over(&mut self, from: &mut Reader<'_>) {
        let len = usize::try_from(u64::read(from)).unwrap_or(usize::MAX);
        self.set_len(len);
        from.bytes(&mut self.bytes);
        if len > N || str::from_utf8(self.used()).is_err() {
            from.reject();
            self.set_len(0);
            self.bytes.fill(0);
        }
    }
}

/// The error for a text that does not fit into a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` does not fit: {free} of {capacity} bytes are free")]
#[non_exhaustive]
pub struct TextTooLong {
    /// The text that does not fit.
    pub text: String,
    /// The number of bytes that were free.
    pub free: usize,
    /// The capacity of the [`Text`] in bytes.
    pub capacity: usize,
}

impl<const N: usize> Shareable for Text<N> {
    fn describe() -> Description {
        const {
            require(
                N > 0,
                "a `Text<0>` has no room for a text: use a larger capacity",
            );
        };
        Description::of(Kind::Text { capacity: N })
    }

    #[inline(always)]
    fn read(from: &mut Reader<'_>) -> Text<N> {
        let mut text = Text::new();
        let len = usize::try_from(u64::read(from)).unwrap_or(usize::MAX);
        if len > N {
            from.reject();
        }
        text.set_len(len);
        from.bytes(&mut text.bytes);
        // Usually one test of all words is sufficient.
        if !text.bytes.is_ascii() && !text.is_utf8() {
            from.reject();
            text = Text::new();
        }
        text
    }

    fn read_into<'a>(from: &mut Reader<'_>, place: &'a mut MaybeUninit<Self>) -> &'a mut Self {
        in_place::text(from, place)
    }

    #[inline(always)]
    fn write(&self, to: &mut Writer<'_>) {
        to.bytes(&self.len);
        to.bytes(&self.bytes);
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> TryFrom<&str> for Text<N> {
    type Error = TextTooLong;

    fn try_from(text: &str) -> Result<Text<N>, TextTooLong> {
        let mut new = Text::new();
        new.push_str(text).map(|()| new)
    }
}

impl<const N: usize> TryFrom<&String> for Text<N> {
    type Error = TextTooLong;

    fn try_from(text: &String) -> Result<Text<N>, TextTooLong> {
        Text::try_from(text.as_str())
    }
}

impl<const N: usize> TryFrom<String> for Text<N> {
    type Error = TextTooLong;

    fn try_from(text: String) -> Result<Text<N>, TextTooLong> {
        Text::try_from(text.as_str())
    }
}

impl<const N: usize> FromStr for Text<N> {
    type Err = TextTooLong;

    fn from_str(text: &str) -> Result<Text<N>, TextTooLong> {
        Text::try_from(text)
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text::new()
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Appends the whole string or, with an error, nothing.
impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text).map_err(|_| fmt::Error)
    }
}

impl<const N: usize> AsRef<str> for Text<N> {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize, const M: usize> PartialEq<Text<M>> for Text<N> {
    fn eq(&self, other: &Text<M>) -> bool {
        self.used() == other.used()
    }
}

impl<const N: usize> Eq for Text<N> {}

impl<const N: usize> PartialEq<str> for Text<N> {
    fn eq(&self, other: &str) -> bool {
        self.used() == other.as_bytes()
    }
}

impl<const N: usize> PartialEq<&str> for Text<N> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl<const N: usize> PartialOrd for Text<N> {
    fn partial_cmp(&self, other: &Text<N>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for Text<N> {
    fn cmp(&self, other: &Text<N>) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl<const N: usize> Hash for Text<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}
