//! `RwLock<T>`: a typed value that many read together, or one changes, all or nothing.
//!
//! The algorithm, its states and its deaths are in `sync::sharing`, the value is the two copies of `shared::protocol`. Here are the
//! words of both, and the guards.

use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{Ordering, fence};
use std::thread;
use std::time::{Duration, Instant};

use super::place::{Place, low};
use super::{Draft, Part, Walk, copies_at, damaged, named, refused, until};
use crate::error::{Error, Result};
use crate::memory::format::{Mark as MarkWord, ReadWriteWords};
use crate::schema::{Description, Primitive, Shareable};
use crate::segment::table::Hold;
use crate::segment::{Attachment, Segment};
use crate::shared::value::{self, size_for};
use crate::sync::Until;
use crate::sync::part::PartLock;
use crate::sync::sharing::{self, Drain, Enter, Found, Mark, Steps};
use crate::sync::waiting::{Look, Wait, block};
use crate::sys;

const READ: &str = "lock for reading";
const WRITE: &str = "lock for writing";
const LOOK: &str = "read";

/// The numbers of the two marks: what `sharing` knows, and which thread writes.
const READERS: usize = 0;
const THREAD: usize = 1;

/// Holds a typed value that many read together, or one changes, across processes and threads.
///
/// Each guard has a copy of the value. While anybody has a [read guard](RwLock::read) the value does not change. What is changed in a
/// [write guard](RwLock::write) becomes the value, by one store, as the guard is dropped. Readers of different processes write to no
/// common cache line. Whoever only wants the value as it was last committed needs no lock: [`RwLock::get`].
///
/// It is fair: new readers wait for a writer that waits, and a writer that leaves lets in the readers that waited before the next
/// writer comes. So a thread that reads must not ask to read again: a writer may wait in between, for ever.
///
/// # When a process dies
///
/// Reading: the next writer does not wait for it longer than 10 ms. Writing: the value is the old one, or the new one if it was just being
/// released; the next reader or writer comes in within 10 ms, has nothing to repair, and is told by its guard. Waiting: nobody notices.
/// A process that is merely stopped while it reads keeps writers out, and one that is stopped while it writes, everybody.
///
/// # Examples
///
/// ```
/// use sharehold::{Part, RwLock};
///
/// let limits = RwLock::open_or_create("com.example.limits", || [10_u64, 20])?;
/// assert_eq!(limits.read()?[1], 20);
/// limits.write()?[1] = 30;
/// assert_eq!(limits.get()?, [10, 30]);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[doc(alias = "pthread_rwlock_t")]
#[derive(Debug)]
pub struct RwLock<T> {
    place: Place,
    value: PhantomData<fn(T) -> T>,
}

