//! `Shared<T>`: one typed value in a segment, old or new, never torn.
//!
//! # Layout
//!
//! The data area holds two words, `version` and `writing`, then two copies of the value, each from a multiple of 64 on. The value
//! is the copy that the lowest bit of `version` says.
//!
//! How they are used is said, and proven, in `protocol`.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::thread;

use super::protocol::{self, Look, Steps, Word};
use super::watch::Versioned;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::format::LockWords;
use crate::memory::{Memory, Words, load_acquire};
use crate::schema::{Schema, Shareable};
use crate::segment::{Attached, Options, ReadOnlySegment, Segment};
use crate::sync::change;

const WORD: usize = size_of::<u64>();
pub(super) const HEAD: usize = 64;
/// Copies begin at multiples of a cache line.
const LINE: usize = 64;
/// How often a reader starts again before it asks for the lock, or gives up if it may not.
pub(super) const TRIES: u32 = 1000;

pub(super) const READ: &str = "read";
pub(super) const CHANGE: &str = "change";

/// Where the words and copies of a value are.
pub(crate) struct Place<'a> {
    /// All of it: the two words, then the copies.
    words: &'a [AtomicU64],
    pub(crate) version: &'a AtomicU64,
    writing: &'a AtomicU64,
    /// The lock that guards it, where those are noted who wait for a change.
    pub(super) lock: &'a LockWords,
    /// Whether there are processes without barriers: one word for all locks of a segment.
    pub(super) fenced: &'a AtomicU32,
}

/// What one reading without the lock found.
pub(crate) enum Snapshot<T> {
    Value(T),
    /// The bytes are no value of the type.
    Damaged,
    /// A writer was quicker.
    Overwritten,
}

const fn stride(size: usize) -> usize {
    size.next_multiple_of(LINE)
}

/// The bytes of data that a value of `size` bytes takes.
pub(crate) const fn size_for(size: usize) -> usize {
    HEAD + 2 * stride(size)
}

/// Where the copy for a version of a value of `size` bytes begins.
#[inline(always)]
pub(super) const fn copy_offset(version: u64, size: usize) -> usize {
    if version.is_multiple_of(2) {
        HEAD
    } else {
        HEAD + stride(size)
    }
}

