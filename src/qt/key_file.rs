//! The file behind a System V key: an empty file whose inode is the key.
//!
//! The kernel's key is made of the low 16 bits of the inode number and the low 8 bits of the
//! device, so two files can stand for one key. A file made here is never such a double: it gets its
//! name only after the kernel was seen to have nothing under its key. A double that others made is
//! found by looking through the directory.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Error, ErrorKind, Result};
use super::trust::Trust;
use crate::sys::FileMetadata;
use crate::sys::ipc::{self, NamedFile};

/// How many inodes are tried before the directory is called full of doubles.
const TRIES: usize = 64;

/// A path, and which half of the key it does not give.
#[derive(Debug, Clone)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    pub(super) project: u8,
    pub(super) trust: Trust,
}

impl KeyFile {
    /// The kernel's key as of now; `None` when there is no file.
    pub(super) fn key(&self) -> Result<Option<i32>> {
        let file = match ipc::file_facts(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.regular {
            let path = self.path.display();
            let detail = format!("{path} is not a regular file; remove it, or use another key");
            return Err(Error::new(ErrorKind::KeyError, detail));
        }
        self.trust.file(&file)?;
        Ok(Some(self.key_of(&file)))
    }

    /// What `ftok` computes.
    fn key_of(&self, file: &FileMetadata) -> i32 {
        let [device, ..] = file.id.0.to_le_bytes();
        let [low, high, ..] = file.id.1.to_le_bytes();
        i32::from_le_bytes([low, high, device, self.project])
    }

    /// Makes the file, unless it exists; true when it was made. `taken` tells whether the kernel
    /// has an object.
    pub(super) fn make_file(&self, taken: impl Fn(i32) -> io::Result<i32>) -> Result<bool> {
        if self.key()?.is_some() {
            return Ok(false);
        }
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let mut doubles = Vec::new();
        while doubles.len() < TRIES {
            let file = match NamedFile::make_unnamed(directory) {
                Ok(file) => file,
                Err(error) if cannot_be_unnamed(&error) => return self.make_plainly(),
                Err(error) => return Err(self.not_made(error)),
            };
            match taken(self.key_of(&file.facts()?)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Kept open, so that the next one has another inode.
                _ => {
                    doubles.push(file);
                    continue;
                }
            }
            return match file.give_name(&self.path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(self.not_made(error)),
            };
        }
        Err(Error::new(
            ErrorKind::KeyError,
            format!(
                "{TRIES} new files in {} all had the keys of other objects; set TMPDIR to another directory",
                directory.display()
            ),
        ))
    }

    fn make_plainly(&self) -> Result<bool> {
        match NamedFile::make(&self.path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(self.not_made(error)),
        }
    }

    fn not_made(&self, error: io::Error) -> Error {
        let detail = format!(
            "its key file {} cannot be made; set TMPDIR to a directory that you may write, or shorten the key",
            self.path.display()
        );
        Error::new(ErrorKind::KeyError, detail).with_system(error)
    }

    /// Another key file of Qt's kind in the directory that stands for the same kernel key.
    pub(super) fn double(&self) -> Result<Option<OsString>> {
        const KINDS: [&str; 2] = ["qipc_sharedmemory_", "qipc_systemsem_"];
        let own = self.path.file_name().unwrap_or_default();
        let own_kind = KINDS
            .iter()
            .find(|kind| own.to_string_lossy().starts_with(**kind));
        let (Some(kind), Some(directory)) = (own_kind, self.path.parent()) else {
            return Ok(None);
        };
        let inode = match ipc::file_facts(&self.path) {
            Ok(file) => file.id.1,
            Err(_) => return Ok(None),
        };
        let is_double = |name: &OsString, other: u64| {
            other & 0xffff == inode & 0xffff
                && name != own
                && name.to_string_lossy().starts_with(*kind)
        };
        let files = ipc::inodes_in(directory)?;
        Ok(files
            .into_iter()
            .find(|(name, other)| is_double(name, *other))
            .map(|(name, _)| name))
    }

    /// The refusal to share an object with the other key of `double`.
    pub(super) fn refuse_double(&self) -> Result<()> {
        match self.double()? {
            None => Ok(()),
            Some(other) => Err(Error::new(
                ErrorKind::KeyError,
                format!(
                    "its key file has the same kernel key as {}, so the two would share one object; \
                     use another key, or remove the file of the one that nobody uses",
                    other.display()
                ),
            )),
        }
    }

    /// Removes the file, if it still gives `key` and holds nothing.
    pub(super) fn remove_file(&self, key: i32) -> Result<()> {
        let file = match ipc::file_facts(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if !file.regular || file.len != 0 || self.key_of(&file) != key {
            return Ok(());
        }
        match ipc::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Whether it was the file system that has no unnamed files, or the system that has no `/proc`.
fn cannot_be_unnamed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::IsADirectory
    )
}
