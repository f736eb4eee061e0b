//! A worker: attaches, counts its share, and leaves.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use super::WorkerArgs;
use super::board::{Begin, Board, Count, End};

/// Runs `sharehold count-worker`.
pub(super) fn work(args: &WorkerArgs) -> Result<ExitCode> {
    let board = Board::attach(&args.key, args.with)?;
    let place = args
        .place
        .map(|place| usize::try_from(place.get() - 1))
        .transpose()?;
    let (place, mut counted) = board.perform(Begin { place })?;
    while counted < args.share {
        counted += 1;
        board.perform(Count {
            place,
            tally: counted,
        })?;
    }
    let tally = board.perform(End { place })?;
    ensure!(
        tally == counted,
        "counted {counted}, but the tally says {tally}"
    );
    board.detach()?;
    Ok(ExitCode::SUCCESS)
}
