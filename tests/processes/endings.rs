//! Processes that are between life and death: their threads end one by one, or a debugger keeps
//! what is left of them.

use std::fs;
use std::thread;
use std::time::Duration;

use sharehold::{ErrorKind, LockError, Segment};
use sharehold_testkit::raw::{end_thread, trace};
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory, need_root};

use crate::daemons::daemon;
use crate::roles::{KEY, LONG, created, describe};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_killed_holder_is_dead_although_a_debugger_keeps_a_thread_of_it)
        .test(a_holder_is_dead_once_none_of_its_threads_executes_anything)
        .test(a_holder_lives_although_its_first_thread_has_ended)
        .test(
            where_a_mapping_does_not_keep_the_byte_the_living_are_not_robbed_and_the_dead_are_seen,
        )
        .role(holds_beside_threads)
        .role(debugger)
        .role(ends_its_first_thread)
        .role(among_processes_without_bytes)
}

/// Holds the lock, and has so many threads that do nothing.
fn holds_beside_threads(test: &mut Talk) {
    for _ in 0..test.number(0) {
        thread::spawn(|| {
            loop {
                thread::park();
            }
        });
    }
    let segment = Segment::attach(KEY).expect("it is there");
    let _bytes = segment.lock().expect("it is free");
    test.say("locked");
    test.wait_for_end();
}

fn holding_beside(threads: usize) -> Child {
    let mut holder = Child::with(holds_beside_threads, [threads.to_string()]);
    holder.hears("locked");
    holder
}

/// The threads of a process, the first one first.
fn threads_of(process: &Child) -> Vec<u32> {
    let listed = fs::read_dir(format!("/proc/{}/task", process.pid())).expect("it lives");
    let names = listed.map(|entry| entry.expect("it lives").file_name());
    let numbers = names.map(|name| name.to_string_lossy().parse().expect("a number"));
    let mut threads: Vec<u32> = numbers.collect();
    threads.sort_unstable_by_key(|&thread| (thread != process.pid(), thread));
    threads
}

/// Traces threads and never asks what becomes of them, as a debugger does at its prompt.
fn debugger(test: &mut Talk) {
    let stop_at_exit = test.argument(0) == "stop-at-exit";
    for thread in test.argument(1).split(' ') {
        trace(thread.parse().expect("a number"), stop_at_exit);
    }
    test.say("traced");
    test.wait_for_end();
}

fn debugging(threads: &[u32], until: &str) -> Child {
    let threads: Vec<_> = threads.iter().map(u32::to_string).collect();
    let mut debugger = Child::with(debugger, [until, &threads.join(" ")]);
    debugger.hears("traced");
    debugger
}

fn a_killed_holder_is_dead_although_a_debugger_keeps_a_thread_of_it() {
    let segment = created();
    let holder = holding_beside(1);
    let mut debugger = debugging(&threads_of(&holder)[1..], "end");
    holder.kill_soon();
    let Err(LockError::Abandoned(found)) = segment.lock_timeout(LONG) else {
        panic!("the dead one still holds it")
    };
    assert_eq!(
        found.previous_owner().expect("it is known").pid,
        holder.pid()
    );
    drop(found.mark_consistent());
    assert_eq!(segment.attachments().expect("one may look").len(), 1);
    // Nobody can reap the process as long as its thread is there.
    assert_eq!(threads_of(&holder).len(), 2);
    debugger.ends_well();
}

fn a_holder_is_dead_once_none_of_its_threads_executes_anything() {
    for beside in [0, 2] {
        let segment = created();
        let holder = holding_beside(beside);
        let mut debugger = debugging(&threads_of(&holder), "stop-at-exit");
        holder.kill_soon();
        let Err(LockError::Abandoned(found)) = segment.lock_timeout(LONG) else {
            panic!("the dead one, with {beside} other threads, still holds it")
        };
        drop(found.mark_consistent());
        assert_eq!(segment.attachments().expect("one may look").len(), 1);
        // All this while it still has its memory, and the lock on its byte.
        let maps = fs::read_to_string(format!("/proc/{}/maps", holder.pid()));
        let file = directory().join(&left_in_directory()[0]);
        let maps = maps.expect("it is not reaped");
        assert!(maps.contains(file.to_str().expect("it is text")), "{maps}");
        segment.detach().expect("it can leave");
        assert!(left_in_directory().is_empty());
        debugger.ends_well();
    }
}

/// Holds the lock in its second thread, and ends the first one.
fn ends_its_first_thread(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    test.say("attached");
    thread::scope(|scope| {
        scope.spawn(|| {
            let _bytes = segment.lock().expect("it is free");
            loop {
                thread::park();
            }
        });
        end_thread();
    });
}

fn a_holder_lives_although_its_first_thread_has_ended() {
    let segment = created();
    let mut holder = Child::of(ends_its_first_thread);
    holder.hears("attached");
    let stat = format!("/proc/{}/stat", holder.pid());
    while !fs::read_to_string(&stat)
        .expect("it lives")
        .contains(") Z ")
    {
        thread::yield_now();
    }
    while segment.try_lock().is_ok() {
        thread::yield_now();
    }
    let refused = segment.lock_timeout(Duration::from_millis(300));
    assert_eq!(refused.expect_err("it is held").kind(), ErrorKind::Timeout);
    assert_eq!(segment.attachments().expect("one may look").len(), 2);
    holder.kill();
    let said = describe(segment.lock_timeout(LONG));
    assert!(said.starts_with("Abandoned"), "{said}");
}

/// On a file system whose mappings do not keep the open file: holders that close all descriptors,
/// live, and die.
fn among_processes_without_bytes(test: &mut Talk) {
    let segment = created();
    let mut holder = Child::of(daemon);
    holder.hears("closed");
    let refused = segment.lock_timeout(Duration::from_millis(300));
    assert_eq!(refused.expect_err("it is held").kind(), ErrorKind::Timeout);
    assert_eq!(segment.attachments().expect("one may look").len(), 2);
    holder.kill();
    let Err(LockError::Abandoned(found)) = segment.lock_timeout(LONG) else {
        panic!("the dead daemon still holds it")
    };
    drop(found.mark_consistent());

    let holder = holding_beside(1);
    let mut debugger = debugging(&threads_of(&holder)[1..], "end");
    holder.kill_soon();
    let said = describe(segment.lock_timeout(LONG));
    assert!(said.starts_with("Abandoned"), "{said}");
    debugger.ends_well();
    test.say("seen");
}

fn where_a_mapping_does_not_keep_the_byte_the_living_are_not_robbed_and_the_dead_are_seen() {
    const MOUNT: &str = r#"
        mount -t tmpfs -o mode=755 none "$SHAREHOLD_DIR" && cd "$SHAREHOLD_DIR" &&
        mkdir lower upper work here && export SHAREHOLD_DIR="$PWD/here" &&
        mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none here && exec "$0" "$@"
    "#;
    need_root("mount an overlay file system");
    let namespace = ["unshare", "--mount", "--propagation", "private"];
    let wrapper = namespace.into_iter().chain(["sh", "-c", MOUNT]);
    let mut child = Child::under(wrapper, among_processes_without_bytes, [""; 0]);
    child.hears("seen");
    child.ends_well();
    assert!(left_in_directory().is_empty());
}
