//! Parts: primitives that share one segment, and survive the death of any process that uses them.
//!
//! A struct of parts is a struct of handles. [`Part`] defines their layout, and creates and
//! attaches them together. Each primitive has a module of its own.

pub(crate) mod change;
pub(crate) mod inner_lock;
pub(crate) mod layout;
mod part;
pub mod support;
pub(crate) mod view;

pub use part::Part;

use std::time::Duration;

pub(crate) use layout::row_len;
pub(crate) use layout::{Initializer, LayoutCursor, PartRef};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::AcquireError;
use crate::memory::format::LockWords;
use crate::schema::{Primitive, Shareable};
use crate::segment::id::AttachmentId;
use crate::segment::{Attached, Attachment, Segment};
use crate::value::copies;

pub(crate) const READ: &str = "read";

/// Returns the attachment with this ID, if its record still exists.
pub(crate) fn named(segment: &Segment, id: AttachmentId) -> Option<Attachment> {
    let recorded = segment.recorded(id)?;
    Some(Attachment::of(id, &recorded))
}

/// Makes the error for a live holder that still had the lock at the deadline.
#[cold]
pub(crate) fn refused(
    segment: &Segment,
    holder: Option<AttachmentId>,
    deadline: Deadline,
) -> Error {
    let holder = holder.and_then(|id| named(segment, id));
    AcquireError::held(segment, holder, deadline == Deadline::Now).into()
}

/// Returns the words and copies of the value that a part guards.
#[inline]
pub(crate) fn copies_at<'a>(
    place: &'a PartRef,
    primitive: Primitive,
    size: usize,
    operation: &'static str,
) -> Result<copies::Copies<'a>> {
    let segment = place.segment();
    let lock: &LockWords = place.words(operation)?;
    let memory = &segment.attached().memory;
    let copies = copies::Copies::at(memory, place.behind(primitive.head()), size, lock);
    copies.ok_or_else(|| damaged(segment.attached(), operation))
}

/// Reads a value that other processes change all the time: without the lock if a read succeeds
/// between two commits, else under the lock by `locked`, which may wait for `QUIET`. It alternates
/// between the two, because an owner that has the lock for longer changes nothing meanwhile.
#[cold]
pub(crate) fn read_contended<T: Shareable>(
    attached: &Attached,
    copies: &copies::Copies<'_>,
    locked: impl Fn(Deadline) -> Result<T>,
) -> Result<T> {
    const QUIET: Duration = Duration::from_millis(1);
    loop {
        let read = copies::read_patiently(attached, copies, || copies.try_read());
        let is_busy = |error: &Error| error.kind() == ErrorKind::Busy;
        if !read.as_ref().is_err_and(is_busy) {
            return read;
        }
        let read = locked(Deadline::after(QUIET));
        let is_late = |error: &Error| error.kind() == ErrorKind::Timeout;
        if !read.as_ref().is_err_and(is_late) {
            return read;
        }
    }
}

/// Makes the error for a part whose bytes are invalid.
#[cold]
pub(crate) fn damaged(attached: &Attached, operation: &'static str) -> Error {
    copies::damaged(attached, operation)
}
