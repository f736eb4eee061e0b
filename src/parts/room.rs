//! Who is inside of an `RwLock`, and who waits to be: the steps of `sync::sharing` on the words of a segment.

use std::sync::atomic::{Ordering, fence};

use super::place::{Place, low};
use super::refused;
use crate::error::Result;
use crate::memory::format::{Mark as MarkWord, ReadWriteWords};
use crate::segment::table::Hold;
use crate::sync::Until;
use crate::sync::part::{Held, PartLock};
use crate::sync::sharing::{self, Change, Drain, Enter, Found, Mark, Steps};
use crate::sync::waiting::{Look, Wait, block};
use crate::sys;

/// The numbers of the two marks: what `sharing` knows, and which thread writes.
const READERS: usize = 0;
pub(super) const THREAD: usize = 1;

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

impl<'a> Room<'a> {
    pub(super) fn of(place: &'a Place, operation: &'static str) -> Result<Room<'a>> {
        let words: &ReadWriteWords = place.words(operation)?;
        let threads = place.marks(THREAD);
        Ok(Room {
            place,
            words,
            lock: PartLock::of_threads(place.segment(), &words.lock, threads),
        })
    }

    /// Comes in as a reader; also who died as the writer, if this one found that.
    pub(super) fn read(self, until: Until) -> Result<(Inside<'a>, Option<Hold>)> {
        let mut entry = Entry {
            room: self,
            enter: Enter::new(),
            now: until == Until::Now,
        };
        let Some(dead) = block(&mut entry, until.deadline()) else {
            entry.enter.give_up(&self);
            let writer = Hold::from_word(self.lock.owner());
            return Err(refused(self.place.segment(), Some(writer), until));
        };
        Ok((Inside::Reading(self), dead))
    }

    /// Comes in as the writer; also who died as one, if this one took over from it.
    pub(super) fn write(self, until: Until) -> Result<(Inside<'a>, Option<Hold>)> {
        let held = self.lock.acquire(until)?;
        let dead = held.dead();
        held.keep();
        Ok((self.drain(0, until)?, dead))
    }

    /// Becomes the writer, for a thread that is inside as a reader; it stays that where this fails.
    pub(super) fn upgrade(self) -> Result<Inside<'a>> {
        self.lock.acquire(Until::Now)?.keep();
        self.drain(1, Until::Acquired)
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

    /// Waits for readers to leave, of which so many are this thread. The caller has the writers' lock, and has it no more where this fails.
    fn drain(self, own: u64, until: Until) -> Result<Inside<'a>> {
        let mut exit = Exit {
            room: self,
            drain: Drain::new(own),
            now: until == Until::Now,
        };
        if block(&mut exit, until.deadline()).is_some() {
            return Ok(Inside::Writing(self));
        }
        let reader = exit.drain.kept_out_by(&self);
        Drain::give_up(&self);
        let reader = reader.and_then(|(slot, mark)| self.maker_of(slot, mark));
        Err(refused(self.place.segment(), reader, until))
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

/// One that wants to read; in the end it may have taken over from a dead writer.
struct Entry<'a> {
    room: Room<'a>,
    enter: Enter,
    now: bool,
}

impl Wait for Entry<'_> {
    type Output = Option<Hold>;

    fn look(&mut self) -> Look<'_, Option<Hold>> {
        match self.enter.look(&self.room, self.now) {
            Found::Inside => Look::Ready(None),
            Found::TakenOver(owner) => Look::Ready(Some(Hold::from_word(owner))),
            Found::Sleep(turn, limit) => Look::Sleep {
                word: (&self.room.words.turn).into(),
                seen: turn,
                limit: Some(limit),
            },
        }
    }
}

/// One that has the writers' lock, and waits for readers to leave.
struct Exit<'a> {
    room: Room<'a>,
    drain: Drain,
    now: bool,
}

impl Wait for Exit<'_> {
    type Output = ();

    fn look(&mut self) -> Look<'_, ()> {
        match self.drain.look(&self.room, self.now) {
            Found::Inside | Found::TakenOver(_) => Look::Ready(()),
            Found::Sleep(seen, limit) => Look::Sleep {
                word: (&self.room.words.draining).into(),
                seen,
                limit: Some(limit),
            },
        }
    }
}
