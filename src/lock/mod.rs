//! The lock that the death of its owner cannot keep, and what is made of it.
//!
//! - `protocol`: the algorithm over abstract steps, with its invariants; `model` runs it in every
//!   interleaving.
//! - `raw`: one lock of a segment, by its words. `attempt`: the steps of `protocol` on them.
//!   `acquire`: acquiring and releasing.
//! - `segment`, `guard`: the segment's own lock and its guard.
//! - `error`: why a lock was not acquired, and what its previous owner left.
//! - `deadlock`: waits that cannot end.
//! - `state`: its holder and waiters, for inspection.

mod acquire;
mod attempt;
pub(crate) mod deadlock;
mod error;
mod guard;
#[cfg(test)]
mod model;
mod protocol;
mod raw;
mod segment;
pub(crate) mod state;

pub(crate) use acquire::{AcquireWait, RawLockGuard, WaitMode};
pub(crate) use error::Abandonment;
pub use error::{AbandonCause, AcquireError};
pub use guard::{Abandoned, GuardNoSend, GuardSend, LockError, SegmentGuard};
pub(crate) use raw::{RawLock, UpdateMode};
