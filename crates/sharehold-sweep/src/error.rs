//! Why a victim did not die as it should.

use std::io;

/// Tells a survivor that its victim did not die at the intended point; hand it back with `?`.
///
/// The sweep knows what happened without being told and acts on it, so a survivor need not look at
/// the variants.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused a request.
    #[error("the system refused to start, trace or end the victim: {0}")]
    System(#[from] io::Error),
    /// The victim came to its end by itself, in its set-up or in its operation.
    #[error(
        "the victim {0} before its operation was over; what it wrote to standard error says more"
    )]
    EndedEarly(String),
    /// The victim did not get to where it should within the time limit, and was killed there.
    #[error("the victim hung in its set-up or in its operation, and was killed at the time limit")]
    Hung,
    /// The victim took another course than in the first pass; the sweep tries again.
    #[error("the victim took another course than in the first pass")]
    Missed,
}
