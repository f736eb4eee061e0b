//! `Barrier`: rounds in which so many meet before anyone goes on.
//!
//! The algorithm, its states and its deaths are in `barrier::protocol`; here are its steps on the words of a segment, and what callers see.

#[cfg(test)]
mod model;
pub(crate) mod protocol;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::WaitMode;
use crate::memory::format::BarrierWords;
use crate::parts::inner_lock::{Guarded, InnerLockRefusal, InnerLockWait, soon};
use crate::parts::layout::{Marked, PartRef};
use crate::parts::{Initializer, LayoutCursor, Part, damaged};
use crate::schema::{Description, Primitive};
use crate::segment::Segment;
use crate::segment::table::AttachmentId;
use crate::segment::waits::WaitHandle;
use crate::sys;
use crate::wait::future;
use crate::wait::poll::{Polled, Wait, block, complete};
use protocol::{Arrival, BarrierMemory, BarrierOutcome, LeftOut, MOST, Threads};

const WAIT: &str = "meet at";
const CREATE: &str = "create";
const WITHDRAW: &str = "withdraw from";

/// The numbers of the two marks.
const THREADS: usize = 0;
const ROUND: usize = 1;
/// Says how many meet at a [`Barrier`], and what the death of one of them means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarrierOptions {
    /// How many meet, 1 to 65,535.
    pub participants: u32,
    /// What happens when one of them dies, or detaches.
    pub death_policy: DeathPolicy,
}

/// Says what the death of a participant means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeathPolicy {
    /// The round is broken: everybody who waits in it is told so, and the next round needs as many participants as before.
    BreakRound,
    /// It is left out of this round and of all that follow.
    RemoveParticipant,
}

/// Lets so many threads, of any processes, wait for each other, round after round.
///
/// # When a process dies
///
/// An attachment counts as a participant from its first wait on. When it ends, by death or by detaching, those who wait, or come to wait,
/// know it within 10 ms: the round is broken for all of them, or the dead one's threads are left out, as was chosen when the barrier was
/// created. One that dies having arrived may count for that round, if the others come before anybody has asked; then it is missed in the
/// next. Whoever dies before it has ever waited is not known here; give the wait a limit.
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
    place: PartRef,
}

impl Barrier {
    /// Arrives, and waits until all have arrived; returns whether this one was the last.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Broken`] when a participant has died and that breaks the round; [`ErrorKind::Forked`].
    pub fn wait(&self) -> Result<bool> {
        self.wait_until(Deadline::Never)
    }

    /// As [`Barrier::wait`], at most for `limit`; then it has not arrived.
    ///
    /// # Errors
    ///
    /// As [`Barrier::wait`], and [`ErrorKind::Timeout`].
    pub fn wait_timeout(&self, limit: Duration) -> Result<bool> {
        self.wait_until(Deadline::after(limit))
    }

    /// As [`Barrier::wait`], until `deadline` at most; then it has not arrived.
    ///
    /// # Errors
    ///
    /// As [`Barrier::wait_timeout`].
    pub fn wait_deadline(&self, deadline: Instant) -> Result<bool> {
        self.wait_until(Deadline::At(deadline))
    }

    /// As [`Barrier::wait`], without keeping a thread: see [`Segment::lock_async`]. When the future is dropped before its end this one has
    /// not arrived, unless the others have all come by then.
    ///
    /// # Errors
    ///
    /// As [`Barrier::wait`].
    pub async fn wait_async(&self) -> Result<bool> {
        future::WaitFuture::new(self.arriving(WaitMode::Task)?).await
    }

    /// Takes part no more, with one thread that has met the others and comes to no further round; another one may come in its place.
    ///
    /// Without this, an attachment that ends after its last round is missed in the next one: its end breaks that, or leaves it out.
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

    fn wait_until(&self, deadline: Deadline) -> Result<bool> {
        let mut arriving = self.arriving(WaitMode::Thread(deadline))?;
        block(&mut arriving, deadline.instant()).unwrap_or_else(|| arriving.take_back())
    }

    fn arriving(&self, who: WaitMode) -> Result<ArrivalWait<'_>> {
        Ok(ArrivalWait {
            place: &self.place,
            site: Site::of(&self.place, WAIT, who)?,
            arrival: Arrival::new(),
            is_done: false,
            note: None,
        })
    }

    /// Returns the segment that it is in, for its key, its attachments and its end.
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
        let leaves_out = u32::from(first.death_policy == DeathPolicy::RemoveParticipant);
        words.leaves_out.store(leaves_out, Ordering::Relaxed);
        Ok(())
    }

    fn find(at: &mut LayoutCursor) -> Barrier {
        let place = at.next(Self::SIZE, Self::MARKS);
        place.disown_lock();
        place.disown_mark(THREADS);
        place.disown_mark(ROUND);
        Barrier { place }
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

/// One that arrives, and waits for the others. When it is dropped before they have come, it has not arrived.
struct ArrivalWait<'a> {
    place: &'a PartRef,
    site: Site<'a>,
    arrival: Arrival,
    is_done: bool,
    note: Option<WaitHandle>,
}

impl ArrivalWait<'_> {
    /// One who takes part, and has not arrived in this round with all its threads.
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

    /// Leaves the round, if it has not ended.
    fn take_back(&mut self) -> Result<bool> {
        self.is_done = true;
        // A process that is stopped under the inner lock is waited for: the others must not count on this one.
        let words = Site::of(self.place, WAIT, WaitMode::Thread(Deadline::Never))?;
        let arrival = self.arrival;
        let act = |site: &Site<'_>| arrival.take_back(site);
        match complete(&mut InnerLockWait { words, act })? {
            Some(BarrierOutcome::Met(last)) => Ok(last),
            Some(BarrierOutcome::Broken) => Err(broken(self.place)),
            _ => {
                let detail =
                    "the others have not arrived in time; wait longer, or see who they are";
                Err(error(self.place, ErrorKind::Timeout, detail))
            }
        }
    }
}

impl Drop for ArrivalWait<'_> {
    fn drop(&mut self) {
        self.site.wipe_out(self.note);
        if !self.is_done && self.arrival.has_arrived() {
            let arrival = self.arrival;
            soon(self.place, WAIT, move |site: &Site<'_>| {
                arrival.take_back(site)
            });
        }
    }
}

fn broken(place: &PartRef) -> Error {
    let detail = "a participant has died; see who is left, and meet again in as many as before";
    error(place, ErrorKind::Broken, detail)
}

fn error(place: &PartRef, kind: ErrorKind, detail: &str) -> Error {
    Error::new(kind, WAIT, detail).with_key(place.segment().key())
}

impl Wait for ArrivalWait<'_> {
    type Output = Result<bool>;

    fn look(&mut self) -> Polled<'_, Result<bool>> {
        if let Err(forked) = self.place.words::<BarrierWords>(WAIT) {
            return Polled::Ready(Err(forked));
        }
        let found = self.arrival.look(&self.site);
        self.is_done = matches!(found, Ok(BarrierOutcome::Met(_) | BarrierOutcome::Broken));
        match found {
            Ok(BarrierOutcome::Met(last)) => Polled::Ready(Ok(last)),
            Ok(BarrierOutcome::Broken) => Polled::Ready(Err(broken(self.place))),
            Ok(BarrierOutcome::Sleep(seen)) => {
                self.note = self.site.note(self.note, self.missing(seen));
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
