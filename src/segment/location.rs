//! The location of a key's file, and the check whether the directory and the file can be trusted.
//!
//! A user's segments are files in one directory that only this user can list and write. This module
//! does not read the files.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::sys::{self, Access, Directory, FileMetadata, SegmentFile};

/// The environment variable that moves the directory, for tests and containers.
const VARIABLE: &str = "SHAREHOLD_DIR";
/// Only the user may enter.
const PRIVATE: u32 = 0o700;
/// Other users may open files whose names they know, within the files' permissions. They cannot
/// list or write.
const SEARCHABLE: u32 = 0o711;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;

/// Returns the directory that holds the segments of `owner`.
pub(crate) fn directory_of(owner: u32) -> PathBuf {
    match env::var_os(VARIABLE) {
        Some(path) if !path.is_empty() => path.into(),
        _ => sys::default_directory(owner),
    }
}

/// Returns the next step for an object of another user in the directory's place. In a sticky
/// directory such as `/dev/shm`, only its owner and root can remove it.
fn remedy(owner: u32) -> String {
    let first = if sys::effective_user() == ROOT {
        "remove it".to_owned()
    } else {
        format!("ask uid {owner} or an administrator to remove it")
    };
    format!(
        "{first}, or set {VARIABLE} to a directory of your own, the same in all of your processes"
    )
}

/// Returns the directories that may contain segments: one for each user, with the user's number; or
/// the one that the environment variable names, in which each file's owner is its user.
pub(crate) fn directories() -> io::Result<Vec<(Option<u32>, PathBuf)>> {
    if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(vec![(None, path.into())]);
    }
    let all = sys::default_directories()?.into_iter();
    Ok(all.map(|(user, path)| (Some(user), path)).collect())
}

/// A key's location in the directory of one user.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    directory: PathBuf,
    name: OsString,
    owner: u32,
}

impl Location {
    /// Returns the location of `key` among the segments of `owner`, or of the running user.
    pub(crate) fn of(key: &Key, owner: Option<u32>) -> Location {
        let owner = owner.unwrap_or_else(sys::effective_user);
        Location {
            directory: directory_of(owner),
            name: key.file_name(),
            owner,
        }
    }

