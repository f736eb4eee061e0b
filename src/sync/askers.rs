//! Who asks often: of all who wait for one lock, a few ask every few milliseconds whether its holder lives, and the others rarely.
//!
//! So what long waits cost does not grow with the number of those who wait. An asker has one of the lock's four seats, which names its
//! attachment. Who wakes up without a seat takes one that is free, or whose attachment is proven dead; who leaves one wakes somebody
//! who may want it. Nothing but how long one sleeps depends on seats: when a holder and all askers die, or are stopped, at once, the
//! others ask after their own, longer sleep.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::protocol::{FIRST_SLEEP, next_period};
use crate::segment::Segment;
use crate::segment::table::Hold;
use crate::sys;

/// The seats of those who wait for one thing, each the hold of an asker's attachment, or 0.
pub(super) type Seats = [AtomicU64; 4];

/// The seat of an asker, until it leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat(usize);

/// Takes a seat for the attachment `me`, unless it has one or all are taken. Whether the one in seat `turn` is gone is asked, too.
pub(super) fn take(
    seats: &Seats,
    me: u64,
    turn: u32,
    is_gone: impl Fn(u64) -> bool,
) -> Option<Seat> {
    if seats.iter().any(|it| it.load(Ordering::Relaxed) == me) {
        // Threads of one process die together: one seat is as good as four.
        return None;
    }
    let takes = |seat: &AtomicU64, from| {
        seat.compare_exchange(from, me, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    };
    if let Some(free) = seats.iter().position(|it| takes(it, 0)) {
        return Some(Seat(free));
    }
    let index = turn as usize % seats.len();
    let seat = seats.get(index)?;
    let other = seat.load(Ordering::Relaxed);
    (is_gone(other) && takes(seat, other)).then_some(Seat(index))
}

/// Leaves a seat that `me` has, to somebody who sleeps on `word`.
pub(super) fn leave(seats: &Seats, word: &AtomicU32, me: u64, seat: Seat) {
    if let Some(seat) = seats.get(seat.0) {
        // Unless somebody has overwritten it.
        let _ = seat.compare_exchange(me, 0, Ordering::Relaxed, Ordering::Relaxed);
        sys::wake_one(word);
    }
}

/// One who waits for what several have, of whom any may die: how long it sleeps, and when it asks whether they live. It leaves its seat
/// when this is dropped.
///
/// There may be many to ask about. So whoever looks asks only if nobody else has since it looked last: while one asks every few
/// milliseconds the others do not, and the next one does when that one is gone, or has stopped.
#[derive(Debug)]
pub(crate) struct Asker<'a> {
    segment: &'a Segment,
    seats: &'a Seats,
    /// Raised by whoever asks.
    asked: &'a AtomicU32,
    /// What those who wait sleep on.
    word: &'a AtomicU32,
    state: Cell<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    period: Duration,
    seat: Option<Seat>,
    /// What `asked` was when it looked last.
    seen: u32,
    looks: u32,
}

/// Of so many questions about an attachment one looks at its process, too: most answers are that its byte is kept, and that a child keeps it
/// for a dead one takes a question that is much dearer.
const THOROUGHLY: usize = 64;

impl<'a> Asker<'a> {
    pub(crate) fn new(
        segment: &'a Segment,
        seats: &'a Seats,
        asked: &'a AtomicU32,
        word: &'a AtomicU32,
    ) -> Asker<'a> {
        Asker {
            segment,
            seats,
            asked,
            word,
            state: Cell::new(State {
                period: FIRST_SLEEP,
                seat: None,
                seen: asked.load(Ordering::Relaxed),
                looks: 0,
            }),
        }
    }

    /// Begins another look, after a sleep; whether to ask in it.
    pub(crate) fn asks(&self) -> bool {
        let mut state = self.state.get();
        state.looks = state.looks.wrapping_add(1);
        state.period = next_period(state.period, || {
            let me = self.segment.hold().word();
            let is_gone = |other| self.is_gone(Hold::from_word(other));
            state.seat = state
                .seat
                .or_else(|| take(self.seats, me, state.looks, is_gone));
            state.seat.is_some()
        });
        let asked = self.asked.load(Ordering::Relaxed);
        let asks = asked == state.seen;
        state.seen = if asks {
            self.asked.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
        } else {
            asked
        };
        self.state.set(state);
        asks
    }

    /// How long to sleep after this look.
    pub(crate) fn period(&self) -> Duration {
        self.state.get().period
    }

    /// Whether an attachment is proven gone.
    pub(crate) fn is_gone(&self, hold: Hold) -> bool {
        // Another one each time, if there are many.
        let turn = (self.state.get().looks as usize).wrapping_add(hold.index());
        (turn.is_multiple_of(THOROUGHLY) || !self.segment.is_kept(hold))
            && self.segment.is_gone(hold)
    }
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        // A forked child has a copy of the seat's number, not the seat.
        if let Some(seat) = self.state.get().seat
            && self.segment.attached().is_ours()
        {
            leave(self.seats, self.word, self.segment.hold().word(), seat);
        }
    }
}
