//! Checks every segment: whether it is usable, in use and consistent, and whether users deadlock.

use std::ffi::OsStr;
use std::fs;

use rustix::process::geteuid;

use sharehold::{
    AbandonCause, Attachment, Consistency, Deadlock, ErrorKind, Holder, ListEntry, LockState,
    Summary,
};

use super::Finding;
use crate::users::{self, Owner};
use crate::{describe, format};

pub(super) fn check() -> Vec<Finding> {
    // That it cannot be listed has been said of the directory.
    let listed = sharehold::list_all_users().unwrap_or_default();
    let mut found: Vec<Finding> = Vec::new();
    let mut well = 0_usize;
    for ListEntry {
        owner,
        file_name,
        summary,
        ..
    } in &listed
    {
        match summary {
            Err(error) => found.push(unusable(*owner, file_name, error)),
            Ok(summary) => {
                let findings = segment(*owner, summary);
                well += usize::from(findings.is_empty());
                found.extend(findings);
            }
        }
    }
    if well > 0 {
        found.insert(
            0,
            Finding::well(
                "segments",
                format!("nothing is wrong with {well} of {}", listed.len()),
            ),
        );
    }
    // That too has been said of the directory.
    found.extend(
        sharehold::deadlocks()
            .unwrap_or_default()
            .iter()
            .map(deadlock),
    );
    found
}

fn deadlock(it: &Deadlock) -> Finding {
    let pids = it.waits.iter().map(|wait| wait.waiter.pid.to_string());
    let pids = pids.collect::<Vec<_>>().join(" or ");
    Finding::wrong("deadlock", format::visible(&it.to_string())).advise(format!(
        "end one of them, {pids}: what it holds comes free; then let all lock in the same order"
    ))
}

fn unusable(owner: u32, name: &OsStr, error: &sharehold::Error) -> Finding {
    let directory = Owner::of(owner).options().directory();
    // A directory that is not to be trusted stands there itself.
    let is_directory = directory.file_name() == Some(name);
    let (path, advice) = if is_directory {
        let advice = "check its owner: a directory of segments must belong to the user in its name";
        (directory, advice.to_owned())
    } else if error.kind() == ErrorKind::PermissionDenied {
        let advice = format!(
            "run `sharehold doctor` as {}, or as root",
            users::name(owner)
        );
        (directory.join(name), advice)
    } else {
        let advice = if owner == geteuid().as_raw() {
            "remove the file if its content is not needed".to_owned()
        } else {
            format!("ask {} what it is", users::name(owner))
        };
        (directory.join(name), advice)
    };
    let subject = format!("file {}", format::visible(&path.to_string_lossy()));
    Finding::wrong(subject, describe::reason(error)).advise(advice)
}

/// What commands need besides the key, for a segment of another user.
fn owner_option(owner: u32) -> String {
    if owner == geteuid().as_raw() {
        String::new()
    } else {
        format!(" --owner {}", users::name(owner))
    }
}

fn segment(owner: u32, summary: &Summary) -> Vec<Finding> {
    let key = format::visible(&summary.key);
    let owner = owner_option(owner);
    let subject = || format!("segment {key}{owner}");
    let mut found = Vec::new();
    if summary.is_stale() {
        // The state of its lock no longer matters.
        return vec![
            Finding::wrong(subject(), "stale: its users have all died")
                .advise("`sharehold gc` removes it, and so does the next use of its key"),
        ];
    }
    if let Consistency::Abandoned {
        cause,
        previous_owner,
    } = &summary.condition
    {
        let who = previous_owner
            .as_ref()
            .map_or("a process".to_owned(), named);
        let how = match cause {
            AbandonCause::Panicked => "panicked",
            _ => "died",
        };
        let (left, look_at) = if summary.value_type.is_some() {
            (
                "its value is whole, but other things that the lock guards may not be",
                "those things",
            )
        } else {
            ("its data may be half written", "the data")
        };
        let detail = format!("{who} {how} holding its lock; {left}");
        found.push(Finding::wrong(subject(), detail).advise(format!(
            "check and repair {look_at}, then mark them consistent with `sharehold lock {key}{owner} -- true`"
        )));
    }
    match &summary.lock {
        LockState::Abandoned(Holder {
            attachment,
            in_place: true,
            ..
        }) => {
            let who = attachment.as_ref().map_or("a process".to_owned(), named);
            let detail = format!("{who} died holding its lock");
            found.push(
                Finding::wrong(subject(), detail).advise(
                    "the next process that locks it gets an error, and must check the data",
                ),
            );
        }
        LockState::Held(holder) => found.extend(
            holder
                .attachment
                .as_ref()
                .filter(|holder| is_stopped(holder.pid))
                .map(|holder| {
                    let detail = format!("{} is stopped and holds its lock", named(holder));
                    Finding::wrong(subject(), detail)
                        .advise(format!("let it go on with `kill -CONT {}`", holder.pid))
                }),
        ),
        _ => {}
    }
    let taken = summary.attachments.iter().filter(|it| it.slot.is_some());
    let taken = taken.count();
    if taken * 10 >= summary.slots * 9 {
        let detail = format!("{taken} of its {} slots are taken", summary.slots);
        found.push(
            Finding::wrong(subject(), detail).advise("create it with more slots before it is full"),
        );
    }
    found
}

/// A process as people know it.
fn named(attachment: &Attachment) -> String {
    match attachment.executable.as_deref() {
        Some(name) if !name.is_empty() => {
            format!("pid {} ({})", attachment.pid, format::visible(name))
        }
        _ => format!("pid {}", attachment.pid),
    }
}

/// Whether a process that is visible from here was stopped, by Ctrl-Z or a debugger.
fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| "Tt".contains(state))
}
