//! `Shared<T>`: one typed value in a segment. A reader gets the old value or the new one, never a
//! mixture.

use std::borrow::{Borrow, BorrowMut};
use std::marker::PhantomData;

use super::copies::{
    CHANGE, READ, Snapshot, damaged, is_small, place, read_patiently, size_for, write_first_at,
};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{Schema, Shareable};
use crate::segment::{Attached, ReadOnlySegment, Segment, SegmentOptions};

/// A typed value that any number of processes share. A reader gets the old value or the new one,
/// never a mixture.
///
/// A change works on a private copy and is committed by one store. A read takes no lock and writes
/// nothing, and a dead writer never delays it. Only a reader whose copy is overwritten a thousand
/// times in a row acquires the lock, and waits for it if necessary; a read-only attachment fails
/// with [`ErrorKind::Busy`] instead. A value takes its size twice, and a change copies it once out
/// and once in.
///
/// # When a process dies
///
/// If a process dies during a change, the value is the old one, and the next writer continues
/// within 10 ms. No process has anything to repair, and no error reports the death. The same holds
/// for a process that dies with the plain [lock](Segment::lock) of the segment, for example that of
/// `sharehold lock`: the value is complete and can be changed; the next plain lock reports that
/// death. For the segment itself see [`Segment`].
///
/// # Large values
///
/// Methods that take or return a `T` put it on the stack, some of them more than once. No other
/// copy is on the stack: copies of more than a kilobyte are on the heap. For a value that is too
/// large for the stack use a `Shared<Box<T>>`. It is the same value in shared memory, so other
/// programs can use it as a `Shared<T>`. [`Shareable::blank`] makes the initial value. The same
/// applies to [`Mutex`](crate::Mutex), [`RwLock`](crate::RwLock) and [`OnceLock`](crate::OnceLock).
///
/// ```
/// use sharehold::{Shareable, Shared};
///
/// #[derive(Shareable)]
/// #[repr(C)]
/// struct Picture { taken: u64, pixels: [u8; 8 << 20] }
///
/// let picture = Shared::open_or_create("com.example.picture", Picture::blank)?;
/// picture.update(|it: &mut Box<Picture>| it.pixels[5] = 255)?;
/// let seen: Box<Picture> = picture.get()?;
/// assert_eq!(seen.pixels[5], 255);
/// # Ok::<(), sharehold::Error>(())
/// ```
///
/// # Examples
///
/// ```
/// use sharehold::{Shareable, Shared};
///
/// #[derive(Shareable, Default)]
/// #[repr(C)]
/// struct Tally {
///     value: u64,
///     by_worker: [u64; 8],
/// }
///
/// let tally = Shared::open_or_create("com.example.tally", Tally::default)?;
/// tally.update(|tally| {
///     tally.value += 1;
///     tally.by_worker[3] += 1;
/// })?;
/// assert_eq!(tally.get()?.value, 1);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[derive(Debug)]
pub struct Shared<T> {
    segment: Segment,
    value: PhantomData<fn(T) -> T>,
}

impl<T: Shareable> Shared<T> {
    pub(crate) fn new(segment: Segment) -> Shared<T> {
        Shared {
            segment,
            value: PhantomData,
        }
    }

    /// Creates a segment with `first` as its value. See [`SegmentOptions::create`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::create`].
    pub fn create(key: &str, first: &T) -> Result<Shared<T>> {
        Segment::options().create_shared(key, first)
    }

    /// Attaches to a segment with a value of this type. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`], and [`ErrorKind::TypeMismatch`], which names the first field
    /// that differs.
    pub fn attach(key: &str) -> Result<Shared<T>> {
        Segment::options().attach_shared(key)
    }

    /// Attaches read-only to a segment with a value of this type.
    ///
    /// # Errors
    ///
    /// As [`Shared::attach`].
    pub fn attach_read_only(key: &str) -> Result<ReadOnlyShared<T>> {
        Segment::options().attach_shared_read_only(key)
    }

    /// Attaches to the segment, or creates it with the value that `first` returns. If several
    /// processes call this at once, one of them creates the segment.
    ///
    /// # Errors
    ///
    /// As [`Shared::attach`] and [`Shared::create`], without their `NotFound` and `AlreadyExists`.
    pub fn open_or_create(key: &str, first: impl Fn() -> T) -> Result<Shared<T>> {
        Segment::options().open_or_create_shared(key, first)
    }

