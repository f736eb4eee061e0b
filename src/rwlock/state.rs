//! The state of a read-write lock, for inspection.

use std::sync::atomic::Ordering;

use super::memory::THREAD;
use super::protocol::Mark;
use crate::lock::state::LockState;
use crate::memory::format::ReadWriteWords;
use crate::parts::view::{PartView, Usage};

/// The state of an [`RwLock`](crate::RwLock), as inspection finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RwLockState {
    /// The writer, inside or waiting for readers to leave.
    pub writer: LockState,
    /// The readers, with the number of their threads.
    pub readers: Vec<Usage>,
}

impl RwLockState {
    pub(crate) fn of(part: &PartView<'_>) -> Option<RwLockState> {
        let words: ReadWriteWords = part.words()?;
        let phase = words.phase.load(Ordering::Relaxed);
        Some(RwLockState {
            writer: part.lock(&words.lock, THREAD),
            readers: part.usages(|mark, _| Mark(mark).inside(phase)),
        })
    }
}