    /// Returns the location of a file that was found in the directory.
    pub(crate) fn named(directory: &Path, name: &OsStr, owner: u32) -> Location {
        Location {
            directory: directory.to_owned(),
            name: name.to_owned(),
            owner,
        }
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Opens the directory; `NotFound` if it does not exist, because then there are no segments.
    pub(crate) fn open(&self, operation: &'static str) -> Result<Directory> {
        self.check_absolute(operation)?;
        match Directory::open(&self.directory) {
            Ok(directory) => {
                self.trusted(&directory, operation)?;
                Ok(directory)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(not_found(operation)),
            Err(error) => Err(self.unusable(operation, error)),
        }
    }

    /// Opens the directory, creating it if it is missing. `shared` lets other users open the files
    /// that permit it.
    pub(crate) fn open_or_make(&self, operation: &'static str, shared: bool) -> Result<Directory> {
        let failed = |error| self.unusable(operation, error);
        let wanted = if shared { SEARCHABLE } else { PRIVATE };
        self.check_absolute(operation)?;
        let (directory, is_new) = match Directory::open(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_new = Directory::make(&self.directory, wanted).map_err(failed)?;
                (Directory::open(&self.directory).map_err(failed)?, is_new)
            }
            opened => (opened.map_err(failed)?, false),
        };
        let facts = self.trusted(&directory, operation)?;
        // The umask may have removed bits from a new directory. An existing directory only gains
        // permissions.
        let mode = match (is_new, shared) {
            (true, _) => wanted,
            (false, true) => facts.mode | SEARCHABLE,
            (false, false) => facts.mode,
        };
        if mode != facts.mode {
            directory.set_mode(mode).map_err(failed)?;
        }
        Ok(directory)
    }

    /// Refuses a relative path, which names another directory after a change of the working
    /// directory.
    fn check_absolute(&self, operation: &'static str) -> Result<()> {
        if self.directory.is_absolute() {
            return Ok(());
        }
        let detail = format!(
            "{VARIABLE} is `{}`, a relative path; set it to an absolute one, so that all processes mean one directory",
            self.directory.display()
        );
        Err(Error::new(ErrorKind::InvalidOption, operation, detail))
    }

    /// Refuses a directory in which another user could have created or replaced files.
    fn trusted(&self, directory: &Directory, operation: &'static str) -> Result<FileMetadata> {
        let facts = directory
            .facts()
            .map_err(|error| self.unusable(operation, error))?;
        let shown = self.directory.display();
        if facts.owner != self.owner && facts.owner != ROOT {
            let detail = format!(
                "the directory {shown} belongs to uid {}, not to uid {}; {}",
                facts.owner,
                self.owner,
                remedy(facts.owner)
            );
            return Err(Error::new(ErrorKind::NotTrusted, operation, detail));
        }
        if facts.mode & WRITABLE_BY_OTHERS != 0 {
            // A sticky directory, such as `/dev/shm`, is meant to be written by others.
            let is_own = facts.owner == sys::effective_user() && facts.mode & STICKY == 0;
            let remedy = if is_own {
                format!("run `chmod go-w {shown}`")
            } else {
                format!("set {VARIABLE} to a directory of your own, such as a new one in {shown}")
            };
            let detail = format!(
                "other users may write the directory {shown} (mode {:04o}); {remedy}",
                facts.mode
            );
            return Err(Error::new(ErrorKind::NotTrusted, operation, detail));
        }
        Ok(facts)
    }

    /// Returns the error for a directory that could neither be opened nor created.
    fn unusable(&self, operation: &'static str, error: io::Error) -> Error {
        let shown = self.directory.display();
        let (kind, detail) = match error.kind() {
            io::ErrorKind::PermissionDenied => (
                ErrorKind::PermissionDenied,
                format!("this user may not use the directory {shown}; set {VARIABLE} to another"),
            ),
            io::ErrorKind::ReadOnlyFilesystem => (
                ErrorKind::PermissionDenied,
                format!(
                    "the directory {shown} is on a file system that is mounted read-only; set {VARIABLE} to another"
                ),
            ),
            io::ErrorKind::NotFound => (
                ErrorKind::InvalidOption,
                format!(
                    "the parent directory of {shown} does not exist; make it, or set {VARIABLE} to another"
                ),
            ),
            io::ErrorKind::NotADirectory => self.no_directory(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
                ErrorKind::OutOfMemory,
                format!(
                    "there is no room for the directory {shown}; free space there, or set {VARIABLE} to another"
                ),
            ),
            io::ErrorKind::Unsupported => (
                ErrorKind::Unsupported,
                format!("this system does not support the directory {shown}"),
            ),
            _ => (
                ErrorKind::System,
                format!("the directory {shown} cannot be used; set {VARIABLE} to another"),
            ),
        };
        Error::new(kind, operation, detail).with_system(error)
    }

    /// Describes the object in place of the directory: a file, a symbolic link, or nothing, because
    /// a part of its path is a file.
    fn no_directory(&self) -> (ErrorKind, String) {
        let shown = self.directory.display();
        let parent = self.directory.parent().zip(self.directory.file_name());
        let found = parent.and_then(|(parent, name)| {
            let parent = Directory::open(parent).ok()?;
            parent.facts_of(name).ok()?
        });
        match found {
            Some(facts) if facts.owner != self.owner => (
                ErrorKind::NotTrusted,
                format!(
                    "{shown} is not a directory, and belongs to uid {}; {}",
                    facts.owner,
                    remedy(facts.owner)
                ),
            ),
            _ => (
                ErrorKind::InvalidOption,
                format!(
                    "{shown} is not a directory; move it elsewhere, or set {VARIABLE} to another"
                ),
            ),
        }
    }

    /// Returns the error for a file that could not be created, usually because the file system has
    /// no inodes left.
    pub(crate) fn not_made(&self, operation: &'static str, error: io::Error) -> Error {
        self.full(operation, error, "another file; remove files there")
    }

    /// Returns the error for memory that could not be reserved, usually because the file system is
    /// full.
    pub(crate) fn not_reserved(&self, operation: &'static str, error: io::Error) -> Error {
        self.full(operation, error, "it; make it smaller, free space there")
    }

    fn full(&self, operation: &'static str, error: io::Error, what: &str) -> Error {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let detail = format!(
                    "the file system of {} has no memory left for {what}, or set {VARIABLE} to another directory",
                    self.directory.display()
                );
                Error::new(ErrorKind::OutOfMemory, operation, detail).with_system(error)
            }
            _ => system(operation, error),
        }
    }

    /// Opens the key's file; `None` if there is none. Refuses anything but a regular file of the
    /// owner.
    pub(crate) fn open_file(
        &self,
        directory: &Directory,
        access: Access,
        operation: &'static str,
    ) -> Result<Option<SegmentFile>> {
        let file = match directory.open_file(&self.name, access) {
            Ok(opened) => opened,
            Err(error) => return self.not_opened(directory, error, operation),
        };
        self.trusted_file(file.as_opened(), operation)?;
        Ok(Some(file))
    }

    fn trusted_file(&self, facts: &FileMetadata, operation: &'static str) -> Result<()> {
        let refuse = |reason: String| Error::new(ErrorKind::NotTrusted, operation, reason);
        let shown = self.directory.join(&self.name);
        if !facts.regular {
            let reason = format!(
                "{} is not a regular file, so that no segment can be there",
                shown.display()
            );
            return Err(refuse(reason).advise("find out what it is, and move it elsewhere"));
        }
        if facts.owner != self.owner {
            let reason = format!(
                "its file {} belongs to uid {}, not to uid {}",
                shown.display(),
                facts.owner,
                self.owner
            );
            let advice = "name the owner that you trust in the options, or use another key";
            return Err(refuse(reason).advise(advice));
        }
        Ok(())
    }

    /// Returns the error for a file that could not be opened.
    fn not_opened<T>(
        &self,
        directory: &Directory,
        error: io::Error,
        operation: &'static str,
    ) -> Result<Option<T>> {
        if error.kind() == io::ErrorKind::NotFound {
            return Ok(None);
        }
        let found = directory.facts_of(&self.name).ok().flatten();
        match (error.kind(), found) {
            (io::ErrorKind::PermissionDenied, Some(facts)) => {
                let reason = format!("it belongs to uid {}, mode {:04o}", facts.owner, facts.mode);
                let refused = Error::new(ErrorKind::PermissionDenied, operation, reason);
                let advice = "ask its owner to share it, or run as that user";
                Err(refused.advise(advice).with_system(error))
            }
            // A symbolic link, directory, pipe or device has the name.
            (_, Some(facts)) if !facts.regular => {
                self.trusted_file(&facts, operation).map(|()| None)
            }
            _ => Err(system(operation, error)),
        }
    }
}

