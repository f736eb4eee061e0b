//! The inner lock of a part, under which its words are changed: held for some instructions, and never waited for inside of a look.
//!
//! Whoever looks tries to have it; if it cannot, the look says what to sleep on instead of seeing anything, and the next one goes on
//! trying. So a process that is stopped under the lock keeps no task's executor.

use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

use super::layout::PartRef;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::lock::part::{RawLock, RawLockGuard};
use crate::lock::{AcquireWait, Lock, WaitMode};
use crate::memory::format::{BarrierWords, Block, LockWords, SemaphoreWords};
use crate::segment::Segment;
use crate::segment::table::AttachmentId;
use crate::segment::waits::WaitHandle;
use crate::timing::INNER_LOCK_LIMIT;
use crate::wait::future;
use crate::wait::liveness::LivenessChecker;
use crate::wait::poll::{Polled, Wait};

/// Words of which some are an inner lock.
pub(crate) trait Locked: Block {
    fn lock(&self) -> &LockWords;
    /// One who asks for those who wait for what they guard.
    fn asker<'a>(&'a self, segment: &'a Segment) -> LivenessChecker<'a>;
}

impl Locked for SemaphoreWords {
    fn lock(&self) -> &LockWords {
        &self.lock
    }

    fn asker<'a>(&'a self, segment: &'a Segment) -> LivenessChecker<'a> {
        LivenessChecker::new(segment, &self.checkers, &self.asked, &self.change)
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

/// The words that an inner lock guards, for one who waits for what they say.
pub(crate) struct Guarded<'a, W> {
    pub(crate) place: &'a PartRef,
    pub(crate) words: &'a W,
    who: WaitMode,
    /// How it asks for the dead, once it has to sleep.
    asker: OnceCell<LivenessChecker<'a>>,
    /// While it waits for the lock.
    acquiring: Cell<Option<AcquireWait<RawLock<'a>>>>,
}

/// Why an inner lock is not had.
pub(crate) enum InnerLockRefusal {
    Failed(Error),
    /// It is held: sleep on it, at most so long.
    RawLockGuard(Duration),
}

impl<'a, W: Locked> Guarded<'a, W> {
    pub(crate) fn of(
        place: &'a PartRef,
        operation: &'static str,
        who: WaitMode,
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
    pub(crate) fn has_to_ask(&self) -> bool {
        self.asker.get().is_some_and(LivenessChecker::asks)
    }

    /// How long to sleep after a look.
    pub(crate) fn period(&self) -> Duration {
        let asker = || self.words.asker(self.place.segment());
        self.asker.get_or_init(asker).period()
    }

    /// Notes that it sleeps for what this one has; `note` is what it has noted before.
    pub(crate) fn note(
        &self,
        note: Option<WaitHandle>,
        holder: Option<AttachmentId>,
    ) -> Option<WaitHandle> {
        holder.map_or(note, |holder| self.lock().note(note, holder))
    }

    /// Wipes out what was noted, by one who waits no more; a forked child has noted nothing.
    pub(crate) fn wipe_out(&self, note: Option<WaitHandle>) {
        if self.place.segment().attached().is_ours() {
            self.lock().wipe_out(note);
        }
    }

    /// Whether the attachment that made a slot's mark is proven gone; asks the system only if it `may`.
    pub(crate) fn is_proven_gone(&self, number: usize, slot: usize, may: bool) -> bool {
        let maker = self.place.mark(number, slot).and_then(|mark| mark.maker);
        maker.is_none_or(|id| {
            may && match self.asker.get() {
                Some(asker) => asker.is_gone(id),
                None => self.place.segment().is_gone(id),
            }
        })
    }

    /// Acquires the lock, if it can be had by now; whether it was taken over from a dead holder.
    pub(crate) fn enter(&self) -> Result<bool, InnerLockRefusal> {
        let held = match self.acquiring.take() {
            Some(begun) => self.go_on(begun)?,
            None => match self.lock().try_acquire() {
                Some(held) => held,
                None => self.go_on(AcquireWait::new(self.lock(), self.brief()))?,
            },
        };
        let dead = held.dead().is_some();
        held.keep();
        Ok(dead)
    }

    #[cold]
    fn go_on(
        &self,
        mut acquiring: AcquireWait<RawLock<'a>>,
    ) -> Result<RawLockGuard<'a>, InnerLockRefusal> {
        match acquiring.look() {
            Polled::Ready(held) => held.map_err(|refusal| InnerLockRefusal::Failed(refusal.into())),
            Polled::Sleep { limit, .. } | Polled::Blocked { limit, .. } => {
                self.acquiring.set(Some(acquiring));
                Err(InnerLockRefusal::RawLockGuard(
                    limit.unwrap_or(INNER_LOCK_LIMIT),
                ))
            }
        }
    }

    /// Releases the lock.
    pub(crate) fn leave(&self) {
        self.lock().release();
    }

    /// What a look finds that did not have the lock.
    pub(crate) fn refused<R>(&self, refused: InnerLockRefusal) -> Polled<'_, Result<R>> {
        match refused {
            InnerLockRefusal::Failed(error) => Polled::Ready(Err(error)),
            InnerLockRefusal::RawLockGuard(limit) => Polled::Blocked {
                word: (&self.words.lock().waiting).into(),
                seen: 1,
                limit: Some(limit),
            },
        }
    }

    fn lock(&self) -> RawLock<'a> {
        RawLock::threadless(self.place.segment(), self.words.lock())
    }

    /// How long the lock is waited for, by one who waits so long for what it guards.
    fn brief(&self) -> WaitMode {
        let soon = Instant::now() + INNER_LOCK_LIMIT;
        match self.who {
            WaitMode::Thread(Deadline::Now) => WaitMode::Thread(Deadline::At(soon)),
            WaitMode::Thread(Deadline::At(end)) => WaitMode::Thread(Deadline::At(end.max(soon))),
            WaitMode::Thread(Deadline::Never) | WaitMode::Task => self.who,
        }
    }
}

/// Does something under an inner lock, as soon as it has it.
pub(crate) struct InnerLockWait<'a, W, F> {
    pub(crate) words: Guarded<'a, W>,
    pub(crate) act: F,
}

impl<'a, W, R, F> Wait for InnerLockWait<'a, W, F>
where
    W: Locked,
    F: Fn(&Guarded<'a, W>) -> Result<R, InnerLockRefusal>,
{
    type Output = Result<R>;

    fn look(&mut self) -> Polled<'_, Result<R>> {
        match (self.act)(&self.words) {
            Ok(done) => Polled::Ready(Ok(done)),
            Err(refused) => self.words.refused(refused),
        }
    }
}

/// Does something under an inner lock at once, or has it done by another thread where that would have to wait. In a forked child, which
/// has no part in it, nothing is done.
pub(crate) fn soon<W, R, F>(place: &PartRef, operation: &'static str, act: F)
where
    W: Locked + Sync + 'static,
    F: Fn(&Guarded<'_, W>) -> Result<R, InnerLockRefusal> + Send + Unpin + 'static,
{
    match Guarded::of(place, operation, WaitMode::Task).map(|words| act(&words)) {
        Ok(Err(InnerLockRefusal::RawLockGuard(_))) => {}
        Ok(_) | Err(_) => return,
    }
    let place = place.clone();
    future::leave(async move {
        if let Ok(words) = Guarded::of(&place, operation, WaitMode::Task) {
            let _ = future::WaitFuture::new(InnerLockWait { words, act }).await;
        }
    });
}
