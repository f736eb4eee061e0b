//! `UntypedShared`: a typed value, for programs without its type. The schema in the segment
//! describes it.
//!
//! It moves whole values as bytes, through the same words and copies as `Shared<T>`. [`Schema`]
//! interprets the bytes.

use std::time::Duration;

use super::copies::{CHANGE, READ, damaged, place, read_patiently, size_for};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::Words;
use crate::schema::Schema;
use crate::segment::{Attached, ReadOnlySegment, Segment, SegmentOptions};

const ATTACH: &str = "attach to";
const CREATE: &str = "create";

/// A typed value that any number of processes share, for a program that does not have its type.
///
/// The value is a sequence of bytes, which its schema describes. A debugger, a shell, or a program
/// in another language reads and changes it field by field, at the same time as programs that use
/// [`Shared`](crate::Shared). A commit always contains a valid value of the type.
///
/// # When a process dies
///
/// As for [`Shared`](crate::Shared): if a process dies during a change, the value is the old one.
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
    /// Creates a segment for values that `schema` describes, with `first` as its value. See
    /// [`SegmentOptions::create_untyped`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::create_untyped`].
    pub fn create(key: &str, schema: &Schema, first: &[u8]) -> Result<UntypedShared> {
        Segment::options().create_untyped(key, schema, first)
    }

    /// Attaches to a segment with a typed value of any type. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`], and [`ErrorKind::TypeMismatch`] if it contains plain bytes or
    /// parts.
    pub fn attach(key: &str) -> Result<UntypedShared> {
        Segment::options().attach_untyped(key)
    }

    /// Attaches read-only to a segment with a typed value of any type.
    ///
    /// # Errors
    ///
    /// As [`UntypedShared::attach`].
    pub fn attach_read_only(key: &str) -> Result<ReadOnlyUntypedShared> {
        Segment::options().attach_untyped_read_only(key)
    }

    /// Returns the schema of the value's bytes.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns a snapshot of the value's bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`] if the value was overwritten with invalid bytes;
    /// [`ErrorKind::Forked`].
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

    /// Replaces the value with `value`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TypeMismatch`] if the bytes are no valid value of the type; the errors of
    /// [`Segment::lock`].
    pub fn set(&self, value: &[u8]) -> Result<()> {
        check(&self.schema, value, CHANGE, self.segment.key())?;
        let _hold = self.segment.lock_value()?;
        place(self.segment.attached(), value.len(), CHANGE)?
            .commit_with(value.len(), |copy| store(copy, value));
        Ok(())
    }

    /// Changes the value's bytes with `change`, which works on a copy. The whole change is
    /// committed, or nothing if `change` panics.
    ///
    /// # Errors
    ///
    /// As [`UntypedShared::set`], without a change of the value, and [`ErrorKind::Damaged`] as for
    /// [`UntypedShared::get`].
    pub fn update<R>(&self, change: impl FnOnce(&mut [u8]) -> R) -> Result<R> {
        self.try_update(|bytes| Ok(change(bytes)))
    }

    /// Changes the value's bytes with `change`, which works on a copy. The whole change is
    /// committed, or nothing if `change` returns an error, panics, or leaves bytes that are no
    /// valid value of the type.
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

    /// As [`UntypedShared::try_update`], but waits for the lock at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`UntypedShared::try_update`], and [`ErrorKind::Timeout`], which names the owner.
    pub fn try_update_timeout<R, E: From<Error>>(
        &self,
        limit: Duration,
        change: impl FnOnce(&mut [u8]) -> Result<R, E>,
    ) -> Result<R, E> {
        let _hold = self.segment.lock_value_until(Deadline::after(limit))?;
        self.change(change)
    }

    /// Changes the value, completely or not at all. The caller has the lock.
    fn change<R, E: From<Error>>(
        &self,
        change: impl FnOnce(&mut [u8]) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut value = self.read_locked(CHANGE)?;
        let result = change(&mut value)?;
        check(&self.schema, &value, CHANGE, self.segment.key())?;
        // Checks again for a fork: `change` may have forked, and this may be the child.
        place(self.segment.attached(), value.len(), CHANGE)?
            .commit_with(value.len(), |copy| store(copy, &value));
        Ok(result)
    }

    /// Reads the value while it cannot change. The caller has the lock.
    fn read_locked(&self, operation: &'static str) -> Result<Vec<u8>> {
        let attached = self.segment.attached();
        let size = self.schema.size();
        let value =
            place(attached, size, operation)?.read_locked_with(size, |copy| load(copy, size));
        value
            .filter(|value| self.schema.check(value).is_ok())
            .ok_or_else(|| damaged(attached, operation))
    }

    /// Returns the version of the value: 1 for the initial value, raised by each commit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
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

/// A typed value that this process can only read, for a program that does not have its type.
///
/// # When a process dies
///
/// As for [`UntypedShared`]. The death of a reader has no effect.
#[derive(Debug)]
pub struct ReadOnlyUntypedShared {
    segment: ReadOnlySegment,
    schema: Schema,
}

impl ReadOnlyUntypedShared {
    /// Returns the schema of the value's bytes.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns a snapshot of the value's bytes.
    ///
    /// # Errors
    ///
    /// As [`UntypedShared::get`], and [`ErrorKind::Busy`] if commits overwrote the copy during
    /// every attempt.
    pub fn get(&self) -> Result<Vec<u8>> {
        snapshot(self.segment.attached(), &self.schema)
    }

    /// Returns the version of the value: 1 for the initial value, raised by each commit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn version(&self) -> Result<u64> {
        Ok(place(self.segment.attached(), 0, READ)?.committed())
    }

    /// Returns the segment that contains the value.
    pub fn segment(&self) -> &ReadOnlySegment {
        &self.segment
    }
}

impl SegmentOptions {
    /// Creates a segment for values that `schema` describes, with `first` as its value and the size
    /// that the schema needs. See [`SegmentOptions::create`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::create`], and [`ErrorKind::TypeMismatch`] if `first` is no valid value
    /// of the schema.
    pub fn create_untyped(
        &self,
        key: &str,
        schema: &Schema,
        first: &[u8],
    ) -> Result<UntypedShared> {
        check(schema, first, CREATE, key)?;
        let size = needed(schema).ok_or_else(|| {
            let detail = "its type is larger than the address space; use a smaller type";
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

    /// Attaches to a segment with a typed value of any type. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`UntypedShared::attach`].
    pub fn attach_untyped(&self, key: &str) -> Result<UntypedShared> {
        let segment = self.attach(key)?;
        let schema = schema_of(segment.attached(), segment.size())?;
        Ok(UntypedShared { segment, schema })
    }

    /// Attaches read-only to a segment with a typed value of any type.
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

/// Returns the size of the data for a value, or `None` if it exceeds the address space.
fn needed(schema: &Schema) -> Option<usize> {
    const MOST: usize = isize::MAX.unsigned_abs() / 4;
    (schema.size() <= MOST).then(|| size_for(schema.size()))
}

/// Returns the schema of an attached segment, if its data are large enough for such a value.
fn schema_of(attached: &Attached, size: usize) -> Result<Schema> {
    let schema = attached.schema(ATTACH)?.ok_or_else(|| {
        let reason = "it holds plain bytes, not a typed value";
        let error = Error::new(ErrorKind::TypeMismatch, ATTACH, reason);
        error
            .advise("read and write it by offset")
            .with_key(attached.key())
    })?;
    if schema.is_of_parts() {
        let detail = "it holds parts, not a single value; attach with the matching `Part` type";
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
    // Checked only after the copy is known to be no mixture.
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

/// Fails if the bytes are no valid value.
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
