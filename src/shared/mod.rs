//! Data that are old or new, never in between: values with a type, and transactions on bytes.

mod protocol;
#[cfg(test)]
mod tests;
mod transaction;
pub(crate) mod value;

pub use transaction::Transaction;
pub use value::{ReadOnlyShared, Shared};
