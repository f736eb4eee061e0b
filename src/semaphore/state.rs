//! The state of a semaphore, for inspection.

use std::sync::atomic::Ordering;

use crate::memory::format::SemaphoreWords;
use crate::parts::view::{PartView, Usage, share};

/// The state of a [`Semaphore`](crate::Semaphore), as inspection finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreState {
    /// The total number of permits.
    pub permits: u32,
    /// The holders, with the number of their permits.
    pub holders: Vec<Usage>,
}

impl SemaphoreState {
    pub(crate) fn of(part: &PartView<'_>) -> Option<SemaphoreState> {
        let words: SemaphoreWords = part.words()?;
        Some(SemaphoreState {
            permits: words.permits.load(Ordering::Relaxed),
            holders: part.usages(|mark, _| share(mark)),
        })
    }
}
