//! Locks that the death of a holder cannot keep: held by slots, taken over on proof.
//!
//! `protocol` is the algorithm over abstract steps, so that a model checker can run it; `hold` is the segment's own
//! lock made of it, `lock` its guard, `atomic` a hold for those
//! whose death leaves nothing; `error` says why a lock was not had, or what its last holder left.

#![expect(
    clippy::inline_always,
    reason = "the fast path: a call would cost more than the atomic operation, see `hold`"
)]

mod atomic;
mod error;
mod hold;
mod lock;
mod protocol;

pub use error::{Abandoned, Cause, LockError, NotAcquired};
pub use lock::Guard;
