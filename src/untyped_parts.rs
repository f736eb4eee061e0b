//! `UntypedParts`: the parts of a segment, for programs without its type. The schema in the segment
//! describes them.
//!
//! The offsets follow from the schema as they follow from the type in `Part`. Values are moved as
//! bytes, through the same locks, words and copies as those of `Mutex<T>`, `RwLock<T>` and
//! `OnceLock<T>`. [`Schema`] interprets the bytes.

use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::{RawLock, RawLockGuard};
use crate::memory::format::LockWords;
use crate::parts::layout::{LayoutCursor, PartRef};
use crate::parts::{Part, READ, copies_at, damaged, row_len};
use crate::rwlock::memory::{RwLockHold, RwLockRef};
use crate::schema::{Kind, Primitive, Schema};
use crate::segment::{Segment, SegmentOptions};
use crate::value::copies;
use crate::value::untyped::{check, load, store};

const ATTACH: &str = "attach to";
const CHANGE: &str = "change";
const FIND: &str = "use a part of";

/// The number of the mark that contains the thread that owns the lock of a mutex or once.
const THREAD: usize = 0;

/// The parts of a segment, for a program that does not have its type.
///
/// A debugger, a shell, or a program in another language uses the parts by their paths, such as
/// `config` or `inner.limits`, at the same time as programs that use them as a [`Part`]. In a
/// segment that is a single part its path is `.`.
///
/// # When a process dies
///
/// As for each [`Part`].
///
/// # Examples
///
/// ```
/// use sharehold::{UntypedParts, Event, Mutex, Part, ResetMode, Semaphore, Shareable};
///
/// #[derive(Shareable)]
/// #[repr(C)]
/// struct Limits { min: u64, max: u64 }
///
/// #[derive(Part)]
/// struct Config { limits: Mutex<Limits>, jobs: Semaphore, ready: Event }
///
/// let config = Config::open_or_create("com.example.any-parts", || ConfigInit {
///     limits: Limits { min: 0, max: 10 },
///     jobs: 4,
///     ready: ResetMode::Manual,
/// })?;
///
/// // In a program that knows nothing of `Config`:
/// let parts = UntypedParts::attach("com.example.any-parts")?;
/// let limits = parts.guarded("limits")?;
/// let schema = limits.schema();
/// limits.update(|bytes| schema.set(bytes, "max", "20"))??;
/// let jobs = parts.part::<Semaphore>("jobs")?;
/// let _permit = jobs.acquire()?;
/// parts.part::<Event>("ready")?.set()?;
///
/// assert_eq!(config.limits.get()?.max, 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UntypedParts {
    schema: Schema,
    parts: Vec<FoundPart>,
}

/// A part and its location.
#[derive(Debug)]
struct FoundPart {
    path: String,
    primitive: Primitive,
    place: PartRef,
}

impl UntypedParts {
    /// Attaches to a segment of parts of any types. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`], and [`ErrorKind::TypeMismatch`] if it contains plain bytes or
    /// one typed value.
    pub fn attach(key: &str) -> Result<UntypedParts> {
        Segment::options().attach_any_parts(key)
    }

    /// Returns the schema of the parts. [`Schema::part_of`] finds the part that a path leads to.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns the paths of the parts and their primitives, in order.
    pub fn paths(&self) -> impl Iterator<Item = (&str, Primitive)> {
        self.parts.iter().map(|it| (it.path.as_str(), it.primitive))
    }

    /// Returns the value that the mutex, read-write lock or once at a path guards.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TypeMismatch`] if there is no such part.
    pub fn guarded(&self, path: &str) -> Result<UntypedGuarded> {
        let found = self.find(path, "Mutex, RwLock or OnceLock", Primitive::guards)?;
        let schema = self.schema.guarded_by(path);
        Ok(UntypedGuarded {
            place: found.place.clone(),
            primitive: found.primitive,
            schema: schema.ok_or_else(|| damaged(found.place.segment().attached(), FIND))?,
        })
    }

    /// Returns the part at a path as a handle, such as `part::<Semaphore>("jobs")`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TypeMismatch`] if there is no such part, or if it guards a value of another
    /// type.
    pub fn part<P: Part>(&self, path: &str) -> Result<P> {
        let wanted = Schema::from_description(P::describe());
        let (primitive, name) = match wanted.kind() {
            Kind::Part { primitive, .. } => (Some(*primitive), primitive.name()),
            _ => (None, "struct of parts"),
        };
        let found = self.find(path, name, |it| Some(it) == primitive)?;
        let values = wanted.guarded_by(".").zip(self.schema.guarded_by(path));
        let difference = values.and_then(|(here, there)| here.first_difference(&there));
        if let Some(difference) = difference {
            let reason = format!("the value of its part `{path}` differs: {difference}");
            let error = Error::new(ErrorKind::TypeMismatch, FIND, reason);
            return Err(error.with_key(found.place.segment().key()));
        }
        Ok(P::find(&mut LayoutCursor::to(&found.place)))
    }

