//! The operations of `rwlock::protocol` on the words of a segment.

use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use super::protocol::{
    self, Mark, MarkChange, ReadAcquire, RwLockMemory, RwLockOutcome, Tasks, WriteAcquire,
};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::{RawLock, RawLockGuard};
use crate::memory::format::{MarkWord, ReadWriteWords};
use crate::parts::layout::{PartRef, low};
use crate::parts::refused;
use crate::segment::id::AttachmentId;
use crate::segment::waits::WaitHandle;
use crate::sys;
use crate::timing::TASK_GRACE;
use crate::wait::future;
use crate::wait::liveness::LivenessChecker;
use crate::wait::poll::{Polled, Wait, block};

/// The numbers of the two marks: the reader counts that `protocol` keeps, and the writing thread.
const READERS: usize = 0;
pub(super) const THREAD: usize = 1;

const ENTER: &str = "lock";
const DOWNGRADE: &str = "downgrade the lock of";

/// A lock that is held for reading or for writing, and released when this is dropped.
#[derive(Debug)]
pub(crate) enum RwLockHold<'a> {
    Reading(RwLockRef<'a>),
    Writing(RwLockRef<'a>),
    Neither,
}

impl Drop for RwLockHold<'_> {
    fn drop(&mut self) {
        // A forked child has a copy of the guard, but does not hold the lock.
        match self {
            RwLockHold::Reading(room) if room.is_ours() => protocol::leave_reading(room),
            RwLockHold::Writing(room) if room.is_ours() => protocol::leave_writing(room),
            _ => {}
        }
    }
}

/// The words of a lock, among them the writers' lock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RwLockRef<'a> {
    place: &'a PartRef,
    words: &'a ReadWriteWords,
    lock: RawLock<'a>,
}

/// An acquired lock, and the writer that died with it, if this acquisition recovered it.
pub(crate) type RwLockAcquired<'a> = (RwLockHold<'a>, Option<AttachmentId>);

