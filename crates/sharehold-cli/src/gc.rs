//! `sharehold gc`: removes what is provably no longer in use.

use std::process::ExitCode;

use anyhow::Result;
use rustix::process::geteuid;
use serde::Serialize;
use sharehold::ListEntry;
use sharehold::qt::{self, SharedMemory, SystemSemaphore};

use crate::exit::Exit;
use crate::output::{self, Format};
use crate::users;
use crate::{foreign, format};

/// Remove segments that can no longer be used
///
/// A segment that is not persistent and whose users have all died is stale: no process can attach
/// to it. The next use of its key would remove it; `gc` removes it at once, whatever its type and
/// format version. Persistent segments, files that are not segments, and segments with live
/// attachments stay. As root, `gc` covers all users; with `SHAREHOLD_DIR`, only that directory.
///
/// --qt also removes Qt shared memory without attachments and POSIX semaphores that no process has
/// open (verified with the kernel). System V semaphores stay, since the kernel does not record
/// their users; so do objects of other users.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold gc --dry-run    what would be removed, and why
  sharehold gc              remove it
  sharehold gc --qt         what programs with Qt left, too

Exit status: 0 removed, also when there was nothing, 1 something could not be removed, 2 wrong usage, 6 the directory is not to be
trusted.")]
pub(crate) struct Args {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,

    /// Also remove unused memory and semaphores of Qt programs; data kept there on purpose is lost
    #[arg(long)]
    qt: bool,

    #[command(flatten)]
    format: Format,
}

/// An unusable object, and the reason.
#[derive(Debug, Serialize)]
struct Garbage {
    key: String,
    /// The user that owns the segment.
    owner: Option<u32>,
    /// How much memory it takes, if that is worth printing.
    bytes: Option<u64>,
    reason: &'static str,
    removed: bool,
}

/// Runs `sharehold gc`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut found = Vec::new();
    let mut failed = false;
    let mut keep = |result: Result<Option<Garbage>>| match result {
        Ok(garbage) => found.extend(garbage),
        Err(error) => {
            output::complain(&error);
            failed = true;
        }
    };
    for listed in sharehold::list_all_users()? {
        keep(segment(&listed, args.dry_run));
    }
    if args.qt {
        for family in foreign::families_of_qt() {
            for mut memory in family.all_memory()? {
                keep(of_qt(qt_memory(&mut memory, args.dry_run)));
            }
            for mut semaphore in family.all_semaphores()? {
                keep(of_qt(qt_semaphore(&mut semaphore, args.dry_run)));
            }
        }
    }
    if args.format.json {
        output::document(&found)?;
    } else {
        output::text(&text(&found))?;
    }
    let exit = if failed { Exit::Failed } else { Exit::Done };
    Ok(exit.into())
}

fn segment(listed: &ListEntry, dry_run: bool) -> Result<Option<Garbage>> {
    if !listed.is_stale() {
        return Ok(None);
    }
    let removed = !dry_run && listed.remove_stale()?;
    // For a segment of another format version, only the file name is known.
    let (key, bytes) = match &listed.summary {
        Ok(summary) => (summary.key.clone(), Some(summary.reserved)),
        Err(_) => (listed.file_name.to_string_lossy().into_owned(), None),
    };
    // Another process may have removed or recreated it meanwhile.
    Ok((removed || dry_run).then_some(Garbage {
        key,
        owner: Some(listed.owner),
        bytes,
        reason: "its users have all died",
        removed,
    }))
}

/// Objects of other users, and objects that are in use again, are skipped.
fn of_qt(found: qt::Result<Option<Garbage>>) -> Result<Option<Garbage>> {
    use qt::ErrorKind::{AlreadyExists, PermissionDenied};
    match found {
        Err(error) if matches!(error.kind(), AlreadyExists | PermissionDenied) => Ok(None),
        found => Ok(found?),
    }
}

fn qt_memory(memory: &mut SharedMemory, dry_run: bool) -> qt::Result<Option<Garbage>> {
    let Some(status) = memory.status()? else {
        return Ok(None);
    };
    if status.attachments != Some(0) {
        return Ok(None);
    }
    let removed = !dry_run && memory.remove_stale()?;
    Ok((removed || dry_run).then(|| Garbage {
        key: memory.native_key().to_string(),
        owner: None,
        bytes: Some(status.size as u64),
        reason: "Qt's memory without attachments",
        removed,
    }))
}

fn qt_semaphore(semaphore: &mut SystemSemaphore, dry_run: bool) -> qt::Result<Option<Garbage>> {
    if !semaphore.is_stale()? {
        return Ok(None);
    }
    let removed = !dry_run && semaphore.remove_stale()?;
    Ok((removed || dry_run).then(|| Garbage {
        key: semaphore.native_key().to_string(),
        owner: None,
        bytes: None,
        reason: "Qt's semaphore that no process has open",
        removed,
    }))
}

fn text(found: &[Garbage]) -> String {
    if found.is_empty() {
        return "there is nothing to remove\n".to_owned();
    }
    let lines = found.iter().map(|garbage| {
        let done = if garbage.removed {
            "removed"
        } else {
            "would remove"
        };
        let key = format::visible(&garbage.key);
        let of_another = garbage.owner.filter(|&owner| owner != geteuid().as_raw());
        let owner = of_another.map_or_else(String::new, |it| format!(" of {}", users::name(it)));
        let size = garbage
            .bytes
            .map_or_else(String::new, |bytes| format!(" ({})", format::bytes(bytes)));
        format!("{done} {key}{owner}{size}: {}\n", garbage.reason)
    });
    lines.collect()
}
