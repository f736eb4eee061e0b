//! Parts: locks and other meeting points that share one segment, each of which survives the death of whoever uses it.
//!
//! A struct of parts is a struct of handles; [`Part`] says how they are laid out, created and attached together. Each primitive has
//! a file of its own; the algorithms of those that have one of their own are in `sync`, where the model checker runs them.

pub(crate) mod change;
pub(crate) mod inner_lock;
pub(crate) mod layout;
mod part;
pub mod support;

pub use part::Part;

use std::time::Duration;

pub(crate) use layout::{Initializer, LayoutCursor, PartRef};
pub(crate) use layout::{low, row_len};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::AcquireError;
use crate::memory::format::LockWords;
use crate::schema::{Primitive, Shareable};
use crate::segment::table::AttachmentId;
use crate::segment::{Attached, Attachment, Segment};
use crate::value::copies;

pub(crate) const READ: &str = "read";

/// Who had a hold, as far as it is remembered.
pub(crate) fn named(segment: &Segment, id: AttachmentId) -> Option<Attachment> {
    let recorded = segment.recorded(id)?;
    Some(Attachment::of(id, &recorded))
}

/// Says that somebody who lives was in the way, at the end of the time allowed.
#[cold]
pub(crate) fn refused(
    segment: &Segment,
    holder: Option<AttachmentId>,
    deadline: Deadline,
) -> Error {
    let holder = holder.and_then(|id| named(segment, id));
    AcquireError::held(segment, holder, deadline == Deadline::Now).into()
}

/// The words and copies of the value that a part guards.
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

/// Reads a value that others change all the time: as soon as they are slow enough, or `locked` has kept them out, which may take so long.
/// Who has the lock and changes nothing is not waited for.
#[cold]
pub(crate) fn read_contended<T: Shareable>(
    attached: &Attached,
    copies: &copies::Copies<'_>,
    locked: impl Fn(Deadline) -> Result<T>,
) -> Result<T> {
    const CALM: Duration = Duration::from_millis(1);
    loop {
        let read = copies::read_patiently(attached, copies, || copies.try_read());
        let is_busy = |error: &Error| error.kind() == ErrorKind::Busy;
        if !read.as_ref().is_err_and(is_busy) {
            return read;
        }
        let read = locked(Deadline::after(CALM));
        let is_late = |error: &Error| error.kind() == ErrorKind::Timeout;
        if !read.as_ref().is_err_and(is_late) {
            return read;
        }
    }
}

/// Says that a part's bytes are not what they must be.
#[cold]
pub(crate) fn damaged(attached: &Attached, operation: &'static str) -> Error {
    copies::damaged(attached, operation)
}