    fn find(
        &self,
        path: &str,
        wanted: &str,
        fits: impl Fn(Primitive) -> bool,
    ) -> Result<&FoundPart> {
        let found = self.parts.iter().find(|it| it.path == path);
        let reason = match found {
            Some(found) if fits(found.primitive) => return Ok(found),
            Some(found) => format!(
                "its part `{path}` is a {}, not a {wanted}",
                found.primitive.name()
            ),
            None => format!("it has no part `{path}`"),
        };
        let paths: Vec<&str> = self.parts.iter().map(|it| it.path.as_str()).collect();
        let error = Error::new(ErrorKind::TypeMismatch, FIND, reason);
        let error = error.advise(format!("its parts are {}", paths.join(", ")));
        // There is a first part: a schema of parts has at least one.
        Err(match self.parts.first() {
            Some(first) => error.with_key(first.place.segment().key()),
            None => error,
        })
    }
}

/// The value that a mutex, a read-write lock or a once guards, for a program that does not have its
/// type.
///
/// # When a process dies
///
/// As for [`Mutex`](crate::Mutex), [`RwLock`](crate::RwLock) and [`OnceLock`](crate::OnceLock): if
/// a process dies during a change, the value is the old one.
#[derive(Debug)]
pub struct UntypedGuarded {
    place: PartRef,
    primitive: Primitive,
    schema: Schema,
}

