//! What a person may see of segments. It never locks, waits, repairs or keeps a segment alive.
//!
//! What is seen of many segments, quickly, is a `summary`; what is seen of one is an `inspection`: `locks` and `parts`, who has
//! them and who waits, and each `recovery`. A `deadlock` goes through several segments. What other programs share without this library is `foreign`.

mod deadlock;
mod foreign;
mod inspection;
mod locks;
mod parts;
mod recovery;
mod summary;

use std::path::PathBuf;

use crate::segment::{self, Segment, SegmentOptions};
use crate::sys;

pub use deadlock::{Deadlock, WaitEdge, deadlocks};
pub use foreign::{ForeignKind, ForeignObject, list_foreign};
pub use inspection::{Inspection, inspect};
pub use locks::{Holder, LockState, Waiter};
pub use parts::{PartInfo, PartState, Usage};
pub use recovery::Recovery;
pub use summary::{
    Consistency, ListEntry, Summary, ValueType, list, list_all_users, owners, summarize,
};

/// Returns the directory of this user's segments, which is made with the first one.
///
/// It is `/dev/shm/sharehold-UID`, or what the environment variable `SHAREHOLD_DIR` says: the absolute path of a directory that is
/// there or can be made, and that no other user may write. Its mode becomes 0711, and stays so, when a segment in it is shared with other
/// users: see [`SegmentOptions::mode`](crate::SegmentOptions::mode).
pub fn directory() -> PathBuf {
    Segment::options().directory()
}

impl SegmentOptions {
    /// Returns the directory of the segments that are meant: those of the [owner](SegmentOptions::owner), or of this user.
    pub fn directory(&self) -> PathBuf {
        segment::directory_of(self.named_owner().unwrap_or_else(sys::effective_user))
    }
}
