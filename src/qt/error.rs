//! Errors of shared memory and semaphores that are shared with Qt programs: Qt's codes, with a
//! reason and a next step.

use std::fmt;
use std::io;

/// A `Result` with this module's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Reports what could not be done, and names the next step.
///
/// Its text is one sentence for people: operation, key, reason, and what to do. Programs look at
/// [`Error::kind`].
///
/// # Examples
///
/// ```
/// use sharehold::qt::{ErrorKind, SharedMemory};
///
/// let error = SharedMemory::new("").create(1024).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::KeyError);
/// assert_eq!(error.kind().code(), 3);
/// assert_eq!(error.operation(), "create");
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<ErrorRepr>);

#[derive(Debug, thiserror::Error)]
struct ErrorRepr {
    kind: ErrorKind,
    operation: &'static str,
    key: String,
    detail: String,
    #[source]
    system: Option<io::Error>,
}

impl fmt::Display for ErrorRepr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.operation)?;
        if !self.key.is_empty() {
            write!(f, " `{}`", self.key.escape_debug())?;
        }
        write!(f, ": {}", self.detail)?;
        if let Some(system) = &self.system {
            write!(f, " ({system})")?;
        }
        Ok(())
    }
}

impl Error {
    pub(super) fn new(kind: ErrorKind, detail: impl Into<String>) -> Error {
        let (key, detail) = (String::new(), detail.into());
        Error(Box::new(ErrorRepr {
            kind,
            operation: "use",
            key,
            detail,
            system: None,
        }))
    }

    /// What was being done, unless a narrower answer is there already.
    pub(super) fn during(mut self, operation: &'static str, key: &str) -> Error {
        if self.0.key.is_empty() {
            self.0.operation = operation;
            key.clone_into(&mut self.0.key);
        }
        self
    }

    pub(super) fn with_system(mut self, system: io::Error) -> Error {
        self.0.system = Some(system);
        self
    }

    /// Returns which of Qt's errors it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the key that was asked for: the text key, or the native key where there is no other.
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// Returns what was being done, as a verb phrase such as `attach to`.
    pub fn operation(&self) -> &str {
        self.0.operation
    }

    /// Returns the system's own reason, where it was the system that refused.
    pub fn system(&self) -> Option<&io::Error> {
        self.0.system.as_ref()
    }
}

/// The reasons that Qt's shared objects translate, and what they come to.
impl From<io::Error> for Error {
    fn from(system: io::Error) -> Error {
        use ErrorKind as Kind;
        let (kind, detail) = match system.kind() {
            io::ErrorKind::PermissionDenied => (
                Kind::PermissionDenied,
                "it belongs to another user; run as that user, or use another key",
            ),
            io::ErrorKind::NotFound => (
                Kind::NotFound,
                "a directory or object is gone; create it again",
            ),
            io::ErrorKind::AlreadyExists => (Kind::AlreadyExists, "it exists; attach to it"),
            io::ErrorKind::Unsupported => (
                Kind::KeyError,
                "this system has no such objects; use sharehold's own segments",
            ),
            io::ErrorKind::OutOfMemory
            | io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded => (
                Kind::OutOfResources,
                "the system has no room; free memory or raise its limits (ipcs -l, df /dev/shm)",
            ),
            io::ErrorKind::InvalidFilename => (
                Kind::KeyError,
                "the key's file name is too long; shorten the key",
            ),
            io::ErrorKind::NotADirectory => (
                Kind::KeyError,
                "its directory is not one; set TMPDIR to a directory",
            ),
            io::ErrorKind::ReadOnlyFilesystem => (
                Kind::KeyError,
                "its directory cannot be written; set TMPDIR to one that can",
            ),
            _ => (
                Kind::UnknownError,
                "the system refused; its own reason follows",
            ),
        };
        Error::new(kind, detail).with_system(system)
    }
}

/// Tells failures apart as Qt's `QSharedMemory::SharedMemoryError` does; the numbers are Qt's.
///
/// Qt's code 0, `NoError`, is `Ok` here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorKind {
    /// The objects belong to another user, or this process may only read.
    PermissionDenied = 1,
    /// No memory of this size can be had, or the memory has no such bytes.
    InvalidSize = 2,
    /// The key is empty, too long, or of a type that this system does not have.
    KeyError = 3,
    /// The key has memory already.
    AlreadyExists = 4,
    /// The key has no memory.
    NotFound = 5,
    /// The lock could not be had in time, or was lost.
    LockError = 6,
    /// The system has no room left.
    OutOfResources = 7,
    /// The system refused for another reason.
    UnknownError = 8,
}

impl ErrorKind {
    const ALL: [ErrorKind; 8] = [
        ErrorKind::PermissionDenied,
        ErrorKind::InvalidSize,
        ErrorKind::KeyError,
        ErrorKind::AlreadyExists,
        ErrorKind::NotFound,
        ErrorKind::LockError,
        ErrorKind::OutOfResources,
        ErrorKind::UnknownError,
    ];

    /// Returns Qt's number for it.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Finds the kind with Qt's number; 0 (no error) and unknown numbers have none.
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::qt::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::from_number(5), Some(ErrorKind::NotFound));
    /// assert_eq!(ErrorKind::from_number(0), None);
    /// ```
    pub fn from_number(number: u8) -> Option<ErrorKind> {
        ErrorKind::ALL
            .into_iter()
            .find(|kind| kind.code() == number)
    }
}
