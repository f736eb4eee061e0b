//! Data that are replaced as a whole: typed values, and transactions on bytes.

pub(crate) mod change;
mod contents;
pub(crate) mod copies;
mod migrate;
#[cfg(test)]
mod model;
mod pollable;
mod protocol;
mod shared;
mod transaction;
pub(crate) mod untyped;
pub(crate) mod view;
pub(crate) mod wait;
mod watch;

pub use contents::Contents;
pub use copies::Versioned;
pub use pollable::PollableWatch;
pub use shared::{ReadOnlyShared, Shared};
pub use transaction::Transaction;
pub use untyped::{ReadOnlyUntypedShared, UntypedShared};
pub use watch::Watch;