/// A lock that keeps other changes of a value out until it is dropped.
enum Locked<'a> {
    Mutex { _held: RawLockGuard<'a> },
    RwLock { _inside: RwLockHold<'a> },
}

impl UntypedGuarded {
    /// Returns the schema of the value's bytes.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns the primitive that guards the value.
    pub fn primitive(&self) -> Primitive {
        self.primitive
    }

    /// Returns the value's bytes as last committed, or `None` while a [`OnceLock`](crate::OnceLock)
    /// has no value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`] if the value was overwritten with invalid bytes;
    /// [`ErrorKind::Forked`].
    pub fn get(&self) -> Result<Option<Vec<u8>>> {
        let copies = self.copies(READ)?;
        if self.primitive == Primitive::OnceLock && copies.committed() == 0 {
            return Ok(None);
        }
        let size = self.schema.size();
        let attached = self.place.segment().attached();
        let try_read = || copies.try_read_with(size, |copy| load(copy, size));
        let read = copies::read_patiently(attached, &copies, try_read);
        let value = match read {
            Err(error) if error.kind() == ErrorKind::Busy => {
                let _locked = self.lock(Deadline::Never)?;
                self.read_locked(READ)?
            }
            read => read?,
        };
        let is_value = self.schema.check(&value).is_ok();
        is_value
            .then_some(Some(value))
            .ok_or_else(|| damaged(attached, READ))
    }

    /// Changes the value's bytes with `change`, which works on a copy. The whole change is
    /// committed, or nothing if `change` panics.
    ///
    /// # Errors
    ///
    /// As [`UntypedGuarded::try_update`].
    pub fn update<R>(&self, change: impl FnOnce(&mut [u8]) -> R) -> Result<R> {
        self.try_update(|bytes| Ok(change(bytes)))
    }

    /// Changes the value's bytes with `change`, which works on a copy. The whole change is
    /// committed, or nothing if `change` returns an error, panics, or leaves bytes that are no
    /// valid value of the type. For a [`OnceLock`](crate::OnceLock) this makes the value, starting
    /// from a blank one.
    ///
    /// # Errors
    ///
    /// The error of `change`; the errors of [`Mutex::lock`](crate::Mutex::lock);
    /// [`ErrorKind::TypeMismatch`] if the bytes are no valid value of the type;
    /// [`ErrorKind::AlreadyExists`] if a once already has its value.
    pub fn try_update<R, E: From<Error>>(
        &self,
        change: impl FnOnce(&mut [u8]) -> Result<R, E>,
    ) -> Result<R, E> {
        self.change(Deadline::Never, change)
    }

    /// As [`UntypedGuarded::try_update`], but waits for the lock at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`UntypedGuarded::try_update`], and [`ErrorKind::Timeout`], which names the owner.
    pub fn try_update_timeout<R, E: From<Error>>(
        &self,
        limit: Duration,
        change: impl FnOnce(&mut [u8]) -> Result<R, E>,
    ) -> Result<R, E> {
        self.change(Deadline::after(limit), change)
    }

    fn change<R, E: From<Error>>(
        &self,
        deadline: Deadline,
        change: impl FnOnce(&mut [u8]) -> Result<R, E>,
    ) -> Result<R, E> {
        let _locked = self.lock(deadline)?;
        let mut value = if self.primitive == Primitive::OnceLock {
            self.first_value()?
        } else {
            self.read_locked(CHANGE)?
        };
        let result = change(&mut value)?;
        check(&self.schema, &value, CHANGE, self.place.segment().key())?;
        // Checks again for a fork: `change` may have forked, and this may be the child.
        self.copies(CHANGE)?
            .commit_with(value.len(), |copy| store(copy, &value));
        Ok(result)
    }

    /// Returns a blank value for a `OnceLock` that has none yet. The caller has the lock.
    fn first_value(&self) -> Result<Vec<u8>> {
        let key = self.place.segment().key();
        if self.copies(CHANGE)?.committed() != 0 {
            let reason = "it already has its value, which never changes";
            return Err(Error::new(ErrorKind::AlreadyExists, CHANGE, reason).with_key(key));
        }
        self.schema.blank().ok_or_else(|| {
            let reason = "there is not enough memory for its value";
            Error::new(ErrorKind::OutOfMemory, CHANGE, reason).with_key(key)
        })
    }

    /// Returns the version of the value, which counts its commits: 1 for the initial value, 0 while
    /// a [`OnceLock`](crate::OnceLock) has none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn version(&self) -> Result<u64> {
        Ok(self.copies(READ)?.committed())
    }

    /// Returns the segment that contains this part.
    pub fn segment(&self) -> &Segment {
        self.place.segment()
    }

    fn lock(&self, deadline: Deadline) -> Result<Locked<'_>> {
        if self.primitive == Primitive::RwLock {
            let (inside, _) = RwLockRef::of(&self.place, CHANGE)?.write(deadline)?;
            return Ok(Locked::RwLock { _inside: inside });
        }
        let words: &LockWords = self.place.words(CHANGE)?;
        let lock = RawLock::of_part(self.place.segment(), words, self.place.marks(THREAD));
        let held = lock.acquire(deadline)?;
        Ok(Locked::Mutex { _held: held })
    }

    /// Reads the value while it cannot change. The caller has the lock.
    fn read_locked(&self, operation: &'static str) -> Result<Vec<u8>> {
        let size = self.schema.size();
        let value = self
            .copies(operation)?
            .read_locked_with(size, |copy| load(copy, size));
        value
            .filter(|value| self.schema.check(value).is_ok())
            .ok_or_else(|| damaged(self.place.segment().attached(), operation))
    }

    fn copies(&self, operation: &'static str) -> Result<copies::Copies<'_>> {
        copies_at(&self.place, self.primitive, self.schema.size(), operation)
    }
}

impl SegmentOptions {
    /// Attaches to a segment of parts of any types. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`UntypedParts::attach`].
    pub fn attach_any_parts(&self, key: &str) -> Result<UntypedParts> {
        let segment = self.attach(key)?;
        let attached = segment.attached();
        let schema = attached.schema(ATTACH)?;
        let schema = schema.filter(Schema::is_of_parts).ok_or_else(|| {
            let reason = "it contains no parts";
            Error::new(ErrorKind::TypeMismatch, ATTACH, reason).with_key(key)
        })?;
        let kinds: Vec<_> = schema.parts().collect();
        let marks = kinds.iter().map(|(_, _, it)| it.marks()).sum();
        let slots = attached.memory.layout().sizes.slots;
        let rows = row_len(marks).saturating_mul(slots);
        if schema.size().saturating_add(rows) > segment.size() {
            return Err(damaged(attached, ATTACH));
        }
        let mut cursor = LayoutCursor::new(segment, schema.size(), marks);
        let parts = kinds.into_iter().map(|(path, _, primitive)| {
            let value = schema.guarded_by(&path).map(|it| it.size());
            FoundPart {
                place: cursor.next(primitive, primitive.size(value)),
                path,
                primitive,
            }
        });
        let parts = parts.collect();
        Ok(UntypedParts { schema, parts })
    }
}
