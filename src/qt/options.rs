//! How a handle is to behave, before it exists.

use std::path::PathBuf;
use std::time::Duration;

use super::key::{KeyType, NativeIpcKey, Object};
use super::trust::Trust;
use crate::sys::Access;

/// Chooses what a handle does differently from the usual.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sharehold::qt::Options;
///
/// # let key = &format!("sharehold-doc-options-{}", std::process::id());
/// let mut maker = Options::new().shared_memory(key);
/// maker.create(64)?;
///
/// let viewing = Options::new().read_only(true).patience(Duration::from_secs(1));
/// let mut viewer = viewing.shared_memory(key);
/// viewer.attach()?;
/// assert!(viewer.lock()?.write(0, b"no").is_err());
/// # Ok::<(), sharehold::qt::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    directory: Option<PathBuf>,
    pub(super) key_type: KeyType,
    pub(super) trust: Trust,
    pub(super) access: Access,
    pub(super) patience: Duration,
    /// Whether memory outlives its users until it is destroyed.
    pub(super) stays: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// Starts from what a Qt program of Linux does: System V objects, key files in [`temp_dir`],
    /// reading and writing; and from what Qt does not: only objects of this user, and at most five
    /// seconds of waiting unless a limit is set.
    pub fn new() -> Options {
        Options {
            directory: None,
            key_type: KeyType::SYSTEM_V,
            trust: Trust::OwnOnly,
            access: Access::ReadWrite,
            patience: Duration::from_secs(5),
            stays: false,
        }
    }

    /// Looks for key files in this directory instead of [`temp_dir`]; Qt programs find them if
    /// their `TMPDIR` says the same.
    pub fn temp_dir(mut self, directory: impl Into<PathBuf>) -> Options {
        self.directory = Some(directory.into());
        self
    }

    /// Says which objects a text key means; POSIX is for Qt programs that were built for it.
    pub fn key_type(mut self, key_type: KeyType) -> Options {
        self.key_type = key_type;
        self
    }

    /// Maps the memory for reading only.
    pub fn read_only(mut self, read_only: bool) -> Options {
        self.access = if read_only {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        };
        self
    }

    /// Accepts objects that belong to other users, or that others may use, as Qt does.
    pub fn allow_others(mut self, allow: bool) -> Options {
        self.trust = if allow {
            Trust::Anybody
        } else {
            Trust::OwnOnly
        };
        self
    }

    /// Sets how long `create`, `attach` and `detach` wait for a lock with another holder.
    pub fn patience(mut self, patience: Duration) -> Options {
        self.patience = patience;
        self
    }

    pub(super) fn derive(&self, text: &str, object: Object) -> NativeIpcKey {
        NativeIpcKey::derive(text, self.key_type, &self.directory_path(), object)
    }

    /// Where System V's key files are.
    pub(super) fn directory_path(&self) -> String {
        match &self.directory {
            Some(directory) => directory.to_string_lossy().into_owned(),
            None => temp_dir(),
        }
    }
}

/// Returns the directory where Qt programs with this environment keep their key files: `TMPDIR`, or
/// `/tmp`.
///
/// It is absolute, and without a slash at its end. Symbolic links stay, as in Qt 6.9 and later;
/// earlier versions resolve them, which leads to the same files.
pub fn temp_dir() -> String {
    let directory = std::env::var_os("TMPDIR").filter(|directory| !directory.is_empty());
    let directory = PathBuf::from(directory.unwrap_or_else(|| "/tmp".into()));
    let directory = std::path::absolute(&directory).unwrap_or(directory);
    let directory = directory.to_string_lossy();
    match directory.trim_end_matches('/') {
        "" => "/".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}
