//! Errors as values: what was asked, of which key, why it could not be, and what to do next.
//!
//! One [`Error`] serves the life of a segment and access to its bytes. Locks have an error of their own, which
//! carries the guard; it turns into an [`Error`] with `?`.

use std::fmt;
use std::io;

/// A `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Reports what could not be done, and names the next step.
///
/// Its text is one sentence for people: operation, key, reason, and what to do. `Debug` prints the same
/// text, so that a `main` that returns [`Result`] shows it. Programs look at [`Error::kind`].
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

/// A key as it is shown to people: cut when long, with control characters made visible.
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

    /// Adds the next step for a program; an interface for people may have another one.
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

    /// Returns what kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the key that was asked for, where there was one.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// Returns what was being done, as a verb phrase such as `attach to`.
    pub fn operation(&self) -> &str {
        self.0.operation
    }

    /// Returns why it could not be done: the text of the error without what was asked and without [`Error::advice`].
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Returns the next step, in this library's words, where it is not part of the reason.
    ///
    /// An interface that has other words, such as a command with options, tells its own users their own next step instead.
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// Returns the system's own reason, where it was the system that refused.
    pub fn system(&self) -> Option<&io::Error> {
        self.0.system.as_ref()
    }
}

/// Tells failures apart; each kind has a number that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum ErrorKind {
    /// The key is empty, or longer than 64 KiB.
    InvalidKey = 1,
    /// A size, a number of slots or a mode cannot be had by anybody.
    InvalidOption = 2,
    /// A living or persistent segment has this key.
    AlreadyExists = 3,
    /// No segment has this key.
    NotFound = 4,
    /// The system does not let this user do it.
    PermissionDenied = 5,
    /// The directory or file belongs to somebody else, or others may change it.
    NotTrusted = 6,
    /// The system has no memory for it.
    OutOfMemory = 7,
    /// The file is not a whole segment: cut, overwritten, or never one.
    Damaged = 8,
    /// The segment was made by another version of the format.
    WrongVersion = 9,
    /// Every slot of the attachment table is taken.
    TooManyAttachments = 10,
    /// Others use it, or are changing it, for longer than was allowed to wait.
    Busy = 11,
    /// An offset and a length reach beyond the data.
    OutOfBounds = 12,
    /// The handle belongs to the parent of this forked process.
    Forked = 13,
    /// The lock's last holder died or panicked and nobody has vouched for the data since.
    Abandoned = 14,
    /// The lock was not free, or a change was not made, in time.
    Timeout = 15,
    /// The lock is held, and waiting was not asked for.
    WouldBlock = 16,
    /// This thread itself holds the lock.
    Deadlock = 17,
    /// This system has not what it takes.
    Unsupported = 18,
    /// The system failed in a way that has no kind of its own.
    System = 19,
    /// A transaction changes more than the segment's log can take.
    LogFull = 20,
    /// The segment holds another type, another version of it, or plain bytes.
    TypeMismatch = 21,
    /// A participant of the barrier died, and this round was to be broken by that.
    Broken = 22,
    /// The segment was migrated: one of another type has its key.
    Migrated = 23,
}

impl ErrorKind {
    /// Returns the kind's number, the same in every version.
    pub fn code(self) -> u16 {
        self as u16
    }
}
