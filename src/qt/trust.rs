//! Which users' objects may be used.

use super::error::{Error, ErrorKind, Result};
use crate::sys;

/// Which owners and modes are accepted. Qt accepts all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// This user's objects, which no other user may change.
    OwnOnly,
    /// Whatever the system lets this process use.
    Anybody,
}

const OTHERS_MAY_WRITE: u32 = 0o022;
const OTHERS_MAY_USE: u32 = 0o077;

impl Trust {
    /// Accepts or refuses a file that stands for an object.
    pub(super) fn file(self, file: &sys::FileMetadata) -> Result<()> {
        self.accept(file.owner, file.mode, OTHERS_MAY_WRITE, "the key file")
    }

    /// Accepts or refuses an object of the kernel.
    pub(super) fn object(self, what: &str, owner: u32, maker: u32, mode: u32) -> Result<()> {
        self.accept(owner, mode, OTHERS_MAY_USE, what)?;
        self.accept(maker, mode, OTHERS_MAY_USE, what)
    }

    fn accept(self, owner: u32, mode: u32, forbidden: u32, what: &str) -> Result<()> {
        if self == Trust::Anybody || (owner == sys::effective_user() && mode & forbidden == 0) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "{what} belongs to user {owner} with mode {mode:03o}, so others can change it; \
                 if you trust them, say so with Options::allow_others"
            ),
        ))
    }
}
