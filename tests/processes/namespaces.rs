//! Namespaces: processes that cannot see each other, have the same PIDs, or see other start times.

use std::time::Duration;

use sharehold::{ErrorKind, LockError, Segment};
use sharehold_testkit::raw::{enter_new_time_namespace, start_with_equal_pids};
use sharehold_testkit::{Child, Suite, Talk, left_in_directory, need_root};

use crate::daemons::daemon;
use crate::roles::{KEY, LONG, created, describe, holding, peer};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(processes_with_equal_numbers_exclude_each_other)
        .test(processes_with_equal_numbers_and_without_proc_exclude_each_other)
        .test(a_death_in_another_namespace_is_seen)
        .test(a_living_holder_in_another_namespace_is_not_robbed)
        .test(a_daemon_in_another_namespace_is_not_robbed)
        .test(a_segment_lives_as_long_as_a_user_in_any_namespace)
        .test(a_living_holder_is_not_robbed_where_proc_shows_others_under_equal_pids)
        .test(a_living_holder_is_not_robbed_from_another_time_namespace)
        .test(a_file_system_that_is_mounted_read_only_is_named_in_the_error)
        .role(uses_what_is_mounted_read_only)
        .role(makes_its_directory_where_it_is_read_only)
        .role(holds_and_waits_with_equal_pids)
        .role(moves_to_another_time)
}

/// With a `/proc` of its own, and with one that shows other processes under its numbers.
const NAMESPACES: [&[&str]; 2] = [
    &["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"],
    &["unshare", "--pid", "--fork", "--kill-child"],
];

/// Starts a peer as process 1 of a namespace of its own.
fn alone(namespace: &[&str]) -> Child {
    need_root("make PID namespaces");
    let mut child = Child::under(namespace.iter().copied(), peer, [KEY]);
    child.hears("attached");
    child
}

fn pairs() -> impl Iterator<Item = (Child, Child)> {
    let beside = |one| NAMESPACES.into_iter().map(move |other| (one, other));
    let pairs = NAMESPACES.into_iter().flat_map(beside);
    pairs.map(|(one, other)| (alone(one), alone(other)))
}

fn processes_with_equal_numbers_exclude_each_other() {
    let segment = created();
    for (mut one, mut other) in pairs() {
        let all = segment.attachments().expect("one may look");
        assert_eq!(all.iter().filter(|it| it.pid == 1).count(), 2, "{all:?}");
        assert_eq!(one.ask("lock"), "locked");
        // Process 1, thread 1: as this one is. It is another all the same.
        let said = other.ask("try");
        assert!(
            said.starts_with("WouldBlock") && said.contains("pid 1 ("),
            "{said}"
        );
        other.tell("pass");
        assert_eq!(one.ask("write 1"), "written");
        assert_eq!(one.ask("unlock"), "unlocked");
        other.hears("locked");
        one.ends_well();
        other.ends_well();
    }
}

fn processes_with_equal_numbers_and_without_proc_exclude_each_other() {
    // Such a process knows its number, 1, and nothing else of itself.
    const WITHOUT_PROC: [&str; 8] = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount",
        "sh",
        "-c",
        r#"umount --lazy /proc && exec "$0" "$@""#,
    ];
    let _segment = created();
    let mut one = alone(&WITHOUT_PROC);
    let mut other = alone(&WITHOUT_PROC);
    assert_eq!(one.ask("lock"), "locked");
    for order in ["try", "wait 100"] {
        let said = other.ask(order);
        assert!(!said.starts_with("Deadlock"), "{said}");
        assert!(said.contains("pid 1 "), "{said}");
    }
    other.tell("pass");
    assert_eq!(one.ask("unlock"), "unlocked");
    other.hears("locked");
    // Within one handle only the thread number tells owners apart.
    assert_eq!(one.ask("lock"), "locked");
    assert!(one.ask("pass").starts_with("Deadlock"));
    one.kill();
    assert!(other.ask("recover").ends_with("died holding it"));
    other.ends_well();
}

fn a_death_in_another_namespace_is_seen() {
    let segment = created();
    for (mut one, mut other) in pairs() {
        assert_eq!(one.ask("lock"), "locked");
        one.kill();
        let said = other.ask("recover");
        assert!(
            said.starts_with("pid 1 (") && said.ends_with("died holding it"),
            "{said}"
        );
        other.kill();
        let Err(LockError::Abandoned(found)) = segment.lock_timeout(LONG) else {
            panic!("the dead one still holds it")
        };
        assert_eq!(found.previous_owner().expect("it is known").pid, 1);
        drop(found.mark_consistent());
    }
    // And the other way round.
    for namespace in NAMESPACES {
        let mut inside = alone(namespace);
        let mut outside = holding();
        outside.kill();
        let said = inside.ask("recover");
        assert!(
            said.starts_with(&format!("pid {} (", outside.pid())),
            "{said}"
        );
        inside.ends_well();
    }
}

fn a_living_holder_in_another_namespace_is_not_robbed() {
    let segment = created();
    for (mut one, mut other) in pairs() {
        assert_eq!(one.ask("lock"), "locked");
        let refused = segment.lock_timeout(Duration::from_millis(100));
        assert_eq!(refused.expect_err("it is held").kind(), ErrorKind::Timeout);
        assert!(other.ask("wait 100").starts_with("Timeout"));
        assert_eq!(one.ask("unlock"), "unlocked");
        drop(segment.lock().expect("nobody died"));
        one.ends_well();
        other.ends_well();
    }
}

