//! `UntypedShared`: a typed value for those who do not have its type, by the schema that stands in the segment.
//!
//! It moves whole values as bytes, through the same words and copies as `Shared<T>`; what the bytes mean is for
//! [`Schema`] to say.

use std::time::Duration;

use super::copies::{CHANGE, READ, damaged, place, read_patiently, size_for};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::Words;
use crate::schema::Schema;
use crate::segment::{Attached, ReadOnlySegment, Segment, SegmentOptions};

const ATTACH: &str = "attach to";
const CREATE: &str = "create";

/// Holds one typed value that any number of processes share, for a program that does not have its type.
///
/// A value is its bytes, and its schema says what they are: a debugger, a shell, or a program in another language reads and
/// changes it field by field beside programs that use [`Shared`](crate::Shared). What it commits is always a value of the type.
///
/// # When a process dies
///
/// As for [`Shared`](crate::Shared): in the middle of a change, the value is the old one.
///
/// # Examples
///
/// ```
/// use sharehold::{UntypedShared, Shareable, Shared};
///
/// #[derive(Shareable, Default)]
/// #[repr(C)]
/// struct Tally { value: u64, by_worker: [u64; 8] }
///
/// let tally = Shared::open_or_create("com.example.any", Tally::default)?;
///
/// // In a program that knows nothing of `Tally`:
/// let any = UntypedShared::attach("com.example.any")?;
/// let schema = any.schema();
/// any.update(|bytes| schema.set(bytes, "by_worker[3]", "7"))??;
/// assert_eq!(schema.get(&any.get()?, "by_worker[3]")?.to_string(), "7");
///
/// assert_eq!(tally.get()?.by_worker[3], 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UntypedShared {
    segment: Segment,
    schema: Schema,
}

impl UntypedShared {
    /// Creates a segment for values that `schema` describes, the first of which is `first`. See [`SegmentOptions::create_untyped`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::create_untyped`].
    pub fn create(key: &str, schema: &Schema, first: &[u8]) -> Result<UntypedShared> {
        Segment::options().create_untyped(key, schema, first)
    }

    /// Attaches to a segment that holds a typed value, whatever its type. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`], and [`ErrorKind::TypeMismatch`] when it holds plain bytes, or parts.
    pub fn attach(key: &str) -> Result<UntypedShared> {
        Segment::options().attach_untyped(key)
    }

    /// Attaches to a segment that holds a typed value, whatever its type, only to read it.
    ///
    /// # Errors
    ///
    /// As [`UntypedShared::attach`].
    pub fn attach_read_only(key: &str) -> Result<ReadOnlyUntypedShared> {
        Segment::options().attach_untyped_read_only(key)
    }

    /// Returns what the value's bytes are.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns the value's bytes as they were at one moment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`] when somebody overwrote it with bytes that are no value; [`ErrorKind::Forked`].
    pub fn get(&self) -> Result<Vec<u8>> {
        let attached = self.segment.attached();
        match snapshot(attached, &self.schema) {
            Err(error) if error.kind() == ErrorKind::Busy => {
                let _hold = self.segment.lock_value()?;
                self.read_locked(READ)
            }
            read => read,
        }
    }

    /// Makes `value` the value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TypeMismatch`] when the bytes are no value of the type; those of [`Segment::lock`].
    pub fn set(&self, value: &[u8]) -> Result<()> {
        check(&self.schema, value, CHANGE, self.segment.key())?;
        let _hold = self.segment.lock_value()?;
        place(self.segment.attached(), value.len(), CHANGE)?
            .commit_with(value.len(), |copy| store(copy, value));
        Ok(())
    }

    /// Changes the value's bytes with `change`, which works on a copy: all of the change is made, or, if it panics, nothing.
    ///
    /// # Errors
    ///
    /// As [`UntypedShared::set`], with nothing changed, and [`ErrorKind::Damaged`] as for [`UntypedShared::get`].
    pub fn update<R>(&self, change: impl FnOnce(&mut [u8]) -> R) -> Result<R> {
        self.try_update(|bytes| Ok(change(bytes)))
    }

    /// Changes the value's bytes with `change`, which works on a copy: all of the change is made, or, if it returns an error,
    /// panics, or leaves what is no value of the type, nothing.
    ///
    /// # Errors
    ///
    /// The error of `change`, and those of [`UntypedShared::update`].
    pub fn try_update<R, E: From<Error>>(
        &self,
        change: impl FnOnce(&mut [u8]) -> Result<R, E>,
    ) -> Result<R, E> {
        let _hold = self.segment.lock_value()?;
        self.change(change)
    }

    /// As [`UntypedShared::try_update`], waiting at most for `limit` until nobody else changes it.
    ///
    /// # Errors
    ///
    /// As [`UntypedShared::try_update`], and [`ErrorKind::Timeout`], which names the holder.
    pub fn try_update_timeout<R, E: From<Error>>(
        &self,
        limit: Duration,
        change: impl FnOnce(&mut [u8]) -> Result<R, E>,
    ) -> Result<R, E> {
        let _hold = self.segment.lock_value_timeout(limit)?;
        self.change(change)
    }

    /// Changes the value, all of it or nothing. The caller holds the lock.
    fn change<R, E: From<Error>>(
        &self,
        change: impl FnOnce(&mut [u8]) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut value = self.read_locked(CHANGE)?;
        let result = change(&mut value)?;
        check(&self.schema, &value, CHANGE, self.segment.key())?;
        // Asks again whether this is a forked child that comes out of `change`.
        place(self.segment.attached(), value.len(), CHANGE)?
            .commit_with(value.len(), |copy| store(copy, &value));
        Ok(result)
    }

