//! `Barrier`: rounds in which a fixed number of threads wait for each other.
//!
//! The algorithm, its states and its deaths are in `barrier::protocol`. This module contains its
//! operations on the words of a segment, and the public types.

#[cfg(test)]
mod model;
mod protocol;
mod state;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::WaitMode;
use crate::memory::format::{BarrierWords, LockWords};
use crate::parts::inner_lock::{Guarded, InnerLockRefusal, InnerLockWait, Locked, soon};
use crate::parts::layout::{Marked, PartRef};
use crate::parts::{Initializer, LayoutCursor, Part, damaged};
use crate::schema::{Description, Primitive};
use crate::segment::Segment;
use crate::segment::id::AttachmentId;
use crate::segment::waits::WaitHandle;
use crate::sys;
use crate::wait::future;
use crate::wait::liveness::LivenessChecker;
use crate::wait::poll::{Polled, Wait, block, complete};
use protocol::{Arrival, BarrierMemory, BarrierOutcome, LeftOut, MOST, Threads};

pub use state::BarrierState;

const WAIT: &str = "wait at";
const CREATE: &str = "create";
const WITHDRAW: &str = "withdraw from";

/// The numbers of the two marks: an attachment's threads, and the round in which they arrived.
const THREADS: usize = 0;
const ROUND: usize = 1;

/// The number of participants of a [`Barrier`], and the effect of the death of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BarrierOptions {
    /// The number of threads that wait for each other, 1 to 65,535.
    pub participants: u32,
    /// The effect of the death of a participant, or of its detaching.
    pub death_policy: DeathPolicy,
}

/// The effect of the death of a participant on the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeathPolicy {
    /// Breaks the round: every participant that waits in it gets an error. The next round needs as
    /// many participants as before.
    BreakRound,
    /// Removes the participant from this round and from all later rounds.
    RemoveParticipant,
}

/// The result of a completed round of a [`Barrier`]: whether this participant is the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Returns whether this participant arrived last, after all the others.
    ///
    /// A round has no leader if it is completed by the removal of a dead participant, or if the
    /// participant that arrives last dies. Let no work depend on there being one.
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

/// A reusable barrier for a fixed number of threads in any processes.
///
/// # When a process dies
///
/// An attachment counts as a participant from its first wait on. When it dies or detaches, all
/// current and later waiters learn of it within 10 ms. Depending on the [`DeathPolicy`], the round
/// breaks for all of them, or the dead participant's threads are removed.
///
/// A participant that dies after it arrived may still count in that round, if the others arrive
/// before a waiter has checked its liveness; its death then takes effect in the next round. A
/// process that dies before its first wait is unknown to the barrier: use a timeout.
///
/// # Examples
///
/// ```
/// use sharehold::{Barrier, BarrierOptions, DeathPolicy, Part};
///
/// let meeting = BarrierOptions { participants: 2, death_policy: DeathPolicy::BreakRound };
/// let step = Barrier::open_or_create("com.example.step", || meeting)?;
/// std::thread::scope(|scope| {
///     let other = scope.spawn(|| step.wait());
///     let own = step.wait()?;
///     let other = other.join().expect("it does not panic")?;
///     assert!(own.is_leader() != other.is_leader());
///     Ok::<(), sharehold::Error>(())
/// })?;
/// # Ok::<(), sharehold::Error>(())
/// ```
#[doc(alias = "pthread_barrier_t")]
#[derive(Debug)]
pub struct Barrier {
    place: PartRef,
}

impl Barrier {
    /// Arrives, and waits until all participants have arrived. The participant that arrives last is
    /// the [leader](BarrierWaitResult::is_leader) of the round.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Broken`] if a participant died and the round is broken; [`ErrorKind::Forked`].
    pub fn wait(&self) -> Result<BarrierWaitResult> {
        self.wait_until(Deadline::Never)
    }

    /// As [`Barrier::wait`], but waits at most for `limit`. After a timeout the arrival is
    /// withdrawn.
    ///
    /// # Errors
    ///
    /// As [`Barrier::wait`], and [`ErrorKind::Timeout`].
    pub fn wait_timeout(&self, limit: Duration) -> Result<BarrierWaitResult> {
        self.wait_until(Deadline::after(limit))
    }

    /// As [`Barrier::wait`], but waits at most until `deadline`. After a timeout the arrival is
    /// withdrawn.
    ///
    /// # Errors
    ///
    /// As [`Barrier::wait_timeout`].
    pub fn wait_deadline(&self, deadline: Instant) -> Result<BarrierWaitResult> {
        self.wait_until(Deadline::At(deadline))
    }

