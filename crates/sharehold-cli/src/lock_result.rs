//! A segment's lock for commands, which report the death of a previous owner.

use std::time::Duration;

use sharehold::{Abandoned, Error, GuardNoSend, LockError, Segment, SegmentGuard};

/// The lock, held, with data that are whole or may be half written.
pub(crate) enum Locked<'a, B = GuardNoSend> {
    Sound(SegmentGuard<'a, B>),
    Left(Abandoned<'a, B>),
}

impl<'a> Locked<'a> {
    /// Waits for the lock, at most for the time that is given.
    pub(crate) fn acquire(
        segment: &'a Segment,
        timeout: Option<Duration>,
    ) -> Result<Locked<'a>, Error> {
        let locked = match timeout {
            None => segment.lock(),
            Some(limit) => segment.lock_timeout(limit),
        };
        Locked::of(locked)
    }
}

impl<'a, B> Locked<'a, B> {
    /// The lock, if it was acquired.
    pub(crate) fn of(
        locked: Result<SegmentGuard<'a, B>, LockError<'a, B>>,
    ) -> Result<Locked<'a, B>, Error> {
        match locked {
            Ok(guard) => Ok(Locked::Sound(guard)),
            Err(LockError::Abandoned(found)) => Ok(Locked::Left(found)),
            Err(other) => Err(other.into()),
        }
    }

    /// The previous owner that may have left half-written data: `pid 4711 (importer) died holding
    /// it`.
    pub(crate) fn left(&self) -> Option<String> {
        match self {
            Locked::Sound(_) => None,
            Locked::Left(found) => Some(found.to_string()),
        }
    }

    pub(crate) fn guard(&mut self) -> &mut SegmentGuard<'a, B> {
        match self {
            Locked::Sound(guard) => guard,
            Locked::Left(found) => found.guard(),
        }
    }

    /// Releases the lock and marks the data consistent, so that the next owner gets no error.
    pub(crate) fn vouch(self) {
        match self {
            Locked::Sound(guard) => drop(guard),
            Locked::Left(found) => drop(found.mark_consistent()),
        }
    }
}
