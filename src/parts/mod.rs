//! Parts: locks and other meeting points that share one segment, each of which survives the death of whoever uses it.
//!
//! A struct of parts is a struct of handles; [`Part`] says how they are laid out, created and attached together. Each primitive has
//! a file of its own; the algorithms of those that have one of their own are in `sync`, where the model checker runs them.

mod any;
mod barrier;
mod change;
mod event;
mod inner;
mod mutex;
mod once;
mod open;
mod place;
mod room;
mod rwlock;
mod semaphore;
pub mod support;

pub use any::{AnyGuarded, AnyParts};
pub use barrier::{Barrier, Meeting, OnDeath};
pub use event::{Event, Reset};
pub use mutex::{Mutex, MutexGuard};
pub use once::Once;
pub use open::Part;

use std::time::{Duration, Instant};

use place::{Draft, Place, Walk};
pub(crate) use place::{low, row_len};
pub use rwlock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::{Permit, Semaphore};

use crate::error::{Error, ErrorKind, Result};
use crate::memory::format::LockWords;
use crate::schema::{Primitive, Shareable};
use crate::segment::table::Hold;
use crate::segment::{Attached, Attachment, Segment};
use crate::shared::value;
use crate::sync::{NotAcquired, Until};

const READ: &str = "read";

/// The moment that a limit ends; `None` when it is beyond all time.
fn end_of(limit: Duration) -> Option<Instant> {
    Instant::now().checked_add(limit)
}

/// How long a lock is waited for with such a limit.
fn until(limit: Duration) -> Until {
    end_of(limit).map_or(Until::Acquired, Until::Deadline)
}

/// Who had a hold, as far as it is remembered.
fn named(segment: &Segment, hold: Hold) -> Option<Attachment> {
    let recorded = segment.recorded(hold)?;
    Some(Attachment::of(hold, &recorded))
}

/// Says that somebody who lives was in the way, at the end of the time allowed.
#[cold]
fn refused(segment: &Segment, holder: Option<Hold>, until: Until) -> Error {
    let holder = holder.and_then(|hold| named(segment, hold));
    NotAcquired::held(segment, holder, until == Until::Now).into()
}

/// The words and copies of the value that a part guards.
#[inline]
fn copies_at<'a>(
    place: &'a Place,
    primitive: Primitive,
    size: usize,
    operation: &'static str,
) -> Result<value::Place<'a>> {
    let segment = place.segment();
    let lock: &LockWords = place.words(operation)?;
    let memory = &segment.attached().memory;
    let copies = value::Place::at(memory, place.behind(primitive.head()), size, lock);
    copies.ok_or_else(|| damaged(segment.attached(), operation))
}

/// Reads a value that others change all the time: as soon as they are slow enough, or `locked` has kept them out, which may take so long.
/// Who has the lock and changes nothing is not waited for.
#[cold]
fn read_contended<T: Shareable>(
    attached: &Attached,
    copies: &value::Place<'_>,
    locked: impl Fn(Until) -> Result<T>,
) -> Result<T> {
    const CALM: Duration = Duration::from_millis(1);
    loop {
        let read = value::read_patiently(attached, copies, || copies.try_read());
        let is_busy = |error: &Error| error.kind() == ErrorKind::Busy;
        if !read.as_ref().is_err_and(is_busy) {
            return read;
        }
        let read = locked(Until::after(CALM));
        let is_late = |error: &Error| error.kind() == ErrorKind::Timeout;
        if !read.as_ref().is_err_and(is_late) {
            return read;
        }
    }
}

/// Says that a part's bytes are not what they must be.
#[cold]
fn damaged(attached: &Attached, operation: &'static str) -> Error {
    value::damaged(attached, operation)
}
