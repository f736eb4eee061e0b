//! `Event`: a flag that is set or not set, and wakes its waiters when it is set.
//!
//! The algorithm, its states and its deaths are in `event::protocol`. This module contains its
//! operations on the words of a segment, and the public types.

#[cfg(test)]
mod model;
mod protocol;
mod state;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::format::EventWords;
use crate::parts::layout::PartRef;
use crate::parts::{Initializer, LayoutCursor, Part, damaged};
use crate::schema::{Description, Primitive};
use crate::segment::Segment;
use crate::sys;
use crate::wait::future;
use crate::wait::poll::{Polled, Wait, block};
use protocol::{EventMemory, EventOutcome, EventWaiter, SET};

pub use state::EventState;

const WAIT: &str = "wait for";
const CHANGE: &str = "set";

/// How an [`Event`] is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ResetMode {
    /// Manual reset: the event stays set and releases every waiter, until [`Event::reset`].
    #[default]
    Manual,
    /// Auto-reset: [`Event::set`] releases one waiter, and the event resets.
    Auto,
}

/// A flag that threads of any processes wait for.
///
/// An event is set or not set. [`wait`](Event::wait) returns when it is set, at once if it is set
/// already. A reset does not take back a signal: if the event is set and reset at once, every
/// waiter that waited before passes or, in [auto-reset](ResetMode::Auto) mode, one of them.
///
/// # When a process dies
///
/// A waiter that dies has no effect: an unconsumed signal goes to another waiter. If a process dies
/// while it sets the event, either the event is set and all waiters are awake, or nothing has
/// changed. The event cannot tell whether any process will ever set it: use a timeout.
///
/// # Examples
///
/// ```
/// use sharehold::{Event, Part, ResetMode};
///
/// let ready = Event::open_or_create("com.example.ready", || ResetMode::Manual)?;
/// ready.set()?;
/// ready.wait()?;
/// assert!(ready.is_set()?);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[doc(alias = "eventfd")]
#[derive(Debug)]
pub struct Event {
    place: PartRef,
}

impl Event {
    /// Sets the event, and wakes the waiters. A [reset](Event::reset) that follows at once does not
    /// take the signal back.
    ///
    /// In [auto-reset](ResetMode::Auto) mode one waiter passes. Two calls may count as one if no
    /// waiter has woken up in between.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn set(&self) -> Result<()> {
        protocol::set(self.words(CHANGE)?);
        Ok(())
    }

    /// Resets the event: threads that begin to wait after this wait until it is set again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn reset(&self) -> Result<()> {
        protocol::reset(self.words(CHANGE)?);
        Ok(())
    }

    /// Returns whether the event is set.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn is_set(&self) -> Result<bool> {
        Ok(self.words(WAIT)?.state() & SET != 0)
    }

    /// Waits until the event is set. In [auto-reset](ResetMode::Auto) mode, resets it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::Never)
    }

    /// As [`Event::wait`], without waiting.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] if the event is not set, [`ErrorKind::Forked`].
    pub fn try_wait(&self) -> Result<()> {
        self.wait_until(Deadline::Now)
    }

    /// As [`Event::wait`], but waits at most for `limit`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], [`ErrorKind::Forked`].
    pub fn wait_timeout(&self, limit: Duration) -> Result<()> {
        self.wait_until(Deadline::after(limit))
    }

    /// As [`Event::wait`], but waits at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Event::wait_timeout`].
    pub fn wait_deadline(&self, deadline: Instant) -> Result<()> {
        self.wait_until(Deadline::At(deadline))
    }

    /// As [`Event::wait`], asynchronously: see [`Segment::lock_async`]. A future that is dropped
    /// before it completes has reset nothing.
    ///
    /// # Errors
    ///
    /// As [`Event::wait`].
    pub async fn wait_async(&self) -> Result<()> {
        future::WaitFuture::new(EventWait::of(self)).await
    }

    fn wait_until(&self, deadline: Deadline) -> Result<()> {
        block(&mut EventWait::of(self), deadline.instant()).unwrap_or_else(|| {
            let (kind, detail) = if deadline == Deadline::Now {
                (
                    ErrorKind::WouldBlock,
                    "it is not set; try again later, or wait for it",
                )
            } else {
                (
                    ErrorKind::Timeout,
                    "it was not set in time; wait longer, or check the process that should set it",
                )
            };
            let error = Error::new(kind, WAIT, detail);
            Err(error.with_key(self.segment().key()))
        })
    }

    /// Returns the segment that contains this event.
    pub fn segment(&self) -> &Segment {
        self.place.segment()
    }

    fn words(&self, operation: &'static str) -> Result<&EventWords> {
        self.place.words(operation)
    }
}

impl Part for Event {
    type Init = ResetMode;

    const SIZE: usize = Primitive::Event.size(None);
    const MARKS: usize = Primitive::Event.marks();

    fn describe() -> Description {
        Description::of_part(Primitive::Event, None)
    }

    fn begin(first: ResetMode, at: &mut Initializer<'_>) -> Result<()> {
        let offset = at.next(Self::SIZE);
        let words: Option<&EventWords> = at.attached().memory.data_block(offset);
        let words = words.ok_or_else(|| damaged(at.attached(), CHANGE))?;
        let auto = u32::from(first == ResetMode::Auto);
        words.auto.store(auto, Ordering::Relaxed);
        Ok(())
    }

    fn find(at: &mut LayoutCursor) -> Event {
        Event {
            place: at.next(Primitive::Event, Self::SIZE),
        }
    }
}

impl EventMemory for EventWords {
    fn resets(&self) -> bool {
        self.auto.load(Ordering::Relaxed) != 0
    }

    fn state(&self) -> u32 {
        self.state.load(Ordering::SeqCst)
    }

    fn change(&self, from: u32, to: u32) -> bool {
        let order = Ordering::SeqCst;
        self.state.compare_exchange(from, to, order, order).is_ok()
    }

    fn has_one_step(&self) -> bool {
        sys::has_store_and_wake()
    }

    fn set_and_wake(&self) -> bool {
        sys::or_and_wake(&self.state, SET.to_le_bytes()[0].into())
    }

    fn set(&self) {
        self.state.fetch_or(SET, Ordering::SeqCst);
    }

    fn wake(&self) {
        sys::wake_all(&self.state);
    }
}

/// The wait for an event.
struct EventWait<'a> {
    event: &'a Event,
    waiter: EventWaiter,
}

impl EventWait<'_> {
    fn of(event: &Event) -> EventWait<'_> {
        EventWait {
            event,
            waiter: EventWaiter::new(),
        }
    }
}

impl Wait for EventWait<'_> {
    type Output = Result<()>;

    fn look(&mut self) -> Polled<'_, Result<()>> {
        let words = match self.event.words(WAIT) {
            Ok(words) => words,
            Err(forked) => return Polled::Ready(Err(forked)),
        };
        match self.waiter.look(words) {
            EventOutcome::Happened => Polled::Ready(Ok(())),
            EventOutcome::Sleep(seen, limit) => Polled::Sleep {
                word: (&words.state).into(),
                seen,
                limit,
            },
        }
    }
}
