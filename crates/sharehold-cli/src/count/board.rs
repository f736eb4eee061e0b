//! What the processes of a count share, and the three ways to change it: bytes, a value, a
//! transaction.
//!
//! The rule is *value = sum of all tallies*. With plain bytes, a worker that dies between its two
//! stores breaks it, and the next holder restores it from the tallies; a value and a transaction
//! never break it.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use rustix::time::{ClockId, clock_gettime};
use sharehold::{
    LockError, RecoveryStats, Segment, SegmentData, SegmentGuard, Shareable, Shared, Transaction,
};

use crate::exit::{Exit, Failure};
use crate::format;

/// How many tallies there are.
pub(super) const PLACES: usize = 72;

/// All that is shared, as one type. With bytes and transactions each field is a number at the same
/// offset.
#[derive(Debug, Clone, Shareable)]
#[repr(C)]
pub(super) struct Tally {
    /// Tells a segment of a count from any other one: see [`MARK`].
    mark: u64,
    pub(super) value: u64,
    places_taken: u64,
    /// When the first worker began and the last one ended, in nanoseconds of the system's monotonic
    /// clock; 0 for not yet.
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) by_worker: [u64; PLACES],
}

const NUMBERS: usize = 5 + PLACES;

/// What every count's segment begins with.
const MARK: u64 = u64::from_le_bytes(*b"sh.count");

/// How the shared numbers are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Way {
    /// Bytes under the lock, repaired after a death
    Bytes,
    /// One typed value, committed as a whole
    Value,
    /// Bytes in a transaction, rolled back after a death
    Transaction,
}

/// The shared numbers, attached to.
pub(super) enum Board {
    Bytes(Segment),
    Value(Shared<Tally>),
    Transaction(Segment),
}

impl Board {
    pub(super) fn create(key: &str, way: Way) -> Result<Board> {
        // Room for the slots of the dead until they are used again.
        let options = Segment::options().slots(1024).size(NUMBERS * 8);
        let mark = |bytes: &mut SegmentData<'_>| bytes.write_at(MARKED * 8, &MARK);
        Ok(match way {
            Way::Bytes => Board::Bytes(options.create_with(key, mark)?),
            Way::Transaction => Board::Transaction(options.log(256).create_with(key, mark)?),
            Way::Value => {
                let none = Tally {
                    mark: MARK,
                    value: 0,
                    places_taken: 0,
                    began: 0,
                    ended: 0,
                    by_worker: [0; PLACES],
                };
                Board::Value(options.create_shared(key, &none)?)
            }
        })
    }

    /// Attaches to the segment of a count, and to no other one.
    pub(super) fn attach(key: &str, way: Way) -> Result<Board> {
        let board = match way {
            Way::Bytes => Board::Bytes(Segment::attach(key)?),
            Way::Transaction => Board::Transaction(Segment::attach(key)?),
            Way::Value => Board::Value(Shared::attach(key)?),
        };
        if board.mark()? == MARK {
            return Ok(board);
        }
        let detail = format!("`{}` is no segment of a count", format::visible(key));
        Err(Failure::new(Exit::Damaged, detail).into())
    }

    /// What the segment begins with. It is only looked at: whatever state its data are in, they may
    /// be another program's.
    fn mark(&self) -> Result<u64> {
        let at = MARKED * 8;
        match self {
            Board::Bytes(segment) => match segment.lock() {
                Ok(guard) => Ok(guard.read_at(at)?),
                Err(LockError::Abandoned(mut found)) => Ok(found.guard().read_at(at)?),
                Err(error) => Err(sharehold::Error::from(error).into()),
            },
            Board::Value(value) => Ok(value.get()?.mark),
            Board::Transaction(segment) => segment.transaction(|tx| Ok(tx.read_at(at)?)),
        }
    }

    pub(super) fn detach(self) -> Result<()> {
        match self {
            Board::Bytes(segment) | Board::Transaction(segment) => segment.detach()?,
            Board::Value(value) => value.detach()?,
        }
        Ok(())
    }

    pub(super) fn recoveries(&self) -> Result<RecoveryStats> {
        let segment = match self {
            Board::Bytes(segment) | Board::Transaction(segment) => segment,
            Board::Value(value) => value.segment(),
        };
        Ok(segment.recoveries()?)
    }