impl<'a> RwLockRef<'a> {
    /// Makes a reference for a thread.
    pub(crate) fn of(place: &'a PartRef, operation: &'static str) -> Result<RwLockRef<'a>> {
        let words: &ReadWriteWords = place.words(operation)?;
        let threads = place.marks(THREAD);
        Ok(RwLockRef {
            place,
            words,
            lock: RawLock::of_part(place.segment(), &words.lock, threads),
        })
    }

    /// Makes a reference for a task.
    pub(crate) fn threadless(place: &'a PartRef, operation: &'static str) -> Result<RwLockRef<'a>> {
        let words: &ReadWriteWords = place.words(operation)?;
        Ok(RwLockRef {
            place,
            words,
            lock: RawLock::of_part_for_task(place.segment(), &words.lock),
        })
    }

    /// Acquires the lock for reading.
    #[inline]
    pub(crate) fn read(self, deadline: Deadline) -> Result<RwLockAcquired<'a>> {
        let mut enter = ReadAcquire::new(false);
        // Usually there is no writer, and this needs no wait state.
        if self.lock.owner() == 0 {
            match enter.look(&self, false) {
                RwLockOutcome::Acquired => return Ok((RwLockHold::Reading(self), None)),
                RwLockOutcome::TakenOver(owner) => {
                    return Ok((
                        RwLockHold::Reading(self),
                        Some(AttachmentId::from_word(owner)),
                    ));
                }
                RwLockOutcome::Sleep(..) => {}
            }
        }
        self.read_contended(enter, deadline)
    }

    #[cold]
    fn read_contended(self, enter: ReadAcquire, deadline: Deadline) -> Result<RwLockAcquired<'a>> {
        let came = block(
            &mut ReadWait::new(self, enter, deadline),
            deadline.instant(),
        );
        came.unwrap_or_else(|| {
            let writer = AttachmentId::from_word(self.lock.owner());
            Err(self.lock.held_by(writer, deadline).into())
        })
    }

    /// Acquires the lock for reading, asynchronously.
    pub(crate) async fn read_async(self) -> Result<RwLockAcquired<'a>> {
        future::WaitFuture::new(ReadWait::new(self, ReadAcquire::new(true), Deadline::Never)).await
    }

    /// Acquires the lock for writing.
    pub(crate) fn write(self, deadline: Deadline) -> Result<RwLockAcquired<'a>> {
        let dead = self.lock.acquire_unguarded(deadline)?;
        Ok((self.drain(0, deadline)?, dead))
    }

    /// Acquires the lock for writing, asynchronously.
    pub(crate) async fn write_async(self) -> Result<RwLockAcquired<'a>> {
        let dead = self.lock.acquire_async().await?.unguarded();
        Ok((self.drain_async(0).await?, dead))
    }

    /// Turns a reader into the writer. If this fails, it is still a reader.
    pub(crate) fn upgrade(self, deadline: Deadline) -> Result<RwLockHold<'a>> {
        self.lock.acquire_unguarded(Deadline::Now)?;
        self.drain(1, deadline)
    }

    /// Turns a reader into the writer, asynchronously. If this fails, it is still a reader.
    pub(crate) async fn upgrade_async(self) -> Result<RwLockHold<'a>> {
        self.lock.acquire_unguarded(Deadline::Now)?;
        self.drain_async(1).await
    }

    /// Turns the writer into a reader. If this fails, it is still the writer.
    pub(crate) fn downgrade(self) -> Result<RwLockHold<'a>> {
        if protocol::downgrade(&self) {
            Ok(RwLockHold::Reading(self))
        } else {
            let detail =
                "tens of thousands of threads of this process read it or wait to; try again later";
            let error = Error::new(ErrorKind::Busy, DOWNGRADE, detail);
            Err(error.with_key(self.place.segment().key()))
        }
    }

    fn is_ours(self) -> bool {
        self.place.segment().attached().is_ours()
    }

    fn check_fork(self, operation: &'static str) -> Result<()> {
        self.place.segment().attached().check_fork(operation)
    }

    /// Waits until the readers have left, except `own` of them that belong to the caller. The
    /// caller has the writers' lock, and loses it if this fails.
    fn drain(self, own: u64, deadline: Deadline) -> Result<RwLockHold<'a>> {
        let mut exit = WriteWait::new(self, own, deadline);
        block(&mut exit, deadline.instant()).unwrap_or_else(|| {
            let reader = exit.reader();
            Err(refused(self.place.segment(), reader, deadline))
        })
    }

    /// As [`RwLockRef::drain`], asynchronously.
    async fn drain_async(self, own: u64) -> Result<RwLockHold<'a>> {
        future::WaitFuture::new(WriteWait::new(self, own, Deadline::Never)).await
    }

    fn mark_of(&self, slot: usize) -> Option<&'a MarkWord> {
        self.place.marks(READERS).of(self.place.segment(), slot)
    }

    fn own_slot(&self) -> AttachmentId {
        self.place.segment().id()
    }

    /// Returns the attachment that made a mark, or `None` if another attachment has had the slot
    /// since.
    fn maker_of(&self, slot: usize, mark: Mark) -> Option<AttachmentId> {
        let id = self.place.segment().id_in(slot)?;
        (low(id) == mark.generation()).then_some(id)
    }
}

