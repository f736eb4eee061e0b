//! Where a key's file is, and whether that place and that file can be trusted.
//!
//! A user's segments are files of one directory that only this user can list and write. Nothing here looks into a file.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::sys::{self, Access, Directory, FileFacts, SegmentFile};

/// The environment variable that moves the directory, for tests and containers.
const VARIABLE: &str = "SHAREHOLD_DIR";
/// Only the user may enter.
const PRIVATE: u32 = 0o700;
/// Others may open what they know the name of, as far as that file lets them; they can't list or write.
const SEARCHABLE: u32 = 0o711;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Returns the directory that holds the segments of `owner`.
pub(crate) fn directory_of(owner: u32) -> PathBuf {
    match env::var_os(VARIABLE) {
        Some(path) if !path.is_empty() => path.into(),
        _ => sys::default_directory(owner),
    }
}

/// A key's place in the directory of one user.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    directory: PathBuf,
    name: OsString,
    owner: u32,
}

impl Location {
    /// The place of `key` among the segments of `owner`, or of the running user.
    pub(crate) fn of(key: &Key, owner: Option<u32>) -> Location {
        let owner = owner.unwrap_or_else(sys::effective_user);
        Location {
            directory: directory_of(owner),
            name: key.file_name(),
            owner,
        }
    }

    /// The place of a file that was found in the directory.
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

    /// Opens the directory, or says that nothing can be there yet.
    pub(crate) fn open(&self, operation: &'static str) -> Result<Directory> {
        match Directory::open(&self.directory) {
            Ok(directory) => self.trusted(directory, operation),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let detail = "no segment has this key; create it, or use open_or_create";
                Err(Error::new(ErrorKind::NotFound, operation, detail))
            }
            Err(error) => Err(self.unusable(operation, error)),
        }
    }

    /// Opens the directory, making it if it is missing; `shared` lets others reach the files that admit them.
    pub(crate) fn open_or_make(&self, operation: &'static str, shared: bool) -> Result<Directory> {
        let mode = if shared { SEARCHABLE } else { PRIVATE };
        let opened = match Directory::open(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Directory::make(&self.directory, mode)
                    .and_then(|()| Directory::open(&self.directory))
            }
            opened => opened,
        };
        let directory = self.trusted(
            opened.map_err(|error| self.unusable(operation, error))?,
            operation,
        )?;
        if shared {
            let facts = directory
                .facts()
                .map_err(|error| self.unusable(operation, error))?;
            let wider = facts.mode | SEARCHABLE;
            if wider != facts.mode {
                directory
                    .set_mode(wider)
                    .map_err(|error| self.unusable(operation, error))?;
            }
        }
        Ok(directory)
    }

    /// Refuses a directory in which somebody else could have put or replaced files.
    fn trusted(&self, directory: Directory, operation: &'static str) -> Result<Directory> {
        const ROOT: u32 = 0;
        let facts = directory
            .facts()
            .map_err(|error| self.unusable(operation, error))?;
        let shown = self.directory.display();
        if facts.owner != self.owner && facts.owner != ROOT {
            let detail = format!(
                "the directory {shown} belongs to uid {}, not to uid {}; remove it, or set {VARIABLE} to a directory of your own",
                facts.owner, self.owner
            );
            return Err(Error::new(ErrorKind::NotTrusted, operation, detail));
        }
        if facts.mode & WRITABLE_BY_OTHERS != 0 && facts.mode & STICKY == 0 {
            let detail = format!(
                "others may write the directory {shown} (mode {:04o}); run `chmod go-w {shown}`",
                facts.mode
            );
            return Err(Error::new(ErrorKind::NotTrusted, operation, detail));
        }
        Ok(directory)
    }

    fn unusable(&self, operation: &'static str, error: io::Error) -> Error {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            io::ErrorKind::Unsupported => ErrorKind::Unsupported,
            io::ErrorKind::NotADirectory => ErrorKind::NotTrusted,
            _ => ErrorKind::System,
        };
        let detail = format!(
            "the directory {} cannot be used; check it, or set {VARIABLE} to another",
            self.directory.display()
        );
        Error::new(kind, operation, detail).with_system(error)
    }

    /// Opens the key's file, `None` if there is none, and refuses one that is not the owner's own regular file.
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

    fn trusted_file(&self, facts: &FileFacts, operation: &'static str) -> Result<()> {
        let refuse = |detail: String| Err(Error::new(ErrorKind::NotTrusted, operation, detail));
        let shown = self.directory.join(&self.name);
        if !facts.regular {
            return refuse(format!(
                "{} is not a regular file; remove it",
                shown.display()
            ));
        }
        if facts.owner != self.owner {
            return refuse(format!(
                "its file {} belongs to uid {}, not to uid {}; name the owner you trust in the options, or remove the file",
                shown.display(),
                facts.owner,
                self.owner
            ));
        }
        Ok(())
    }

    /// Explains why the file could not be opened.
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
                let detail = format!(
                    "it belongs to uid {}, mode {:04o}: ask its owner to share it with `--mode`, or run as that user",
                    facts.owner, facts.mode
                );
                Err(Error::new(ErrorKind::PermissionDenied, operation, detail).with_system(error))
            }
            // A link, directory, pipe or device stands there.
            (_, Some(facts)) if !facts.regular => {
                self.trusted_file(&facts, operation).map(|()| None)
            }
            _ => Err(system(operation, error)),
        }
    }
}

/// Wraps a failure of the system that has no special meaning, or one that every operation may meet.
pub(crate) fn system(operation: &'static str, error: io::Error) -> Error {
    let (kind, detail) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::OutOfMemory | io::ErrorKind::QuotaExceeded => (
            ErrorKind::OutOfMemory,
            "the system has no memory left for it; make it smaller, or free space in /dev/shm",
        ),
        io::ErrorKind::PermissionDenied => (
            ErrorKind::PermissionDenied,
            "the system does not allow it; run as the user who may",
        ),
        io::ErrorKind::Unsupported => (
            ErrorKind::Unsupported,
            "this system has not what it takes; see docs/platforms.md",
        ),
        _ => (ErrorKind::System, "the system refused"),
    };
    Error::new(kind, operation, detail).with_system(error)
}
