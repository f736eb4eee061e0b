//! Shared memory and semaphores of programs without this library: their existence and their owners,
//! not their content.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::qt::{self, KeyType, NativeIpcKey};
use crate::sys::ipc;

const LIST: &str = "list shared memory";
/// The directory where the C library keeps POSIX objects.
const POSIX: &str = "/dev/shm";
/// The prefix of the file name of a semaphore.
const SEMAPHORE: &str = "sem.";
const QT_MEMORY: &str = "qipc_sharedmemory_";
const QT_SEMAPHORE: &str = "qipc_systemsem_";

/// A shared object of the system that is not a segment of this library.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignObject {
    /// The kind of object.
    pub kind: ForeignKind,
    /// Whether its name is one that Qt generates.
    pub is_qt: bool,
    /// The system's name for it: `0x511c0021` for a System V key, `/name` for a POSIX object.
    pub name: String,
    /// Its native key, if a Qt program can have made it: see [`NativeIpcKey`].
    pub native_key: Option<NativeIpcKey>,
    /// The system's identifier: that of a System V segment, or the inode of a POSIX object.
    pub id: u64,
    /// The size in bytes.
    pub size: u64,
    /// The user that owns it.
    pub owner: u32,
    /// The permission bits.
    pub mode: u32,
    /// The number of its mappings, in all processes; `None` for POSIX objects, for which it is not
    /// counted.
    pub attachments: Option<u64>,
    /// The process that made it, if the system knows it and it is visible from here.
    pub made_by: Option<u32>,
    /// The process that attached or detached last, under the same conditions.
    pub last_used_by: Option<u32>,
}

/// The kinds of shared objects of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignKind {
    /// A System V segment.
    SystemV,
    /// POSIX shared memory.
    Posix,
    /// A POSIX semaphore.
    PosixSemaphore,
}

/// Lists the shared memory and POSIX semaphores of the system, of all users, except segments of
/// this library.
///
/// It looks for key files of Qt in [`temp_dir`](crate::qt::temp_dir).
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] if the system has no such objects; [`ErrorKind::System`].
///
/// # Examples
///
/// ```
/// for other in sharehold::list_foreign()? {
///     println!("{} {} bytes, of user {}", other.name, other.size, other.owner);
/// }
/// # Ok::<(), sharehold::Error>(())
/// ```
pub fn list_foreign() -> Result<Vec<ForeignObject>> {
    let mut found = system_v().map_err(failed)?;
    found.extend(posix().map_err(failed)?);
    Ok(found)
}

fn failed(error: io::Error) -> Error {
    let (kind, detail) = match error.kind() {
        io::ErrorKind::Unsupported => (
            ErrorKind::Unsupported,
            "this system has no such objects; see docs/platforms.md",
        ),
        _ => (
            ErrorKind::System,
            "the system does not list them; check that /proc and /dev/shm are mounted",
        ),
    };
    Error::new(kind, LIST, detail).with_system(error)
}

fn system_v() -> io::Result<Vec<ForeignObject>> {
    let all = ipc::all_segments()?;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut names = native_keys();
    let known = |pid: u32| (pid != 0).then_some(pid);
    let segments = all.into_iter().map(|(id, key, facts)| {
        let id = u64::from(id.cast_unsigned());
        let native_key = names.remove(&id);
        ForeignObject {
            kind: ForeignKind::SystemV,
            is_qt: native_key.is_some(),
            name: format!("{key:#010x}"),
            native_key,
            id,
            size: facts.size as u64,
            owner: facts.owner,
            mode: facts.mode,
            attachments: Some(facts.attached),
            made_by: known(facts.made_by),
            last_used_by: known(facts.last_used_by),
        }
    });
    Ok(segments.collect())
}

/// Returns the native keys of the System V segments that Qt's key files refer to.
fn native_keys() -> HashMap<u64, NativeIpcKey> {
    // Without readable key files, segments have no names but their numbers.
    let memory = qt::Options::new().allow_others(true).all_memory();
    let memory = memory.unwrap_or_default();
    let found = memory.iter().filter_map(|it| {
        let status = it.status().ok()??;
        Some((status.id, with_text(it.native_key())))
    });
    found.collect()
}

fn posix() -> io::Result<Vec<ForeignObject>> {
    let directory = Path::new(POSIX);
    let mut names = ipc::inodes_in(directory)?;
    names.sort_unstable();
    let mut found = Vec::new();
    for (name, _) in names {
        // Skips objects that have vanished since, and directories.
        let Ok(facts) = ipc::file_facts(&directory.join(&name)) else {
            continue;
        };
        if !facts.regular {
            continue;
        }
        let name = name.to_string_lossy();
        let semaphore = name.strip_prefix(SEMAPHORE);
        let kind = match semaphore {
            Some(_) => ForeignKind::PosixSemaphore,
            None => ForeignKind::Posix,
        };
        let bare = semaphore.unwrap_or(&name);
        let is_qt = bare.starts_with(QT_MEMORY) || bare.starts_with(QT_SEMAPHORE);
        let name = format!("/{bare}");
        let native_key = NativeIpcKey::new(name.clone(), KeyType::Posix);
        found.push(ForeignObject {
            kind,
            is_qt,
            name,
            native_key: is_qt.then(|| with_text(&native_key)),
            id: facts.id.1,
            size: facts.len,
            owner: facts.owner,
            mode: facts.mode,
            attachments: None,
            made_by: None,
            last_used_by: None,
        });
    }
    Ok(found)
}

/// Returns the key with the text that it was made from, if that can be recovered: a text of only
/// letters is part of the name, and a hash of the whole text confirms it.
fn with_text(native: &NativeIpcKey) -> NativeIpcKey {
    let path = native.native_key();
    let (directory, name) = path.rsplit_once('/').unwrap_or_default();
    let rest = name
        .strip_prefix(QT_MEMORY)
        .or_else(|| name.strip_prefix(QT_SEMAPHORE));
    let letters = rest.and_then(|rest| rest.get(..rest.len().checked_sub(HASH_DIGITS)?));
    let key_type = native.key_type();
    let made_of = |text: &str| {
        [
            NativeIpcKey::for_memory(text, key_type, directory),
            NativeIpcKey::for_semaphore(text, key_type, directory),
        ]
    };
    let found = letters.map(made_of).into_iter().flatten();
    let mut found = found.filter(|it| it.native_key() == path);
    found.next().unwrap_or_else(|| native.clone())
}

/// The length of SHA-1 in hexadecimal digits.
const HASH_DIGITS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_of_letters_is_recovered_from_its_name() {
        for (text, told) in [("hello", Some("hello")), ("hello world", None)] {
            for key_type in [KeyType::SYSTEM_V, KeyType::Posix] {
                for made in [
                    NativeIpcKey::for_memory(text, key_type, "/tmp/x"),
                    NativeIpcKey::for_semaphore(text, key_type, "/tmp/x"),
                ] {
                    let found = NativeIpcKey::new(made.native_key(), key_type);
                    assert_eq!(with_text(&found).text_key(), told);
                }
            }
        }
        let plain = NativeIpcKey::new("/qipc_sharedmemory_short", KeyType::Posix);
        assert_eq!(with_text(&plain), plain);
    }
}
