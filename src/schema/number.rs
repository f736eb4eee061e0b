//! Numbers, and arrays of anything.

use zerocopy::IntoBytes;

use super::Shareable;
use crate::memory::{Reader, Writer};

macro_rules! integers {
    ($($type:ident as $bits:ident),*) => {$(
        impl Shareable for $type {
            #[inline]
            #[allow(clippy::cast_possible_truncation)]
            fn read(from: &mut Reader<'_>) -> $type {
                $bits::from_le(from.bits(size_of::<$type>()) as $bits) as $type
            }

            #[inline]
            fn write(&self, to: &mut Writer<'_>) {
                to.bits((*self as $bits).to_le() as u64, size_of::<$type>());
            }

            #[inline]
            fn write_slice(values: &[$type], to: &mut Writer<'_>) {
                to.bytes(values.as_bytes());
            }
        }
    )*};
}

integers!(u64 as u64, u32 as u32);

impl<T: Shareable, const N: usize> Shareable for [T; N] {
    #[inline]
    fn read(from: &mut Reader<'_>) -> [T; N] {
        T::read_array(from)
    }

    #[inline]
    fn write(&self, to: &mut Writer<'_>) {
        T::write_slice(self, to);
    }
}
