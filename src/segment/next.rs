//! The name of a segment that is about to replace another one: see [`replace`](super::replace).

use std::ffi::{OsStr, OsString};

use crate::sys::Directory;

/// The suffix of the name of a new segment, until it has the old one's name.
pub(super) const NEXT: &str = ".next";

/// Returns the temporary name of a new segment that will get this name.
pub(super) fn next(name: &OsStr) -> OsString {
    let mut next = name.to_owned();
    next.push(NEXT);
    next
}

/// Tells whether a file has such a temporary name.
pub(super) fn is_next(name: &OsStr) -> bool {
    name.as_encoded_bytes().ends_with(NEXT.as_bytes())
}

/// Removes the new segment of a process that died while it replaced the segment with this name. The
/// caller is exclusively in the gate of the segment with the name.
pub(super) fn remove_next(directory: &Directory, name: &OsStr) -> std::io::Result<()> {
    match directory.remove_name(&next(name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
