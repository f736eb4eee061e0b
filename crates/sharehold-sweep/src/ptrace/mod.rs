//! The only calls into the system, and the only `unsafe` code.
//!
//! One folder member for each platform; all offer the same items:
//!
//! - [`SUPPORTED`]: whether a sweep can run here at all.
//! - [`operate`]: in the victim, runs the operation between two breakpoint instructions. The first
//!   hands the process to its parent, stopped directly before the operation; the second is where
//!   the parent sees that the operation is over. Never returns.
//! - [`die_with_parent`]: asks the system to kill this process when the thread that started it
//!   ends.
//! - [`kill`]: sends SIGKILL to a victim that has not been reaped, from any thread.
//! - [`Tracee`]: in the parent, a victim. All its methods must be called by the thread that started
//!   it, since the system accepts a tracer's requests from no other. What waits for the victim
//!   fails with [`Error::EndedEarly`](crate::Error::EndedEarly) if it dies instead.
//!
//! A `Tracee` is stopped between any two calls from [`Tracee::wait_for_start`] until
//! [`Tracee::kill`], and is reaped by [`Tracee::reap`] alone: until then its process ID names it
//! and nothing else.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use linux::{SUPPORTED, Tracee, die_with_parent, kill, operate};

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod unsupported;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) use unsupported::{SUPPORTED, Tracee, die_with_parent, kill, operate};
