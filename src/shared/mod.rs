//! Data that are old or new, never in between: transactions on bytes.

mod transaction;

pub use transaction::Transaction;