    /// As [`Barrier::wait`], asynchronously: see [`Segment::lock_async`]. Dropping the future
    /// withdraws the arrival unless the round has completed.
    ///
    /// # Errors
    ///
    /// As [`Barrier::wait`].
    pub async fn wait_async(&self) -> Result<BarrierWaitResult> {
        future::WaitFuture::new(self.arriving(WaitMode::Task)?).await
    }

    /// Removes one thread of this attachment from the participants, after its last round. Another
    /// thread, of any process, may take its place.
    ///
    /// Without this call, an attachment that ends after its last round is missing from the next
    /// round, with the same effect as a death.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::{Barrier, BarrierOptions, DeathPolicy, Part};
    ///
    /// let meeting = BarrierOptions { participants: 1, death_policy: DeathPolicy::BreakRound };
    /// let step = Barrier::open_or_create("com.example.withdraw", || meeting)?;
    /// step.wait()?;
    /// step.withdraw()?;
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub fn withdraw(&self) -> Result<()> {
        let words = Site::of(&self.place, WITHDRAW, WaitMode::Thread(Deadline::Never))?;
        let act = |site: &Site<'_>| protocol::withdraw(site);
        complete(&mut InnerLockWait { words, act })
    }

    fn wait_until(&self, deadline: Deadline) -> Result<BarrierWaitResult> {
        let mut arriving = self.arriving(WaitMode::Thread(deadline))?;
        block(&mut arriving, deadline.instant()).unwrap_or_else(|| arriving.take_back())
    }

    fn arriving(&self, who: WaitMode) -> Result<ArrivalWait<'_>> {
        Ok(ArrivalWait {
            place: &self.place,
            site: Site::of(&self.place, WAIT, who)?,
            arrival: Arrival::new(),
            is_done: false,
            record: None,
        })
    }

    /// Returns the segment that contains this barrier.
    pub fn segment(&self) -> &Segment {
        self.place.segment()
    }
}

impl Part for Barrier {
    type Init = BarrierOptions;

    const SIZE: usize = Primitive::Barrier.size(None);
    const MARKS: usize = Primitive::Barrier.marks();

    fn describe() -> Description {
        Description::of_part(Primitive::Barrier, None)
    }

    fn begin(first: BarrierOptions, at: &mut Initializer<'_>) -> Result<()> {
        if !(1..=MOST).contains(&first.participants) {
            let detail = format!(
                "{} participants are out of range; use 1 to {MOST}",
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
        let leaves_out = u32::from(first.death_policy == DeathPolicy::RemoveParticipant);
        words.leaves_out.store(leaves_out, Ordering::Relaxed);
        Ok(())
    }

    fn find(at: &mut LayoutCursor) -> Barrier {
        Barrier {
            place: at.next(Primitive::Barrier, Self::SIZE),
        }
    }
}

impl Locked for BarrierWords {
    fn lock(&self) -> &LockWords {
        &self.lock
    }

    fn asker<'a>(&'a self, segment: &'a Segment) -> LivenessChecker<'a> {
        LivenessChecker::new(segment, &self.checkers, &self.asked, &self.round)
    }
}

/// The words of a barrier.
type Site<'a> = Guarded<'a, BarrierWords>;

impl BarrierMemory for Site<'_> {
    type Refusal = InnerLockRefusal;

    fn lock(&self) -> Result<bool, InnerLockRefusal> {
        self.enter()
    }

    fn unlock(&self) {
        self.leave();
    }

    fn participants(&self) -> u32 {
        self.words.participants.load(Ordering::Relaxed)
    }

    fn leaves_out(&self) -> bool {
        self.words.leaves_out.load(Ordering::Relaxed) != 0
    }

    fn round(&self) -> u32 {
        self.words.round.load(Ordering::SeqCst)
    }

    fn raise_round(&self) {
        self.words.round.fetch_add(1, Ordering::SeqCst);
    }

    fn wake(&self) {
        sys::wake_all(&self.words.round);
    }

    fn broken(&self) -> u64 {
        self.words.broken.load(Ordering::SeqCst)
    }

    fn set_broken(&self, rounds: u64) {
        self.words.broken.store(rounds, Ordering::SeqCst);
    }

    fn left_out(&self) -> LeftOut {
        LeftOut(self.words.left_out.load(Ordering::SeqCst))
    }

    fn set_left_out(&self, left_out: LeftOut) {
        self.words.left_out.store(left_out.0, Ordering::SeqCst);
    }

    fn own(&self) -> Threads {
        Threads::of_word(self.place.own(THREADS))
    }

    fn set_own(&self, threads: Threads) {
        self.place.set_own(THREADS, threads.word());
    }

    fn own_round(&self) -> u32 {
        self.place.own(ROUND)
    }

    fn set_own_round(&self, round: u32) {
        self.place.set_own(ROUND, round);
    }

    fn threads(&self, slot: usize) -> Option<Threads> {
        Some(Threads::of_word(self.place.mark(THREADS, slot)?.value))
    }

    fn round_of(&self, slot: usize) -> u32 {
        self.place.mark(ROUND, slot).map_or(0, |mark| mark.value)
    }

    fn is_gone(&self, slot: usize, may: bool) -> bool {
        self.is_proven_gone(THREADS, slot, may)
    }

    fn asks(&self) -> bool {
        self.has_to_ask()
    }

    fn forget(&self, slot: usize) {
        self.place.forget(THREADS, slot);
    }
}

/// The arrival of a participant, and its wait for the others. Dropping it before the round has
/// completed withdraws the arrival.
struct ArrivalWait<'a> {
    place: &'a PartRef,
    site: Site<'a>,
    arrival: Arrival,
    is_done: bool,
    record: Option<WaitHandle>,
}

