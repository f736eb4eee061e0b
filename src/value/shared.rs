//! `Shared<T>`: one typed value in a segment, old or new, never torn.

use std::borrow::{Borrow, BorrowMut};
use std::marker::PhantomData;

use super::copies::{
    CHANGE, READ, Snapshot, damaged, is_small, place, read_patiently, size_for, write_first_at,
};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{Schema, Shareable};
use crate::segment::{Attached, ReadOnlySegment, Segment, SegmentOptions};

/// Holds one typed value that any number of processes share: always old or new, never torn.
///
/// Changes are made on a private copy and committed by one store. Snapshot takes no lock and writes nothing,
/// and a dead writer never delays it. Only a reader that finds the value changed under it a thousand times in a row asks for the
/// lock, and then waits as any other; a read-only one gives up with [`ErrorKind::Busy`] instead. A value costs its size twice, and a change moves it out and in once.
///
/// # When a process dies
///
/// In the middle of a change: the value is the old one, and the next one to change it gets on within 10 ms. Nobody has
/// anything to repair, or is told. The same is true when a process dies that has the segment's plain
/// [lock](Segment::lock), as `sharehold lock` does: the value is whole, and can be changed. The next plain lock is
/// told of that death. For the segment itself see [`Segment`].
///
/// # Large values
///
/// Whatever returns or takes a `T` puts it on the stack, some methods more than once. Nothing else does: copies of more
/// than a kilobyte are made on the heap. For a value that is too large for the stack use a `Shared<Box<T>>`. It
/// is the same value in shared memory, so that other programs may have it as a `Shared<T>`.
/// [`Shareable::blank`] makes the first one. The same goes for [`Mutex`](crate::Mutex),
/// [`RwLock`](crate::RwLock) and [`OnceLock`](crate::OnceLock).
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

    /// Attaches to a segment that holds a value of this type. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`], and [`ErrorKind::TypeMismatch`], which names the first field that differs.
    pub fn attach(key: &str) -> Result<Shared<T>> {
        Segment::options().attach_shared(key)
    }

    /// Attaches to a segment that holds a value of this type, only to read it.
    ///
    /// # Errors
    ///
    /// As [`Shared::attach`].
    pub fn attach_read_only(key: &str) -> Result<ReadOnlyShared<T>> {
        Segment::options().attach_shared_read_only(key)
    }

    /// Attaches to the segment, or creates it with the value that `first` returns; of any number of processes that ask at once,
    /// one creates.
    ///
    /// # Errors
    ///
    /// As [`Shared::attach`] and [`Shared::create`], without their `NotFound` and `AlreadyExists`.
    pub fn open_or_create(key: &str, first: impl Fn() -> T) -> Result<Shared<T>> {
        Segment::options().open_or_create_shared(key, first)
    }

    /// Returns the value as it was at one moment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`] when somebody overwrote it with bytes that are no value; [`ErrorKind::Forked`].
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

    // Boxed, so that this returns two registers and the value of the fast path stays in some: a value that may come from two
    // places is put together in memory, and read there before it has arrived.
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

    /// Makes `value` the value.
    ///
    /// # Errors
    ///
    /// Those of [`Segment::lock`]: [`ErrorKind::Deadlock`] inside another change, [`ErrorKind::Forked`].
    #[inline]
    pub fn set(&self, value: &T) -> Result<()> {
        let _hold = self.segment.lock_value()?;
        place(self.segment.attached(), T::SIZE, CHANGE)?.commit(value);
        Ok(())
    }

    /// Makes `value` the value and returns the one before.
    ///
    /// # Errors
    ///
    /// As [`Shared::update`].
    #[inline]
    pub fn replace(&self, value: T) -> Result<T> {
        self.update(|current| std::mem::replace(current, value))
    }

    /// Changes the value with `change`, which works on a copy: all of the change is made, or, if it panics, nothing.
    ///
    /// # Errors
    ///
    /// As [`Shared::set`], and [`ErrorKind::Damaged`] as for [`Shared::get`].
    #[inline]
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R> {
        self.try_update(|value| Ok(change(value)))
    }

    /// Changes the value with `change`, which works on a copy: all of the change is made, or, if it returns an error or
    /// panics, nothing.
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

    /// Changes the value on a copy of the type `C`: the value itself, or a box of it.
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
        // Asks again whether this is a forked child that comes out of `change`.
        place(attached, T::SIZE, CHANGE)?.commit(&copy);
        Ok(result)
    }

    /// Makes `new` the value if it is `current` now: `Ok` with the one before, else `Err` with the one that it is.
    ///
    /// # Errors
    ///
    /// The outer one as for [`Shared::update`].
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

    /// Returns how often the value was changed since it was created.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    #[inline]
    pub fn version(&self) -> Result<u64> {
        Ok(place(self.segment.attached(), 0, READ)?.committed())
    }

    /// Returns the segment that holds the value, for its key, its attachments and its end.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Detaches and says whether that went well. See [`Segment::detach`].
    ///
    /// # Errors
    ///
    /// As [`Segment::detach`].
    pub fn detach(self) -> Result<()> {
        self.segment.detach()
    }
}

/// Reads one typed value that others share and change.
///
/// # When a process dies
///
/// As for [`Shared`]; nobody waits for one who reads.
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

    /// Returns the value as it was at one moment.
    ///
    /// # Errors
    ///
    /// As [`Shared::get`], and [`ErrorKind::Busy`] when it is changed so often that no moment was found.
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

    // Boxed as for one who may lock.
    #[cold]
    fn get_contended<C: Shareable>(&self) -> Result<Box<C>> {
        let attached = self.segment.attached();
        let place = place(attached, T::SIZE, READ)?;
        read_patiently(attached, &place, || place.try_read()).map(Box::new)
    }

    /// Returns how often the value was changed since it was created.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    #[inline]
    pub fn version(&self) -> Result<u64> {
        Ok(place(self.segment.attached(), 0, READ)?.committed())
    }

    /// Returns the segment that holds the value, for its key and its attachments.
    pub fn segment(&self) -> &ReadOnlySegment {
        &self.segment
    }
}

impl SegmentOptions {
    /// Creates a segment with `first` as its value; its size is the type's. See [`SegmentOptions::create`].
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

    /// Attaches to a segment that holds a value of this type. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`Shared::attach`].
    pub fn attach_shared<T: Shareable>(&self, key: &str) -> Result<Shared<T>> {
        Ok(Shared::new(self.of_type::<T>().attach(key)?))
    }

    /// Attaches to a segment that holds a value of this type, only to read it.
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
