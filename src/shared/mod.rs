//! Data that are old or new, never in between: values with a type, and transactions on bytes.

pub(crate) mod look;
mod protocol;
#[cfg(test)]
mod tests;
mod transaction;
mod value;

pub use transaction::Transaction;
pub use value::{ReadOnlyShared, Shared};
