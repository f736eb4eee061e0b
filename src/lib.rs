//! Keyed shared memory between processes that no process's death can break.

mod error;
mod inspect;
mod key;
mod memory;
mod schema;
mod segment;
mod shared;
mod sync;
mod sys;

pub use error::{Error, ErrorKind, Result};
pub use inspect::{Listed, Summary, list};
pub use key::MAX_KEY_LEN;
#[doc(hidden)]
pub use memory::{Reader, Words, Writer};
pub use schema::Shareable;
pub use segment::{Attachment, Bytes, Options, Policy, ReadOnlySegment, Segment, When};
pub use shared::{ReadOnlyShared, Shared, Transaction};
pub use sync::{Abandoned, Cause, Guard, LockError, NotAcquired};
