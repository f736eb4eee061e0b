//! `Barrier`: rounds in which so many meet before anyone goes on.
//!
//! # State
//!
//! Everything is changed under an inner lock, which is held for some instructions.
//!
//! | word | meaning |
//! |---|---|
//! | `participants` | how many meet; constant |
//! | `round` | raised whenever a round ends; those who have arrived sleep on it |
//! | a slot's marks | how many threads of this attachment have arrived, and in which round |
//! | `broken` | the last round that a death broke, plus one |
//! | `left_out` | how many participants have died, where the dead are left out |
//!
//! # Invariants
//!
//! 1. A mark counts in the round that it names only. So ending a round is one store: all marks are then of an earlier one, and say who
//!    has taken part before.
//! 2. A round is ended by whoever finds, under the lock, that marks of this round and those left out are as many as meet, or that a
//!    participant is proven dead where that breaks the round.
//! 3. Who breaks a round stores that first, then ends it. A round that is said to be broken and has not ended is ended by the next one who
//!    has the lock.
//! 4. Who leaves a dead one out stores one word that says both how many are left out by now, and whose mark is still to be cleared; then
//!    clears it; then says that it is cleared. So nobody is left out twice.
//!
//! | death of | leaves | and then |
//! |---|---|---|
//! | a participant, arrived or not | its mark | one that waits proves it dead: 2 |
//! | one inside of the inner lock | that lock, and a step of 3 or 4 undone | the next one takes over, and does it |
//! | one that ends a round, before it wakes the others | them asleep | they look again after their period |

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::place::Place;
use super::{Draft, Part, Walk, briefly, damaged, end_of};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::format::BarrierWords;
use crate::schema::{Description, Primitive};
use crate::segment::Segment;
use crate::sync::part::{Held, PartLock};
use crate::sync::waiting::{Look, Wait, block};
use crate::sync::{FIRST_SLEEP, Until, longer};
use crate::sys;

const WAIT: &str = "meet at";
const CREATE: &str = "create";

/// The numbers of the two marks.
const THREADS: usize = 0;
const ROUND: usize = 1;
/// The most participants.
const MOST: u32 = u16::MAX as u32;
/// Where in its word the number of those left out begins, above the mark that is to be cleared.
const PENDING: u32 = 48;

/// Says how many meet at a [`Barrier`], and what the death of one of them means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meeting {
    /// How many meet, 1 to 65,535.
    pub participants: u32,
    /// What happens when one of them dies, or detaches.
    pub on_death: OnDeath,
}

/// Says what the death of a participant means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeath {
    /// The round is broken: everybody who waits in it is told so, and the next round needs as many participants as before.
    Break,
    /// It is left out of this round and of all that follow.
    LeaveOut,
}

/// Lets so many threads, of any processes, wait for each other, round after round.
///
/// # When a process dies
///
/// An attachment counts as a participant from its first wait on. When it ends, by death or by detaching, those who wait, or come to wait,
/// know it within 10 ms: the round is broken for all of them, or the dead one's threads are left out, as was chosen when the barrier was
/// created. Whoever dies before it has ever waited is not known here; give the wait a limit.
///
/// # Examples
///
/// ```
/// use sharehold::{Barrier, Meeting, OnDeath, Part};
///
/// let meeting = Meeting { participants: 2, on_death: OnDeath::Break };
/// let step = Barrier::open_or_create("com.example.step", || meeting)?;
/// std::thread::scope(|scope| {
///     let other = scope.spawn(|| step.wait());
///     let last = step.wait()?;
///     let other_was_last = other.join().expect("it does not panic")?;
///     assert!(last != other_was_last);
///     Ok::<(), sharehold::Error>(())
/// })?;
/// # Ok::<(), sharehold::Error>(())
/// ```
#[doc(alias = "pthread_barrier_t")]
#[derive(Debug)]
pub struct Barrier {
    place: Place,
}

impl Barrier {
    /// Arrives, and waits until all have arrived; returns whether this one was the last.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Broken`] when a participant has died and that breaks the round; [`ErrorKind::Forked`].
    pub fn wait(&self) -> Result<bool> {
        self.wait_until(None)
    }