impl RwLockMemory for RwLockRef<'_> {
    fn owner(&self) -> u64 {
        self.lock.owner()
    }

    fn take_over(&self, owner: u64) -> bool {
        let held = self.lock.take_over(owner);
        held.map(RawLockGuard::keep).is_some()
    }

    fn free(&self) {
        self.lock.release();
        // The release of the lock is weaker than a sequentially consistent store.
        fence(Ordering::SeqCst);
    }

    fn phase(&self) -> u32 {
        self.words.phase.load(Ordering::SeqCst)
    }

    fn end_phase(&self) {
        self.words.phase.fetch_add(1, Ordering::SeqCst);
    }

    fn remark(&self, change: MarkChange) -> bool {
        let own = self.own_slot();
        let Some(mark) = self.mark_of(own.index()) else {
            return false;
        };
        let changed = mark
            .word
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |found| {
                // The mark is empty, or it is of an earlier attachment in this slot.
                let is_own = Mark(found).generation() == low(own);
                let mark = if is_own {
                    Mark(found)
                } else {
                    Mark::none(low(own))
                };
                mark.changed(change).map(|it| it.0)
            });
        changed.is_ok()
    }

    fn mark(&self, slot: usize) -> Option<Mark> {
        Some(Mark(self.mark_of(slot)?.word.load(Ordering::SeqCst)))
    }

    fn is_own(&self, slot: usize) -> bool {
        slot == self.own_slot().index()
    }

    fn is_gone(&self, slot: usize, mark: Mark, may: bool) -> bool {
        match self.maker_of(slot, mark) {
            None => true,
            Some(id) => may && self.place.segment().is_gone(id),
        }
    }

    fn forget(&self, slot: usize, mark: Mark) {
        if let Some(found) = self.mark_of(slot) {
            let word = &found.word;
            // Fails if a new attachment has taken the slot and changed the mark: then that mark
            // stays.
            let _ = word.compare_exchange(mark.0, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    fn tasks(&self) -> Tasks {
        Tasks(self.words.tasks.load(Ordering::SeqCst))
    }

    fn change_tasks(&self, from: Tasks, to: Tasks) -> bool {
        let (tasks, order) = (&self.words.tasks, Ordering::SeqCst);
        tasks.compare_exchange(from.0, to.0, order, order).is_ok()
    }

    fn announce_reader(&self) {
        self.words.readers_wait.store(1, Ordering::SeqCst);
    }

    fn take_readers(&self) -> bool {
        let word = &self.words.readers_wait;
        word.load(Ordering::SeqCst) != 0 && word.swap(0, Ordering::SeqCst) != 0
    }

    fn turn(&self) -> u32 {
        self.words.turn.load(Ordering::SeqCst)
    }

    fn end_turn(&self) {
        self.words.turn.fetch_add(1, Ordering::SeqCst);
    }

    fn wake_readers(&self) {
        sys::wake_all(&self.words.turn);
    }

    fn announce_drain(&self) {
        self.words.draining.store(1, Ordering::SeqCst);
        // The operation that changed the owner word is weaker than a sequentially consistent
        // exchange.
        fence(Ordering::SeqCst);
    }

    fn take_drain(&self) -> bool {
        let word = &self.words.draining;
        word.load(Ordering::SeqCst) != 0 && word.swap(0, Ordering::SeqCst) != 0
    }

    fn wake_writer(&self) {
        sys::wake_all(&self.words.draining);
    }
}

/// The wait of a reader. If it is dropped before the reader has the lock, the reader stops waiting.
struct ReadWait<'a> {
    room: RwLockRef<'a>,
    enter: ReadAcquire,
    now: bool,
    record: Option<WaitHandle>,
    // Boxed, because most readers acquire the lock without sleeping.
    slept: Option<Box<ReadSleep<'a>>>,
}

/// What a sleeping reader has seen. Of many waiters for one writer, a few check often whether it is
/// alive: see [`LivenessChecker`].
struct ReadSleep<'a> {
    turn: u32,
    writer: u64,
    asker: LivenessChecker<'a>,
}

impl<'a> ReadWait<'a> {
    fn new(room: RwLockRef<'a>, enter: ReadAcquire, deadline: Deadline) -> ReadWait<'a> {
        ReadWait {
            room,
            enter,
            now: deadline == Deadline::Now,
            record: None,
            slept: None,
        }
    }

    /// Returns the sleep if it only ended by its time limit, nothing has changed, and it is not
    /// this waiter's turn to check liveness.
    fn sleeps_on(&self) -> Option<&ReadSleep<'a>> {
        let (words, slept) = (self.room.words, self.slept.as_deref()?);
        let is_as_it_was = words.readers_wait.load(Ordering::SeqCst) != 0
            && words.turn.load(Ordering::SeqCst) == slept.turn
            && self.room.lock.owner() == slept.writer;
        (is_as_it_was && !slept.asker.asks()).then_some(slept)
    }

    /// Prepares to sleep.
    fn sleep(&mut self, turn: u32) -> Duration {
        let RwLockRef { lock, words, place } = self.room;
        let writer = lock.owner();
        self.record = lock.record_wait(self.record, AttachmentId::from_word(writer));
        let again = self.slept.take().filter(|it| it.writer == writer);
        let mut slept = again.unwrap_or_else(|| {
            let seats = &words.lock.checkers;
            Box::new(ReadSleep {
                turn,
                writer,
                asker: LivenessChecker::new(place.segment(), seats, &words.asked, &words.turn),
            })
        });
        slept.turn = turn;
        slept.asker.found(AttachmentId::from_word(writer));
        let period = slept.asker.period();
        self.slept = Some(slept);
        period
    }

    /// Completes the acquisition. If the reader was not woken, the other waiters may not have been
    /// woken either.
    fn come_in(&mut self, dead: Option<AttachmentId>) -> Polled<'a, Result<RwLockAcquired<'a>>> {
        let slept = self.slept.take();
        if slept.is_some_and(|slept| slept.turn == self.room.turn()) {
            protocol::wake_waiting(&self.room);
        }
        Polled::Ready(Ok((RwLockHold::Reading(self.room), dead)))
    }
}

