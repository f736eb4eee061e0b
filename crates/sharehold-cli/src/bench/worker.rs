//! A process of the benchmark: does one thing until it is killed.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use rustix::fs::{FlockOperation, flock};
use rustix::time::{ClockId, clock_gettime};
use sharehold::{LockError, Segment, SegmentGuard, Shareable, Shared};

use crate::exit::Exit;
use crate::output;
use crate::process::Parent;

/// What the key of the board ends with.
pub(super) const BOARD: &str = ".board";

/// Where things are in the segment: what is counted; when its lock was released; how long it took
/// to get it then.
const VALUE: usize = 0;
pub(super) const STAMP: usize = 8;
pub(super) const DELAY: usize = 16;

/// How far each worker has counted.
#[derive(Debug, Default, Shareable)]
#[repr(C)]
pub(super) struct Board {
    pub(super) tallies: [u64; 8],
}

impl Board {
    pub(super) fn total(&self) -> u64 {
        self.tallies.iter().sum()
    }
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// Counts under the segment's lock.
    Count,
    /// Counts under flock.
    Flock,
    /// Changes the board all the time.
    Change,
    /// Sleeps for the lock, and says how quickly it got it.
    Sleep,
    /// Holds the lock.
    Hold,
}

impl Role {
    pub(super) fn word(self) -> &'static str {
        match self {
            Role::Count => "count",
            Role::Flock => "flock",
            Role::Change => "change",
            Role::Sleep => "sleep",
            Role::Hold => "hold",
        }
    }
}

/// Work for a running `sharehold bench`: what it starts its workers with
#[derive(Debug, clap::Args)]
pub(crate) struct WorkerArgs {
    #[arg(value_enum)]
    role: Role,

    /// Where its tally is
    place: usize,

    /// What flock locks
    file: PathBuf,

    /// The segment's key
    key: String,

    #[command(flatten)]
    parent: Parent,
}

/// Runs `sharehold bench-worker`.
pub(crate) fn work(args: &WorkerArgs) -> Result<ExitCode> {
    if !args.parent.die_with()? {
        return Ok(Exit::Failed.into());
    }
    let segment = Segment::attach(&args.key)?;
    let board = Shared::<Board>::attach(&format!("{}{BOARD}", args.key))?;
    match args.role {
        Role::Count => {
            let tally = Tally {
                board: &board,
                place: args.place,
                every: 4096,
            };
            tally.keep(|| {
                let mut guard = lock(&segment)?;
                let value: u64 = guard.read_at(VALUE)?;
                Ok(guard.write_at(VALUE, &value.wrapping_add(1))?)
            })
        }
        Role::Flock => {
            let file = File::open(&args.file).context("cannot open the file to lock")?;
            let tally = Tally {
                board: &board,
                place: args.place,
                every: 64,
            };
            tally.keep(|| {
                flock(&file, FlockOperation::LockExclusive)?;
                Ok(flock(&file, FlockOperation::Unlock)?)
            })
        }
        Role::Change => loop {
            board.update(|board| board.tallies[0] = board.tallies[0].wrapping_add(1))?;
        },
        Role::Sleep => loop {
            let mut guard = lock(&segment)?;
            let stamp: u64 = guard.read_at(STAMP)?;
            if stamp > 0 {
                guard.write_at(DELAY, &now().saturating_sub(stamp).max(1))?;
                guard.write_at(STAMP, &0_u64)?;
            }
            drop(guard);
            thread::sleep(Duration::from_micros(100));
        },
        Role::Hold => {
            let _guard = lock(&segment)?;
            output::line("held")?;
            loop {
                thread::park();
            }
        }
    }
}

/// Acquires the lock, also after the death of an owner: the numbers of a benchmark need no repair.
pub(super) fn lock(segment: &Segment) -> Result<SegmentGuard<'_>> {
    match segment.lock() {
        Ok(guard) => Ok(guard),
        Err(LockError::Abandoned(found)) => Ok(found.mark_consistent()),
        Err(error) => Err(sharehold::Error::from(error).into()),
    }
}

/// Where a worker says how often it has done something.
struct Tally<'a> {
    board: &'a Shared<Board>,
    place: usize,
    /// It says so after so many times.
    every: u64,
}

impl Tally<'_> {
    fn keep(&self, mut action: impl FnMut() -> Result<()>) -> Result<ExitCode> {
        loop {
            for _ in 0..self.every {
                action()?;
            }
            self.board.update(|board| {
                if let Some(tally) = board.tallies.get_mut(self.place) {
                    *tally += self.every;
                }
            })?;
        }
    }
}

/// The system's monotonic clock in nanoseconds: the same in every process.
pub(super) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)).unwrap_or(0)
}
