//! The records of the last recoveries from dead owners.

use std::time::{Duration, SystemTime};

use super::parts;
use crate::lock::state::{OWN_LOCK, named};
use crate::schema::Schema;
use crate::segment::{Attachment, View, recoveries};

/// The record of a lock that was recovered from a dead process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The number of this recovery since the segment was created, counted from 1.
    pub number: u64,
    /// The time of the recovery.
    pub at: SystemTime,
    /// The time since the dead owner's last sign of life; zero if the recovering process had not
    /// slept for the lock.
    pub took: Duration,
    /// The dead owner; `None` if its record had been overwritten.
    pub dead: Option<Attachment>,
    /// The attachment that recovered the lock; `None` if its record was overwritten since.
    pub by: Option<Attachment>,
    /// The path of the part with the lock; `None` for the segment's own lock.
    pub part: Option<String>,
}

/// Returns the last recoveries, the latest first.
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
