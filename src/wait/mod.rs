//! How threads and tasks wait, and how they notice the death of the process that they wait for.
//!
//! - `poll`: a wait is a state machine that never blocks. A thread sleeps between its polls.
//! - `future`: the same for tasks. `helper` sleeps for them.
//! - `liveness`: which waiters check often whether an owner is alive; `model` runs it in every
//!   interleaving.

pub(crate) mod future;
mod helper;
pub(crate) mod liveness;
#[cfg(test)]
mod model;
pub(crate) mod poll;