impl<T: Shareable> RwLock<T> {
    /// Waits until no writer is inside, and keeps writers out.
    ///
    /// # Errors
    ///
    /// [`Forked`](crate::ErrorKind::Forked), [`Damaged`](crate::ErrorKind::Damaged) when somebody overwrote the value with bytes that are
    /// none.
    pub fn read(&self) -> Result<ReadGuard<'_, T>> {
        self.reading(Until::Acquired)
    }

    /// Keeps writers out if none is inside, or waits.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`], and [`WouldBlock`](crate::ErrorKind::WouldBlock), which names the writer.
    pub fn try_read(&self) -> Result<ReadGuard<'_, T>> {
        self.reading(Until::Now)
    }

    /// As [`RwLock::read`], waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`], and [`Timeout`](crate::ErrorKind::Timeout), which names the writer.
    pub fn read_timeout(&self, limit: Duration) -> Result<ReadGuard<'_, T>> {
        self.reading(until(limit))
    }

    /// As [`RwLock::read`], waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read_timeout`].
    pub fn read_deadline(&self, deadline: Instant) -> Result<ReadGuard<'_, T>> {
        self.reading(Until::Deadline(deadline))
    }

    /// Waits until nobody is inside, and keeps everybody out.
    ///
    /// # Errors
    ///
    /// As [`RwLock::read`], and [`Deadlock`](crate::ErrorKind::Deadlock) when this thread is inside as a writer. One that is inside as a
    /// reader waits for itself: see [`ReadGuard::upgrade`].
    pub fn write(&self) -> Result<WriteGuard<'_, T>> {
        self.writing(Until::Acquired)
    }

    /// Keeps everybody out if nobody is inside.
    ///
    /// # Errors
    ///
    /// As [`RwLock::write`], and [`WouldBlock`](crate::ErrorKind::WouldBlock), which names one who is inside.
    pub fn try_write(&self) -> Result<WriteGuard<'_, T>> {
        self.writing(Until::Now)
    }

    /// As [`RwLock::write`], waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`RwLock::write`], and [`Timeout`](crate::ErrorKind::Timeout), which names one who is inside.
    pub fn write_timeout(&self, limit: Duration) -> Result<WriteGuard<'_, T>> {
        self.writing(until(limit))
    }

    /// As [`RwLock::write`], waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`RwLock::write_timeout`].
    pub fn write_deadline(&self, deadline: Instant) -> Result<WriteGuard<'_, T>> {
        self.writing(Until::Deadline(deadline))
    }

    /// Returns the value as it was last committed. It waits for nobody and keeps nobody out.
    ///
    /// # Errors
    ///
    /// [`Damaged`](crate::ErrorKind::Damaged), [`Forked`](crate::ErrorKind::Forked).
    pub fn get(&self) -> Result<T> {
        match self.copies(LOOK)?.try_read() {
            value::Snapshot::Value(value) => Ok(value),
            value::Snapshot::Damaged => Err(damaged(self.segment().attached(), LOOK)),
            // Two changes since it began to read: while it keeps writers out there are none.
            value::Snapshot::Overwritten => Ok(self.read()?.into_value()),
        }
    }

    /// Returns the segment that it is in, for its key, its attachments and its end.
    pub fn segment(&self) -> &Segment {
        self.place.segment()
    }

    fn reading(&self, until: Until) -> Result<ReadGuard<'_, T>> {
        let room = self.room(READ)?;
        let mut entry = Entry {
            room,
            enter: Enter::new(),
            now: until == Until::Now,
        };
        let Some(dead) = block(&mut entry, until.deadline()) else {
            entry.enter.give_up(&room);
            let writer = Hold::from_word(room.lock.owner());
            return Err(refused(self.segment(), Some(writer), until));
        };
        let inside = Inside::Reading(room);
        Ok(ReadGuard {
            rwlock: self,
            value: self.value_inside(READ)?,
            taken_over_from: dead.and_then(|hold| named(self.segment(), hold)),
            inside,
        })
    }

    fn writing(&self, until: Until) -> Result<WriteGuard<'_, T>> {
        let room = self.room(WRITE)?;
        let held = room.lock.acquire(until)?;
        let dead = held.dead();
        held.keep();
        let inside = room.drain(0, until)?;
        Ok(WriteGuard {
            rwlock: self,
            value: self.value_inside(WRITE)?,
            changed: false,
            taken_over_from: dead.and_then(|hold| named(self.segment(), hold)),
            panicking: thread::panicking(),
            inside,
            not_send: PhantomData,
        })
    }

    /// The value, while nobody can change it.
    fn value_inside(&self, operation: &'static str) -> Result<T> {
        let value = self.copies(operation)?.read_locked();
        value.ok_or_else(|| damaged(self.segment().attached(), operation))
    }

    fn room(&self, operation: &'static str) -> Result<Room<'_>> {
        let segment = self.segment();
        let words: &ReadWriteWords = self.place.words(operation)?;
        Ok(Room {
            place: &self.place,
            words,
            lock: PartLock::of_threads(segment, &words.lock, self.place.marks(THREAD)),
        })
    }

    fn copies(&self, operation: &'static str) -> Result<value::Place<'_>> {
        copies_at(&self.place, Primitive::RwLock, operation)
    }
}

impl<T: Shareable> Part for RwLock<T> {
    type First = T;

    const SIZE: usize = {
        let size = Primitive::RwLock.size(Some(T::SIZE));
        assert!(
            size >= Primitive::RwLock.head() + size_for(T::SIZE),
            "the value has room"
        );
        size
    };
    const MARKS: usize = 2;

    fn describe() -> Description {
        Description::of_part(Primitive::RwLock, Some(T::describe()))
    }

    fn begin(first: T, at: &mut Draft<'_>) -> Result<()> {
        let start = at.next(Self::SIZE) + Primitive::RwLock.head();
        value::write_first_at(at.attached(), start, &first)
    }

    fn find(at: &mut Walk) -> RwLock<T> {
        let place = at.next(Self::SIZE, Self::MARKS);
        place.empty_own(THREAD);
        RwLock {
            place,
            value: PhantomData,
        }
    }
}

/// Keeps writers of an [`RwLock`] out, and holds a copy of the value.
///
/// # When a process dies
///
/// See [`RwLock`].
#[derive(Debug)]
#[must_use = "writers come in when the guard is dropped"]
pub struct ReadGuard<'a, T: Shareable> {
    rwlock: &'a RwLock<T>,
    value: T,
    taken_over_from: Option<Attachment>,
    inside: Inside<'a>,
}

impl<'a, T: Shareable> ReadGuard<'a, T> {
    /// Returns the writer that died inside, if it was this reader that found it.
    pub fn taken_over_from(&self) -> Option<&Attachment> {
        self.taken_over_from.as_ref()
    }

