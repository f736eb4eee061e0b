//! Keyed shared memory between processes that no process's death can break.

mod error;
mod key;
mod memory;
pub mod qt;
mod segment;
mod sync;
mod sys;

pub use error::{Error, ErrorKind, Result};
pub use key::MAX_KEY_LEN;
pub use segment::{Attachment, Bytes, Options, Policy, ReadOnlySegment, Segment, When};
pub use sync::{Abandoned, Cause, Guard, LockError, NotAcquired};
