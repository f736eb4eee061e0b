//! The certificates of the last take-overs from the dead.

use std::time::{Duration, SystemTime};

use super::locks::{OWN_LOCK, named};
use super::parts;
use crate::schema::Schema;
use crate::segment::{Attachment, View, recoveries};

/// Certifies that a lock was taken over from a dead process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// How many there had been since the segment was created, this one included.
    pub number: u64,
    /// When the lock was taken over.
    pub at: SystemTime,
    /// How long after the dead one's last sign of life; zero if whoever took it over had not slept for it.
    pub took: Duration,
    /// Who died; `None` when that was not remembered any more.
    pub dead: Option<Attachment>,
    /// Who took the lock over; `None` when that is not remembered any more.
    pub by: Option<Attachment>,
    /// The path of the part that it is the lock of; `None` for the segment's own.
    pub part: Option<String>,
}

/// The last ones, the latest first.
pub(super) fn last(view: &View, schema: Option<&Schema>) -> Vec<Recovery> {
    let header = view.copied.header();
    let certified = recoveries::numbers(header).filter_map(|number| {
        let (at, found) = recoveries::record(header, number)?;
        let dead = found
            .previous_owner
            .map(|previous_owner| Attachment::of(found.dead, &previous_owner));
        let of_part = (found.lock != OWN_LOCK).then_some(found.lock);
        Some(Recovery {
            number,
            at,
            took: found.took,
            dead,
            by: named(view, found.by),
            part: of_part.and_then(|place| parts::path_of(view, schema?, place)),
        })
    });
    certified.collect()
}
