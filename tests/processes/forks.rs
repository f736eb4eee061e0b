//! Forked children: copies of a process that attached nothing and hold nothing.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use sharehold::{ErrorKind, LockError, Segment};
use sharehold_testkit::raw::{
    Fork, end_after, fork_in_signal_handlers, with_child_of_signal_handler,
};
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory};

use crate::read_only::reading;
use crate::roles::{KEY, LONG, created, describe, holding, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_forked_child_neither_holds_nor_keeps_alive)
        .test(a_forked_child_of_a_reader_keeps_nothing_alive)
        .test(what_a_child_of_the_dead_keeps_hides_no_reader)
        .test(the_handles_of_a_forked_child_are_errors_and_their_end_changes_nothing)
        .test(a_report_that_a_forked_child_inherited_is_not_its_to_vouch_for)
        .test(a_child_forked_while_creating_gets_an_error)
        .test(a_child_forked_in_a_change_changes_nothing)
        .test(a_forked_child_attaches_on_its_own)
        .test(a_child_that_runs_another_program_inherits_nothing)
        .test(a_child_forked_beside_changing_attachments_inherits_none_of_them)
        .test(a_child_that_a_signal_handler_forks_has_nothing_of_what_it_interrupts)
        .test(a_child_forked_during_the_first_attach_attaches)
        .role(forks_holding)
        .role(forks_reading)
        .role(starts_a_program)
        .role(looks_on)
        .role(forks_beside_changing_attachments)
        .role(forks_in_signal_handlers)
        .role(forks_during_its_first_attach)
}

const ALL: [Fork; 3] = [Fork::Fork, Fork::AsyncSignalSafe, Fork::Clone];

fn fork(test: &Talk) -> Fork {
    let wanted = test.argument(0);
    let named = ALL.into_iter().find(|fork| format!("{fork:?}") == wanted);
    named.expect("the argument names one")
}

/// Takes the lock and forks a child that lives until the test ends, whatever becomes of this
/// process.
pub(crate) fn forks_holding(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let _bytes = segment.lock().expect("it is free");
    let fork = fork(test);
    let child = fork.start(|| {
        test.say("forked");
        test.hear();
        test.say("lives");
        test.wait_for_end();
        0
    });
    child.exit_code();
}

fn a_forked_child_neither_holds_nor_keeps_alive() {
    for fork in ALL {
        let segment = created();
        let mut parent = Child::with(forks_holding, [format!("{fork:?}")]);
        parent.hears("forked");
        // The parent lives, so that it holds it, whatever the child has.
        let refused = segment.lock_timeout(Duration::from_millis(50));
        assert_eq!(
            refused.expect_err("it is held").kind(),
            ErrorKind::Timeout,
            "{fork:?}"
        );
        parent.kill();

        let Err(LockError::Abandoned(found)) = segment.lock_timeout(LONG) else {
            panic!("{fork:?}: the dead parent still holds it")
        };
        assert_eq!(
            found.previous_owner().expect("it is known").pid,
            parent.pid()
        );
        drop(found.mark_consistent());
        assert_eq!(
            segment.attachments().expect("one may look").len(),
            1,
            "{fork:?}"
        );
        segment.detach().expect("it can leave");
        assert!(
            left_in_directory().is_empty(),
            "{fork:?}: the child keeps it alive"
        );
        // And all the while the child lived.
        assert_eq!(parent.ask("do you live?"), "lives");
    }
}

/// Attaches read-only and forks a child that lives until the test ends.
fn forks_reading(test: &mut Talk) {
    let _segment = Segment::attach_read_only(KEY).expect("it is there");
    Fork::Fork
        .start(|| {
            test.say("forked");
            test.wait_for_end();
            0
        })
        .exit_code();
}

fn a_forked_child_of_a_reader_keeps_nothing_alive() {
    let segment = created();
    let mut reader = Child::of(forks_reading);
    reader.hears("forked");
    assert_eq!(segment.attachments().expect("one may look").len(), 2);
    reader.kill();
    assert_eq!(segment.attachments().expect("one may look").len(), 1);
    segment.detach().expect("it can leave");
    assert!(left_in_directory().is_empty());
}

fn what_a_child_of_the_dead_keeps_hides_no_reader() {
    for fork in [Fork::AsyncSignalSafe, Fork::Clone] {
        let segment = created();
        let mut parent = Child::with(forks_holding, [format!("{fork:?}")]);
        parent.hears("forked");
        let mut reader = reading();
        parent.kill();
        segment.detach().expect("it can leave");
        assert!(
            Segment::exists(KEY).expect("one may look"),
            "{fork:?}: it was removed under a reader"
        );
        reader.ends_well();
        assert!(left_in_directory().is_empty(), "{fork:?}");
    }
}

/// Attaches, and says what the lock says when it is asked.
fn looks_on(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    test.say("ready");
    while !test.hear().is_empty() {
        test.say(describe(segment.try_lock()));
    }
}

