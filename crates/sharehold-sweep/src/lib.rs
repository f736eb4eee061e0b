//! Kills a process after every instruction of an operation: the crate's front, which only
//! re-exports.
//!
#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod cli;
mod error;
mod maps;
mod place;
mod plan;
mod ptrace;
mod report;
mod role;
mod scenario;
mod sweep;
mod trace;
mod victim;
mod watchdog;
mod world;

pub use cli::main;
pub use error::Error;
pub use plan::Points;
pub use report::{Failure, Report};
pub use role::play_role;
pub use scenario::{Outcome, Scenario};
pub use victim::{Death, Ready, Victim, Zombie};
pub use world::World;
