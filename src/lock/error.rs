//! The error of an acquisition that gave no plain guard: the lock was not acquired, or its previous
//! owner abandoned it.

use std::fmt;

use super::guard::{GuardNoSend, SegmentGuard};
use crate::error::{Error, ErrorKind};
use crate::segment::{Attachment, Segment, forked};

pub(crate) const LOCK: &str = "lock";

/// The reason why a call gave no plain guard.
///
/// It turns into an [`Error`] with `?`. That drops the guard that [`LockError::Abandoned`] carries,
/// which releases the lock, and the next call of `lock` reports the same again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError<'a, B = GuardNoSend> {
    /// The lock was acquired, and the data may be half written.
    #[error(transparent)]
    Abandoned(Abandoned<'a, B>),
    /// The lock was not acquired.
    #[error(transparent)]
    NotAcquired(AcquireError),
}

impl<B> LockError<'_, B> {
    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            LockError::Abandoned(_) => ErrorKind::Abandoned,
            LockError::NotAcquired(refusal) => refusal.kind(),
        }
    }
}

impl From<AcquireError> for Error {
    fn from(refusal: AcquireError) -> Error {
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

/// The way in which the previous owner abandoned the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AbandonCause {
    /// Its process died.
    Died,
    /// Its thread panicked.
    Panicked,
}

/// A lock that its previous owner did not release: the guard, and the identity of that owner.
///
/// Every later lock reports it again until a call of
/// [`mark_consistent`](Abandoned::mark_consistent) or [`recover`](Abandoned::recover) succeeds.
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
pub struct Abandoned<'a, B = GuardNoSend> {
    guard: SegmentGuard<'a, B>,
    left: Box<Abandonment>,
}

/// How an owner left the lock that it did not release, and which attachment it was.
#[derive(Debug)]
pub(crate) struct Abandonment {
    pub(crate) cause: AbandonCause,
    pub(crate) previous_owner: Option<Attachment>,
}

impl<'a, B> Abandoned<'a, B> {
    #[inline]
    pub(crate) fn new(guard: SegmentGuard<'a, B>, left: Box<Abandonment>) -> Abandoned<'a, B> {
        Abandoned { guard, left }
    }

    /// Returns whether the previous owner died or panicked.
    pub fn cause(&self) -> AbandonCause {
        self.left.cause
    }

    /// Returns the previous owner: process, executable, slot. `None` when two later attachments
    /// have used its slot since.
    pub fn previous_owner(&self) -> Option<&Attachment> {
        self.left.previous_owner.as_ref()
    }

    /// Gives access to the data, to inspect or repair them.
    pub fn guard(&mut self) -> &mut SegmentGuard<'a, B> {
        &mut self.guard
    }

    /// Marks the data consistent and returns the guard: later locks no longer report the previous
    /// owner.
    #[doc(alias = "pthread_mutex_consistent")]
    pub fn mark_consistent(mut self) -> SegmentGuard<'a, B> {
        self.guard.vouch();
        self.guard
    }

    /// Returns the guard without marking the data consistent: every later lock reports the previous
    /// owner again.
    pub fn into_guard(self) -> SegmentGuard<'a, B> {
        self.guard
    }

    /// Repairs the data with `repair`, marks them consistent, and returns the guard.
    ///
    /// # Errors
    ///
    /// The error of `repair`. The lock is then released, and the next lock reports the previous
    /// owner again.
    pub fn recover<E>(
        mut self,
        repair: impl FnOnce(&mut SegmentGuard<'_, B>) -> Result<(), E>,
    ) -> Result<SegmentGuard<'a, B>, E> {
        repair(&mut self.guard)?;
        Ok(self.mark_consistent())
    }
}

impl<B> fmt::Display for Abandoned<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.left.previous_owner {
            Some(previous_owner) => write!(f, "{}", Named(previous_owner))?,
            None => write!(f, "a process that is no longer remembered")?,
        }
        match self.left.cause {
            AbandonCause::Died => write!(f, " died holding it"),
            AbandonCause::Panicked => write!(f, " panicked holding it"),
        }
    }
}

impl<B: fmt::Debug> std::error::Error for Abandoned<'_, B> {}

/// A process in the form of messages: `pid 4711 (importer)`.
pub(crate) struct Named<'a>(pub(crate) &'a Attachment);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.0.pid)?;
        match self.0.executable.as_deref() {
            Some(name) if !name.is_empty() => write!(f, " ({})", name.escape_debug()),
            _ => Ok(()),
        }
    }
}

/// The error of a lock that was not acquired, with its owner if that is known.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.error)]
pub struct AcquireError(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    error: Error,
    holder: Option<Attachment>,
}

impl AcquireError {
    fn new(segment: &Segment, error: Error, holder: Option<Attachment>) -> AcquireError {
        let error = error.with_key(segment.key());
        AcquireError(Box::new(Refusal { error, holder }))
    }

    #[cold]
    pub(crate) fn forked(segment: &Segment) -> AcquireError {
        AcquireError::new(segment, forked(LOCK), None)
    }

    pub(crate) fn deadlock(segment: &Segment) -> AcquireError {
        let detail = "this thread holds it already; drop that guard first";
        AcquireError::new(segment, Error::new(ErrorKind::Deadlock, LOCK, detail), None)
    }

    #[cold]
    pub(crate) fn replaced(segment: &Segment) -> AcquireError {
        AcquireError::new(segment, segment.attached().replaced(LOCK), None)
    }

    /// The error when the system cannot tell whether the segment was replaced.
    pub(crate) fn unknown(segment: &Segment, error: Error) -> AcquireError {
        AcquireError::new(segment, error, None)
    }

    pub(crate) fn held(
        segment: &Segment,
        holder: Option<Attachment>,
        one_try: bool,
    ) -> AcquireError {
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
        AcquireError::new(segment, Error::new(kind, LOCK, detail), holder)
    }

    /// As [`AcquireError::held`], with the wait cycle that makes waiting longer useless.
    pub(crate) fn circle(segment: &Segment, holder: Attachment, circle: &str) -> AcquireError {
        let detail = format!(
            "{} holds it and {circle}: they wait for each other; release that first, and take locks in the same order everywhere",
            Named(&holder)
        );
        let error = Error::new(ErrorKind::Timeout, LOCK, detail);
        AcquireError::new(segment, error, Some(holder))
    }

    /// Returns the kind of failure: the call would block, timed out, or would deadlock, or the
    /// segment belongs to a parent process or was migrated.
    pub fn kind(&self) -> ErrorKind {
        self.0.error.kind()
    }

    /// Returns the owner of the lock at the last attempt.
    pub fn holder(&self) -> Option<&Attachment> {
        self.0.holder.as_ref()
    }
}
