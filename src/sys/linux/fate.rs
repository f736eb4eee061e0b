//! Does another process still live? Only what can be proven from here counts.
//!
//! A process is named by its PID, its start time and the namespaces that both are meant in. Each conclusion has
//! conditions, which are checked at the moment of the question:
//!
//! | conclusion | because | valid if |
//! |---|---|---|
//! | gone | no process has its PID | it recorded this process's PID namespace |
//! | gone | all threads under its PID have ended | and `/proc` shows that namespace |
//! | gone | another program runs under its PID | the same |
//! | gone | another process has its PID: the start time differs | and both times are those of the system |
//! | living | none of these, and the start time is the same | |
//!
//! The second and the third also hold when another process has the PID by now: then the one asked about is gone, too.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::process::identity;
use super::procfs::{Procfs, times_compare};
use crate::sys::{Fate, Identity};

/// Tells whether the process named by `who` still lives, as far as it can be seen from this one.
pub(crate) fn fate_of(who: &Identity) -> Fate {
    let Ok(me) = identity() else {
        return Fate::Unknown;
    };
    let pid_namespace = |it: &Identity| it.namespaces >> 32;
    if !me.is_known() || pid_namespace(&me) != pid_namespace(who) {
        return Fate::Unknown;
    }
    if me == *who {
        return Fate::Living;
    }
    let Some(pid) = i32::try_from(who.pid).ok().and_then(Pid::from_raw) else {
        return Fate::Unknown;
    };
    // The system answers for this process's own namespace, whatever `/proc` shows or hides.
    if test_kill_process(pid) == Err(Errno::SRCH) {
        return Fate::Gone;
    }
    Procfs::open().map_or(Fate::Unknown, |proc| seen_in(&proc, who))
}

/// What `/proc` says of a process whose PID is meant in this process's own namespace.
fn seen_in(proc: &Procfs, who: &Identity) -> Fate {
    let Some(found) = proc.process(who.pid) else {
        return Fate::Unknown;
    };
    let same_start = found.start_time == who.start_time;
    let is_another = || {
        let compare = times_compare(who.namespaces) && proc.own_namespaces() == who.namespaces;
        !same_start && who.start_time != 0 && compare
    };
    // `exec` ends all threads and the memory of the old program before the new one shows.
    let runs_another = found.program != 0 && who.program != 0 && found.program != who.program;
    let gone = runs_another || is_another() || found.has_ended() && proc.all_threads_ended(who.pid);
    match gone {
        true if proc.shows_own_namespace() => Fate::Gone,
        false if same_start => Fate::Living,
        _ => Fate::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_is_itself() {
        let me = identity().expect("Linux knows its processes");
        assert_eq!(me.pid, std::process::id());
        assert_eq!(fate_of(&me), Fate::Living);
        let earlier = me.start_time - 1;
        let others = [
            (
                Identity {
                    start_time: earlier,
                    ..me
                },
                Fate::Gone,
            ),
            (
                Identity {
                    program: me.program ^ 2,
                    ..me
                },
                Fate::Gone,
            ),
            (Identity { program: 0, ..me }, Fate::Living),
            (
                Identity {
                    namespaces: 0,
                    ..me
                },
                Fate::Unknown,
            ),
            // Recorded in another time namespace: the start time says nothing.
            (
                Identity {
                    start_time: earlier,
                    namespaces: me.namespaces ^ 1,
                    ..me
                },
                Fate::Unknown,
            ),
            (
                Identity {
                    namespaces: me.namespaces ^ 1,
                    ..me
                },
                Fate::Living,
            ),
            (
                Identity {
                    namespaces: me.namespaces ^ 1 << 32,
                    ..me
                },
                Fate::Unknown,
            ),
            (
                Identity {
                    start_time: 0,
                    ..me
                },
                Fate::Unknown,
            ),
        ];
        for (who, fate) in others {
            assert_eq!(fate_of(&who), fate, "{who:?}");
        }
    }
}
