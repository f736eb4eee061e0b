//! The views of segments from outside. They never lock, wait, repair or keep a segment alive.
//!
//! A `summary` is the quick view of each of many segments. An `inspection` is the full view of one:
//! the `parts` with their holders and waiters, and each `recovery`. A `deadlock` may span
//! several segments. `foreign` lists shared objects of programs without this library.

mod deadlock;
#[cfg(feature = "qt")]
mod foreign;
mod inspection;
mod parts;
mod recovery;
mod summary;

use std::path::PathBuf;

use crate::segment::{self, Segment, SegmentOptions};
use crate::sys;

pub use deadlock::{Deadlock, WaitEdge, deadlocks};
#[cfg(feature = "qt")]
pub use foreign::{ForeignKind, ForeignObject, list_foreign};
pub use inspection::{Inspection, inspect};
pub use parts::{PartInfo, PartState};
pub use recovery::Recovery;
pub use summary::{
    Consistency, ListEntry, Summary, ValueType, list, list_all_users, owners, summarize,
};

/// Returns the directory of this user's segments. It is created together with the first segment.
///
/// It is `/dev/shm/sharehold-UID`, or the value of the environment variable `SHAREHOLD_DIR`: the
/// absolute path of a directory that exists or can be created, and that no other user may write.
/// Its mode becomes 0711, and stays so, when a segment in it is shared with other users: see
/// [`SegmentOptions::mode`](crate::SegmentOptions::mode).
pub fn directory() -> PathBuf {
    Segment::options().directory()
}

impl SegmentOptions {
    /// Returns the directory of the segments of the [owner](SegmentOptions::owner), or of this
    /// user.
    pub fn directory(&self) -> PathBuf {
        segment::directory_of(self.named_owner().unwrap_or_else(sys::effective_user))
    }
}
