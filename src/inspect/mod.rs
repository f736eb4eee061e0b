//! What a person may see of segments. It never locks, waits, repairs or keeps a segment alive.
//!
//! What is seen of many segments, quickly, is a `summary`; what is seen of one is an `inspection`. What other
//! programs share without this library is `foreign`.

mod foreign;
mod inspection;
mod summary;

use std::path::PathBuf;

use crate::segment;
use crate::sys;

pub use foreign::{Foreign, ForeignKind, list_foreign};
pub use inspection::{Inspection, inspect};
pub use summary::{Condition, Holder, Listed, LockState, Summary, ValueType, list, summarize};

/// Returns the directory of this user's segments, which is made with the first one.
///
/// The environment variable `SHAREHOLD_DIR` moves it.
pub fn directory() -> PathBuf {
    segment::directory_of(sys::effective_user())
}