fn the_handles_of_a_forked_child_are_errors_and_their_end_changes_nothing() {
    for fork in ALL {
        let segment = created();
        let mut spare = Segment::attach(KEY).ok();
        let mut reader = Segment::attach_read_only(KEY).ok();
        let mut other = Child::of(looks_on);
        other.hears("ready");
        let mut guard = Some(segment.lock().expect("it is free"));
        let child = fork.start(|| {
            let mut bytes = guard.take().expect("the parent has it");
            let mut six = [0; 6];
            assert_eq!(kind(bytes.read(0, &mut six)), Some(ErrorKind::Forked));
            assert_eq!(kind(bytes.write(0, b"forked")), Some(ErrorKind::Forked));
            assert_eq!(kind(bytes.fill(0..6, 0)), Some(ErrorKind::Forked));
            assert_eq!(
                kind(bytes.copy_to(0..6, Vec::new())),
                Some(ErrorKind::Forked)
            );
            assert_eq!(
                kind(bytes.copy_from(0..6, &b"forked"[..])),
                Some(ErrorKind::Forked)
            );
            assert_eq!(kind(bytes.grow(1)), Some(ErrorKind::Forked));
            drop(bytes);
            for refused in [
                segment.lock(),
                segment.try_lock(),
                segment.lock_timeout(LONG),
            ] {
                assert_eq!(
                    refused.expect_err("it is not its own").kind(),
                    ErrorKind::Forked
                );
            }
            assert_eq!(kind(segment.grow(1)), Some(ErrorKind::Forked));
            assert_eq!(kind(segment.attachments()), Some(ErrorKind::Forked));
            assert_eq!((segment.size(), segment.key()), (4096, KEY));
            let reader = reader.take().expect("the parent has it");
            assert_eq!(kind(reader.attachments()), Some(ErrorKind::Forked));
            assert_eq!((reader.size(), reader.key()), (4096, KEY));
            drop(reader);
            let spare = spare.take().expect("the parent has it");
            spare.detach().expect("there is nothing to do");
            0
        });
        assert_eq!(child.exit_code(), Some(0), "{fork:?}");
        assert!(
            other.ask("is it held?").starts_with("WouldBlock"),
            "{fork:?}"
        );
        assert_eq!(
            segment.attachments().expect("one may look").len(),
            4,
            "{fork:?}"
        );
        drop(guard);
        assert_eq!(other.ask("is it held?"), "locked");
    }
}

fn a_report_that_a_forked_child_inherited_is_not_its_to_vouch_for() {
    for fork in ALL {
        let segment = created();
        holding().kill();
        let mut found = segment.lock().err();
        let child = fork.start(|| {
            let Some(LockError::Abandoned(found)) = found.take() else {
                panic!("a dead process held it")
            };
            let mut bytes = found.mark_consistent();
            assert_eq!(kind(bytes.write(0, b"forked")), Some(ErrorKind::Forked));
            drop(bytes);
            0
        });
        assert_eq!(child.exit_code(), Some(0), "{fork:?}");
        drop(found);
        let Err(LockError::Abandoned(_)) = segment.lock() else {
            panic!("{fork:?}: the child vouched for the data")
        };
    }
}

fn a_child_forked_while_creating_gets_an_error() {
    for fork in ALL {
        let mut child = None;
        let created = Segment::options().size(8).create_with(KEY, |_| {
            // The child goes on from here as the parent does.
            child = fork.continue_in_child();
            Ok(())
        });
        match child {
            None => {
                let as_it_should = kind(created) == Some(ErrorKind::Forked);
                std::process::exit(i32::from(!as_it_should));
            }
            Some(child) => assert_eq!(child.exit_code(), Some(0), "{fork:?}"),
        }
        assert!(created.is_ok());
    }
}

fn a_child_forked_in_a_change_changes_nothing() {
    for fork in ALL {
        let segment = Segment::options()
            .size(8)
            .log(64)
            .create(KEY)
            .expect("nothing has the key");
        let mut child = None;
        let written = segment.transaction(|tx| {
            child = fork.continue_in_child();
            tx.write_at(0, &1_u64)
        });
        match child {
            None => {
                let as_it_should = kind(written) == Some(ErrorKind::Forked);
                std::process::exit(i32::from(!as_it_should));
            }
            Some(child) => assert_eq!(child.exit_code(), Some(0), "{fork:?}"),
        }
        written.expect("the parent has the lock");
        let bytes = segment.lock().expect("nobody died");
        assert_eq!(bytes.read_at::<u64>(0).expect("there is room"), 1);
    }
}

fn a_forked_child_attaches_on_its_own() {
    for fork in ALL {
        let segment = created();
        let mut bytes = segment.lock().expect("it is free");
        let child = fork.start(|| {
            let own = Segment::attach(KEY).expect("it is there");
            assert_eq!(own.attachments().expect("one may look").len(), 2);
            // Another process's, although it was this very thread that took it.
            let refused = own.try_lock().map_err(|refused| refused.kind());
            assert_eq!(
                refused.err(),
                Some(ErrorKind::WouldBlock),
                "the parent holds it"
            );
            let mine = Segment::create("com.example.own", 8).expect("nothing has the key");
            drop(mine.lock().expect("it is free"));
            // Its own children are no other than anybody's.
            let grandchild = Fork::Fork.start(|| {
                assert_eq!(kind(own.attachments()), Some(ErrorKind::Forked));
                assert_eq!(kind(mine.attachments()), Some(ErrorKind::Forked));
                0
            });
            assert_eq!(grandchild.exit_code(), Some(0));
            own.detach().expect("it can leave");
            mine.detach().expect("it can leave");
            0
        });
        assert_eq!(child.exit_code(), Some(0), "{fork:?}");
        bytes.write(0, b"still here").expect("there is room");
        drop(bytes);
        assert_eq!(segment.attachments().expect("one may look").len(), 1);
    }
}