    /// As [`Barrier::wait`], at most for `limit`; then it has not arrived.
    ///
    /// # Errors
    ///
    /// As [`Barrier::wait`], and [`ErrorKind::Timeout`].
    pub fn wait_timeout(&self, limit: Duration) -> Result<bool> {
        self.wait_until(end_of(limit))
    }

    /// As [`Barrier::wait`], until `deadline` at most; then it has not arrived.
    ///
    /// # Errors
    ///
    /// As [`Barrier::wait_timeout`].
    pub fn wait_deadline(&self, deadline: Instant) -> Result<bool> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<bool> {
        let words: &BarrierWords = self.place.words(WAIT)?;
        let mut arrival = Arrival {
            barrier: self,
            words,
            round: None,
            period: FIRST_SLEEP,
            until: deadline.map_or(Until::Acquired, Until::Deadline),
        };
        match block(&mut arrival, deadline) {
            Some(met) => met,
            None => arrival.take_back(),
        }
    }

    /// Returns the segment that it is in, for its key, its attachments and its end.
    pub fn segment(&self) -> &Segment {
        self.place.segment()
    }

    fn error(&self, kind: ErrorKind, detail: &str) -> Error {
        Error::new(kind, WAIT, detail).with_key(self.segment().key())
    }

    fn outcome(&self, words: &BarrierWords, round: u32) -> Result<bool> {
        if words.broken.load(Ordering::SeqCst) == u64::from(round) + 1 {
            let detail =
                "a participant has died; see who is left, and meet again in as many as before";
            return Err(self.error(ErrorKind::Broken, detail));
        }
        Ok(false)
    }

    /// Takes the inner lock, and does what a dead one left undone.
    fn hold<'a>(&'a self, words: &'a BarrierWords, until: Until) -> Result<Held<'a>> {
        let lock = PartLock::threadless(self.segment(), &words.lock);
        let held = lock.acquire(briefly(until))?;
        if held.dead().is_some() {
            self.clear_left_out(words);
            let round = words.round.load(Ordering::SeqCst);
            if words.broken.load(Ordering::SeqCst) == u64::from(round) + 1 {
                Barrier::end_round(words);
            }
        }
        Ok(held)
    }

    fn end_round(words: &BarrierWords) {
        words.round.fetch_add(1, Ordering::SeqCst);
        sys::wake_all(&words.round);
    }

    /// Makes this thread arrive in the round. Called with the lock.
    fn arrive(&self, round: u32) {
        let before = if self.place.own(ROUND) == round {
            self.place.own(THREADS)
        } else {
            0
        };
        self.place.set_own(ROUND, round);
        self.place.set_own(THREADS, before.saturating_add(1));
    }

    /// Whether all have arrived in the round who are not left out.
    fn is_complete(&self, words: &BarrierWords, round: u32) -> bool {
        let marked = self.place.marked(THREADS);
        let here = marked.filter(|it| self.place.value(ROUND, it.slot) == round);
        let arrived: u64 = here.map(|it| u64::from(it.value)).sum();
        let left_out = words.left_out.load(Ordering::SeqCst) >> PENDING;
        arrived > 0 && arrived + left_out >= words.participants.load(Ordering::Relaxed).into()
    }

    /// Looks for participants that are gone, and does what is to be done then; whether that breaks the round. Asks the system only if it
    /// `may`. Called with the lock.
    fn bury(&self, words: &BarrierWords, round: u32, may: bool) -> bool {
        let mut breaks = false;
        for found in self.place.marked(THREADS) {
            let segment = self.segment();
            if found
                .maker
                .is_some_and(|hold| !may || !segment.is_gone(hold))
            {
                continue;
            }
            if words.leaves_out.load(Ordering::Relaxed) == 0 {
                words.broken.store(u64::from(round) + 1, Ordering::SeqCst);
                found.clear();
                breaks = true;
            } else {
                let before = words.left_out.load(Ordering::SeqCst) >> PENDING;
                let left_out = (before + u64::from(found.value)).min(MOST.into()) << PENDING;
                let pending = (found.slot as u64 + 1) << 32 | u64::from(found.generation);
                words.left_out.store(left_out | pending, Ordering::SeqCst);
                self.clear_left_out(words);
            }
        }
        breaks
    }

