//! Who is inside of an `RwLock`, and who waits to be: the steps of `sync::sharing` on the words of a segment.

use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use super::place::{Place, low};
use super::refused;
use crate::error::Result;
use crate::memory::format::{Mark as MarkWord, ReadWriteWords};
use crate::segment::table::Hold;
use crate::segment::waits::Note;
use crate::sync::askers::Asker;
use crate::sync::part::{Held, PartLock};
use crate::sync::sharing::{self, Change, Drain, Enter, Found, GRACE, Mark, Steps, Tasks};
use crate::sync::waiting::{Look, Wait, block};
use crate::sync::{Lock, Until, future};
use crate::sys;

/// The numbers of the two marks: what `sharing` knows, and which thread writes.
pub(super) const READERS: usize = 0;
pub(super) const THREAD: usize = 1;

const ENTER: &str = "lock";

/// Who is inside, and leaves when this is dropped.
#[derive(Debug)]
pub(super) enum Inside<'a> {
    Reading(Room<'a>),
    Writing(Room<'a>),
    Neither,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // A forked child has a copy of the guard, and no place inside.
        match self {
            Inside::Reading(room) if room.is_ours() => sharing::leave_reading(room),
            Inside::Writing(room) if room.is_ours() => sharing::leave_writing(room),
            _ => {}
        }
    }
}

/// The words of a lock, and its writers' lock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room<'a> {
    place: &'a Place,
    words: &'a ReadWriteWords,
    lock: PartLock<'a>,
}

/// One who is inside, and who died as the writer, if this one found that or took over from it.
pub(super) type Came<'a> = (Inside<'a>, Option<Hold>);

impl<'a> Room<'a> {
    /// For a thread.
    pub(super) fn of(place: &'a Place, operation: &'static str) -> Result<Room<'a>> {
        let words: &ReadWriteWords = place.words(operation)?;
        let threads = place.marks(THREAD);
        Ok(Room {
            place,
            words,
            lock: PartLock::of_threads(place.segment(), &words.lock, threads),
        })
    }

    /// For a task.
    pub(super) fn threadless(place: &'a Place, operation: &'static str) -> Result<Room<'a>> {
        let words: &ReadWriteWords = place.words(operation)?;
        Ok(Room {
            place,
            words,
            lock: PartLock::threadless(place.segment(), &words.lock),
        })
    }

    /// Comes in as a reader.
    #[inline]
    pub(super) fn read(self, until: Until) -> Result<Came<'a>> {
        let mut enter = Enter::new(false);
        // Mostly nobody writes, and there is nothing to wait with.
        if self.lock.owner() == 0 {
            match enter.look(&self, false) {
                Found::Inside => return Ok((Inside::Reading(self), None)),
                Found::TakenOver(owner) => {
                    return Ok((Inside::Reading(self), Some(Hold::from_word(owner))));
                }
                Found::Sleep(..) => {}
            }
        }
        self.read_contended(enter, until)
    }

    #[cold]
    fn read_contended(self, enter: Enter, until: Until) -> Result<Came<'a>> {
        let came = block(&mut Entry::new(self, enter, until), until.deadline());
        came.unwrap_or_else(|| {
            let writer = Hold::from_word(self.lock.owner());
            Err(self.lock.held_by(writer, until).into())
        })
    }

    /// Comes in as a reader, without keeping a thread.
    pub(super) async fn read_async(self) -> Result<Came<'a>> {
        future::Until::new(Entry::new(self, Enter::new(true), Until::Acquired)).await
    }

    /// Comes in as the writer.
    pub(super) fn write(self, until: Until) -> Result<Came<'a>> {
        let dead = Room::keep(self.lock.acquire(until)?);
        Ok((self.drain(0, until)?, dead))
    }

    /// Comes in as the writer, without keeping a thread.
    pub(super) async fn write_async(self) -> Result<Came<'a>> {
        let dead = Room::keep(self.lock.acquire_async().await?);
        Ok((self.drain_async(0).await?, dead))
    }

    /// Becomes the writer, for one that is inside as a reader; it stays that where this fails.
    pub(super) fn upgrade(self, until: Until) -> Result<Inside<'a>> {
        Room::keep(self.lock.acquire(Until::Now)?);
        self.drain(1, until)
    }

    /// Becomes the writer, without keeping a thread, for one that is inside as a reader; it stays that where this fails.
    pub(super) async fn upgrade_async(self) -> Result<Inside<'a>> {
        Room::keep(self.lock.acquire(Until::Now)?);
        self.drain_async(1).await
    }

    /// Becomes a reader, for the thread that is inside as the writer; it is outside where this fails.
    pub(super) fn downgrade(self) -> Result<Inside<'a>> {
        if sharing::downgrade(&self) {
            Ok(Inside::Reading(self))
        } else {
            Err(refused(self.place.segment(), None, Until::Now))
        }
    }

    fn is_ours(self) -> bool {
        self.place.segment().attached().is_ours()
    }

    fn check_fork(self, operation: &'static str) -> Result<()> {
        self.place.segment().attached().check_fork(operation)
    }

    /// Keeps the writers' lock until this one leaves, or gives up; from whom it was taken over, if that one died with it.
    fn keep(held: Held<'a>) -> Option<Hold> {
        let dead = held.dead();
        held.keep();
        dead
    }

    /// Waits for readers to leave, of which so many are this one. The caller has the writers' lock, and has it no more where this fails.
    fn drain(self, own: u64, until: Until) -> Result<Inside<'a>> {
        let mut exit = Exit::new(self, own, until);
        block(&mut exit, until.deadline()).unwrap_or_else(|| {
            let reader = exit.reader();
            Err(refused(self.place.segment(), reader, until))
        })
    }

    /// The same, without keeping a thread.
    async fn drain_async(self, own: u64) -> Result<Inside<'a>> {
        future::Until::new(Exit::new(self, own, Until::Acquired)).await
    }

    fn mark_of(&self, slot: usize) -> Option<&'a MarkWord> {
        self.place.marks(READERS).of(self.place.segment(), slot)
    }

    fn own_slot(&self) -> Hold {
        self.place.segment().hold()
    }

    /// The attachment that made a mark; `None` when the slot has had another one since.
    fn maker_of(&self, slot: usize, mark: Mark) -> Option<Hold> {
        let hold = self.place.segment().hold_in(slot)?;
        (low(hold) == mark.generation()).then_some(hold)
    }
}

