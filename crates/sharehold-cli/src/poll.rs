//! Waiting for what nobody tells us of: looking again and again.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until `look` finds something; `None` when the time was over first. It looks once in any case.
pub(crate) fn until<T>(
    timeout: Option<Duration>,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let end = timeout.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
        thread::sleep(left.map_or(PAUSE, |left| left.min(PAUSE)));
    }
}
