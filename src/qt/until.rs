//! When to stop waiting.

use std::time::{Duration, Instant};

/// The end of a wait.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// There is none: the caller asked for it.
    Forever,
    /// Then.
    At(Instant),
}

impl Until {
    pub(super) fn after(wait: Duration) -> Until {
        // A time that does not fit the clock does not come.
        Instant::now()
            .checked_add(wait)
            .map_or(Until::Forever, Until::At)
    }

    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Until::Forever => None,
            Until::At(deadline) => Some(deadline),
        }
    }

    pub(super) fn is_over(self) -> bool {
        self.deadline()
            .is_some_and(|deadline| Instant::now() >= deadline)
    }
}