    /// Reads the value while nobody can change it. The caller holds the lock.
    fn read_locked(&self, operation: &'static str) -> Result<Vec<u8>> {
        let attached = self.segment.attached();
        let size = self.schema.size();
        let value =
            place(attached, size, operation)?.read_locked_with(size, |copy| load(copy, size));
        value
            .filter(|value| self.schema.check(value).is_ok())
            .ok_or_else(|| damaged(attached, operation))
    }

    /// Returns how often the value was changed since it was created.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
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

/// Reads one typed value that others share and change, for a program that does not have its type.
///
/// # When a process dies
///
/// As for [`UntypedShared`]; nobody waits for one who reads.
#[derive(Debug)]
pub struct ReadOnlyUntypedShared {
    segment: ReadOnlySegment,
    schema: Schema,
}

impl ReadOnlyUntypedShared {
    /// Returns what the value's bytes are.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns the value's bytes as they were at one moment.
    ///
    /// # Errors
    ///
    /// As [`UntypedShared::get`], and [`ErrorKind::Busy`] when it is changed so often that no moment was found.
    pub fn get(&self) -> Result<Vec<u8>> {
        snapshot(self.segment.attached(), &self.schema)
    }

    /// Returns how often the value was changed since it was created.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn version(&self) -> Result<u64> {
        Ok(place(self.segment.attached(), 0, READ)?.committed())
    }

    /// Returns the segment that holds the value, for its key and its attachments.
    pub fn segment(&self) -> &ReadOnlySegment {
        &self.segment
    }
}

impl SegmentOptions {
    /// Creates a segment for values that `schema` describes, the first of which is `first`; its size is that of the schema.
    /// See [`SegmentOptions::create`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::create`], and [`ErrorKind::TypeMismatch`] when `first` is no such value.
    pub fn create_untyped(
        &self,
        key: &str,
        schema: &Schema,
        first: &[u8],
    ) -> Result<UntypedShared> {
        check(schema, first, CREATE, key)?;
        let size = needed(schema).ok_or_else(|| {
            let detail = "no memory is as large as its type; make that smaller";
            Error::new(ErrorKind::InvalidOption, CREATE, detail).with_key(key)
        })?;
        let options = self.typed(schema.clone(), size);
        let segment = options.create_with(key, |bytes| {
            place(bytes.attached(), first.len(), CREATE)?
                .commit_with(first.len(), |copy| store(copy, first));
            Ok(())
        })?;
        let schema = schema.clone();
        Ok(UntypedShared { segment, schema })
    }

    /// Attaches to a segment that holds a typed value, whatever its type. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`UntypedShared::attach`].
    pub fn attach_untyped(&self, key: &str) -> Result<UntypedShared> {
        let segment = self.attach(key)?;
        let schema = schema_of(segment.attached(), segment.size())?;
        Ok(UntypedShared { segment, schema })
    }

    /// Attaches to a segment that holds a typed value, whatever its type, only to read it.
    ///
    /// # Errors
    ///
    /// As [`UntypedShared::attach`].
    pub fn attach_untyped_read_only(&self, key: &str) -> Result<ReadOnlyUntypedShared> {
        let segment = self.attach_read_only(key)?;
        let schema = schema_of(segment.attached(), segment.size())?;
        Ok(ReadOnlyUntypedShared { segment, schema })
    }
}

/// The bytes of data that a value takes; `None` when no memory has so many.
fn needed(schema: &Schema) -> Option<usize> {
    const MOST: usize = isize::MAX.unsigned_abs() / 4;
    (schema.size() <= MOST).then(|| size_for(schema.size()))
}

/// The schema of a segment that was attached to, if its data are large enough for such a value.
fn schema_of(attached: &Attached, size: usize) -> Result<Schema> {
    let schema = attached.schema(ATTACH)?.ok_or_else(|| {
        let reason = "it holds plain bytes, no typed value";
        let error = Error::new(ErrorKind::TypeMismatch, ATTACH, reason);
        error
            .advise("read and write it by offset")
            .with_key(attached.key())
    })?;
    if schema.is_of_parts() {
        let detail = "it holds parts, no single value; attach to it as what they are";
        let error = Error::new(ErrorKind::TypeMismatch, ATTACH, detail);
        return Err(error.with_key(attached.key()));
    }
    if needed(&schema).is_some_and(|needed| needed <= size) {
        Ok(schema)
    } else {
        Err(damaged(attached, ATTACH))
    }
}

fn snapshot(attached: &Attached, schema: &Schema) -> Result<Vec<u8>> {
    let size = schema.size();
    let place = place(attached, size, READ)?;
    let try_read = || place.try_read_with(size, |copy| load(copy, size));
    // Looked at only once it is known to be no mixture.
    let value = read_patiently(attached, &place, try_read)?;
    match schema.check(&value) {
        Ok(()) => Ok(value),
        Err(_) => Err(damaged(attached, READ)),
    }
}

pub(crate) fn load(copy: &Words<'_>, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; size];
    copy.reader(0, size)?.bytes(&mut bytes);
    Some(bytes)
}

pub(crate) fn store(copy: &Words<'_>, bytes: &[u8]) {
    if let Some(mut writer) = copy.writer(0, bytes.len()) {
        writer.bytes(bytes);
        writer.finish();
    }
}

/// Refuses bytes that are no value.
pub(crate) fn check(
    schema: &Schema,
    bytes: &[u8],
    operation: &'static str,
    key: &str,
) -> Result<()> {
    schema.check(bytes).map_err(|error| {
        let detail = format!("{error}; nothing is changed");
        Error::new(ErrorKind::TypeMismatch, operation, detail).with_key(key)
    })
}