    /// Becomes the writer, unless somebody else is, or waits to be; waits for the other readers to leave.
    ///
    /// The value does not change in between. Of several readers that ask, one succeeds; the others are refused at once, so that none
    /// waits for another.
    ///
    /// # Errors
    ///
    /// This guard, and [`WouldBlock`](crate::ErrorKind::WouldBlock), which names the writer.
    pub fn upgrade(self) -> Result<WriteGuard<'a, T>, (ReadGuard<'a, T>, Error)> {
        let room = match self.rwlock.room(WRITE) {
            Ok(room) => room,
            Err(error) => return Err((self, error)),
        };
        let drained = match room.lock.acquire(Until::Now) {
            Ok(held) => {
                held.keep();
                room.drain(1, Until::Acquired)
            }
            Err(refusal) => Err(refusal.into()),
        };
        let writing = match drained {
            Ok(writing) => writing,
            Err(error) => return Err((self, error)),
        };
        let ReadGuard {
            rwlock,
            value,
            taken_over_from,
            inside,
        } = self;
        // It is no reader any more.
        mem::forget(inside);
        Ok(WriteGuard {
            rwlock,
            value,
            changed: false,
            taken_over_from,
            panicking: thread::panicking(),
            inside: writing,
            not_send: PhantomData,
        })
    }

    fn into_value(self) -> T {
        self.value
    }
}

impl<T: Shareable> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Keeps everybody out of an [`RwLock`], and holds a copy of the value; commits what was changed as it is dropped.
///
/// # When a process dies
///
/// See [`RwLock`].
#[derive(Debug)]
#[must_use = "others come in when the guard is dropped"]
pub struct WriteGuard<'a, T: Shareable> {
    rwlock: &'a RwLock<T>,
    value: T,
    changed: bool,
    taken_over_from: Option<Attachment>,
    /// Whether the thread was panicking when it came in.
    panicking: bool,
    // Left after this guard's own drop has committed.
    inside: Inside<'a>,
    /// A writer is a thread.
    not_send: PhantomData<*const ()>,
}

impl<'a, T: Shareable> WriteGuard<'a, T> {
    /// Returns who died inside as the writer, if this one took over from it. What that one had not committed is not to be seen.
    pub fn taken_over_from(&self) -> Option<&Attachment> {
        self.taken_over_from.as_ref()
    }

    /// Commits what was changed and becomes a reader; nobody writes in between.
    ///
    /// # Errors
    ///
    /// [`Busy`](crate::ErrorKind::Busy) when tens of thousands of this process's threads read; it is left then.
    pub fn downgrade(mut self) -> Result<ReadGuard<'a, T>> {
        self.commit();
        let rwlock = self.rwlock;
        let value = rwlock.value_inside(READ)?;
        let room = rwlock.room(READ)?;
        // Left as a writer, here and not by this guard's drop.
        mem::forget(mem::replace(&mut self.inside, Inside::Neither));
        if !sharing::downgrade(&room) {
            return Err(refused(rwlock.segment(), None, Until::Now));
        }
        Ok(ReadGuard {
            rwlock,
            value,
            taken_over_from: self.taken_over_from.take(),
            inside: Inside::Reading(room),
        })
    }

    fn commit(&mut self) {
        if mem::take(&mut self.changed) {
            // A forked child has a copy of the guard, and no memory behind it.
            if let Ok(copies) = self.rwlock.copies(WRITE) {
                copies.commit(&self.value);
            }
        }
    }
}

impl<T: Shareable> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Shareable> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }
}

impl<T: Shareable> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        let panicked = thread::panicking() && !self.panicking;
        if !panicked {
            self.commit();
        }
    }
}

/// Who is inside, and leaves when this is dropped.
#[derive(Debug)]
enum Inside<'a> {
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
struct Room<'a> {
    place: &'a Place,
    words: &'a ReadWriteWords,
    lock: PartLock<'a>,
}

impl<'a> Room<'a> {
    fn is_ours(self) -> bool {
        self.place.segment().attached().is_ours()
    }

    /// Waits for readers to leave, of which so many are this thread. The caller has the writers' lock, and has it no more when this fails.
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
        exit.drain.give_up(&self);
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
        held.map(|held| held.keep()).is_some()
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

    fn own_mark(&self) -> Mark {
        let own = self.own_slot();
        let found = self
            .mark(own.index())
            .filter(|it| it.generation() == low(own));
        found.unwrap_or(Mark::none(low(own)))
    }

    fn change_mark(&self, from: Mark, to: Mark) -> bool {
        let Some(mark) = self.mark_of(self.own_slot().index()) else {
            return false;
        };
        let found = mark.word.load(Ordering::SeqCst);
        // Its row begins without its generation.
        let is_first =
            Mark(found).generation() != from.generation() && from == Mark::none(from.generation());
        let old = if is_first { found } else { from.0 };
        mark.word
            .compare_exchange(old, to.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
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
