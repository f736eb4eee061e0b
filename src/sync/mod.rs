//! Locks and waiting. Attachments own locks; when an owner is proven dead, a waiter takes the lock
//! over.
//!
//! Algorithms over abstract steps, which `model` runs in every interleaving:
//!
//! | module | content |
//! |---|---|
//! | `protocol` | the lock |
//! | `sharing` | the read-write lock |
//! | `permits` | the semaphore |
//! | `event` | the event |
//! | `rounds` | the barrier |
//! | `change` | waiting for a version to change |
//! | `askers` | the checkers, which keep long waits cheap |
//!
//! The lock on shared memory:
//!
//! | module | content |
//! |---|---|
//! | `attempt` | the steps of `protocol` on the words of a lock |
//! | `hold` | the segment's own lock |
//! | `lock` | the guard of the segment's own lock |
//! | `atomic` | the guard in the atomic update mode |
//! | `part` | the lock of a part |
//! | `error` | why a lock was not acquired, or how its previous owner left it |
//! | `deadlock` | finds wait cycles |
//!
//! Waiting:
//!
//! | module | content |
//! |---|---|
//! | `waiting` | the form in which each wait is described |
//! | `acquiring` | waiting for a lock |
//! | `departures` | waiting for other attachments to leave |
//! | `future` | turns waits into futures |
//! | `helper` | the threads that sleep for futures |

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
