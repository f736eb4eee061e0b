//! Reports that another attachment has left or died.
//!
//! A dead process cannot announce its death. But the system closes its files, and `sys` reports
//! when a file is closed. That is a hint to look at the slots and their bytes. The proof is the
//! same liveness check that every lock uses.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::id::AttachmentId;
use crate::segment::table;
use crate::segment::{Attachment, Segment};
use crate::timing::{FIRST_SLEEP, LONGEST_SLEEP, LONGEST_SLEEP_WITH_HINTS};
use crate::wait::future::WaitFuture;
use crate::wait::poll::{Polled, Wait, block};

const WAIT: &str = "wait for a departure from";

/// A slot records two attachments, each of two generations: taken, and released.
const REMEMBERED: u64 = 4;

/// An iterator over the attachments that leave a segment, by detaching, exiting or being killed.
///
/// It reports every attachment that existed when it was created or was made later. If three
/// attachments use one slot in quick succession, it may miss one departure. It does not report
/// read-only attachments. As an iterator it never ends: `next` waits for the next departure, and
/// returns an error as an item.
///
/// Waiting uses hardly any processor time. If the user already has as many inotify instances as the
/// system allows, each waiter polls every 8 ms instead.
///
/// # When a process dies
///
/// Its attachments are reported within 10 ms, whatever killed it. If a child that was created
/// without the C library's `fork` keeps the files of the process open, they are reported when the
/// child ends.
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
/// let none = departures.next_departure_timeout(Duration::from_millis(1));
/// assert_eq!(none.unwrap_err().kind(), sharehold::ErrorKind::Timeout);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[derive(Debug)]
pub struct Departures<'a> {
    segment: &'a Segment,
    slots: Vec<KnownAttachment>,
    gone: VecDeque<Attachment>,
    /// A word that each hint raises.
    hints: &'a AtomicU32,
    longest: Duration,
    /// The value of `hints` at the last look.
    seen: u32,
    period: Duration,
}

/// The state of a slot at the last look.
#[derive(Debug, Clone, Copy)]
struct KnownAttachment {
    generation: u64,
    is_there: bool,
}

impl Segment {
    /// Reports the attachments that leave from now on: see [`Departures`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn departures(&self) -> Result<Departures<'_>> {
        let attached = self.attached();
        attached.check_fork(WAIT)?;
        // Attachments that detach raise a word in the segment.
        let raised = &attached.memory.header().life.departures;
        let (hints, longest) = match attached.closings() {
            Ok(closings) => (closings, LONGEST_SLEEP_WITH_HINTS),
            Err(_) => (raised, LONGEST_SLEEP),
        };
        let mut departures = Departures {
            segment: self,
            slots: Vec::new(),
            gone: VecDeque::new(),
            hints,
            longest,
            seen: hints.load(Ordering::Acquire),
            period: FIRST_SLEEP,
        };
        let generations = table::generations(&attached.memory).enumerate();
        departures.slots = generations
            .map(|(index, generation)| KnownAttachment {
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
        self.until(Deadline::after(limit).instant())
    }

    /// Returns the next attachment that has left, waiting at most until `deadline`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], [`ErrorKind::Forked`].
    pub fn next_departure_deadline(&mut self, deadline: Instant) -> Result<Attachment> {
        self.until(Some(deadline))
    }

    /// Returns the next attachment that has left, without blocking a thread: see
    /// [`Segment::lock_async`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub async fn next_departure_async(&mut self) -> Result<Attachment> {
        WaitFuture::new(self).await
    }

    fn until(&mut self, deadline: Option<Instant>) -> Result<Attachment> {
        let key = self.segment.key();
        block(self, deadline).unwrap_or_else(|| {
            let detail = "no attachment left in time; wait longer, or list the attachments";
            Err(Error::new(ErrorKind::Timeout, WAIT, detail).with_key(key))
        })
    }

    /// Whether the slot has an attachment that is not proven gone, other than this one.
    fn is_there(&self, index: usize, generation: u64) -> bool {
        let id = AttachmentId::new(index, generation);
        table::is_taken(generation)
            && id != self.segment.id()
            && (self.segment.is_kept(id) || !self.segment.is_gone(id))
    }

    /// Looks at all slots, and notes the attachments that have left.
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
                // Of the attachments that came and left meanwhile, the slot records the last ones.
                let first = known.generation + u64::from(!known.is_there);
                let left = first.max(generation.saturating_sub(REMEMBERED))..generation;
                left.filter(|it| table::is_taken(*it))
                    .for_each(|it| self.note(index, it));
                if table::is_taken(generation) && !is_there {
                    self.note(index, generation);
                }
            }
            *known = KnownAttachment {
                generation,
                is_there,
            };
        }
        self.slots = slots;
    }

    fn note(&mut self, index: usize, generation: u64) {
        let id = AttachmentId::new(index, generation);
        if id != self.segment.id() {
            let found = self.segment.recorded(id);
            self.gone
                .extend(found.map(|found| Attachment::of(id, &found)));
        }
    }
}

impl Wait for Departures<'_> {
    type Output = Result<Attachment>;

    fn look(&mut self) -> Polled<'_, Result<Attachment>> {
        if let Err(error) = self.segment.attached().check_fork(WAIT) {
            return Polled::Ready(Err(error));
        }
        if self.gone.is_empty() {
            let hints = self.hints.load(Ordering::Acquire);
            self.period = if hints == self.seen {
                self.longest.min(self.period * 2)
            } else {
                FIRST_SLEEP
            };
            self.seen = hints;
            self.update();
        }
        match self.gone.pop_front() {
            Some(left) => Polled::Ready(Ok(left)),
            None => Polled::Sleep {
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
