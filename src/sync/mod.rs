//! Locks that the death of a holder cannot keep: held by slots, taken over on proof.
//!
//! `protocol` is the algorithm over abstract steps, which `model` runs in every interleaving, and so are `sharing`, `permits`, `event` and
//! `rounds` for the parts of a segment that need more than a lock; `attempt` is its steps on the words
//! of a lock, `hold` the segment's own lock made of it, `lock` its guard, `atomic` a hold for those whose death leaves nothing; `error` says why a lock was
//! not had, or what its last holder left; `part` is the lock of a part of a segment, made of the same; `askers` keeps long waits cheap,
//! `deadlock` finds those that cannot end.
//!
//! `waiting` is how whatever can be waited for says so; `change` is waiting for a version to change, `departures` for others to
//! leave, `acquiring` for a lock; `future` makes futures of them, for which `helper` sleeps.

mod acquiring;
pub(crate) mod askers;
mod atomic;
mod attempt;
pub(crate) mod change;
pub(crate) mod deadlock;
mod departures;
mod error;
pub(crate) mod event;
pub(crate) mod future;
mod helper;
mod hold;
mod lock;
#[cfg(test)]
pub(crate) mod model;
pub(crate) mod part;
pub(crate) mod permits;
mod protocol;
pub(crate) mod rounds;
pub(crate) mod sharing;
pub(crate) mod waiting;

pub(crate) use acquiring::{Acquiring, Who};
pub(crate) use attempt::{Lock, Manner};
pub use departures::Departures;
pub(crate) use error::Left;
pub use error::{Abandoned, Cause, LockError, NotAcquired};
pub use lock::{AnyThread, Guard, OneThread};
pub(crate) use protocol::Until;
