//! The trait of parts, and creating and attaching to a segment of parts.

use super::layout::{Initializer, LayoutCursor, row_len};
use crate::error::Result;
use crate::schema::{Description, Schema};
use crate::segment::{Segment, SegmentOptions};

/// A primitive, or a struct of primitives, that lives in a segment. The implementing type is the
/// handle.
///
/// It is implemented for [`Mutex`](crate::Mutex), [`RwLock`](crate::RwLock),
/// [`Semaphore`](crate::Semaphore), [`Event`](crate::Event), [`Barrier`](crate::Barrier) and
/// [`OnceLock`](crate::OnceLock). Derive it for structs of them. All parts of a struct share one
/// key, one segment and one attachment, which is detached when the last part is dropped.
///
/// # The derive
///
/// `#[derive(Part)]` works on structs with named fields. Each field is a part, which may again be
/// such a struct. The derive also declares a struct of initial values, with the same fields and the
/// name of the struct followed by `Init`. Parts are laid out in the order of declaration. The
/// segment's schema has a line for each part, so attaching with different parts fails.
///
/// # When a process dies
///
/// A death never blocks the users of a part. Each part describes what they see then. For the
/// segment itself see [`Segment`].
///
/// # Examples
///
/// ```
/// use sharehold::{Mutex, OnceLock, Part, Shareable};
///
/// #[derive(Shareable)]
/// #[repr(C)]
/// struct Limits {
///     min: u64,
///     max: u64,
/// }
///
/// #[derive(Part)]
/// struct Config {
///     limits: Mutex<Limits>,
///     started: OnceLock<u64>,
/// }
///
/// let config = Config::open_or_create("com.example.config", || ConfigInit {
///     limits: Limits { min: 0, max: 10 },
///     started: (),
/// })?;
/// config.limits.lock()?.max = 20;
/// assert_eq!(config.limits.get()?.max, 20);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part of a segment",
    label = "not a `Part`",
    note = "a part is a `Mutex`, `RwLock`, `Semaphore`, `Event`, `Barrier` or `OnceLock` of sharehold, or a struct of them with `#[derive(Part)]`",
    note = "a value that is to be shared goes into a `Mutex<T>` or an `RwLock<T>`"
)]
pub trait Part: Sized {
    /// The initial state.
    type Init;

    /// The size in bytes, a multiple of 128.
    #[doc(hidden)]
    const SIZE: usize;

    /// The number of marks of each attachment.
    #[doc(hidden)]
    const MARKS: usize;

    /// Describes the bytes.
    #[doc(hidden)]
    fn describe() -> Description;

    /// Writes the initial state. The segment contains only zeros, and no other process can see it.
    #[doc(hidden)]
    fn begin(first: Self::Init, at: &mut Initializer<'_>) -> Result<()>;

    /// Makes the handle.
    #[doc(hidden)]
    fn find(at: &mut LayoutCursor) -> Self;

    /// Creates a segment with this part. See [`SegmentOptions::create`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::create`], and [`InvalidOption`](crate::ErrorKind::InvalidOption) if a
    /// part does not accept its initial state.
    fn create(key: &str, first: Self::Init) -> Result<Self> {
        Segment::options().create_part(key, first)
    }

    /// Attaches to a segment with this part. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`], and [`TypeMismatch`](crate::ErrorKind::TypeMismatch), which
    /// names the first part that differs.
    fn attach(key: &str) -> Result<Self> {
        Segment::options().attach_part(key)
    }

    /// Attaches to the segment, or creates it with the initial state that `first` returns. If
    /// several processes call this at once, one of them creates the segment.
    ///
    /// # Errors
    ///
    /// As [`Part::attach`] and [`Part::create`], without their `NotFound` and `AlreadyExists`.
    fn open_or_create(key: &str, first: impl Fn() -> Self::Init) -> Result<Self> {
        Segment::options().open_or_create_part(key, first)
    }
}

impl SegmentOptions {
    /// Creates a segment of parts, with their size. See [`SegmentOptions::create`].
    ///
    /// # Errors
    ///
    /// As [`Part::create`].
    pub fn create_part<P: Part>(&self, key: &str, first: P::Init) -> Result<P> {
        let segment = self.of_part::<P>().create_with(key, |bytes| {
            P::begin(first, &mut Initializer::new(bytes.attached()))
        })?;
        Ok(found(segment))
    }

    /// Attaches to a segment of parts. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`Part::attach`].
    pub fn attach_part<P: Part>(&self, key: &str) -> Result<P> {
        Ok(found(self.of_part::<P>().attach(key)?))
    }

    /// Attaches to a segment of parts, or creates it with the initial state that `first` returns.
    ///
    /// # Errors
    ///
    /// As [`Part::open_or_create`].
    pub fn open_or_create_part<P: Part>(
        &self,
        key: &str,
        first: impl Fn() -> P::Init,
    ) -> Result<P> {
        let segment = self.of_part::<P>().open_or_create_with(key, |bytes| {
            P::begin(first(), &mut Initializer::new(bytes.attached()))
        })?;
        Ok(found(segment))
    }

    fn of_part<P: Part>(&self) -> SegmentOptions {
        let schema = Schema::from_description(P::describe());
        self.typed_by_slot(schema, P::SIZE, row_len(P::MARKS))
    }
}

fn found<P: Part>(segment: Segment) -> P {
    P::find(&mut LayoutCursor::new(segment, P::SIZE, P::MARKS))
}
