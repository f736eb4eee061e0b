//! Finds what Qt programs left: unused memory and semaphores, and locks that may be lost.

use sharehold::qt::{KeyType, SharedMemory, SystemSemaphore};

use super::Finding;
use crate::{foreign, format};

pub(super) fn check() -> Vec<Finding> {
    let mut found = Vec::new();
    for family in foreign::families_of_qt() {
        // Where there is no such directory, no program with Qt left anything.
        let all = family.all_memory().unwrap_or_default();
        found.extend(all.iter().filter_map(memory));
        let all = family.all_semaphores().unwrap_or_default();
        found.extend(all.iter().filter_map(semaphore));
    }
    found
}

fn memory(memory: &SharedMemory) -> Option<Finding> {
    // Another user's is for that one to look at.
    let status = memory.status().ok()??;
    let key = memory.native_key();
    let subject = format!("Qt {key}");
    if status.attachments == Some(0) {
        let detail = format!(
            "{}, and no process is attached",
            format::bytes(status.size as u64)
        );
        let found = Finding::wrong(subject, detail)
            .advise("`sharehold gc --qt` removes it, if its data are not meant to stay");
        return Some(found);
    }
    let is_held = status.lock.is_some_and(|lock| lock.free == 0);
    (is_held && key.key_type() == KeyType::Posix).then(|| {
        let detail = "its lock is held, and with POSIX the system neither says by whom nor frees the lock of the dead";
        Finding::note(subject, detail).advise(
            "if nobody gets it any more, end all who are attached; then `sharehold gc --qt` clears it away",
        )
    })
}

fn semaphore(semaphore: &SystemSemaphore) -> Option<Finding> {
    // Another user's, too.
    let is_stale = semaphore.is_stale().ok()?;
    is_stale.then(|| {
        Finding::wrong(
            format!("Qt {}", semaphore.native_key()),
            "a semaphore, and no process has it open",
        )
        .advise("`sharehold gc --qt` removes it, if what it counts is not meant to stay")
    })
}