    /// Returns a snapshot of the value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`] if the value was overwritten with invalid bytes;
    /// [`ErrorKind::Forked`].
    #[inline(always)]
    pub fn get(&self) -> Result<T> {
        if const { is_small::<T>() } {
            self.get_as()
        } else {
            self.get_as::<Box<T>>().map(|value| *value)
        }
    }

    #[inline(always)]
    fn get_as<C: Shareable>(&self) -> Result<C> {
        let place = place(self.segment.attached(), T::SIZE, READ)?;
        match place.try_read() {
            Snapshot::Value(value) => Ok(value),
            _ => self.get_contended().map(|value| *value),
        }
    }

    // Boxed, so that this returns two registers and the fast path keeps its value in registers. A
    // value that may come from two places is assembled in memory, and would be read there before
    // the store has completed.
    #[cold]
    fn get_contended<C: Shareable>(&self) -> Result<Box<C>> {
        let attached = self.segment.attached();
        let place = place(attached, T::SIZE, READ)?;
        match read_patiently(attached, &place, || place.try_read()) {
            Err(error) if error.kind() == ErrorKind::Busy => {
                let _hold = self.segment.lock_value()?;
                let value = place.read_locked();
                value.map(Box::new).ok_or_else(|| damaged(attached, READ))
            }
            read => read.map(Box::new),
        }
    }

    /// Replaces the value with `value`.
    ///
    /// # Errors
    ///
    /// The errors of [`Segment::lock`], among them [`ErrorKind::Deadlock`] inside another change,
    /// and [`ErrorKind::Forked`].
    #[inline]
    pub fn set(&self, value: &T) -> Result<()> {
        let _hold = self.segment.lock_value()?;
        place(self.segment.attached(), T::SIZE, CHANGE)?.commit(value);
        Ok(())
    }

    /// Replaces the value with `value` and returns the previous one.
    ///
    /// # Errors
    ///
    /// As [`Shared::update`].
    #[inline]
    pub fn replace(&self, value: T) -> Result<T> {
        self.update(|current| std::mem::replace(current, value))
    }

    /// Changes the value with `change`, which works on a copy. The whole change is committed, or
    /// nothing if `change` panics.
    ///
    /// # Errors
    ///
    /// As [`Shared::set`], and [`ErrorKind::Damaged`] as for [`Shared::get`].
    #[inline]
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R> {
        self.try_update(|value| Ok(change(value)))
    }

    /// Changes the value with `change`, which works on a copy. The whole change is committed, or
    /// nothing if `change` returns an error or panics.
    ///
    /// # Errors
    ///
    /// The error of `change`, and those of [`Shared::update`].
    #[inline]
    pub fn try_update<R, E: From<Error>>(
        &self,
        change: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        if const { is_small::<T>() } {
            self.change::<T, R, E>(change)
        } else {
            self.change::<Box<T>, R, E>(change)
        }
    }

    /// Changes the value on a copy of the type `C`: the value type itself, or a box of it.
    #[inline]
    fn change<C: Shareable + BorrowMut<T>, R, E: From<Error>>(
        &self,
        change: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let attached = self.segment.attached();
        let _hold = self.segment.lock_value()?;
        let current = place(attached, T::SIZE, CHANGE)?.read_locked::<C>();
        let mut copy = current.ok_or_else(|| damaged(attached, CHANGE))?;
        let result = change(copy.borrow_mut())?;
        // Checks again for a fork: `change` may have forked, and this may be the child.
        place(attached, T::SIZE, CHANGE)?.commit(&copy);
        Ok(result)
    }

    /// Replaces the value with `new` if it equals `current`. Returns `Ok` with the previous value,
    /// or `Err` with the present value if it differs.
    ///
    /// # Errors
    ///
    /// The outer error is as for [`Shared::update`].
    #[inline]
    pub fn compare_exchange(&self, current: &T, new: &T) -> Result<Result<T, T>>
    where
        T: PartialEq,
    {
        if const { is_small::<T>() } {
            return self.exchange_if_equal(current, new);
        }
        let found: Result<Box<T>, Box<T>> = self.exchange_if_equal(current, new)?;
        Ok(match found {
            Ok(found) => Ok(*found),
            Err(found) => Err(*found),
        })
    }

    #[inline]
    fn exchange_if_equal<C>(&self, current: &T, new: &T) -> Result<Result<C, C>>
    where
        T: PartialEq,
        C: Shareable + Borrow<T>,
    {
        let attached = self.segment.attached();
        let _hold = self.segment.lock_value()?;
        let place = place(attached, T::SIZE, CHANGE)?;
        let found: C = place
            .read_locked()
            .ok_or_else(|| damaged(attached, CHANGE))?;
        if found.borrow() != current {
            return Ok(Err(found));
        }
        place.commit(new);
        Ok(Ok(found))
    }