/// Returns the error for a key without a segment.
pub(crate) fn not_found(operation: &'static str) -> Error {
    let error = Error::new(ErrorKind::NotFound, operation, "no segment has this key");
    error.advise("create it, or use open_or_create")
}

/// Converts a system error that has no meaning specific to the operation.
pub(crate) fn system(operation: &'static str, error: io::Error) -> Error {
    let (kind, reason, advice) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::OutOfMemory | io::ErrorKind::QuotaExceeded => (
            ErrorKind::OutOfMemory,
            "the system has no memory left for it",
            Some("make it smaller, or free some"),
        ),
        io::ErrorKind::PermissionDenied => (
            ErrorKind::PermissionDenied,
            "the system does not allow it",
            None,
        ),
        io::ErrorKind::ReadOnlyFilesystem => (
            ErrorKind::PermissionDenied,
            "its directory is mounted read-only",
            None,
        ),
        io::ErrorKind::Unsupported => (
            ErrorKind::Unsupported,
            "this system, or the file system of its directory, lacks a call that it needs",
            Some("see what platforms are supported"),
        ),
        _ => (ErrorKind::System, "the system refused", None),
    };
    let error = Error::new(kind, operation, reason).with_system(error);
    match advice {
        Some(advice) => error.advise(advice),
        None => error,
    }
}
