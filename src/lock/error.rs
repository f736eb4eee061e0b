//! The reasons why a lock was not acquired, and how its previous owner left it.

use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::segment::{Attachment, Segment, forked};

pub(crate) const LOCK: &str = "lock";

impl From<AcquireError> for Error {
    fn from(refusal: AcquireError) -> Error {
        refusal.0.error
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

/// How an owner left the lock that it did not release, and which attachment it was.
#[derive(Debug)]
pub(crate) struct Abandonment {
    pub(crate) cause: AbandonCause,
    pub(crate) previous_owner: Option<Attachment>,
}

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
    pub(crate) fn cycle(segment: &Segment, holder: Attachment, cycle: &str) -> AcquireError {
        let detail = format!(
            "{} holds it and {cycle}: they wait for each other; release that first, and take locks in the same order everywhere",
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