impl<'a> Place<'a> {
    /// Of the value of `size` bytes that begins at `start`, a multiple of 64, and is guarded by `lock`. `None` when the segment is too
    /// small, which was refused when it was attached.
    #[inline(always)]
    pub(crate) fn at(
        memory: &'a Memory,
        start: usize,
        size: usize,
        lock: &'a LockWords,
    ) -> Option<Place<'a>> {
        let words = memory.data_words(start, size_for(size) / WORD)?;
        let [version, writing, ..] = words else {
            return None;
        };
        Some(Place {
            words,
            version,
            writing,
            lock,
            fenced: &memory.header().lock.fenced,
        })
    }

    #[inline(always)]
    pub(super) fn copy(&self, version: u64, size: usize) -> Option<Words<'a>> {
        let first = copy_offset(version, size) / WORD;
        let words = self.words.get(first..first + size.div_ceil(WORD))?;
        Some(Words::over(words))
    }

    /// Reads the value once.
    #[inline(always)]
    pub(crate) fn try_read<T: Shareable>(&self) -> Snapshot<T> {
        self.try_read_with(T::SIZE, |copy| T::load(copy, 0))
    }

    /// Reads once what `load` makes of the copy, of `size` bytes, that is the value.
    #[inline(always)]
    pub(super) fn try_read_with<R>(
        &self,
        size: usize,
        load: impl FnOnce(&Words<'_>) -> Option<R>,
    ) -> Snapshot<R> {
        match self.try_read_versioned(size, load) {
            Snapshot::Value(found) => Snapshot::Value(found.value),
            Snapshot::Damaged => Snapshot::Damaged,
            Snapshot::Overwritten => Snapshot::Overwritten,
        }
    }

    /// The same, and which version it is.
    #[inline(always)]
    pub(super) fn try_read_versioned<R>(
        &self,
        size: usize,
        load: impl FnOnce(&Words<'_>) -> Option<R>,
    ) -> Snapshot<Versioned<R>> {
        let load = |version| {
            let value = load(&self.copy(version, size)?)?;
            Some(Versioned { value, version })
        };
        match protocol::try_read(self, load) {
            Some(Some(found)) => Snapshot::Value(found),
            Some(None) => Snapshot::Damaged,
            None => Snapshot::Overwritten,
        }
    }

    /// Reads the value while nobody can change it. The caller holds the lock.
    #[inline(always)]
    pub(crate) fn read_locked<T: Shareable>(&self) -> Option<T> {
        self.read_locked_with(T::SIZE, |copy| T::load(copy, 0))
    }

    /// The same with `load`, as for `try_read_with`.
    #[inline(always)]
    pub(super) fn read_locked_with<R>(
        &self,
        size: usize,
        load: impl FnOnce(&Words<'_>) -> Option<R>,
    ) -> Option<R> {
        protocol::read_locked(self, |version| load(&self.copy(version, size)?))
    }

    /// Makes `value` the next version. The caller holds the lock.
    #[inline(always)]
    pub(crate) fn commit<T: Shareable>(&self, value: &T) {
        self.commit_with(T::SIZE, |copy| value.store(copy, 0));
    }

    /// Makes the next version of what `store` stores into its copy, of `size` bytes. The caller holds the lock.
    #[inline(always)]
    pub(super) fn commit_with(&self, size: usize, store: impl FnOnce(&Words<'_>)) {
        protocol::commit(self, |version| {
            if let Some(copy) = self.copy(version, size) {
                store(&copy);
            }
        });
    }

    /// How often the value was changed.
    #[inline]
    pub(crate) fn committed(&self) -> u64 {
        load_acquire(self.version)
    }

    #[inline(always)]
    fn word(&self, word: Word) -> &AtomicU64 {
        match word {
            Word::Version => self.version,
            Word::Writing => self.writing,
        }
    }
}

impl Look for Place<'_> {
    #[inline(always)]
    fn load(&self, word: Word, _ordering: Ordering) -> u64 {
        // At least as strong as what is asked for, and allowed where the memory is mapped read-only.
        load_acquire(self.word(word))
    }

    #[inline(always)]
    fn fence(&self, ordering: Ordering) {
        fence(ordering);
    }
}

impl Steps for Place<'_> {
    #[inline(always)]
    fn store(&self, word: Word, value: u64, ordering: Ordering) {
        self.word(word).store(value, ordering);
    }

    #[inline(always)]
    fn commit(&self, version: u64) {
        change::commit(self, version);
    }
}

/// The words and copies of a value of `size` bytes that is all of a segment's data.
#[inline(always)]
pub(super) fn place<'a>(
    attached: &'a Attached,
    size: usize,
    operation: &'static str,
) -> Result<Place<'a>> {
    attached.check_fork(operation)?;
    whole(&attached.memory, size).ok_or_else(|| damaged(attached, operation))
}

/// Of a segment that holds one value of `size` bytes and nothing else.
#[inline(always)]
pub(super) fn whole(memory: &Memory, size: usize) -> Option<Place<'_>> {
    Place::at(memory, 0, size, &memory.header().lock)
}

#[cold]
pub(crate) fn damaged(attached: &Attached, operation: &'static str) -> Error {
    let detail = "its bytes are no value of its type: somebody overwrote them; destroy it and create it again";
    Error::new(ErrorKind::Damaged, operation, detail).with_key(attached.key())
}

