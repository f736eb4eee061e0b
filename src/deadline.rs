//! How long an operation waits.

use std::time::{Duration, Instant};

/// The end of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// The caller waits as long as it takes.
    Never,
    At(Instant),
    /// The caller tries once.
    Now,
}

impl Deadline {
    /// Returns the end of a wait that begins now and lasts at most `limit`: never, if the clock
    /// does not reach that far.
    pub(crate) fn after(limit: Duration) -> Deadline {
        let end = Instant::now().checked_add(limit);
        end.map_or(Deadline::Never, Deadline::At)
    }

    /// Returns the moment after which the caller does not wait any longer.
    pub(crate) fn instant(self) -> Option<Instant> {
        match self {
            Deadline::Never => None,
            Deadline::At(end) => Some(end),
            Deadline::Now => Some(Instant::now()),
        }
    }

    /// Returns the time left by the clock `now`, at most `period`; `None` when there is none.
    pub(crate) fn left(self, now: impl FnOnce() -> Instant, period: Duration) -> Option<Duration> {
        match self {
            Deadline::Never => Some(period),
            Deadline::Now => None,
            Deadline::At(end) => {
                let left = end.saturating_duration_since(now());
                (!left.is_zero()).then(|| left.min(period))
            }
        }
    }

    /// Whether the caller waits no longer.
    #[cfg(feature = "qt")]
    pub(crate) fn is_over(self) -> bool {
        self.instant().is_some_and(|end| Instant::now() >= end)
    }
}
