//! What a person may see of segments. It never locks, waits, repairs or keeps a segment alive.
//!
//! What is seen of many segments, quickly, is a `summary`; what is seen of one is an `inspection`.

mod inspection;
mod summary;

pub use inspection::{Inspection, inspect};
pub use summary::{Condition, Holder, Listed, LockState, Summary, ValueType, list};
