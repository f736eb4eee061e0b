//! The state of a barrier, for inspection.

use std::sync::atomic::Ordering;

use super::protocol::Threads;
use crate::memory::format::BarrierWords;
use crate::parts::view::{PartView, Usage, share};

/// The state of a [`Barrier`](crate::Barrier), as inspection finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BarrierState {
    /// The number of participants.
    pub participants: u32,
    /// The participants that have arrived in this round, with the number of their threads.
    pub arrived: Vec<Usage>,
}

impl BarrierState {
    pub(crate) fn of(part: &PartView<'_>) -> Option<BarrierState> {
        let words: BarrierWords = part.words()?;
        let round = words.round.load(Ordering::Relaxed);
        let arrived = part.usages(|threads, its_round| {
            if share(its_round) == round {
                Threads::of_word(share(threads)).arrived.into()
            } else {
                0
            }
        });
        Some(BarrierState {
            participants: words.participants.load(Ordering::Relaxed),
            arrived,
        })
    }
}
