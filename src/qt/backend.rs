//! What the two families of objects, System V and POSIX, have in common for the rest of this
//! module.

use std::fmt::Debug;

use super::error::Result;
use crate::deadline::Deadline;
use crate::sys::Access;
use crate::sys::ipc::IpcMapping;

/// A segment that exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExistingSegment {
    /// The system's identity: another segment of the same name has another one.
    pub(super) id: u64,
    pub(super) size: usize,
    pub(super) owner: u32,
    pub(super) mode: u32,
    /// How many mappings of it there are, where the system counts them.
    pub(super) attached: Option<u64>,
    /// 0 when it is not known.
    pub(super) made_by: u32,
    /// 0 when it is not known.
    pub(super) last_used_by: u32,
}

/// The name of a segment, whether or not there is one.
pub(super) trait SegmentName: Debug + Send + Sync {
    /// The segment that has the name now.
    fn find(&self) -> Result<Option<ExistingSegment>>;

    /// Makes a segment, all zero; `AlreadyExists` when there is one.
    fn make(&self, size: usize) -> Result<u64>;

    /// Maps all of a segment, if its owner is trusted.
    fn attach(&self, id: u64, access: Access) -> Result<IpcMapping>;

    /// Removes a segment, if its owner is trusted, and its name if that still means this segment.
    fn remove(&self, id: u64) -> Result<()>;

    /// Whether anybody is attached to a segment, this process included; false when it is gone.
    fn is_used(&self, id: u64) -> Result<bool>;

    /// Whether all `len` bytes that were attached are still there to be touched.
    fn is_whole(&self, id: u64, len: usize) -> Result<bool>;

    /// Whether the last detach removes it, as in Qt with this family.
    fn goes_with_its_users(&self) -> bool;
}

/// What can be seen of a semaphore without touching it.
#[derive(Debug, Clone, Copy)]
pub(super) struct LockFacts {
    pub(super) value: u32,
    pub(super) last_changed_by: Option<u32>,
    pub(super) waiters: Option<u32>,
}

/// The name of a semaphore, whether or not there is one.
pub(super) trait SemaphoreName: Debug + Send + Sync {
    /// Finds the semaphore, or makes it with the value `initial`.
    fn open(&self, initial: u16, deadline: Deadline) -> Result<Box<dyn Set>>;

    /// What can be seen of the semaphore that has the name now.
    fn look(&self) -> Result<Option<LockFacts>>;

    /// Whether there is a semaphore that provably no process has open.
    fn is_unused(&self) -> Result<bool>;

    /// Removes a semaphore that provably no process has open; false if there is none.
    fn remove_unused(&self) -> Result<bool>;
}

/// How taking ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    NotInTime,
    /// The semaphore was removed, or no process can release it any longer.
    Gone,
}

/// How giving back ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Released {
    Yes,
    /// Another program had reset or removed the semaphore: it may have been inside as well. Nothing
    /// was given back.
    WasLost,
}

/// One semaphore, which may have lost its name since.
pub(super) trait Set: Debug + Send + Sync {
    /// Takes one, which the system gives back when this process dies, if it can.
    fn take(&self, deadline: Deadline) -> Result<Taken>;

    /// Gives back the only one that there is.
    fn give_back(&self) -> Result<Released>;

    /// Adds to a counting semaphore; false when it is gone.
    fn give(&self, number: u16) -> Result<bool>;

    /// Whether newcomers find this semaphore under its name.
    fn is_named(&self) -> Result<bool>;

    /// The system's identity.
    fn id(&self) -> u64;

    /// Whether others wait for it, as far as the system tells.
    fn has_waiters(&self) -> Result<bool>;

    /// Removes semaphore and name.
    fn remove(&self) -> Result<()>;

    /// Gives back what a dead process held, where the system does not do so and the death can be
    /// proven.
    fn recover(&self) -> Result<bool>;
}