/// Takes the lock and starts another program, which lives until the test ends.
fn starts_a_program(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let _bytes = segment.lock().expect("it is free");
    let mut program = Command::new("cat")
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    test.say(program.id());
    program.wait().expect("it is a child");
}

fn a_child_that_runs_another_program_inherits_nothing() {
    let segment = created();
    let mut parent = Child::of(starts_a_program);
    let program = parent.hear_number();
    parent.kill();
    let opened = fs::read_dir(format!("/proc/{program}/fd")).expect("it lives");
    // It may close what it opened itself meanwhile.
    let files = opened.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inherited: Vec<_> = files.filter(|file| file.starts_with(directory())).collect();
    assert!(inherited.is_empty(), "{inherited:?}");
    let Err(LockError::Abandoned(_)) = segment.lock_timeout(LONG) else {
        panic!("the dead parent still holds it")
    };
}

/// What a process has of the segments: descriptors, and parts of its memory.
fn has_of_segments(process: &str) -> Vec<String> {
    let opened = fs::read_dir(format!("/proc/{process}/fd")).expect("/proc is mounted");
    let files = opened.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let files = files.map(|file| file.to_string_lossy().into_owned());
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("/proc is mounted");
    let maps = maps.lines().map(str::to_owned);
    // The directory itself may be open; what counts is what is in it.
    let inside = format!("{}/", directory().display());
    files
        .chain(maps)
        .filter(|it| it.contains(&inside))
        .collect()
}

/// Forks again and again while two threads attach and detach, and says what the children have of
/// it.
fn forks_beside_changing_attachments(test: &mut Talk) {
    const FORKS: usize = 1_000;
    let done = AtomicBool::new(false);
    let mut with_something = 0;
    thread::scope(|scope| {
        for attach in [come_and_go, come_and_look] {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    attach();
                }
            });
        }
        for _ in 0..FORKS {
            let child = Fork::start_beside_running_threads(|| {
                i32::from(!has_of_segments("self").is_empty())
            });
            with_something += usize::from(child.exit_code() != Some(0));
        }
        done.store(true, Ordering::Relaxed);
    });
    test.say(with_something);
}

fn come_and_go() {
    drop(Segment::attach(KEY).expect("it is there"));
}

fn come_and_look() {
    drop(Segment::attach_read_only(KEY).expect("it is there"));
}

fn a_child_forked_beside_changing_attachments_inherits_none_of_them() {
    let _segment = created();
    let mut parent = Child::of(forks_beside_changing_attachments);
    assert_eq!(parent.hear_number(), 0, "so many children have something");
    parent.ends_well();
}

/// Attaches and detaches while a signal handler forks again and again, and says what the children
/// have of it.
fn forks_in_signal_handlers(test: &mut Talk) {
    const FORKS: usize = 500;
    fork_in_signal_handlers(Duration::from_micros(100));
    let mut with_something = 0;
    let mut forks = 0;
    while forks < FORKS {
        come_and_go();
        let has = with_child_of_signal_handler(|child| has_of_segments(&child.to_string()));
        if let Some(has) = has {
            forks += 1;
            with_something += usize::from(!has.is_empty());
        }
    }
    test.say(with_something);
}

fn a_child_that_a_signal_handler_forks_has_nothing_of_what_it_interrupts() {
    let _segment = created();
    let mut parent = Child::of(forks_in_signal_handlers);
    assert_eq!(parent.hear_number(), 0, "so many children have something");
    parent.ends_well();
}

/// Attaches for the first time in one thread and forks in another, after so many turns of a loop;
/// the child attaches.
fn forks_during_its_first_attach(test: &mut Talk) {
    let turns = test.number(0);
    let begun = AtomicU32::new(0);
    let child = thread::scope(|scope| {
        scope.spawn(|| {
            begun.store(1, Ordering::Release);
            come_and_go();
        });
        while begun.load(Ordering::Acquire) == 0 {
            std::hint::spin_loop();
        }
        for _ in 0..turns {
            std::hint::spin_loop();
        }
        Fork::start_beside_running_threads(|| {
            // A child that hangs is ended by this.
            end_after(10);
            come_and_go();
            0
        })
    });
    test.say(format!("{:?}", child.exit_code()));
}

fn a_child_forked_during_the_first_attach_attaches() {
    let _segment = created();
    for turns in (0..24).map(|step| step * 500) {
        let mut parent = Child::with(forks_during_its_first_attach, [turns.to_string()]);
        parent.hears("Some(0)");
        parent.ends_well();
    }
}
