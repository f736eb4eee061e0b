//! Waiting as a state machine: one look at a time, and what to sleep on between two looks.
//!
//! Everything that can be waited for says so in this way once; blocking and asynchronous callers differ only in how they
//! sleep. Nothing here knows what is waited for.

use std::time::{Duration, Instant};

use crate::sys::{self, Word};

/// Something that is waited for.
pub(crate) trait Wait {
    /// What is there at the end.
    type Output;

    /// Looks once: acts if it can, else says what to sleep on. Never blocks.
    ///
    /// Before it says [`Look::Sleep`] it has announced itself to those who would wake it, and has looked again after that.
    fn look(&mut self) -> Look<'_, Self::Output>;
}

impl<W: Wait> Wait for &mut W {
    type Output = W::Output;

    fn look(&mut self) -> Look<'_, W::Output> {
        (**self).look()
    }
}

/// What a look found.
pub(crate) enum Look<'a, R> {
    Ready(R),
    /// Sleep while the word has this value, at most for `limit`; then look again.
    Sleep {
        word: Word<'a>,
        seen: u32,
        /// How long at most, where somebody may have to be asked whether it lives; `None`: until woken.
        limit: Option<Duration>,
    },
    /// Sleep likewise, because nothing could be seen; who looks ends that in time itself.
    Blocked {
        word: Word<'a>,
        seen: u32,
        limit: Option<Duration>,
    },
}

/// Waits on the calling thread; `None` when the deadline came first.
pub(crate) fn block<W: Wait>(wait: &mut W, deadline: Option<Instant>) -> Option<W::Output> {
    loop {
        match wait.look() {
            Look::Ready(output) => return Some(output),
            Look::Sleep { word, seen, limit } => {
                let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
                if left.is_some_and(|left| left.is_zero()) {
                    return None;
                }
                let limit = match (limit, left) {
                    (Some(limit), Some(left)) => Some(limit.min(left)),
                    (limit, left) => limit.or(left),
                };
                sys::wait(word, seen, limit);
            }
            Look::Blocked { word, seen, limit } => sys::wait(word, seen, limit),
        }
    }
}

/// Waits on the calling thread, as long as it takes.
pub(crate) fn complete<W: Wait>(wait: &mut W) -> W::Output {
    loop {
        match wait.look() {
            Look::Ready(output) => return output,
            Look::Sleep { word, seen, limit } | Look::Blocked { word, seen, limit } => {
                sys::wait(word, seen, limit);
            }
        }
    }
}
