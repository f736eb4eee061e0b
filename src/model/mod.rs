//! What the models of the protocols have in common.
//!
//! A model runs the code of a protocol, as it is, through every interleaving of a few threads, with
//! deaths and stops. `search` goes through all states, `threads` has the threads and their memory,
//! `points` turns code into steps.

pub(crate) mod points;
pub(crate) mod search;
pub(crate) mod threads;