/// Holds one typed value that any number of processes share: always old or new, never torn.
///
/// Changes are made on a private copy and committed by one store. Snapshot takes no lock and writes nothing,
/// and a dead writer never delays it. Only a reader that finds the value changed under it a thousand times in a row asks for the
/// lock, and then waits as any other; a read-only one gives up with [`ErrorKind::Busy`] instead. A value costs its size twice, and a change moves it out and in once.
///
/// # When a process dies
///
/// In the middle of a change: the value is the old one, and the next one to change it gets on within 10 ms. Nobody has
/// anything to repair, or is told. For the segment itself see [`Segment`].
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
    pub(super) fn new(segment: Segment) -> Shared<T> {
        Shared {
            segment,
            value: PhantomData,
        }
    }

    /// Creates a segment with `first` as its value. See [`Options::create`].
    ///
    /// # Errors
    ///
    /// As [`Options::create`].
    pub fn create(key: &str, first: &T) -> Result<Shared<T>> {
        Segment::options().create_shared(key, first)
    }

    /// Attaches to a segment that holds a value of this type. See [`Options::attach`].
    ///
    /// # Errors
    ///
    /// As [`Options::attach`], and [`ErrorKind::TypeMismatch`], which names the first field that differs.
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
        let place = place(self.segment.attached(), T::SIZE, READ)?;
        match place.try_read() {
            Snapshot::Value(value) => Ok(value),
            _ => self.get_contended().map(|value| *value),
        }
    }

    // Boxed, so that this returns two registers and the value of the fast path stays in some: a value that may come from two
    // places is put together in memory, and read there before it has arrived.
    #[cold]
    fn get_contended(&self) -> Result<Box<T>> {
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
        let attached = self.segment.attached();
        let _hold = self.segment.lock_value()?;
        let current = place(attached, T::SIZE, CHANGE)?.read_locked();
        let mut value = current.ok_or_else(|| damaged(attached, CHANGE))?;
        let result = change(&mut value)?;
        // Asks again whether this is a forked child that comes out of `change`.
        place(attached, T::SIZE, CHANGE)?.commit(&value);
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
        let attached = self.segment.attached();
        let _hold = self.segment.lock_value()?;
        let place = place(attached, T::SIZE, CHANGE)?;
        let found: T = place
            .read_locked()
            .ok_or_else(|| damaged(attached, CHANGE))?;
        if found != *current {
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
    pub(super) fn new(segment: ReadOnlySegment) -> ReadOnlyShared<T> {
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
        let attached = self.segment.attached();
        let place = place(attached, T::SIZE, READ)?;
        match place.try_read() {
            Snapshot::Value(value) => Ok(value),
            _ => self.get_contended().map(|value| *value),
        }
    }

    // Boxed as for one who may lock.
    #[cold]
    fn get_contended(&self) -> Result<Box<T>> {
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

#[cold]
pub(crate) fn read_patiently<R>(
    attached: &Attached,
    place: &Place<'_>,
    try_read: impl Fn() -> Snapshot<R>,
) -> Result<R> {
    let before = place.committed();
    for _ in 0..TRIES {
        match try_read() {
            Snapshot::Value(value) => return Ok(value),
            Snapshot::Damaged => return Err(damaged(attached, READ)),
            Snapshot::Overwritten => thread::yield_now(),
        }
    }
    if place.committed() == before {
        // Nobody changes it: the words say what cannot be.
        return Err(damaged(attached, READ));
    }
    let detail =
        "others change it all the time; try again, or attach to it with the right to lock it";
    Err(Error::new(ErrorKind::Busy, READ, detail).with_key(attached.key()))
}

impl Options {
    /// Creates a segment with `first` as its value; its size is the type's. See [`Options::create`].
    ///
    /// # Errors
    ///
    /// As [`Options::create`].
    pub fn create_shared<T: Shareable>(&self, key: &str, first: &T) -> Result<Shared<T>> {
        let segment = self
            .of_type::<T>()
            .create_with(key, |bytes| write_first(bytes.attached(), first))?;
        Ok(Shared::new(segment))
    }

    /// Attaches to a segment that holds a value of this type. See [`Options::attach`].
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

    fn of_type<T: Shareable>(&self) -> Options {
        self.typed(Schema::of::<T>(), size_for(T::SIZE))
    }
}

fn write_first<T: Shareable>(attached: &Attached, first: &T) -> Result<()> {
    write_first_at(attached, 0, first)
}

/// Writes the first value of those words and copies that begin at `start`, before anyone else can see them.
pub(crate) fn write_first_at<T: Shareable>(
    attached: &Attached,
    start: usize,
    first: &T,
) -> Result<()> {
    let memory = &attached.memory;
    let place = Place::at(memory, start, T::SIZE, &memory.header().lock);
    place
        .ok_or_else(|| damaged(attached, CHANGE))?
        .commit(first);
    Ok(())
}
