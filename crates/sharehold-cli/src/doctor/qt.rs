//! What programs with Qt left: memory that nobody is attached to.

use sharehold::qt::{Options, SharedMemory};

use super::Finding;
use crate::human;

pub(super) fn check() -> Vec<Finding> {
    // Where there is no such directory, no program with Qt left anything.
    let all = Options::new().all_memory().unwrap_or_default();
    all.iter().filter_map(memory).collect()
}

fn memory(memory: &SharedMemory) -> Option<Finding> {
    // Another user's is for that one to look at.
    let status = memory.status().ok()??;
    let subject = format!("Qt {}", memory.native_key());
    (status.attachments == Some(0)).then(|| {
        let detail = format!(
            "{}, and nobody is attached",
            human::bytes(status.size as u64)
        );
        Finding::wrong(subject, detail)
            .advise("`sharehold gc --qt` removes it, if its data are not meant to stay")
    })
}
