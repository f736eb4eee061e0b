//! What a part is to the segment it stands in, and creating and attaching to a segment of parts.

use super::layout::{Initializer, LayoutCursor, row_len};
use crate::error::Result;
use crate::schema::{Description, Schema};
use crate::segment::{Segment, SegmentOptions};

/// Stands in a segment, alone or together with others, and is used through this handle.
///
/// It is implemented for [`Mutex`](crate::Mutex), [`RwLock`](crate::RwLock), [`Semaphore`](crate::Semaphore),
/// [`Event`](crate::Event), [`Barrier`](crate::Barrier) and [`OnceLock`](crate::OnceLock). For structs of them, derive it. One key, one
/// segment and one attachment serve all parts of a struct; it is detached when the last of them is dropped.
///
/// # The derive
///
/// `#[derive(Part)]` is for structs with named fields, each a part, which may be such a struct again. It also declares what the parts
/// begin with, in a struct of the same fields whose name ends in `Init`. Parts are laid out in the order of declaration; the segment's
/// schema has a line for each, so that a program with other parts is refused when it attaches.
///
/// # When a process dies
///
/// Each part says what its users see then. None is left blocked by it. For the segment see [`Segment`].
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
    note = "a part is a `Mutex`, `RwLock`, `Semaphore`, `Event`, `Barrier` or `Once` of sharehold, or a struct of them with `#[derive(Part)]`",
    note = "a value that is to be shared goes into a `Mutex<T>` or an `RwLock<T>`"
)]
pub trait Part: Sized {
    /// What it begins with.
    type Init;

    /// How many bytes it has, a multiple of 128.
    #[doc(hidden)]
    const SIZE: usize;

    /// How many words of its own each attachment has.
    #[doc(hidden)]
    const MARKS: usize;

    /// What its bytes are.
    #[doc(hidden)]
    fn describe() -> Description;

    /// Writes what it begins with. The segment is all zero, and nobody else sees it.
    #[doc(hidden)]
    fn begin(first: Self::Init, at: &mut Initializer<'_>) -> Result<()>;

    /// Makes the handle.
    #[doc(hidden)]
    fn find(at: &mut LayoutCursor) -> Self;

    /// Creates a segment of it. See [`SegmentOptions::create`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::create`], and [`InvalidOption`](crate::ErrorKind::InvalidOption) for a part that cannot begin so.
    fn create(key: &str, first: Self::Init) -> Result<Self> {
        Segment::options().create_part(key, first)
    }

    /// Attaches to a segment of it. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`], and [`TypeMismatch`](crate::ErrorKind::TypeMismatch), which names the first part that differs.
    fn attach(key: &str) -> Result<Self> {
        Segment::options().attach_part(key)
    }

    /// Attaches to the segment, or creates it with what `first` returns; of any number of processes that ask at once, one creates.
    ///
    /// # Errors
    ///
    /// As [`Part::attach`] and [`Part::create`], without their `NotFound` and `AlreadyExists`.
    fn open_or_create(key: &str, first: impl Fn() -> Self::Init) -> Result<Self> {
        Segment::options().open_or_create_part(key, first)
    }
}

impl SegmentOptions {
    /// Creates a segment of parts; its size is theirs. See [`SegmentOptions::create`].
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

    /// Attaches to a segment of parts, or creates it with what `first` returns.
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
