//! Segments that commands make for themselves: a key for each run, and clearing away what killed
//! runs left.

use std::process::id;

use sharehold::{Segment, list};

/// A key that no other run has, also in another PID namespace with the same directory.
pub(crate) fn key(command: &str) -> String {
    format!("{}{}.{:08x}", prefix(command), id(), fastrand::u32(..))
}

/// Removes what earlier runs of the command left when they were killed: segments without a living
/// user.
pub(crate) fn clear(command: &str) {
    // Leftovers that cannot be listed or removed do no harm: this run has another key.
    let prefix = prefix(command);
    let found = list().unwrap_or_default().into_iter();
    for summary in found.filter_map(|listed| listed.summary.ok()) {
        if summary.key.starts_with(&prefix) && summary.is_stale() {
            let _ = Segment::remove_stale(&summary.key);
        }
    }
}

fn prefix(command: &str) -> String {
    format!("sharehold.{command}.")
}