impl Steps for Room<'_> {
    fn owner(&self) -> u64 {
        self.lock.owner()
    }

    fn take_over(&self, owner: u64) -> bool {
        let held = self.lock.take_over(owner);
        held.map(Held::keep).is_some()
    }

    fn free(&self) {
        self.lock.release();
        // The lock's release is less than a sequentially consistent store.
        fence(Ordering::SeqCst);
    }

    fn phase(&self) -> u32 {
        self.words.phase.load(Ordering::SeqCst)
    }

    fn end_phase(&self) {
        self.words.phase.fetch_add(1, Ordering::SeqCst);
    }

    fn remark(&self, change: Change) -> bool {
        let own = self.own_slot();
        let Some(mark) = self.mark_of(own.index()) else {
            return false;
        };
        let changed = mark
            .word
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |found| {
                // It is empty, or of one who had the slot before.
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
            Some(hold) => may && self.place.segment().is_gone(hold),
        }
    }

    fn forget(&self, slot: usize, mark: Mark) {
        if let Some(found) = self.mark_of(slot) {
            let word = &found.word;
            // Unless the slot has been taken anew meanwhile.
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
        // The owner word was changed by less than a sequentially consistent exchange.
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

/// One that wants to read. When it is dropped before it is inside, it waits no more.
struct Entry<'a> {
    room: Room<'a>,
    enter: Enter,
    now: bool,
    note: Option<Note>,
    // Far away: most come in without ever sleeping.
    slept: Option<Box<Slept<'a>>>,
}

/// What one that sleeps has seen. Of many that wait for one writer a few ask often whether it lives: see [`Asker`].
struct Slept<'a> {
    turn: u32,
    writer: u64,
    asker: Asker<'a>,
}

impl<'a> Entry<'a> {
    fn new(room: Room<'a>, enter: Enter, until: Until) -> Entry<'a> {
        Entry {
            room,
            enter,
            now: until == Until::Now,
            note: None,
            slept: None,
        }
    }

    /// Whether its sleep has merely ended by itself, while another one asks.
    fn sleeps_on(&self) -> Option<&Slept<'a>> {
        let (words, slept) = (self.room.words, self.slept.as_deref()?);
        let is_as_it_was = words.readers_wait.load(Ordering::SeqCst) != 0
            && words.turn.load(Ordering::SeqCst) == slept.turn
            && self.room.lock.owner() == slept.writer;
        (is_as_it_was && !slept.asker.asks()).then_some(slept)
    }

