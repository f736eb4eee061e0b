//! The inner lock of a part, under which its words are changed: held for some instructions, and never waited for inside of a look.
//!
//! Whoever looks tries to have it; if it cannot, the look says what to sleep on instead of seeing anything, and the next one goes on
//! trying. So a process that is stopped under the lock keeps no task's executor.

use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

use super::place::Place;
use crate::error::{Error, Result};
use crate::memory::format::{BarrierWords, Block, LockWords, SemaphoreWords};
use crate::segment::Segment;
use crate::segment::table::Hold;
use crate::segment::waits::Note;
use crate::sync::askers::Asker;
use crate::sync::part::{Held, PartLock};
use crate::sync::waiting::{Look, Wait};
use crate::sync::{Acquiring, Lock, Until, Who, future};

/// How long a thread waits for an inner lock at least: a process may be stopped as it has it.
const STOPPED: Duration = Duration::from_millis(20);

/// Words of which some are an inner lock.
pub(super) trait Locked: Block {
    fn lock(&self) -> &LockWords;
    /// One who asks for those who wait for what they guard.
    fn asker<'a>(&'a self, segment: &'a Segment) -> Asker<'a>;
}

impl Locked for SemaphoreWords {
    fn lock(&self) -> &LockWords {
        &self.lock
    }

    fn asker<'a>(&'a self, segment: &'a Segment) -> Asker<'a> {
        Asker::new(segment, &self.askers, &self.asked, &self.change)
    }
}

impl Locked for BarrierWords {
    fn lock(&self) -> &LockWords {
        &self.lock
    }

    fn asker<'a>(&'a self, segment: &'a Segment) -> Asker<'a> {
        Asker::new(segment, &self.askers, &self.asked, &self.round)
    }
}

/// The words that an inner lock guards, for one who waits for what they say.
pub(super) struct Guarded<'a, W> {
    pub(super) place: &'a Place,
    pub(super) words: &'a W,
    who: Who,
    /// How it asks for the dead, once it has to sleep.
    asker: OnceCell<Asker<'a>>,
    /// While it waits for the lock.
    acquiring: Cell<Option<Acquiring<PartLock<'a>>>>,
}

/// Why an inner lock is not had.
pub(super) enum Refused {
    Failed(Error),
    /// It is held: sleep on it, at most so long.
    Held(Duration),
}

impl<'a, W: Locked> Guarded<'a, W> {
    pub(super) fn of(
        place: &'a Place,
        operation: &'static str,
        who: Who,
    ) -> Result<Guarded<'a, W>> {
        Ok(Guarded {
            place,
            words: place.words(operation)?,
            who,
            asker: OnceCell::new(),
            acquiring: Cell::new(None),
        })
    }

    /// Whether to ask for the dead in a look that follows a sleep.
    pub(super) fn has_to_ask(&self) -> bool {
        self.asker.get().is_some_and(Asker::asks)
    }

    /// How long to sleep after a look.
    pub(super) fn period(&self) -> Duration {
        let asker = || self.words.asker(self.place.segment());
        self.asker.get_or_init(asker).period()
    }

    /// Notes that it sleeps for what this one has; `note` is what it has noted before.
    pub(super) fn note(&self, note: Option<Note>, holder: Option<Hold>) -> Option<Note> {
        holder.map_or(note, |holder| self.lock().note(note, holder))
    }

    /// Wipes out what was noted, by one who waits no more; a forked child has noted nothing.
    pub(super) fn wipe_out(&self, note: Option<Note>) {
        if self.place.segment().attached().is_ours() {
            self.lock().wipe_out(note);
        }
    }

    /// Whether the attachment that made a slot's mark is proven gone; asks the system only if it `may`.
    pub(super) fn is_proven_gone(&self, number: usize, slot: usize, may: bool) -> bool {
        let maker = self.place.mark(number, slot).and_then(|mark| mark.maker);
        maker.is_none_or(|hold| {
            may && match self.asker.get() {
                Some(asker) => asker.is_gone(hold),
                None => self.place.segment().is_gone(hold),
            }
        })
    }

    /// Acquires the lock, if it can be had by now; whether it was taken over from a dead holder.
    pub(super) fn enter(&self) -> Result<bool, Refused> {
        let held = match self.acquiring.take() {
            Some(begun) => self.go_on(begun)?,
            None => match self.lock().try_acquire() {
                Some(held) => held,
                None => self.go_on(Acquiring::new(self.lock(), self.brief()))?,
            },
        };
        let dead = held.dead().is_some();
        held.keep();
        Ok(dead)
    }

    #[cold]
    fn go_on(&self, mut acquiring: Acquiring<PartLock<'a>>) -> Result<Held<'a>, Refused> {
        match acquiring.look() {
            Look::Ready(held) => held.map_err(|refusal| Refused::Failed(refusal.into())),
            Look::Sleep { limit, .. } | Look::Blocked { limit, .. } => {
                self.acquiring.set(Some(acquiring));
                Err(Refused::Held(limit.unwrap_or(STOPPED)))
            }
        }
    }

    /// Releases the lock.
    pub(super) fn leave(&self) {
        self.lock().release();
    }

    /// What a look finds that did not have the lock.
    pub(super) fn refused<R>(&self, refused: Refused) -> Look<'_, Result<R>> {
        match refused {
            Refused::Failed(error) => Look::Ready(Err(error)),
            Refused::Held(limit) => Look::Blocked {
                word: (&self.words.lock().waiting).into(),
                seen: 1,
                limit: Some(limit),
            },
        }
    }

    fn lock(&self) -> PartLock<'a> {
        PartLock::threadless(self.place.segment(), self.words.lock())
    }

    /// How long the lock is waited for, by one who waits so long for what it guards.
    fn brief(&self) -> Who {
        let soon = Instant::now() + STOPPED;
        match self.who {
            Who::Thread(Until::Now) => Who::Thread(Until::Deadline(soon)),
            Who::Thread(Until::Deadline(end)) => Who::Thread(Until::Deadline(end.max(soon))),
            Who::Thread(Until::Acquired) | Who::Task => self.who,
        }
    }
}

/// Does something under an inner lock, as soon as it has it.
pub(super) struct Doing<'a, W, F> {
    pub(super) words: Guarded<'a, W>,
    pub(super) act: F,
}

impl<'a, W, R, F> Wait for Doing<'a, W, F>
where
    W: Locked,
    F: Fn(&Guarded<'a, W>) -> Result<R, Refused>,
{
    type Output = Result<R>;

    fn look(&mut self) -> Look<'_, Result<R>> {
        match (self.act)(&self.words) {
            Ok(done) => Look::Ready(Ok(done)),
            Err(refused) => self.words.refused(refused),
        }
    }
}

/// Does something under an inner lock at once, or has it done by another thread where that would have to wait. In a forked child, which
/// has no part in it, nothing is done.
pub(super) fn soon<W, R, F>(place: &Place, operation: &'static str, act: F)
where
    W: Locked + Sync + 'static,
    F: Fn(&Guarded<'_, W>) -> Result<R, Refused> + Send + Unpin + 'static,
{
    match Guarded::of(place, operation, Who::Task).map(|words| act(&words)) {
        Ok(Err(Refused::Held(_))) => {}
        Ok(_) | Err(_) => return,
    }
    let place = place.clone();
    future::leave(async move {
        if let Ok(words) = Guarded::of(&place, operation, Who::Task) {
            let _ = future::Until::new(Doing { words, act }).await;
        }
    });
}
