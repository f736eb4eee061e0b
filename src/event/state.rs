//! The state of an event, for inspection.

use std::sync::atomic::Ordering;

use super::protocol::SET;
use crate::memory::format::EventWords;
use crate::parts::view::PartView;

/// The state of an [`Event`](crate::Event), as inspection finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventState {
    /// Whether it is set.
    pub is_set: bool,
}

impl EventState {
    pub(crate) fn of(part: &PartView<'_>) -> Option<EventState> {
        let words: EventWords = part.words()?;
        Some(EventState {
            is_set: words.state.load(Ordering::Relaxed) & SET != 0,
        })
    }
}
