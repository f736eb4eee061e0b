//! Data that are old or new, never in between: values with a type, and transactions on bytes.

mod any;
pub(crate) mod look;
mod pollable;
mod protocol;
#[cfg(test)]
mod tests;
mod transaction;
pub(crate) mod value;
pub(crate) mod waiting;
mod watch;

pub use any::{AnyShared, ReadOnlyAnyShared};
pub use pollable::PollableWatch;
pub use transaction::Transaction;
pub use value::{ReadOnlyShared, Shared};
pub use watch::{Versioned, Watch};
