//! Tests with real processes that are really killed.
//!
//! A test program is made of [`Suite`]s: tests, and roles that the tests' children play. The
//! program is executed again for each test, in a process group, and with a segment directory, of
//! its own; a test may therefore change user, limits or namespaces, crash or hang, and disturbs
//! none of those beside it. It fails by panicking, and also by leaving anything in its directory. A
//! [`Child`] is the same program again, playing a role; the two talk line by line, so that no test
//! sleeps until something has probably happened.
//!
//! What needs `unsafe` to be done to a process (fork behind the C library's back, close what is not
//! one's own) is in [`raw`].

// A test fails by panicking.
#![allow(clippy::missing_panics_doc)]

mod child;
pub mod raw;
mod suite;

pub use child::{Child, Talk, wait_until_asleep};
pub use suite::{Suite, directory, left_in_directory, main, need_root};
