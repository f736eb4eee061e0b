//! What a person may see of shared memory without touching it.

use super::backend::LockFacts;

/// Describes memory that exists, and its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The system's identity: the identifier of a System V segment, the inode of a POSIX one.
    pub id: u64,
    /// The size in bytes.
    pub size: usize,
    /// The user it belongs to.
    pub owner: u32,
    /// The permission bits.
    pub mode: u32,
    /// How many mappings of it exist, in all processes. POSIX does not count them: 0 is proven by
    /// the kernel, and any other number is not known.
    pub attachments: Option<u64>,
    /// The process that made it, where the system knows and it can be seen from here.
    pub made_by: Option<u32>,
    /// The process that attached or detached last, likewise.
    pub last_used_by: Option<u32>,
    /// The lock; `None` if there is none, because it was not needed yet.
    pub lock: Option<LockStatus>,
}

/// Describes a lock that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStatus {
    /// How many could take it now: 1 or, when it is held, 0; more after a program without this
    /// library has broken it.
    pub free: u32,
    /// The process that holds it, where the system knows and it can be seen from here.
    pub holder: Option<u32>,
    /// How many wait for it, where the system knows.
    pub waiters: Option<u32>,
}

impl From<LockFacts> for LockStatus {
    fn from(facts: LockFacts) -> LockStatus {
        LockStatus {
            free: facts.value,
            holder: facts.last_changed_by.filter(|_| facts.value == 0),
            waiters: facts.waiters,
        }
    }
}
