//! The check whether another process is alive. Only a proof from here counts.
//!
//! A process is named by its PID, its start time and the namespaces in which both are valid. Each
//! conclusion has conditions, which are checked at the moment of the query:
//!
//! | conclusion | because | valid if |
//! |---|---|---|
//! | gone | no process has its PID | it recorded this process's PID namespace |
//! | gone | all threads under its PID have ended | and `/proc` shows that namespace |
//! | gone | another process has its PID: the start time differs | and both times are those of the system |
//! | gone | it is an earlier program of this very process | |
//! | living | none of these, and the start time is the same | |
//!
//! The second also holds when another process has the PID by now: then the recorded one is gone,
//! too.
//!
//! No process can detect that another one executes a new program. That program has other addresses
//! of code and stack, but a process may also change these itself and live on (`PR_SET_MM`). Such a
//! process therefore counts as living until it ends. A process never changes what it has recorded
//! of itself, so it does recognize its own earlier programs.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::process::identity;
use super::procfs::{Procfs, times_compare};
use crate::sys::{Identity, ProcessState};

/// Returns the state of the process named by `who`, as far as it is visible from this process.
pub(crate) fn process_state(who: &Identity) -> ProcessState {
    let Ok(me) = identity() else {
        return ProcessState::Unknown;
    };
    let pid_namespace = |it: &Identity| it.namespaces >> 32;
    if !me.is_known() || pid_namespace(&me) != pid_namespace(who) {
        return ProcessState::Unknown;
    }
    if me == *who {
        return ProcessState::Living;
    }
    if is_earlier_program(&me, who) {
        return ProcessState::Gone;
    }
    let Some(pid) = i32::try_from(who.pid).ok().and_then(Pid::from_raw) else {
        return ProcessState::Unknown;
    };
    // The system answers for this process's own namespace, whatever `/proc` shows or hides.
    if test_kill_process(pid) == Err(Errno::SRCH) {
        return ProcessState::Gone;
    }
    Procfs::open().map_or(ProcessState::Unknown, |proc| seen_in(&proc, who))
}

/// Tells whether `who` is what this process, `me`, recorded before it executed its current program.
fn is_earlier_program(me: &Identity, who: &Identity) -> bool {
    let process = |it: &Identity| (it.pid, it.namespaces, it.start_time);
    let are_known = me.start_time != 0 && me.program != 0 && who.program != 0;
    are_known && process(me) == process(who) && me.program != who.program
}

/// Returns the state that `/proc` shows of a process whose PID is valid in this process's own
/// namespace.
fn seen_in(proc: &Procfs, who: &Identity) -> ProcessState {
    let Some(found) = proc.process(who.pid) else {
        return ProcessState::Unknown;
    };
    let same_start = found.start_time == who.start_time;
    let is_another = || {
        let compare = times_compare(who.namespaces) && proc.own_namespaces() == who.namespaces;
        !same_start && who.start_time != 0 && compare
    };
    let gone = is_another() || found.has_ended() && proc.all_threads_ended(who.pid);
    match gone {
        true if proc.shows_own_namespace() => ProcessState::Gone,
        false if same_start => ProcessState::Living,
        _ => ProcessState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn this_process_lives_and_is_itself() {
        let me = identity().expect("Linux knows its processes");
        assert_eq!(me.pid, std::process::id());
        assert_eq!(process_state(&me), ProcessState::Living);
        let earlier = me.start_time - 1;
        let others = [
            (
                Identity {
                    start_time: earlier,
                    ..me
                },
                ProcessState::Gone,
            ),
            (
                Identity {
                    program: me.program ^ 2,
                    ..me
                },
                ProcessState::Gone,
            ),
            (Identity { program: 0, ..me }, ProcessState::Living),
            (
                Identity {
                    namespaces: 0,
                    ..me
                },
                ProcessState::Unknown,
            ),
            // Recorded in another time namespace: the start times cannot be compared.
            (
                Identity {
                    start_time: earlier,
                    namespaces: me.namespaces ^ 1,
                    ..me
                },
                ProcessState::Unknown,
            ),
            (
                Identity {
                    namespaces: me.namespaces ^ 1,
                    ..me
                },
                ProcessState::Living,
            ),
            (
                Identity {
                    namespaces: me.namespaces ^ 1 << 32,
                    ..me
                },
                ProcessState::Unknown,
            ),
            (
                Identity {
                    start_time: 0,
                    ..me
                },
                ProcessState::Unknown,
            ),
        ];
        for (who, state) in others {
            assert_eq!(process_state(&who), state, "{who:?}");
        }
    }

    #[test]
    fn a_living_process_that_shows_other_addresses_lives() {
        let mut child = Command::new("sleep").arg("600").spawn().expect("it starts");
        let me = identity().expect("Linux knows its processes");
        let proc = Procfs::open().expect("/proc is mounted");
        let seen = proc.process(child.id()).expect("it lives");
        let recorded = Identity {
            pid: child.id(),
            start_time: seen.start_time,
            program: seen.program ^ 2,
            ..me
        };
        let states = [process_state(&recorded), {
            child.kill().expect("it lives");
            child.wait().expect("it is a child");
            process_state(&recorded)
        }];
        assert_eq!(states, [ProcessState::Living, ProcessState::Gone]);
    }
}
