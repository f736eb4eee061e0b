//! Shared memory and semaphores of programs without this library: that they are there, and whose. Nothing looks into them.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::qt::{self, KeyType, NativeIpcKey};
use crate::sys::ipc;

const LIST: &str = "list shared memory";
/// Where the C library keeps POSIX objects.
const POSIX: &str = "/dev/shm";
/// What it puts before the name of a semaphore.
const SEMAPHORE: &str = "sem.";
const QT_MEMORY: &str = "qipc_sharedmemory_";
const QT_SEMAPHORE: &str = "qipc_systemsem_";

/// Describes a shared object of the system that is no segment of this library.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignObject {
    /// Which of the system's objects it is.
    pub kind: ForeignKind,
    /// Whether its name is one that Qt makes.
    pub is_qt: bool,
    /// What the system calls it: `0x511c0021` for a System V key, `/name` for a POSIX object.
    pub name: String,
    /// Its native key, where a Qt program can have made it: see [`NativeIpcKey`].
    pub native_key: Option<NativeIpcKey>,
    /// The system's identity: the identifier of a System V segment, the inode of a POSIX object.
    pub id: u64,
    /// The size in bytes.
    pub size: u64,
    /// The user it belongs to.
    pub owner: u32,
    /// The permission bits.
    pub mode: u32,
    /// How many mappings of it exist, in all processes; POSIX does not count them.
    pub attachments: Option<u64>,
    /// The process that made it, where the system knows and it can be seen from here.
    pub made_by: Option<u32>,
    /// The process that attached or detached last, likewise.
    pub last_used_by: Option<u32>,
}

/// Tells the system's shared objects apart.
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

/// Lists the shared memory and POSIX semaphores of the system, of all users, that are no segments of this library.
///
/// Key files of Qt are looked for in [`temp_dir`](crate::qt::temp_dir).
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] where there are no such objects; [`ErrorKind::System`].
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
            "the system does not say what there is; see whether /proc and /dev/shm are mounted",
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

/// Native keys of the System V segments that Qt's key files lead to.
fn native_keys() -> HashMap<u64, NativeIpcKey> {
    // Where key files cannot be read, segments have no other names than their numbers.
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
        // What vanished meanwhile, or is a directory, is none.
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

/// The key with the text that it was made of, if that can be told: a text of letters alone stands in the name, and a hash of all of it
/// proves that it is the text.
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

/// SHA-1 in hexadecimal digits.
const HASH_DIGITS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_letters_is_told_from_its_name_and_no_other() {
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
