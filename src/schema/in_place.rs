//! Reading a value directly into its final place, without a copy on the stack.
//!
//! [`Shareable::read_into`] gets a place without a value, and returns a reference to the value in
//! it. A returned reference to this very place proves that the place contains a value: no other
//! code has access to the place meanwhile, so safe code can only have written one. The trait is
//! safe to implement, because code that relies on this proof compares the addresses.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr;

use zerocopy::FromZeros;

use super::{List, Shareable, Text};
use crate::memory::Reader;

/// Reads a value onto the heap.
#[inline]
pub(super) fn boxed<T: Shareable>(from: &mut Reader<'_>) -> Box<T> {
    let mut place = Box::<T>::new_uninit();
    fill(from, &mut place);
    // SAFETY: `fill` has written a value.
    unsafe { place.assume_init() }
}

/// Reads a value into `place`. When this returns, `place` contains a value.
#[inline]
fn fill<T: Shareable>(from: &mut Reader<'_>, place: &mut MaybeUninit<T>) {
    fill_by(from, place, T::read_into, T::read);
}

/// Reads a value into `place` with the two functions of an implementation of [`Shareable`].
#[inline]
fn fill_by<T>(
    from: &mut Reader<'_>,
    place: &mut MaybeUninit<T>,
    read_into: impl for<'a> FnOnce(&mut Reader<'_>, &'a mut MaybeUninit<T>) -> &'a mut T,
    read: impl FnOnce(&mut Reader<'_>) -> T,
) {
    let start = place.as_ptr();
    let filled: *const T = read_into(from, place);
    // The address proves nothing for a type without size.
    if size_of::<T>() == 0 || !ptr::eq(filled, start) {
        fill_by_value(from, place, read);
    }
}

/// Handles an implementation that returned another place. It is a separate function, so that
/// `fill_by` has no value on its stack.
#[cold]
#[inline(never)]
fn fill_by_value<T>(
    from: &mut Reader<'_>,
    place: &mut MaybeUninit<T>,
    read: impl FnOnce(&mut Reader<'_>) -> T,
) {
    place.write(read(from));
}

/// Reads a field into its place in a struct that has no value yet, with the two functions of the
/// field's type.
///
/// The type has no bound here. With one, the compiler would report a type that is not shareable
/// twice.
///
/// # Safety
///
/// `place` is the address of a field in a place that the caller borrows exclusively.
#[inline]
pub unsafe fn fill_field<T>(
    from: &mut Reader<'_>,
    place: *mut T,
    read_into: impl for<'a> FnOnce(&mut Reader<'_>, &'a mut MaybeUninit<T>) -> &'a mut T,
    read: impl FnOnce(&mut Reader<'_>) -> T,
) {
    // SAFETY: the caller guarantees the address and the exclusive access; the place needs no value.
    let place = unsafe { &mut *place.cast::<MaybeUninit<T>>() };
    fill_by(from, place, read_into, read);
}

/// Reads consecutive values, of which only the first `len` must be valid.
pub(super) fn fill_slice<'a, T: Shareable>(
    from: &mut Reader<'_>,
    len: usize,
    places: &'a mut [MaybeUninit<T>],
) -> &'a mut [T] {
    for (index, place) in places.iter_mut().enumerate() {
        if index < len {
            fill(from, place);
        } else {
            from.forgiving(|from| fill(from, place));
        }
    }
    // SAFETY: the loop has written a value into each place.
    unsafe { values(places) }
}

/// Returns the values of places that all contain one.
///
/// # Safety
///
/// Each place contains a value.
unsafe fn values<T>(places: &mut [MaybeUninit<T>]) -> &mut [T] {
    let places: *mut [MaybeUninit<T>] = places;
    // SAFETY: `places` was borrowed exclusively, and the caller guarantees that each place contains
    // a value.
    unsafe { &mut *(places as *mut [T]) }
}

/// Makes numbers that are all zero.
pub(super) fn zeros<T: FromZeros>(places: &mut [MaybeUninit<T>]) -> &mut [T] {
    for place in &mut *places {
        place.write(T::new_zeroed());
    }
    // SAFETY: the loop has written a value into each place.
    unsafe { values(places) }
}

/// Reads the elements of an array, of which only the first `len` must be valid.
pub(super) fn array<'a, T: Shareable, const N: usize>(
    from: &mut Reader<'_>,
    len: usize,
    place: &'a mut MaybeUninit<[T; N]>,
) -> &'a mut [T; N] {
    let start: *mut [T; N] = place.as_mut_ptr();
    // SAFETY: `place` is borrowed exclusively, and an array of uninitialised places needs no
    // values.
    let places = unsafe { &mut *start.cast::<[MaybeUninit<T>; N]>() };
    let first: *const T = start.cast();
    let filled = T::read_slice_into(from, len, places);
    if size_of::<T>() == 0 || filled.len() != N || !ptr::eq(filled.as_ptr(), first) {
        fill_slice(from, len, places);
    }
    // SAFETY: each element contains a value: the returned reference to all of them proves it, or
    // they were filled here.
    unsafe { place.assume_init_mut() }
}

/// Reads a list.
pub(super) fn list<'a, T: Shareable, const N: usize>(
    from: &mut Reader<'_>,
    place: &'a mut MaybeUninit<List<T, N>>,
) -> &'a mut List<T, N> {
    let len = List::<T, N>::read_len(from);
    let start = place.as_mut_ptr();
    // SAFETY: `start` is the address of a whole list.
    let elements = unsafe { &raw mut (*start).elements };
    // SAFETY: the elements are inside `place`, which is borrowed exclusively; they need no values.
    let elements = unsafe { &mut *elements.cast::<MaybeUninit<[T; N]>>() };
    array(from, len, elements);
    // SAFETY: `start` is the address of a whole list.
    let bytes = unsafe { &raw mut (*start).len };
    // SAFETY: as for the elements. The length is at most `N`.
    unsafe { bytes.write((len as u64).to_ne_bytes()) };
    // SAFETY: both fields contain values now.
    unsafe { place.assume_init_mut() }
}

/// Reads a text.
pub(super) fn text<'a, const N: usize>(
    from: &mut Reader<'_>,
    place: &'a mut MaybeUninit<Text<N>>,
) -> &'a mut Text<N> {
    let start = place.as_mut_ptr();
    // SAFETY: a text consists of bytes, `N` and those of its length, and all zeros are the empty
    // text.
    unsafe { start.write_bytes(0, 1) };
    // SAFETY: all zeros are the empty text, and they were just written.
    let text = unsafe { place.assume_init_mut() };
    text.read_over(from);
    text
}