    /// The value now; `None` if the lock was held for long; its owner may be stopped.
    pub(super) fn value(&self) -> Result<Option<u64>> {
        const PATIENCE: Duration = Duration::from_millis(50);
        let segment = match self {
            Board::Bytes(segment) | Board::Transaction(segment) => segment,
            Board::Value(value) => return Ok(Some(value.get()?.value)),
        };
        match restored(segment.lock_timeout(PATIENCE)) {
            Ok(guard) => Ok(Some(guard.number(VALUE)?)),
            Err(error) if Exit::of(&error) == Exit::Busy => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Calls a function on the numbers under the lock.
    #[inline]
    pub(super) fn perform<S: Step>(&self, step: S) -> Result<S::Output> {
        match self {
            Board::Bytes(segment) => step.on(&mut restored(segment.lock())?),
            Board::Value(value) => value.try_update(|tally| step.on(tally)),
            Board::Transaction(segment) => segment.transaction(|tx| step.on(tx)),
        }
    }
}

/// The bytes, locked; after a death, with the rule restored.
#[inline]
fn restored<'a>(locked: Result<SegmentGuard<'a>, LockError<'a>>) -> Result<SegmentGuard<'a>> {
    match locked {
        Ok(guard) => Ok(guard),
        // A process that dies in the repair is a dead owner too, and the next owner repairs again.
        Err(LockError::Abandoned(found)) => found.recover(|guard| {
            let all = ReadAll.on(guard)?;
            guard.set(VALUE, all.by_worker.iter().sum())
        }),
        Err(error) => Err(sharehold::Error::from(error).into()),
    }
}

/// The numbers, by their place among the fields of [`Tally`].
pub(super) trait Numbers {
    fn number(&self, index: usize) -> Result<u64>;
    fn set(&mut self, index: usize, number: u64) -> Result<()>;
}

const MARKED: usize = 0;
const VALUE: usize = 1;
const PLACES_TAKEN: usize = 2;
const BEGAN: usize = 3;
const ENDED: usize = 4;
const TALLIES: usize = 5;

impl Numbers for SegmentGuard<'_> {
    #[inline]
    fn number(&self, index: usize) -> Result<u64> {
        Ok(self.read_at(index * 8)?)
    }

    #[inline]
    fn set(&mut self, index: usize, number: u64) -> Result<()> {
        Ok(self.write_at(index * 8, &number)?)
    }
}

impl Numbers for Transaction<'_> {
    #[inline]
    fn number(&self, index: usize) -> Result<u64> {
        Ok(self.read_at(index * 8)?)
    }

    #[inline]
    fn set(&mut self, index: usize, number: u64) -> Result<()> {
        Ok(self.write_at(index * 8, &number)?)
    }
}

impl Numbers for Tally {
    #[inline]
    fn number(&self, index: usize) -> Result<u64> {
        Ok(match index {
            MARKED => self.mark,
            VALUE => self.value,
            PLACES_TAKEN => self.places_taken,
            BEGAN => self.began,
            ENDED => self.ended,
            tally => self.by_worker[tally - TALLIES],
        })
    }

    #[inline]
    fn set(&mut self, index: usize, number: u64) -> Result<()> {
        *match index {
            MARKED => &mut self.mark,
            VALUE => &mut self.value,
            PLACES_TAKEN => &mut self.places_taken,
            BEGAN => &mut self.began,
            ENDED => &mut self.ended,
            tally => &mut self.by_worker[tally - TALLIES],
        } = number;
        Ok(())
    }
}

/// Something that is done to the numbers under one hold of the lock.
pub(super) trait Step {
    type Output;
    fn on(self, numbers: &mut impl Numbers) -> Result<Self::Output>;
}

/// Adds one to the value, and sets the tally in a place, which only one worker changes.
pub(super) struct Count {
    pub(super) place: usize,
    pub(super) tally: u64,
}

impl Step for Count {
    type Output = ();

    #[inline]
    fn on(self, numbers: &mut impl Numbers) -> Result<()> {
        let value = numbers.number(VALUE)?;
        numbers.set(TALLIES + self.place, self.tally)?;
        numbers.set(VALUE, value + 1)
    }
}

/// Begins to count in a place, or in a free one; returns the place and the tally of one that was
/// killed in it.
pub(super) struct Begin {
    pub(super) place: Option<usize>,
}

impl Step for Begin {
    type Output = (usize, u64);

    fn on(self, numbers: &mut impl Numbers) -> Result<(usize, u64)> {
        let place = if let Some(place) = self.place {
            place
        } else {
            let free = numbers.number(PLACES_TAKEN)?;
            numbers.set(PLACES_TAKEN, free + 1)?;
            usize::try_from(free)?
        };
        ensure!(
            place < PLACES,
            "there are {PLACES} places, and all are taken; start a new count"
        );
        if numbers.number(BEGAN)? == 0 {
            numbers.set(BEGAN, now())?;
        }
        Ok((place, numbers.number(TALLIES + place)?))
    }
}

/// Ends counting in a place; returns its tally.
pub(super) struct End {
    pub(super) place: usize,
}

impl Step for End {
    type Output = u64;

    fn on(self, numbers: &mut impl Numbers) -> Result<u64> {
        numbers.set(ENDED, now())?;
        numbers.number(TALLIES + self.place)
    }
}

/// Takes the first places for the parent's workers.
pub(super) struct Reserve {
    pub(super) places: u32,
}

impl Step for Reserve {
    type Output = ();

    fn on(self, numbers: &mut impl Numbers) -> Result<()> {
        numbers.set(PLACES_TAKEN, self.places.into())
    }
}

/// Reads everything.
pub(super) struct ReadAll;

impl Step for ReadAll {
    type Output = Tally;

    fn on(self, numbers: &mut impl Numbers) -> Result<Tally> {
        let mut by_worker = [0; PLACES];
        for (place, tally) in by_worker.iter_mut().enumerate() {
            *tally = numbers.number(TALLIES + place)?;
        }
        Ok(Tally {
            mark: numbers.number(MARKED)?,
            value: numbers.number(VALUE)?,
            places_taken: numbers.number(PLACES_TAKEN)?,
            began: numbers.number(BEGAN)?,
            ended: numbers.number(ENDED)?,
            by_worker,
        })
    }
}

/// The system's monotonic clock in nanoseconds: the same in every process.
pub(super) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)).unwrap_or(0)
}
