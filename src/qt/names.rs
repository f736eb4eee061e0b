//! From native keys to the objects of the system, with every key refused that cannot have any.

use std::path::{Path, PathBuf};

use super::backend::{SegmentName, SemaphoreName};
use super::key::{KeyType, NativeIpcKey};
use super::key_file::KeyFile;
use super::posix::PosixName;
use super::trust::Trust;
use crate::sys::ipc;

/// The longest name of a file, in bytes.
const NAME_MAX: usize = 255;

/// The memory that a native key names; or why there can be none.
pub(super) fn segment(key: &NativeIpcKey, trust: Trust) -> Result<Box<dyn SegmentName>, String> {
    match usable(key)? {
        KeyType::SystemV { .. } => Ok(Box::new(key_file(key, trust)?)),
        _ => Ok(Box::new(PosixName::memory(key.native_key(), trust)?)),
    }
}

/// The semaphore that a native key names; or why there can be none.
pub(super) fn semaphore(
    key: &NativeIpcKey,
    trust: Trust,
) -> Result<Box<dyn SemaphoreName>, String> {
    match usable(key)? {
        KeyType::SystemV { .. } => Ok(Box::new(key_file(key, trust)?)),
        _ => Ok(Box::new(PosixName::semaphore(key.native_key(), trust)?)),
    }
}

fn refuse<T>(detail: &str) -> Result<T, String> {
    Err(detail.to_owned())
}

fn usable(key: &NativeIpcKey) -> Result<KeyType, String> {
    let key_type = key.key_type();
    if key.is_empty() {
        return refuse("the key is empty; give it a name such as com.example.tally");
    }
    supported(key_type).map(|()| key_type)
}

/// Refuses a type of keys that no object here can have.
pub(super) fn supported(key_type: KeyType) -> Result<(), String> {
    if key_type.is_supported() {
        return Ok(());
    }
    refuse(match key_type {
        KeyType::SystemV { .. } if ipc::SUPPORTED => {
            "Qt programs can use the System V projects 1 to 127; use one of them"
        }
        KeyType::SystemV { .. } | KeyType::Posix => {
            "this system has no such objects; use sharehold's own segments"
        }
        KeyType::Windows => "only Windows has such objects; use a System V or POSIX key",
    })
}

fn key_file(key: &NativeIpcKey, trust: Trust) -> Result<KeyFile, String> {
    let KeyType::SystemV { project } = key.key_type() else {
        return refuse("only a System V key is a file");
    };
    let native = key.native_key();
    if native.contains('\0') {
        return refuse("no path holds a zero character; remove it");
    }
    let path: PathBuf =
        std::path::absolute(Path::new(native)).map_err(|error| error.to_string())?;
    match path.file_name() {
        None => refuse("it names a directory; add the name of a file"),
        Some(name) if name.len() > NAME_MAX => refuse(
            "its file name would be longer than 255 bytes; shorten the key (197 letters fit)",
        ),
        Some(_) => Ok(KeyFile {
            path,
            project: project.get(),
            trust,
        }),
    }
}
