//! What the processes of a count share: the value, a tally for each worker, and what became of the dead.
//!
//! Everything is read and written under the segment's lock. The rule is *value = sum of all tallies*; a worker that dies
//! between its two stores breaks it, and the next holder restores it from the tallies.

use anyhow::{Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use sharehold::{Guard, LockError, Segment};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// How many tallies there are.
pub(super) const PLACES: usize = 1024;
/// How many recoveries are kept until the parent has read them.
const RECOVERIES: usize = 8192;

/// The first block of the segment.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Head {
    value: u64,
    places_taken: u64,
    recoveries: u64,
}

/// One worker's own count, in one cache line.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Tally {
    pub(super) count: u64,
    /// When counting began and ended, in nanoseconds of the system's monotonic clock; 0 for not yet.
    pub(super) began: u64,
    pub(super) ended: u64,
    padding: [u64; 5],
}

/// A lock taken over: from whom, when, and how long that one had waited, in nanoseconds.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Recovery {
    pub(super) pid: u64,
    pub(super) at: u64,
    pub(super) waited: u64,
}

const VALUE: usize = 0;
const TALLIES: usize = 64;
const LOG: usize = TALLIES + PLACES * size_of::<Tally>();
/// How large the segment is.
pub(super) const SIZE: usize = LOG + RECOVERIES * size_of::<Recovery>();

/// The board, for whoever holds the lock.
pub(super) struct Board<'a> {
    guard: Guard<'a>,
}

impl<'a> Board<'a> {
    /// Locks the segment; after a death, restores the rule and notes the recovery.
    #[inline]
    pub(super) fn lock(segment: &'a Segment) -> Result<Board<'a>> {
        match segment.lock() {
            Ok(guard) => Ok(Board { guard }),
            Err(error) => Board::recover(error),
        }
    }

    #[cold]
    fn recover(error: LockError<'a>) -> Result<Board<'a>> {
        let LockError::Abandoned(found) = error else {
            return Err(sharehold::Error::from(error).into());
        };
        let recovery = Recovery {
            pid: found.culprit().map_or(0, |it| it.pid.into()),
            at: now(),
            waited: u64::try_from(found.waited().as_nanos())?,
        };
        // Whoever dies in here is a dead holder in turn, and the next one does it again.
        let guard = found.recover(|guard| {
            let mut sum = 0;
            for place in 0..PLACES {
                sum += guard
                    .read_at::<Tally>(TALLIES + place * size_of::<Tally>())?
                    .count;
            }
            guard.write_at(VALUE, &sum)?;
            let mut head: Head = guard.read_at(0)?;
            let entry = usize::try_from(head.recoveries)? % RECOVERIES;
            guard.write_at(LOG + entry * size_of::<Recovery>(), &recovery)?;
            head.recoveries += 1;
            guard.write_at(0, &head)?;
            anyhow::Ok(())
        })?;
        Ok(Board { guard })
    }

    pub(super) fn value(&self) -> Result<u64> {
        Ok(self.guard.read_at(VALUE)?)
    }

    /// Adds one to the value and sets the tally in `place`, which only one worker changes.
    #[inline]
    pub(super) fn count(&mut self, place: usize, tally: u64) -> Result<()> {
        let value: u64 = self.guard.read_at(VALUE)?;
        self.guard
            .write_at(TALLIES + place * size_of::<Tally>(), &tally)?;
        self.guard.write_at(VALUE, &(value + 1))?;
        Ok(())
    }

    pub(super) fn tally(&self, place: usize) -> Result<Tally> {
        ensure!(
            place < PLACES,
            "there is no place {}; they are numbered from 1 to {PLACES}",
            place + 1
        );
        Ok(self.guard.read_at(TALLIES + place * size_of::<Tally>())?)
    }

    pub(super) fn set_tally(&mut self, place: usize, tally: &Tally) -> Result<()> {
        Ok(self
            .guard
            .write_at(TALLIES + place * size_of::<Tally>(), tally)?)
    }

    /// Takes the first `places` for the parent's workers.
    pub(super) fn reserve(&mut self, places: u32) -> Result<()> {
        let head = Head {
            places_taken: places.into(),
            ..self.guard.read_at(0)?
        };
        Ok(self.guard.write_at(0, &head)?)
    }

    /// Takes a place for a worker that has none.
    pub(super) fn take_place(&mut self) -> Result<usize> {
        let mut head: Head = self.guard.read_at(0)?;
        let place = usize::try_from(head.places_taken)?;
        ensure!(
            place < PLACES,
            "all {PLACES} places are taken; start a new count"
        );
        head.places_taken += 1;
        self.guard.write_at(0, &head)?;
        Ok(place)
    }

    /// The recoveries from number `first` on, as far as they are still kept, and how many there were in all.
    pub(super) fn recoveries_since(&self, first: u64) -> Result<(Vec<Recovery>, u64)> {
        let head: Head = self.guard.read_at(0)?;
        let kept = first.max(head.recoveries.saturating_sub(RECOVERIES as u64));
        let log = (kept..head.recoveries)
            .map(|number| {
                let entry = usize::try_from(number)? % RECOVERIES;
                Ok(self.guard.read_at(LOG + entry * size_of::<Recovery>())?)
            })
            .collect::<Result<_>>()?;
        Ok((log, head.recoveries))
    }
}

/// The system's monotonic clock in nanoseconds: the same in every process.
pub(super) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)).unwrap_or(0)
}
