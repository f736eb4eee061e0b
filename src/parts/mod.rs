//! Parts: locks and other meeting points that share one segment, each of which survives the death of whoever uses it.
//!
//! A struct of parts is a struct of handles; [`Part`] says how they are laid out, created and attached together. Each primitive has
//! a file of its own; the algorithms of those that have one of their own are in `sync`, where the model checker runs them.

mod mutex;
mod once;
mod open;
mod place;
pub mod support;

pub use mutex::{Mutex, MutexGuard};
pub use once::Once;
pub use open::Part;

use std::time::{Duration, Instant};

use place::{Draft, Walk};

use crate::error::Error;
use crate::segment::table::Hold;
use crate::segment::{Attachment, Segment};
use crate::sync::Until;

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

/// Says that a part's bytes are not what they must be.
#[cold]
fn damaged(segment: &Segment, operation: &'static str) -> Error {
    crate::shared::value::damaged(segment.attached(), operation)
}
