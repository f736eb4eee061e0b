//! Who asks often: of all who wait for one lock, a few ask every few milliseconds whether its holder lives, and the others rarely.
//!
//! So what long waits cost does not grow with the number of those who wait. An asker has one of the lock's four seats, which names its
//! attachment. Who wakes up without a seat takes one that is free, or whose attachment is proven dead; who leaves one wakes somebody
//! who may want it. Nothing but how long one sleeps depends on seats: when a holder and all askers die, or are stopped, at once, the
//! others ask after their own, longer sleep.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::memory::format::LockWords;
use crate::sys;

/// The seat of an asker, until it leaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat(usize);

/// Takes a seat for the attachment `me`, unless it has one or all are taken. Whether the one in seat `turn` is gone is asked, too.
pub(super) fn take(
    words: &LockWords,
    me: u64,
    turn: u32,
    is_gone: impl Fn(u64) -> bool,
) -> Option<Seat> {
    let seats = &words.askers;
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

/// Leaves a seat that `me` has, to somebody who sleeps for the lock.
pub(super) fn leave(words: &LockWords, me: u64, seat: Seat) {
    if let Some(seat) = words.askers.get(seat.0) {
        // Unless somebody has overwritten it.
        let _ = seat.compare_exchange(me, 0, Ordering::Relaxed, Ordering::Relaxed);
        sys::wake_one(&words.waiting);
    }
}
