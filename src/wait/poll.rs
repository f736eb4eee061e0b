//! Waiting as a state machine: one look at a time, and what to sleep on between two looks.
//!
//! Each wait is described once, in this form; blocking and asynchronous callers differ only in how
//! they sleep. This module does not know what a caller waits for.

use std::time::{Duration, Instant};

use crate::sys::{self, Word};

/// A wait.
pub(crate) trait Wait {
    /// The result of the wait.
    type Output;

    /// Looks once: completes the wait if it can, else returns what to sleep on. Never blocks.
    ///
    /// Before it returns [`Polled::Sleep`] it has announced itself to the processes that would wake
    /// it, and has then looked again.
    fn look(&mut self) -> Polled<'_, Self::Output>;
}

impl<W: Wait> Wait for &mut W {
    type Output = W::Output;

    fn look(&mut self) -> Polled<'_, W::Output> {
        (**self).look()
    }
}

/// The result of a look.
pub(crate) enum Polled<'a, R> {
    Ready(R),
    /// Sleep while the word has this value, at most for `limit`; then look again.
    Sleep {
        word: Word<'a>,
        seen: u32,
        /// The longest sleep, if the waiter must check liveness from time to time; `None`: until
        /// woken.
        limit: Option<Duration>,
    },
    /// Sleep likewise, because the look could see nothing. The deadline of the caller does not
    /// apply: the wait itself ends this state in time.
    Blocked {
        word: Word<'a>,
        seen: u32,
        limit: Option<Duration>,
    },
}

/// Waits on the calling thread; returns `None` when the deadline came first.
pub(crate) fn block<W: Wait>(wait: &mut W, deadline: Option<Instant>) -> Option<W::Output> {
    loop {
        match wait.look() {
            Polled::Ready(output) => return Some(output),
            Polled::Sleep { word, seen, limit } => {
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
            Polled::Blocked { word, seen, limit } => sys::wait(word, seen, limit),
        }
    }
}

/// Waits on the calling thread, as long as it takes.
pub(crate) fn complete<W: Wait>(wait: &mut W) -> W::Output {
    loop {
        match wait.look() {
            Polled::Ready(output) => return output,
            Polled::Sleep { word, seen, limit } | Polled::Blocked { word, seen, limit } => {
                sys::wait(word, seen, limit);
            }
        }
    }
}