impl ArrivalWait<'_> {
    /// Returns a participant of which not all threads have arrived in this round.
    fn missing(&self, round: u32) -> Option<AttachmentId> {
        let marks = (0..).map_while(|slot| Some((slot, self.place.mark(THREADS, slot)?)));
        let is_missing = |&(slot, mark): &(usize, Marked<'_>)| {
            let threads = Threads::of_word(mark.value);
            threads.arrived < threads.members
                || threads.members > 0 && self.site.round_of(slot) != round
        };
        let mut missing = marks.filter(is_missing);
        missing.find_map(|(_, mark)| mark.maker)
    }

    /// Withdraws the arrival, unless the round has ended.
    fn take_back(&mut self) -> Result<BarrierWaitResult> {
        self.is_done = true;
        // Wait without a limit, even for a process that is stopped while it has the inner lock: the
        // others must not count this arrival.
        let words = Site::of(self.place, WAIT, WaitMode::Thread(Deadline::Never))?;
        let arrival = self.arrival;
        let act = |site: &Site<'_>| arrival.take_back(site);
        match complete(&mut InnerLockWait { words, act })? {
            Some(BarrierOutcome::Met(last)) => Ok(BarrierWaitResult(last)),
            Some(BarrierOutcome::Broken) => Err(broken(self.place)),
            _ => {
                let detail = "the others have not arrived in time; wait longer, or check the missing \
                              participants";
                Err(error(self.place, ErrorKind::Timeout, detail))
            }
        }
    }
}

impl Drop for ArrivalWait<'_> {
    fn drop(&mut self) {
        self.site.clear_wait(self.record);
        if !self.is_done && self.arrival.has_arrived() {
            let arrival = self.arrival;
            soon(self.place, WAIT, move |site: &Site<'_>| {
                arrival.take_back(site)
            });
        }
    }
}

fn broken(place: &PartRef) -> Error {
    let detail = "a participant died and the round is broken; start a new round with the full \
                  number of participants";
    error(place, ErrorKind::Broken, detail)
}

fn error(place: &PartRef, kind: ErrorKind, detail: &str) -> Error {
    Error::new(kind, WAIT, detail).with_key(place.segment().key())
}

impl Wait for ArrivalWait<'_> {
    type Output = Result<BarrierWaitResult>;

    fn look(&mut self) -> Polled<'_, Result<BarrierWaitResult>> {
        if let Err(forked) = self.place.words::<BarrierWords>(WAIT) {
            return Polled::Ready(Err(forked));
        }
        let found = self.arrival.look(&self.site);
        self.is_done = matches!(found, Ok(BarrierOutcome::Met(_) | BarrierOutcome::Broken));
        match found {
            Ok(BarrierOutcome::Met(last)) => Polled::Ready(Ok(BarrierWaitResult(last))),
            Ok(BarrierOutcome::Broken) => Polled::Ready(Err(broken(self.place))),
            Ok(BarrierOutcome::Sleep(seen)) => {
                self.record = self.site.record_wait(self.record, self.missing(seen));
                Polled::Sleep {
                    word: (&self.site.words.round).into(),
                    seen,
                    limit: Some(self.site.period()),
                }
            }
            Err(refused) => self.site.refused(refused),
        }
    }
}
