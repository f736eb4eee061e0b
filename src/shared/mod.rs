//! Data that are old or new, never in between: values with a type, and transactions on bytes.

pub(crate) mod any;
mod contents;
mod handle;
pub(crate) mod look;
mod migrate;
mod pollable;
mod protocol;
#[cfg(test)]
mod tests;
mod transaction;
pub(crate) mod value;
pub(crate) mod waiting;
mod watch;

pub use any::{AnyShared, ReadOnlyAnyShared};
pub use contents::Contents;
pub use handle::{ReadOnlyShared, Shared};
pub use pollable::PollableWatch;
pub use transaction::Transaction;
pub use watch::{Versioned, Watch};
