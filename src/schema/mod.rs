//! Schemas: what a type looks like in shared memory.
//!
//! [`Shareable`] moves values between Rust and shared words, and describes them; [`Schema`] is that description, as
//! it stands in a segment.

mod number;

use crate::memory::{Reader, Words, Writer};

/// Can live in shared memory.
///
/// Use `#[derive(Shareable)]`.
pub trait Shareable: Sized + 'static {
    /// How many bytes it has in shared memory.
    #[doc(hidden)]
    const SIZE: usize = size_of::<Self>();

    /// Reads a value; `reject`s what is none, and returns any value then.
    #[doc(hidden)]
    fn read(from: &mut Reader<'_>) -> Self;

    /// Writes all its bytes.
    #[doc(hidden)]
    fn write(&self, to: &mut Writer<'_>);

    /// Reads values that follow each other.
    #[doc(hidden)]
    #[inline]
    fn read_array<const N: usize>(from: &mut Reader<'_>) -> [Self; N] {
        std::array::from_fn(|_| Self::read(from))
    }

    /// Writes values one behind another.
    #[doc(hidden)]
    #[inline]
    fn write_slice(values: &[Self], to: &mut Writer<'_>) {
        for value in values {
            value.write(to);
        }
    }

    /// Loads the value at `at`; `None` when the bytes there are no value of this type.
    #[doc(hidden)]
    #[inline]
    fn load(from: &Words<'_>, at: usize) -> Option<Self> {
        let mut reader = from.reader(at, Self::SIZE)?;
        let value = Self::read(&mut reader);
        reader.is_valid().then_some(value)
    }

    /// Stores the value at `at`, where only this thread may store, now. Stores nothing beyond the piece.
    #[doc(hidden)]
    #[inline]
    fn store(&self, to: &Words<'_>, at: usize) {
        if let Some(mut writer) = to.writer(at, Self::SIZE) {
            self.write(&mut writer);
            writer.finish();
        }
    }
}
