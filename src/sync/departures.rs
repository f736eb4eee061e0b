//! Learning that another attachment has left or died.
//!
//! There is nobody who could tell: the dead cannot. But the system closes their files, and `sys` says when a file is closed. That is a
//! hint to look at the slots and their bytes; what counts is the proof of death that every lock stands on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::future::Until;
use super::waiting::{Look, Wait, block};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::table::{self, Hold};
use crate::segment::{Attachment, Segment};

const WAIT: &str = "wait for a departure from";

/// After a hint the byte is looked at until it is free; this is the first pause.
const FIRST_PERIOD: Duration = Duration::from_micros(250);
/// The longest pause where there are hints: for those that were missed.
const LONGEST_PERIOD: Duration = Duration::from_secs(1);
/// The longest pause where there are none: with waking up and looking, below 10 ms.
const LONGEST_WITHOUT_HINTS: Duration = Duration::from_millis(8);

/// A slot remembers two attachments, each of two generations: taken, and given up.
const REMEMBERED: u64 = 4;

/// Follows who leaves a segment, in whatever way: detached, ended, killed.
///
/// It reports whoever was attached when it began or came since; of three that come and go in one slot within a moment it may miss
/// one. Read-only attachments are not reported. As an iterator it waits for each next departure, without end, and gives an error as a value of its own.
///
/// Waiting costs no processor time to speak of. Where a user has as many inotify instances as the system allows, each waiter looks every
/// 8 ms instead.
///
/// # When a process dies
///
/// Its attachments are reported within 10 ms, whatever killed it. One whose child keeps its files open, because it was made behind the C
/// library's back, is reported when the child ends.
///
/// # Examples
///
/// ```
/// use sharehold::Segment;
/// use std::time::Duration;
///
/// let segment = Segment::options().size(16).open_or_create("com.example.departures")?;
/// let other = Segment::attach("com.example.departures")?;
/// let mut departures = segment.departures()?;
/// other.detach()?;
/// let gone = departures.next_departure()?;
/// assert_eq!(gone.pid, std::process::id());
/// let nobody = departures.next_departure_timeout(Duration::from_millis(1));
/// assert_eq!(nobody.unwrap_err().kind(), sharehold::ErrorKind::Timeout);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[derive(Debug)]
pub struct Departures<'a> {
    segment: &'a Segment,
    slots: Vec<Known>,
    gone: VecDeque<Attachment>,
    /// Raised at each hint.
    hints: &'a AtomicU32,
    longest: Duration,
    /// The hints that were seen at the last look.
    seen: u32,
    period: Duration,
}

/// What was last seen of a slot.
#[derive(Debug, Clone, Copy)]
struct Known {
    generation: u64,
    is_there: bool,
}

impl Segment {
    /// Follows who leaves from now on: see [`Departures`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn departures(&self) -> Result<Departures<'_>> {
        let attached = self.attached();
        attached.check_fork(WAIT)?;
        // Those who leave in good order raise a word in the segment.
        let raised = &attached.memory.header().life.departures;
        let (hints, longest) = match attached.closings() {
            Ok(closings) => (closings, LONGEST_PERIOD),
            Err(_) => (raised, LONGEST_WITHOUT_HINTS),
        };
        let mut departures = Departures {
            segment: self,
            slots: Vec::new(),
            gone: VecDeque::new(),
            hints,
            longest,
            seen: hints.load(Ordering::Acquire),
            period: FIRST_PERIOD,
        };
        let generations = table::generations(&attached.memory).enumerate();
        departures.slots = generations
            .map(|(index, generation)| Known {
                generation,
                is_there: departures.is_there(index, generation),
            })
            .collect();
        Ok(departures)
    }
}

impl Departures<'_> {
    /// Returns the next attachment that has left, waiting as long as it takes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn next_departure(&mut self) -> Result<Attachment> {
        self.until(None)
    }

    /// Returns the next attachment that has left, waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], [`ErrorKind::Forked`].
    pub fn next_departure_timeout(&mut self, limit: Duration) -> Result<Attachment> {
        self.until(Instant::now().checked_add(limit))
    }

    /// Returns the next attachment that has left, waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], [`ErrorKind::Forked`].
    pub fn next_departure_deadline(&mut self, deadline: Instant) -> Result<Attachment> {
        self.until(Some(deadline))
    }

    /// Returns the next attachment that has left, without keeping a thread: see [`Segment::lock_async`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub async fn next_departure_async(&mut self) -> Result<Attachment> {
        Until::new(self).await
    }

    fn until(&mut self, deadline: Option<Instant>) -> Result<Attachment> {
        let key = self.segment.key();
        block(self, deadline).unwrap_or_else(|| {
            let detail = "nobody left in time; wait longer, or see who is attached";
            Err(Error::new(ErrorKind::Timeout, WAIT, detail).with_key(key))
        })
    }

    /// Whether the slot has an attachment that is not proven gone, other than this one.
    fn is_there(&self, index: usize, generation: u64) -> bool {
        let hold = Hold::new(index, generation);
        table::is_taken(generation)
            && hold != self.segment.hold()
            && (self.segment.is_kept(hold) || !self.segment.is_gone(hold))
    }

    /// Looks who is there, and notes who no longer is.
    fn update(&mut self) {
        let mut slots = std::mem::take(&mut self.slots);
        let generations = table::generations(&self.segment.attached().memory);
        for (index, (known, generation)) in slots.iter_mut().zip(generations).enumerate() {
            let is_there = self.is_there(index, generation);
            if generation == known.generation {
                if known.is_there && !is_there {
                    self.note(index, generation);
                }
            } else {
                // Of those who came and went meanwhile, the last are remembered.
                let first = known.generation + u64::from(!known.is_there);
                let left = first.max(generation.saturating_sub(REMEMBERED))..generation;
                left.filter(|it| table::is_taken(*it))
                    .for_each(|it| self.note(index, it));
                if table::is_taken(generation) && !is_there {
                    self.note(index, generation);
                }
            }
            *known = Known {
                generation,
                is_there,
            };
        }
        self.slots = slots;
    }

    fn note(&mut self, index: usize, generation: u64) {
        let hold = Hold::new(index, generation);
        if hold != self.segment.hold() {
            let found = self.segment.recorded(hold);
            self.gone
                .extend(found.map(|found| Attachment::of(hold, &found)));
        }
    }
}

impl Wait for Departures<'_> {
    type Output = Result<Attachment>;

    fn look(&mut self) -> Look<'_, Result<Attachment>> {
        if let Err(error) = self.segment.attached().check_fork(WAIT) {
            return Look::Ready(Err(error));
        }
        if self.gone.is_empty() {
            let hints = self.hints.load(Ordering::Acquire);
            self.period = if hints == self.seen {
                self.longest.min(self.period * 2)
            } else {
                FIRST_PERIOD
            };
            self.seen = hints;
            self.update();
        }
        match self.gone.pop_front() {
            Some(left) => Look::Ready(Ok(left)),
            None => Look::Sleep {
                word: self.hints.into(),
                seen: self.seen,
                limit: Some(self.period),
            },
        }
    }
}

impl Iterator for Departures<'_> {
    type Item = Result<Attachment>;

    fn next(&mut self) -> Option<Result<Attachment>> {
        Some(self.next_departure())
    }
}
