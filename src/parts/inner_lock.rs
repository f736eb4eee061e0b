//! The inner lock of a part. Its words are changed under this lock, which is held for a few
//! instructions. A look never blocks on it.
//!
//! A look tries to acquire the lock. If this fails, the look returns what to sleep on instead of a
//! result, and the next look continues the acquisition. So a process that is stopped under the lock
//! never blocks the executor of a task.

use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

use super::layout::PartRef;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::lock::{AcquireWait, RawLock, RawLockGuard, WaitMode};
use crate::memory::format::{Block, LockWords};
use crate::segment::Segment;
use crate::segment::id::AttachmentId;
use crate::segment::waits::WaitHandle;
use crate::timing::INNER_LOCK_LIMIT;
use crate::wait::future;
use crate::wait::liveness::LivenessChecker;
use crate::wait::poll::{Polled, Wait};

/// The words of a part that contain an inner lock.
pub(crate) trait Locked: Block {
    fn lock(&self) -> &LockWords;
    /// Makes the checker for a waiter on what these words guard.
    fn asker<'a>(&'a self, segment: &'a Segment) -> LivenessChecker<'a>;
}

/// The words that an inner lock guards, with the state of one waiter.
pub(crate) struct Guarded<'a, W> {
    pub(crate) place: &'a PartRef,
    pub(crate) words: &'a W,
    who: WaitMode,
    /// Checks whether holders are alive, once the waiter has to sleep.
    asker: OnceCell<LivenessChecker<'a>>,
    /// The unfinished acquisition of the inner lock.
    acquiring: Cell<Option<AcquireWait<'a>>>,
}

/// Why the inner lock was not acquired.
pub(crate) enum InnerLockRefusal {
    Failed(Error),
    /// The lock is held: sleep on it, at most for this duration.
    Held(Duration),
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

    /// Whether to check liveness in a look that follows a sleep.
    pub(crate) fn has_to_ask(&self) -> bool {
        self.asker.get().is_some_and(LivenessChecker::asks)
    }

    /// Returns how long to sleep after a look.
    pub(crate) fn period(&self) -> Duration {
        let asker = || self.words.asker(self.place.segment());
        self.asker.get_or_init(asker).period()
    }

    /// Records that this waiter sleeps until `holder` releases something. `record` is its earlier
    /// wait record.
    pub(crate) fn record_wait(
        &self,
        record: Option<WaitHandle>,
        holder: Option<AttachmentId>,
    ) -> Option<WaitHandle> {
        holder.map_or(record, |holder| self.lock().record_wait(record, holder))
    }

    /// Clears the wait record of a waiter that stops waiting. A forked child has no record.
    pub(crate) fn clear_wait(&self, record: Option<WaitHandle>) {
        if self.place.segment().attached().is_ours() {
            self.lock().clear_wait(record);
        }
    }

    /// Whether the attachment that made a slot's mark is proven gone. Queries the system only if
    /// `may`.
    pub(crate) fn is_proven_gone(&self, number: usize, slot: usize, may: bool) -> bool {
        let maker = self.place.mark(number, slot).and_then(|mark| mark.maker);
        maker.is_none_or(|id| {
            may && match self.asker.get() {
                Some(asker) => asker.is_gone(id),
                None => self.place.segment().is_gone(id),
            }
        })
    }

    /// Acquires the lock, or continues to acquire it. Returns whether it was taken over from a dead
    /// owner.
    pub(crate) fn enter(&self) -> Result<bool, InnerLockRefusal> {
        let held = match self.acquiring.take() {
            Some(begun) => self.go_on(begun)?,
            None => match self.lock().try_acquire() {
                Some(held) => held,
                None => self.go_on(AcquireWait::new(self.lock(), self.brief()))?,
            },
        };
        Ok(held.unguarded().is_some())
    }

    #[cold]
    fn go_on(&self, mut acquiring: AcquireWait<'a>) -> Result<RawLockGuard<'a>, InnerLockRefusal> {
        match acquiring.look() {
            Polled::Ready(held) => held.map_err(|refusal| InnerLockRefusal::Failed(refusal.into())),
            Polled::Sleep { limit, .. } | Polled::Blocked { limit, .. } => {
                self.acquiring.set(Some(acquiring));
                Err(InnerLockRefusal::Held(limit.unwrap_or(INNER_LOCK_LIMIT)))
            }
        }
    }

    /// Releases the lock.
    pub(crate) fn leave(&self) {
        self.lock().release();
    }

    /// Returns the result of a look that did not get the lock.
    pub(crate) fn refused<R>(&self, refused: InnerLockRefusal) -> Polled<'_, Result<R>> {
        match refused {
            InnerLockRefusal::Failed(error) => Polled::Ready(Err(error)),
            InnerLockRefusal::Held(limit) => Polled::Blocked {
                word: (&self.words.lock().waiting).into(),
                seen: 1,
                limit: Some(limit),
            },
        }
    }

    fn lock(&self) -> RawLock<'a> {
        RawLock::of_part_for_task(self.place.segment(), self.words.lock())
    }

    /// Returns how long to wait for the inner lock: at least [`INNER_LOCK_LIMIT`], and longer if
    /// the wait for what it guards may take longer.
    fn brief(&self) -> WaitMode {
        let soon = Instant::now() + INNER_LOCK_LIMIT;
        match self.who {
            WaitMode::Thread(Deadline::Now) => WaitMode::Thread(Deadline::At(soon)),
            WaitMode::Thread(Deadline::At(end)) => WaitMode::Thread(Deadline::At(end.max(soon))),
            WaitMode::Thread(Deadline::Never) | WaitMode::Task => self.who,
        }
    }
}

/// Runs `act` under an inner lock, as soon as the lock is acquired.
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

/// Runs `act` under an inner lock: at once, or on a helper thread if it would have to wait for the
/// lock. Does nothing in a forked child, which has no attachment.
pub(crate) fn soon<W, R, F>(place: &PartRef, operation: &'static str, act: F)
where
    W: Locked + Sync + 'static,
    F: Fn(&Guarded<'_, W>) -> Result<R, InnerLockRefusal> + Send + Unpin + 'static,
{
    match Guarded::of(place, operation, WaitMode::Task).map(|words| act(&words)) {
        Ok(Err(InnerLockRefusal::Held(_))) => {}
        Ok(_) | Err(_) => return,
    }
    let place = place.clone();
    future::leave(async move {
        if let Ok(words) = Guarded::of(&place, operation, WaitMode::Task) {
            let _ = future::WaitFuture::new(InnerLockWait { words, act }).await;
        }
    });
}
