//! `sharehold count`: processes count together to a total in one segment, each increment under its
//! lock.
//!
//! This module has the arguments. `parent` starts and watches the workers, `worker` counts, `board`
//! is the shared value, `qt` does the same in memory of Qt programs, and `report` prints results.

mod board;
mod parent;
mod qt;
mod report;
mod worker;

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use board::Way;

use crate::exit::Exit;
use crate::process::Parent;
use crate::units;

/// Count to a total with several processes in one segment, each increment under its lock
///
/// A parent creates the segment, starts the workers, prints progress once a second, and removes the
/// segment at the end. With --chaos it keeps killing workers, and the count is still exact. The
/// same holds if you kill workers: the parent replaces each of them.
///
/// A signal such as Ctrl-C ends it early: it prints the result up to there, removes the segment and
/// ends by that signal. If the parent is killed with SIGKILL, the system kills its workers, and the
/// next count removes the segment.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold count                             4 workers count to 1,000,000
  sharehold count --workers 8 --to 50000000   more of both
  sharehold count --to 400000000 --chaos 200  kill 200 workers a second meanwhile
  sharehold count --with value --chaos 200    the same with nothing to repair
  sharehold count --qt --qt-worker ./peer     with Qt programs, in memory of theirs
  sharehold count --json | tail -n 1          the result, for a program

Exit status: 0 counted exactly, or the reader of the output has gone, 1 not, or the output cannot be written, 2 wrong usage,
4 the key is in use, 6 not permitted; ended by a signal: a shell shows 130 after Ctrl-C, 143 after SIGTERM.")]
pub(crate) struct Args {
    /// How many processes count
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=MAX_WORKERS))]
    workers: u32,

    /// How far they count together
    #[arg(long, value_name = "TOTAL", default_value = "1000000", value_parser = units::total)]
    to: NonZeroU64,

    /// Key of the segment, which must be free [default: a key of its own]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// How they change what they share
    #[arg(long, value_enum, value_name = "WAY", default_value = "bytes")]
    with: Way,

    /// One JSON object a line instead of text; the last one is the result
    #[arg(long)]
    json: bool,

    /// Kill a random worker this many times a second, and start another in its place
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    chaos: Option<u32>,

    /// Count in Qt's memory, under Qt's lock: a `QSharedMemory` of an int
    #[arg(long, conflicts_with_all = ["with", "chaos"])]
    qt: bool,

    /// A Qt program that counts beside the workers, such as those that ci/qt-peers builds from
    /// tests/qt/peer
    #[arg(long, value_name = "PATH", requires = "qt")]
    qt_worker: Option<PathBuf>,

    /// Number of such programs [default: 2]
    #[arg(long, value_name = "N", requires = "qt_worker", value_parser = clap::value_parser!(u32).range(1..=MAX_WORKERS))]
    workers_qt: Option<u32>,
}

/// As many as there are places on the board, less some for workers that are started by hand.
const MAX_WORKERS: i64 = 64;

/// Count in the segment of a running `sharehold count`: what it starts its workers with
///
/// By hand it counts beside the workers of `sharehold count --key KEY`, in another terminal:
/// sharehold count-worker KEY SHARE
#[derive(Debug, clap::Args)]
pub(crate) struct WorkerArgs {
    /// The segment's key
    key: String,

    /// How far this worker counts
    share: u64,

    /// The place on the board where it keeps its tally, from 1; a free one unless given
    #[arg(long, value_name = "PLACE")]
    place: Option<NonZeroU32>,

    /// How the count was started
    #[arg(long, value_enum, value_name = "WAY", default_value = "bytes")]
    with: Way,

    /// Count in Qt's memory
    #[arg(long)]
    qt: bool,

    #[command(flatten)]
    parent: Parent,
}

/// Runs `sharehold count`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.qt {
        qt::run(args)
    } else {
        parent::run(args)
    }
}

/// Runs `sharehold count-worker`.
pub(crate) fn work(args: &WorkerArgs) -> Result<ExitCode> {
    if !args.parent.die_with()? {
        return Ok(Exit::Failed.into());
    }
    if args.qt {
        qt::work(args)
    } else {
        worker::work(args)
    }
}