    /// Prepares to sleep.
    fn sleep(&mut self, turn: u32) -> Duration {
        let Room { lock, words, place } = self.room;
        let writer = lock.owner();
        self.note = lock.note(self.note, Hold::from_word(writer));
        let again = self.slept.take().filter(|it| it.writer == writer);
        let mut slept = again.unwrap_or_else(|| {
            let seats = &words.lock.askers;
            Box::new(Slept {
                turn,
                writer,
                asker: Asker::new(place.segment(), seats, &words.asked, &words.turn),
            })
        });
        slept.turn = turn;
        slept.asker.found(Hold::from_word(writer));
        let period = slept.asker.period();
        self.slept = Some(slept);
        period
    }

    /// Is inside. If nobody has told it to look, nobody may have told the others.
    fn come_in(&mut self, dead: Option<Hold>) -> Look<'a, Result<Came<'a>>> {
        let slept = self.slept.take();
        if slept.is_some_and(|slept| slept.turn == self.room.turn()) {
            sharing::wake_waiting(&self.room);
        }
        Look::Ready(Ok((Inside::Reading(self.room), dead)))
    }
}

impl<'a> Wait for Entry<'a> {
    type Output = Result<Came<'a>>;

    fn look(&mut self) -> Look<'_, Result<Came<'a>>> {
        if let Err(forked) = self.room.check_fork(ENTER) {
            return Look::Ready(Err(forked));
        }
        let word = (&self.room.words.turn).into();
        if let Some(slept) = self.sleeps_on() {
            return Look::Sleep {
                word,
                seen: slept.turn,
                limit: Some(slept.asker.period()),
            };
        }
        match self.enter.look(&self.room, self.now) {
            Found::Inside => self.come_in(None),
            Found::TakenOver(owner) => self.come_in(Some(Hold::from_word(owner))),
            Found::Sleep(seen, limit) => {
                let limit = Some(match limit {
                    Some(limit) => {
                        self.slept = None;
                        limit
                    }
                    None => self.sleep(seen),
                });
                Look::Sleep { word, seen, limit }
            }
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.room.is_ours() {
            self.enter.give_up(&self.room);
            self.room.lock.wipe_out(self.note);
        }
    }
}

/// One that has the writers' lock, and waits for readers to leave. When it is dropped before it is inside, it has the lock no more.
struct Exit<'a> {
    room: Room<'a>,
    drain: Drain,
    until: Until,
    is_inside: bool,
    note: Option<Note>,
    /// When it began to wait, once it has to.
    began: Option<Instant>,
}

impl<'a> Exit<'a> {
    fn new(room: Room<'a>, own: u64, until: Until) -> Exit<'a> {
        Exit {
            room,
            drain: Drain::new(own),
            until,
            is_inside: false,
            note: None,
            began: None,
        }
    }

    /// How much longer it waits for tasks that may come in.
    fn grace(&mut self) -> Duration {
        let began = self.began.get_or_insert_with(Instant::now);
        GRACE.saturating_sub(began.elapsed())
    }

    /// Whether it waits for them no longer: they have had their time, or it has no more.
    fn is_late(&mut self) -> bool {
        let has_waited = self.began.is_some() && self.grace().is_zero();
        has_waited
            || match self.until {
                Until::Acquired => false,
                Until::Deadline(end) => end <= Instant::now(),
                Until::Now => true,
            }
    }

    /// One who keeps it out.
    fn reader(&self) -> Option<Hold> {
        let (slot, mark) = self.drain.kept_out_by(&self.room)?;
        self.room.maker_of(slot, mark)
    }
}

impl<'a> Wait for Exit<'a> {
    type Output = Result<Inside<'a>>;

    fn look(&mut self) -> Look<'_, Result<Inside<'a>>> {
        if let Err(forked) = self.room.check_fork(ENTER) {
            return Look::Ready(Err(forked));
        }
        let is_late = self.is_late();
        let now = self.until == Until::Now;
        match self.drain.look(&self.room, now, is_late) {
            Found::Inside | Found::TakenOver(_) => {
                self.is_inside = true;
                Look::Ready(Ok(Inside::Writing(self.room)))
            }
            Found::Sleep(seen, limit) => {
                if let Some(reader) = self.reader() {
                    self.note = self.room.lock.note(self.note, reader);
                }
                let grace = Some(self.grace()).filter(|grace| !grace.is_zero());
                let limit = limit.into_iter().chain(grace).min();
                Look::Sleep {
                    word: (&self.room.words.draining).into(),
                    seen,
                    limit,
                }
            }
        }
    }
}

impl Drop for Exit<'_> {
    fn drop(&mut self) {
        if self.room.is_ours() {
            if !self.is_inside {
                Drain::give_up(&self.room);
            }
            self.room.lock.wipe_out(self.note);
        }
    }
}
