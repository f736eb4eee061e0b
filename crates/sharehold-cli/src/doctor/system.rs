//! The machine: kernel, directory, memory, limits, namespaces.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags};
use rustix::fs::{statfs, statvfs};
use rustix::process::{Resource, geteuid, getrlimit};
use rustix::system::uname;

use super::Finding;
use crate::format;

/// The kernel that has all that is asked of it.
const KERNEL: (u32, u32) = (4, 16);
/// The kernel on which one thread can sleep on many words.
const MANY_WORDS: (u32, u32) = (5, 16);
/// File systems that are memory: `tmpfs`, `ramfs` and `hugetlbfs` by their magic numbers.
const MEMORY: [i64; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];
/// Below this it is worth a word.
const LITTLE_SPACE: u64 = 16 << 20;
const FEW_FILES: u64 = 256;
/// What the kernel calls the first PID namespace.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

pub(super) fn check() -> Vec<Finding> {
    let directory = sharehold::directory();
    let mut found = vec![kernel(), self::directory(&directory)];
    found.extend(space(&directory));
    found.extend([inotify(), open_files(), file_size(), process_names()]);
    found
}

fn kernel() -> Finding {
    let system = uname();
    let release = system.release().to_string_lossy().into_owned();
    let detail = format!("{} {release}", system.sysname().to_string_lossy());
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < KERNEL => {
            Finding::wrong("system", detail).advise("use Linux 4.16 or newer")
        }
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < MANY_WORDS => Finding::note(
            "system", detail,
        )
        .advise("from Linux 5.16 on, tasks that wait are woken at once instead of within 2 ms"),
        _ => Finding::well("system", detail),
    }
}

fn inotify() -> Finding {
    let subject = "inotify";
    match inotify::init(CreateFlags::CLOEXEC) {
        Ok(_) => Finding::well(subject, "available"),
        Err(error) => Finding::note(subject, io::Error::from(error).to_string()).advise(
            "raise it with sysctl fs.inotify.max_user_instances: without it, waiting for a key or for departures polls",
        ),
    }
}

fn directory(path: &Path) -> Finding {
    let subject = format!("directory {}", path.display());
    match fs::metadata(path) {
        // The library says what is wrong with it.
        Ok(facts) => match sharehold::list() {
            Ok(segments) => {
                let detail = format!(
                    "uid {}, mode {:04o}, number of files: {}",
                    facts.uid(),
                    facts.permissions().mode() & 0o7777,
                    segments.len()
                );
                Finding::well(subject, detail)
            }
            Err(error) => Finding::wrong(subject, error.to_string()),
        },
        Err(_) if parent(path).is_dir() => {
            Finding::well(subject, "not there yet; it is made with the first segment")
        }
        Err(error) => Finding::wrong(subject, error.to_string())
            .advise("make the directory that it stands in, or set SHAREHOLD_DIR to another"),
    }
}

/// Where the directory is, or would be made.
fn parent(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

fn space(directory: &Path) -> Option<Finding> {
    let path = if directory.is_dir() {
        directory.to_owned()
    } else {
        parent(directory)
    };
    let facts = statvfs(&path).ok()?;
    let (free, all) = (
        facts.f_bavail * facts.f_frsize,
        facts.f_blocks * facts.f_frsize,
    );
    let detail = format!("{} of {} are free", format::bytes(free), format::bytes(all));
    let is_memory = statfs(&path).is_ok_and(|it| MEMORY.contains(&it.f_type));
    Some(if !is_memory {
        Finding::wrong(
            "memory",
            format!("{} is not on a memory file system", path.display()),
        )
        .advise(
            "set SHAREHOLD_DIR to a directory in /dev/shm: elsewhere a full disk can end processes",
        )
    } else if free < LITTLE_SPACE {
        Finding::wrong("memory", detail).advise(
            "remove unneeded segments, or give /dev/shm more (docker run --shm-size, mount -o remount,size=)",
        )
    } else {
        Finding::well("memory", detail)
    })
}

fn open_files() -> Finding {
    let subject = "limit of open files";
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < FEW_FILES => Finding::wrong(subject, format!("{limit}"))
            .advise("each attachment is an open file: raise it with ulimit -n"),
        Some(limit) => Finding::well(subject, format!("{limit}")),
        None => Finding::well(subject, "none"),
    }
}

fn file_size() -> Finding {
    let subject = "limit of file sizes";
    match getrlimit(Resource::Fsize).current {
        Some(limit) => Finding::wrong(subject, format::bytes(limit))
            .advise("a larger segment cannot be created: raise it with ulimit -f unlimited"),
        None => Finding::well(subject, "none"),
    }
}

/// Whether processes can be identified and named.
fn process_names() -> Finding {
    let subject = "processes";
    let namespace = fs::read_link("/proc/self/ns/pid");
    match namespace {
        Err(error) => Finding::wrong(subject, format!("/proc cannot be read: {error}"))
            .advise("mount /proc: creating a segment needs it"),
        Ok(name) if name.as_os_str() != FIRST_NAMESPACE => Finding::note(
            subject,
            "this is a PID namespace of its own, such as a container's",
        )
        .advise("processes elsewhere share segments only if they see the same directory, and show PIDs of their own"),
        Ok(_) if fs::read_to_string("/proc/1/stat").is_err() && !geteuid().is_root() => {
            Finding::note(subject, "/proc hides those of other users")
        }
        Ok(_) => Finding::well(subject, "visible"),
    }
}
