//! Numbers, `bool`, arrays and boxes.

use std::mem::MaybeUninit;

use zerocopy::IntoBytes;

use super::support::require;
use super::{Description, Kind, Number, Shareable, in_place};
use crate::memory::{Reader, Writer};

/// Numbers of at most eight bytes, as the bits of an unsigned number.
macro_rules! numbers {
    ($($type:ident $kind:ident: $bits:ident, $from_bits:expr, $to_bits:expr;)*) => {$(
        impl Shareable for $type {
            fn describe() -> Description {
                Description::of(Kind::Number(Number::$kind))
            }

            #[inline(always)]
            #[allow(clippy::cast_possible_truncation)] // The bits above are none of its own.
            fn read(from: &mut Reader<'_>) -> $type {
                let bits = from.bits(size_of::<$type>()) as $bits;
                $from_bits($bits::from_le(bits))
            }

            #[inline(always)]
            fn write(&self, to: &mut Writer<'_>) {
                let bits: $bits = $to_bits(*self);
                to.bits(bits.to_le().into(), size_of::<$type>());
            }

            slices!($type);
        }
    )*};
}

/// Slices of numbers, as bytes: copies whole words.
macro_rules! slices {
    ($type:ident) => {
        #[inline(always)]
        fn read_array<const N: usize>(from: &mut Reader<'_>, _len: usize) -> [$type; N] {
            let mut values = [$type::default(); N];
            from.bytes(values.as_mut_bytes());
            values
        }

        fn read_slice_into<'a>(
            from: &mut Reader<'_>,
            _len: usize,
            places: &'a mut [MaybeUninit<$type>],
        ) -> &'a mut [$type] {
            let values = in_place::zeros(places);
            from.bytes(values.as_mut_bytes());
            values
        }

        #[inline(always)]
        fn write_slice(values: &[$type], to: &mut Writer<'_>) {
            to.bytes(values.as_bytes());
        }
    };
}

numbers! {
    u8 U8: u8, u8::from, u8::from;
    u16 U16: u16, u16::from, u16::from;
    u32 U32: u32, u32::from, u32::from;
    u64 U64: u64, u64::from, u64::from;
    i8 I8: u8, u8::cast_signed, i8::cast_unsigned;
    i16 I16: u16, u16::cast_signed, i16::cast_unsigned;
    i32 I32: u32, u32::cast_signed, i32::cast_unsigned;
    i64 I64: u64, u64::cast_signed, i64::cast_unsigned;
    f32 F32: u32, f32::from_bits, f32::to_bits;
    f64 F64: u64, f64::from_bits, f64::to_bits;
}

macro_rules! long_numbers {
    ($($type:ident $kind:ident;)*) => {$(
        impl Shareable for $type {
            fn describe() -> Description {
                Description::of(Kind::Number(Number::$kind))
            }

            #[inline(always)]
            fn read(from: &mut Reader<'_>) -> $type {
                let mut bytes = [0; size_of::<$type>()];
                from.bytes(&mut bytes);
                $type::from_ne_bytes(bytes)
            }

            #[inline(always)]
            fn write(&self, to: &mut Writer<'_>) {
                to.bytes(&self.to_ne_bytes());
            }

            slices!($type);
        }
    )*};
}

long_numbers! {
    u128 U128;
    i128 I128;
}

impl Shareable for bool {
    fn describe() -> Description {
        Description::of(Kind::Bool)
    }

    #[inline(always)]
    fn read(from: &mut Reader<'_>) -> bool {
        let byte = u8::read(from);
        if byte > 1 {
            from.reject();
        }
        byte == 1
    }

    #[inline(always)]
    fn write(&self, to: &mut Writer<'_>) {
        u8::from(*self).write(to);
    }
}

impl<T: Shareable, const N: usize> Shareable for [T; N] {
    const SIZE: usize = N * T::SIZE;

    fn describe() -> Description {
        const { require(N > 0, "an array of 0 elements has nothing to share") };
        let Description { name, kind } = T::describe();
        Description {
            name: format!("[{name}; {N}]"),
            kind: Kind::Array {
                element: Box::new(kind),
                len: N,
            },
        }
    }

    #[inline(always)]
    fn read(from: &mut Reader<'_>) -> [T; N] {
        T::read_array(from, N)
    }

    fn read_into<'a>(from: &mut Reader<'_>, place: &'a mut MaybeUninit<Self>) -> &'a mut Self {
        in_place::array(from, N, place)
    }

    #[inline(always)]
    fn write(&self, to: &mut Writer<'_>) {
        T::write_slice(self, to);
    }
}

impl<T: Shareable> Shareable for Box<T> {
    const SIZE: usize = T::SIZE;

    fn describe() -> Description {
        T::describe()
    }

    #[inline]
    fn read(from: &mut Reader<'_>) -> Box<T> {
        in_place::boxed(from)
    }

    #[inline]
    fn write(&self, to: &mut Writer<'_>) {
        T::write(self, to);
    }
}