fn a_daemon_in_another_namespace_is_not_robbed() {
    // Nobody sees its process, and it has no descriptor: but the kernel keeps an open file for as
    // long as it is mapped.
    let segment = created();
    for namespace in NAMESPACES {
        need_root("make PID namespaces");
        let mut child = Child::under(namespace.iter().copied(), daemon, [""; 0]);
        child.hears("closed");
        let refused = segment.lock_timeout(Duration::from_millis(100));
        assert_eq!(refused.expect_err("it is held").kind(), ErrorKind::Timeout);
        assert_eq!(segment.attachments().expect("one may look").len(), 2);
        child.kill();
        let Err(LockError::Abandoned(found)) = segment.lock_timeout(LONG) else {
            panic!("the dead one still holds it")
        };
        drop(found.mark_consistent());
    }
}

fn a_segment_lives_as_long_as_a_user_in_any_namespace() {
    for [one, other] in [[0, 0], [0, 1], [1, 0], [1, 1]] {
        let segment = created();
        let mut one = alone(NAMESPACES[one]);
        let mut other = alone(NAMESPACES[other]);
        drop(segment);
        one.ends_well();
        assert!(Segment::exists(KEY).expect("one may look"));
        assert_eq!(other.ask("lock"), "locked");
        other.ends_well();
        assert!(left_in_directory().is_empty());
    }
}

/// Holds the lock as process 1, and has a child ask for it that has one PID in this namespace and
/// in that of `/proc`.
fn holds_and_waits_with_equal_pids(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let _bytes = segment.lock().expect("it is free");
    let waiter = start_with_equal_pids(|| {
        let own = std::process::id().to_string();
        let shown = std::fs::read_link("/proc/self").expect("/proc shows it");
        assert_eq!(shown.to_str(), Some(&*own), "equal PIDs");
        let segment = Segment::attach(KEY).expect("there is a free slot");
        test.say(describe(segment.lock_timeout(Duration::from_millis(300))));
        test.say(segment.attachments().expect("one may look").len());
        0
    });
    assert_eq!(waiter.exit_code(), Some(0));
    test.wait_for_end();
}

fn a_living_holder_is_not_robbed_where_proc_shows_others_under_equal_pids() {
    let segment = created();
    let [_, without_proc] = NAMESPACES;
    need_root("make PID namespaces");
    let role = holds_and_waits_with_equal_pids;
    let mut holder = Child::under(without_proc.iter().copied(), role, [""; 0]);
    let said = holder.hear();
    assert!(said.starts_with("Timeout"), "{said}");
    // The test's own attachment, the holder's and the waiter's.
    holder.hears("3");
    holder.ends_well();
    drop(segment.lock().expect("nobody died"));
}

/// Attaches, moves to another time namespace, and asks for the lock.
fn moves_to_another_time(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    enter_new_time_namespace(100_000);
    test.say(describe(segment.lock_timeout(Duration::from_millis(300))));
    test.say(segment.attachments().expect("one may look").len());
    test.hear();
    test.say(describe(segment.lock_timeout(LONG)));
    test.wait_for_end();
}

fn a_living_holder_is_not_robbed_from_another_time_namespace() {
    need_root("make time namespaces");
    let _segment = created();
    let mut holder = holding();
    let mut moved = Child::of(moves_to_another_time);
    let said = moved.hear();
    assert!(said.starts_with("Timeout"), "{said}");
    moved.hears("3");
    // It sees a death all the same.
    holder.kill();
    let said = moved.ask("and now?");
    assert!(said.starts_with("Abandoned"), "{said}");
    moved.ends_well();
}

/// Finds the tests' segment on a file system that is mounted read-only here.
fn uses_what_is_mounted_read_only(_: &mut Talk) {
    let options = Segment::options().size(8);
    let refused = [
        Segment::attach(KEY).map(drop),
        options.create("com.example.new").map(drop),
        options.open_or_create(KEY).map(drop),
    ];
    for refused in refused {
        let error = refused.expect_err("nothing can be written");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert!(error.to_string().contains("mounted read-only"), "{error}");
    }
}

/// Has to make the directory of its segments there first.
fn makes_its_directory_where_it_is_read_only(_: &mut Talk) {
    let error = Segment::create(KEY, 8).expect_err("no directory can be made");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("mounted read-only"), "{error}");
}

fn a_file_system_that_is_mounted_read_only_is_named_in_the_error() {
    need_root("mount a file system");
    let _segment = created();
    let start = |directory: &str| {
        let mount = format!(
            r#"mount --bind "$SHAREHOLD_DIR" "$SHAREHOLD_DIR" &&
            mount -o remount,bind,ro "$SHAREHOLD_DIR" &&
            export SHAREHOLD_DIR="$SHAREHOLD_DIR{directory}" && exec "$0" "$@""#
        );
        let namespace = ["unshare", "--mount", "--propagation", "private"];
        let wrapper = namespace.into_iter().chain(["sh", "-c"]);
        wrapper
            .map(str::to_owned)
            .chain([mount])
            .collect::<Vec<_>>()
    };
    Child::under(start(""), uses_what_is_mounted_read_only, [""; 0]).ends_well();
    let role = makes_its_directory_where_it_is_read_only;
    Child::under(start("/missing"), role, [""; 0]).ends_well();
}
