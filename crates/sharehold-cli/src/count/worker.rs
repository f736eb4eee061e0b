//! A worker: attaches, counts its share, and leaves.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use sharehold::Segment;

use super::WorkerArgs;
use super::board::{Board, now};

/// Runs `sharehold count-worker`.
pub(crate) fn work(args: &WorkerArgs) -> Result<ExitCode> {
    let segment = Segment::attach(&args.key)?;
    let mut board = Board::lock(&segment)?;
    let place = match args.place {
        Some(place) => usize::try_from(place.get() - 1)?,
        None => board.take_place()?,
    };
    // One that was killed in this place may have begun.
    let mut tally = board.tally(place)?;
    if tally.began == 0 {
        tally.began = now();
        board.set_tally(place, &tally)?;
    }
    drop(board);

    let mut counted = tally.count;
    while counted < args.share {
        counted += 1;
        Board::lock(&segment)?.count(place, counted)?;
    }

    let mut board = Board::lock(&segment)?;
    tally = board.tally(place)?;
    ensure!(
        tally.count == counted,
        "counted {counted}, but the tally says {}",
        tally.count
    );
    tally.ended = now();
    board.set_tally(place, &tally)?;
    drop(board);
    segment.detach()?;
    Ok(ExitCode::SUCCESS)
}