    /// Clears the mark of one who was left out. Called with the lock.
    fn clear_left_out(&self, words: &BarrierWords) {
        let left_out = words.left_out.load(Ordering::SeqCst);
        let slot = (left_out >> 32 & u64::from(MOST)).checked_sub(1);
        if let Some(slot) = slot.and_then(|slot| usize::try_from(slot).ok()) {
            let generation = left_out & u64::from(u32::MAX);
            let mut marked = self.place.marked(THREADS);
            if let Some(found) = marked.find(|it| it.slot == slot)
                && u64::from(found.generation) == generation
            {
                found.clear();
            }
        }
        words
            .left_out
            .store(left_out >> PENDING << PENDING, Ordering::SeqCst);
    }
}

impl Part for Barrier {
    type First = Meeting;

    const SIZE: usize = Primitive::Barrier.size(None);
    const MARKS: usize = Primitive::Barrier.marks();

    fn describe() -> Description {
        Description::of_part(Primitive::Barrier, None)
    }

    fn begin(first: Meeting, at: &mut Draft<'_>) -> Result<()> {
        if !(1..=MOST).contains(&first.participants) {
            let detail = format!(
                "{} participants are not between 1 and {MOST}",
                first.participants
            );
            return Err(Error::new(ErrorKind::InvalidOption, CREATE, detail));
        }
        let offset = at.next(Self::SIZE);
        let words: Option<&BarrierWords> = at.attached().memory.data_block(offset);
        let words = words.ok_or_else(|| damaged(at.attached(), CREATE))?;
        words
            .participants
            .store(first.participants, Ordering::Relaxed);
        let leaves_out = u32::from(first.on_death == OnDeath::LeaveOut);
        words.leaves_out.store(leaves_out, Ordering::Relaxed);
        Ok(())
    }

    fn find(at: &mut Walk) -> Barrier {
        let place = at.next(Self::SIZE, Self::MARKS);
        Barrier { place }
    }
}

/// One that arrives, and waits for the others.
struct Arrival<'a> {
    barrier: &'a Barrier,
    words: &'a BarrierWords,
    /// The round in which it has arrived.
    round: Option<u32>,
    period: Duration,
    until: Until,
}

impl Arrival<'_> {
    /// Looks, under the lock; `None` to sleep.
    fn meet(&mut self) -> Option<Result<bool>> {
        let (barrier, words) = (self.barrier, self.words);
        let held = match barrier.hold(words, self.until) {
            Ok(held) => held,
            Err(error) => return Some(Err(error)),
        };
        let round = words.round.load(Ordering::SeqCst);
        if self.round.is_some_and(|arrived| arrived != round) {
            return None;
        }
        if barrier.bury(words, round, self.round.is_some()) {
            Barrier::end_round(words);
            drop(held);
            return Some(barrier.outcome(words, round));
        }
        let is_new = self.round.is_none();
        if is_new {
            barrier.arrive(round);
            self.round = Some(round);
        }
        if barrier.is_complete(words, round) {
            Barrier::end_round(words);
            return Some(Ok(is_new));
        }
        None
    }

    /// Leaves the round, if it has not ended.
    fn take_back(&self) -> Result<bool> {
        let (barrier, words) = (self.barrier, self.words);
        let held = barrier.hold(words, Until::Acquired)?;
        let round = words.round.load(Ordering::SeqCst);
        match self.round {
            Some(arrived) if arrived != round => {
                drop(held);
                return barrier.outcome(words, arrived);
            }
            Some(_) => {
                let others = barrier.place.own(THREADS).saturating_sub(1);
                barrier.place.set_own(THREADS, others);
            }
            None => {}
        }
        let detail = "the others have not arrived in time; wait longer, or see who they are";
        Err(barrier.error(ErrorKind::Timeout, detail))
    }
}

impl Wait for Arrival<'_> {
    type Output = Result<bool>;

    fn look(&mut self) -> Look<'_, Result<bool>> {
        let words = self.words;
        let has_ended =
            |round: Option<u32>| round.filter(|&it| words.round.load(Ordering::SeqCst) != it);
        if has_ended(self.round).is_none()
            && let Some(met) = self.meet()
        {
            return Look::Ready(met);
        }
        if let Some(round) = has_ended(self.round) {
            return Look::Ready(self.barrier.outcome(words, round));
        }
        let limit = Some(self.period);
        self.period = longer(self.period);
        Look::Sleep {
            word: (&words.round).into(),
            seen: self.round.unwrap_or(0),
            limit,
        }
    }
}
