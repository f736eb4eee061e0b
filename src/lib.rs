//! Keyed shared memory between processes that no process's death can break.

#[cfg(test)]
extern crate self as sharehold; // For derived code in our own tests.

mod error;
mod inspect;
mod key;
mod memory;
pub mod qt;
mod schema;
mod segment;
mod shared;
mod sync;
mod sys;

pub use error::{Error, ErrorKind, Result};
pub use inspect::{Listed, Summary, list};
pub use key::MAX_KEY_LEN;
#[doc(hidden)]
pub use schema::support as __support;
pub use schema::{
    Difference, Field, FieldError, FieldValue, Kind, List, Member, Number, ParseSchemaError,
    Schema, Shareable, Text, TextTooLong, Variant,
};
pub use segment::{Attachment, Bytes, Options, Policy, ReadOnlySegment, Recoveries, Segment, When};
pub use shared::{ReadOnlyShared, Shared, Transaction};
pub use sharehold_derive::Shareable;
pub use sync::{Abandoned, Cause, Guard, LockError, NotAcquired};