impl<'a> Wait for ReadWait<'a> {
    type Output = Result<RwLockAcquired<'a>>;

    fn look(&mut self) -> Polled<'_, Result<RwLockAcquired<'a>>> {
        if let Err(forked) = self.room.check_fork(ENTER) {
            return Polled::Ready(Err(forked));
        }
        let word = (&self.room.words.turn).into();
        if let Some(slept) = self.sleeps_on() {
            return Polled::Sleep {
                word,
                seen: slept.turn,
                limit: Some(slept.asker.period()),
            };
        }
        match self.enter.look(&self.room, self.now) {
            RwLockOutcome::Acquired => self.come_in(None),
            RwLockOutcome::TakenOver(owner) => self.come_in(Some(AttachmentId::from_word(owner))),
            RwLockOutcome::Sleep(seen, limit) => {
                let limit = Some(match limit {
                    Some(limit) => {
                        self.slept = None;
                        limit
                    }
                    None => self.sleep(seen),
                });
                Polled::Sleep { word, seen, limit }
            }
        }
    }
}

impl Drop for ReadWait<'_> {
    fn drop(&mut self) {
        if self.room.is_ours() {
            self.enter.give_up(&self.room);
            self.room.lock.clear_wait(self.record);
        }
    }
}

/// The wait of a writer that has the writers' lock, until the readers leave. If it is dropped
/// before the writer is inside, it releases the writers' lock.
struct WriteWait<'a> {
    room: RwLockRef<'a>,
    drain: WriteAcquire,
    deadline: Deadline,
    is_inside: bool,
    record: Option<WaitHandle>,
    /// When the wait began; `None` while there has been no need to wait.
    began: Option<Instant>,
}

impl<'a> WriteWait<'a> {
    fn new(room: RwLockRef<'a>, own: u64, deadline: Deadline) -> WriteWait<'a> {
        WriteWait {
            room,
            drain: WriteAcquire::new(own),
            deadline,
            is_inside: false,
            record: None,
            began: None,
        }
    }

    /// Returns how much longer to wait for tasks that may enter.
    fn grace(&mut self) -> Duration {
        let began = self.began.get_or_insert_with(Instant::now);
        TASK_GRACE.saturating_sub(began.elapsed())
    }

    /// Whether to stop waiting for tasks that may enter: their grace period is over, or the
    /// deadline has passed.
    fn is_late(&mut self) -> bool {
        let has_waited = self.began.is_some() && self.grace().is_zero();
        has_waited
            || match self.deadline {
                Deadline::Never => false,
                Deadline::At(end) => end <= Instant::now(),
                Deadline::Now => true,
            }
    }

    /// Returns a reader that keeps this writer out.
    fn reader(&self) -> Option<AttachmentId> {
        let (slot, mark) = self.drain.kept_out_by(&self.room)?;
        self.room.maker_of(slot, mark)
    }
}

impl<'a> Wait for WriteWait<'a> {
    type Output = Result<RwLockHold<'a>>;

    fn look(&mut self) -> Polled<'_, Result<RwLockHold<'a>>> {
        if let Err(forked) = self.room.check_fork(ENTER) {
            return Polled::Ready(Err(forked));
        }
        let is_late = self.is_late();
        let now = self.deadline == Deadline::Now;
        match self.drain.look(&self.room, now, is_late) {
            RwLockOutcome::Acquired | RwLockOutcome::TakenOver(_) => {
                self.is_inside = true;
                Polled::Ready(Ok(RwLockHold::Writing(self.room)))
            }
            RwLockOutcome::Sleep(seen, limit) => {
                if let Some(reader) = self.reader() {
                    self.record = self.room.lock.record_wait(self.record, reader);
                }
                let grace = Some(self.grace()).filter(|grace| !grace.is_zero());
                let limit = limit.into_iter().chain(grace).min();
                Polled::Sleep {
                    word: (&self.room.words.draining).into(),
                    seen,
                    limit,
                }
            }
        }
    }
}

impl Drop for WriteWait<'_> {
    fn drop(&mut self) {
        if self.room.is_ours() {
            if !self.is_inside {
                WriteAcquire::give_up(&self.room);
            }
            self.room.lock.clear_wait(self.record);
        }
    }
}
