//! The error of a guard that was not converted into another one.

use std::fmt;

use crate::error::Error;

/// The error of [`ReadGuard::upgrade`](super::ReadGuard::upgrade) or
/// [`WriteGuard::downgrade`](super::WriteGuard::downgrade), with the guard, which still has its
/// lock.
///
/// The operator `?` converts it into an [`Error`], and drops the guard.
///
/// # Examples
///
/// ```
/// use sharehold::{ErrorKind, Part, RwLock};
///
/// let limits = RwLock::open_or_create("com.example.limits.refused", || [10_u64, 20])?;
/// let (first, second) = (limits.read()?, limits.read()?);
/// let refused = first.try_upgrade().unwrap_err();
/// assert_eq!(refused.error().kind(), ErrorKind::WouldBlock);
/// let first = refused.into_guard();
/// assert_eq!(*first, *second);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[doc(alias = "UpgradeError")]
#[doc(alias = "DowngradeError")]
pub struct GuardError<G> {
    guard: G,
    error: Error,
}

impl<G> GuardError<G> {
    pub(super) fn new(guard: G, error: Error) -> GuardError<G> {
        GuardError { guard, error }
    }

    /// Returns the reason.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns the guard, which still has its lock.
    pub fn into_guard(self) -> G {
        self.guard
    }
}

impl<G> fmt::Debug for GuardError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl<G> fmt::Display for GuardError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl<G> std::error::Error for GuardError<G> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl<G> From<GuardError<G>> for Error {
    fn from(refused: GuardError<G>) -> Error {
        refused.error
    }
}