    /// Returns the version of the value: 1 for the initial value, raised by each commit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    #[inline]
    pub fn version(&self) -> Result<u64> {
        Ok(place(self.segment.attached(), 0, READ)?.committed())
    }

    /// Returns the segment that contains the value.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Detaches, and reports whether this succeeded. See [`Segment::detach`].
    ///
    /// # Errors
    ///
    /// As [`Segment::detach`].
    pub fn detach(self) -> Result<()> {
        self.segment.detach()
    }
}

/// A typed value that this process can only read.
///
/// # When a process dies
///
/// As for [`Shared`]. The death of a reader has no effect.
#[derive(Debug)]
pub struct ReadOnlyShared<T> {
    segment: ReadOnlySegment,
    value: PhantomData<fn() -> T>,
}

impl<T: Shareable> ReadOnlyShared<T> {
    pub(crate) fn new(segment: ReadOnlySegment) -> ReadOnlyShared<T> {
        ReadOnlyShared {
            segment,
            value: PhantomData,
        }
    }

    /// Returns a snapshot of the value.
    ///
    /// # Errors
    ///
    /// As [`Shared::get`], and [`ErrorKind::Busy`] if commits overwrote the copy during every
    /// attempt.
    #[inline(always)]
    pub fn get(&self) -> Result<T> {
        if const { is_small::<T>() } {
            self.get_as()
        } else {
            self.get_as::<Box<T>>().map(|value| *value)
        }
    }

    #[inline(always)]
    fn get_as<C: Shareable>(&self) -> Result<C> {
        let attached = self.segment.attached();
        let place = place(attached, T::SIZE, READ)?;
        match place.try_read() {
            Snapshot::Value(value) => Ok(value),
            _ => self.get_contended().map(|value| *value),
        }
    }

    // Boxed for the same reason as in [`Shared`].
    #[cold]
    fn get_contended<C: Shareable>(&self) -> Result<Box<C>> {
        let attached = self.segment.attached();
        let place = place(attached, T::SIZE, READ)?;
        read_patiently(attached, &place, || place.try_read()).map(Box::new)
    }

    /// Returns the version of the value: 1 for the initial value, raised by each commit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    #[inline]
    pub fn version(&self) -> Result<u64> {
        Ok(place(self.segment.attached(), 0, READ)?.committed())
    }

    /// Returns the segment that contains the value.
    pub fn segment(&self) -> &ReadOnlySegment {
        &self.segment
    }
}

impl SegmentOptions {
    /// Creates a segment with `first` as its value, and with the size of its type. See
    /// [`SegmentOptions::create`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::create`].
    pub fn create_shared<T: Shareable>(&self, key: &str, first: &T) -> Result<Shared<T>> {
        let segment = self
            .of_type::<T>()
            .create_with(key, |bytes| write_first(bytes.attached(), first))?;
        Ok(Shared::new(segment))
    }

    /// Attaches to a segment with a value of this type. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`Shared::attach`].
    pub fn attach_shared<T: Shareable>(&self, key: &str) -> Result<Shared<T>> {
        Ok(Shared::new(self.of_type::<T>().attach(key)?))
    }

    /// Attaches read-only to a segment with a value of this type.
    ///
    /// # Errors
    ///
    /// As [`Shared::attach`].
    pub fn attach_shared_read_only<T: Shareable>(&self, key: &str) -> Result<ReadOnlyShared<T>> {
        Ok(ReadOnlyShared::new(
            self.of_type::<T>().attach_read_only(key)?,
        ))
    }

    /// Attaches to the segment, or creates it with the value that `first` returns.
    ///
    /// # Errors
    ///
    /// As [`Shared::open_or_create`].
    pub fn open_or_create_shared<T: Shareable>(
        &self,
        key: &str,
        first: impl Fn() -> T,
    ) -> Result<Shared<T>> {
        let segment = self
            .of_type::<T>()
            .open_or_create_with(key, |bytes| write_first(bytes.attached(), &first()))?;
        Ok(Shared::new(segment))
    }

    pub(crate) fn of_type<T: Shareable>(&self) -> SegmentOptions {
        self.typed(Schema::of::<T>(), size_for(T::SIZE))
    }
}

pub(crate) fn write_first<T: Shareable>(attached: &Attached, first: &T) -> Result<()> {
    write_first_at(attached, 0, first)
}
