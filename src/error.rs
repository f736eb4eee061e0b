//! Errors as values: the operation, the key, the reason, and the next step.
//!
//! One [`Error`] serves the lifetime of a segment and access to its bytes. Locks have an error type
//! of their own, which carries the guard; `?` converts it into an [`Error`].

use std::fmt;
use std::io;

/// A `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of a failed operation. It names the reason and the next step.
///
/// Its text is one sentence: operation, key, reason, and what to do. `Debug` prints the same text,
/// so that a `main` that returns [`Result`] shows it. Programs match on [`Error::kind`].
///
/// # Examples
///
/// ```
/// use sharehold::{ErrorKind, Segment};
///
/// let error = Segment::attach("com.example.nobody-made-this").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert_eq!(error.key(), Some("com.example.nobody-made-this"));
/// ```
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<ErrorRepr>);

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, thiserror::Error)]
struct ErrorRepr {
    kind: ErrorKind,
    operation: &'static str,
    key: Option<String>,
    reason: String,
    advice: Option<String>,
    #[source]
    system: Option<io::Error>,
}

impl fmt::Display for ErrorRepr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.operation)?;
        if let Some(key) = &self.key {
            write!(f, " {}", Quoted(key))?;
        }
        write!(f, ": {}", self.reason)?;
        if let Some(advice) = &self.advice {
            write!(f, "; {advice}")?;
        }
        if let Some(system) = &self.system {
            write!(f, " ({system})")?;
        }
        Ok(())
    }
}

/// A key for display: cut when long, with control characters escaped.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 80;
        let end = self
            .0
            .char_indices()
            .nth(SHOWN)
            .map_or(self.0.len(), |(end, _)| end);
        let dots = if end < self.0.len() { "…" } else { "" };
        write!(f, "`{}{dots}`", self.0[..end].escape_debug())
    }
}

impl Error {
    pub(crate) fn new(
        kind: ErrorKind,
        operation: &'static str,
        reason: impl Into<String>,
    ) -> Error {
        let reason = reason.into();
        Error(Box::new(ErrorRepr {
            kind,
            operation,
            key: None,
            reason,
            advice: None,
            system: None,
        }))
    }

    /// Adds the next step for a program; a user interface may show another one.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Error {
        self.0.advice = Some(advice.into());
        self
    }

    pub(crate) fn with_key(mut self, key: &str) -> Error {
        self.0.key.get_or_insert_with(|| key.to_owned());
        self
    }

    pub(crate) fn with_system(mut self, system: io::Error) -> Error {
        self.0.system = Some(system);
        self
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the key of the operation, if there was one.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// Returns the operation, as a verb phrase such as `attach to`.
    pub fn operation(&self) -> &str {
        self.0.operation
    }

    /// Returns the reason: the text of the error without the operation and without
    /// [`Error::advice`].
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Returns the next step, in terms of this library, unless it is part of the reason.
    ///
    /// A user interface with other terms, such as a command with options, shows its own next step
    /// instead.
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// Returns the system's own error, if the system refused the operation.
    pub fn system(&self) -> Option<&io::Error> {
        self.0.system.as_ref()
    }
}

/// The kinds of failures. Each kind has a number that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum ErrorKind {
    /// The key is empty, or longer than 64 KiB.
    InvalidKey = 1,
    /// A size, slot count or mode is out of range.
    InvalidOption = 2,
    /// A living or persistent segment has this key.
    AlreadyExists = 3,
    /// No segment has this key.
    NotFound = 4,
    /// The system does not permit this user to do it.
    PermissionDenied = 5,
    /// The directory or file belongs to another user, or other users may change it.
    NotTrusted = 6,
    /// The system has not enough memory.
    OutOfMemory = 7,
    /// The file is not a complete segment: truncated, overwritten, or not a segment at all.
    Damaged = 8,
    /// The segment has another version of the format.
    WrongVersion = 9,
    /// Every slot of the attachment table is taken.
    TooManyAttachments = 10,
    /// Other processes used or changed it for longer than the time limit.
    Busy = 11,
    /// An offset plus a length reaches beyond the data.
    OutOfBounds = 12,
    /// The handle belongs to the parent of this forked process.
    Forked = 13,
    /// The lock's last owner died or panicked, and the data were not marked consistent since.
    Abandoned = 14,
    /// The lock did not become free, or the awaited change did not happen, in time.
    Timeout = 15,
    /// The lock is held, or the event is not set, and the call does not wait.
    WouldBlock = 16,
    /// This thread itself holds the lock.
    Deadlock = 17,
    /// This platform is not supported.
    Unsupported = 18,
    /// The system failed in a way that has no kind of its own.
    System = 19,
    /// A transaction changes more than the segment's log can hold.
    LogFull = 20,
    /// The segment holds another type, another version of it, or plain bytes.
    TypeMismatch = 21,
    /// A participant of the barrier died, and the barrier breaks the round in that case.
    Broken = 22,
    /// The segment was migrated: its key now belongs to a segment of another type.
    Migrated = 23,
}

impl ErrorKind {
    /// Returns the kind's number, the same in every version.
    pub fn code(self) -> u16 {
        self as u16
    }
}
