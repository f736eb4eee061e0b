//! Why a lock was not had, and what its last holder left.

use std::fmt;

use super::lock::{Guard, OneThread};
use crate::error::{Error, ErrorKind};
use crate::segment::{Attachment, Segment, forked};

pub(super) const LOCK: &str = "lock";

/// Tells why there is no plain guard.
///
/// It turns into an [`Error`] with `?`; that drops the guard that [`LockError::Abandoned`] carries, which releases the lock,
/// and the next one to lock is told again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError<'a, B = OneThread> {
    /// The lock is acquired, and the data may be half written.
    #[error(transparent)]
    Abandoned(Abandoned<'a, B>),
    /// The lock is not acquired.
    #[error(transparent)]
    NotAcquired(NotAcquired),
}

impl<B> LockError<'_, B> {
    /// Returns what kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            LockError::Abandoned(_) => ErrorKind::Abandoned,
            LockError::NotAcquired(refusal) => refusal.kind(),
        }
    }
}

impl From<NotAcquired> for Error {
    fn from(refusal: NotAcquired) -> Error {
        refusal.0.error
    }
}

impl<B> From<LockError<'_, B>> for Error {
    fn from(error: LockError<'_, B>) -> Error {
        match error {
            LockError::NotAcquired(refusal) => refusal.into(),
            LockError::Abandoned(found) => {
                let detail = format!("{found}; repair the data and call mark_consistent");
                Error::new(ErrorKind::Abandoned, LOCK, detail).with_key(found.guard.segment().key())
            }
        }
    }
}

/// How the last holder came to leave the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Its process died.
    Died,
    /// Its thread panicked.
    Panicked,
}

/// Carries the lock after a holder that did not release it: who that was, and the guard.
///
/// Until somebody calls [`mark_consistent`](Abandoned::mark_consistent) or [`recover`](Abandoned::recover)s, every
/// later lock reports it again.
///
/// # Examples
///
/// ```
/// use sharehold::{LockError, Segment};
///
/// let segment = Segment::options().size(16).open_or_create("com.example.recover")?;
/// let guard = match segment.lock() {
///     Ok(guard) => guard,
///     Err(LockError::Abandoned(found)) => {
///         eprintln!("{found}"); // "pid 4711 (importer) died holding it"
///         found.recover(|bytes| bytes.fill(0..16, 0))?
///     }
///     Err(other) => return Err(other.into()),
/// };
/// # drop(guard);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[derive(Debug)]
pub struct Abandoned<'a, B = OneThread> {
    guard: Guard<'a, B>,
    left: Box<Left>,
}

/// What a holder left that did not release the lock.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) cause: Cause,
    pub(crate) culprit: Option<Attachment>,
}

impl<'a, B> Abandoned<'a, B> {
    #[inline]
    pub(super) fn new(guard: Guard<'a, B>, left: Box<Left>) -> Abandoned<'a, B> {
        Abandoned { guard, left }
    }

    /// Returns whether the holder died or panicked.
    pub fn cause(&self) -> Cause {
        self.left.cause
    }

    /// Returns who it was: process, executable, slot; `None` when two later attachments have had its slot since.
    pub fn culprit(&self) -> Option<&Attachment> {
        self.left.culprit.as_ref()
    }

    /// Gives access to the data, to look at them or repair them.
    pub fn guard(&mut self) -> &mut Guard<'a, B> {
        &mut self.guard
    }

    /// Vouches for the data and returns the guard: later locks are told nothing.
    #[doc(alias = "pthread_mutex_consistent")]
    pub fn mark_consistent(mut self) -> Guard<'a, B> {
        self.guard.vouch();
        self.guard
    }

    /// Returns the guard without vouching for the data: every later lock reports it again.
    pub fn into_guard(self) -> Guard<'a, B> {
        self.guard
    }

    /// Repairs the data with `repair`, vouches for them, and returns the guard.
    ///
    /// # Errors
    ///
    /// That of `repair`; the lock is then released, and the next one to lock is told again.
    pub fn recover<E>(
        mut self,
        repair: impl FnOnce(&mut Guard<'_, B>) -> Result<(), E>,
    ) -> Result<Guard<'a, B>, E> {
        repair(&mut self.guard)?;
        Ok(self.mark_consistent())
    }
}

impl<B> fmt::Display for Abandoned<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.left.culprit {
            Some(culprit) => write!(f, "{}", Named(culprit))?,
            None => write!(f, "a process that is no longer remembered")?,
        }
        match self.left.cause {
            Cause::Died => write!(f, " died holding it"),
            Cause::Panicked => write!(f, " panicked holding it"),
        }
    }
}

impl<B: fmt::Debug> std::error::Error for Abandoned<'_, B> {}

/// A process as people know it: `pid 4711 (importer)`.
pub(super) struct Named<'a>(pub(super) &'a Attachment);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.0.pid)?;
        match self.0.executable.as_deref() {
            Some(name) if !name.is_empty() => write!(f, " ({})", name.escape_debug()),
            _ => Ok(()),
        }
    }
}

/// Says that the lock is not acquired, and who holds it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.error)]
pub struct NotAcquired(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    error: Error,
    holder: Option<Attachment>,
}

impl NotAcquired {
    fn new(segment: &Segment, error: Error, holder: Option<Attachment>) -> NotAcquired {
        let error = error.with_key(segment.key());
        NotAcquired(Box::new(Refusal { error, holder }))
    }

    #[cold]
    pub(super) fn forked(segment: &Segment) -> NotAcquired {
        NotAcquired::new(segment, forked(LOCK), None)
    }

    pub(super) fn deadlock(segment: &Segment) -> NotAcquired {
        let detail = "this thread holds it already; drop that guard first";
        NotAcquired::new(segment, Error::new(ErrorKind::Deadlock, LOCK, detail), None)
    }

    #[cold]
    pub(super) fn replaced(segment: &Segment) -> NotAcquired {
        NotAcquired::new(segment, segment.attached().replaced(LOCK), None)
    }

    /// Says that the system does not tell whether it was replaced.
    pub(super) fn unknown(segment: &Segment, error: Error) -> NotAcquired {
        NotAcquired::new(segment, error, None)
    }

    pub(crate) fn held(
        segment: &Segment,
        holder: Option<Attachment>,
        one_try: bool,
    ) -> NotAcquired {
        let who = holder
            .as_ref()
            .map_or("another process".to_owned(), |it| Named(it).to_string());
        let (kind, detail) = if one_try {
            (
                ErrorKind::WouldBlock,
                format!("{who} holds it; try again later, or wait for it"),
            )
        } else {
            (
                ErrorKind::Timeout,
                format!("{who} lives and still holds it; wait longer, or see what it does"),
            )
        };
        NotAcquired::new(segment, Error::new(kind, LOCK, detail), holder)
    }

    /// Says, beyond [`NotAcquired::held`], why waiting longer is of no use.
    pub(super) fn circle(segment: &Segment, holder: Attachment, circle: &str) -> NotAcquired {
        let detail = format!(
            "{} holds it and {circle}: they wait for each other; release that first, and take locks in the same order everywhere",
            Named(&holder)
        );
        let error = Error::new(ErrorKind::Timeout, LOCK, detail);
        NotAcquired::new(segment, error, Some(holder))
    }

    /// Returns whether it would block, timed out, would deadlock, belongs to a parent process, or was migrated.
    pub fn kind(&self) -> ErrorKind {
        self.0.error.kind()
    }

    /// Returns who held the lock at the last look.
    pub fn holder(&self) -> Option<&Attachment> {
        self.0.holder.as_ref()
    }
}
