//! The lock that the death of its owner cannot keep, and what is made of it.
//!
//! - `protocol`: the algorithm over abstract steps, with its invariants; `model` runs it in every
//!   interleaving.
//! - `attempt`: its steps on the words of a lock in a segment.
//! - `hold`, `guard`: the segment's own lock and its guard. `atomic`: the same for atomic updates.
//! - `part`: the lock of a part. `acquiring`: the wait for either.
//! - `error`: why a lock was not acquired, and what its previous owner left.
//! - `deadlock`: waits that cannot end.
//! - `state`: its holder and waiters, for inspection.

mod acquiring;
mod atomic;
mod attempt;
pub(crate) mod deadlock;
mod error;
mod guard;
mod hold;
#[cfg(test)]
mod model;
pub(crate) mod part;
mod protocol;
pub(crate) mod state;

pub(crate) use acquiring::{AcquireWait, WaitMode};
pub(crate) use attempt::{Lock, UpdateMode};
pub(crate) use error::Abandonment;
pub use error::{AbandonCause, AcquireError};
pub use guard::{Abandoned, GuardNoSend, GuardSend, LockError, SegmentGuard};
