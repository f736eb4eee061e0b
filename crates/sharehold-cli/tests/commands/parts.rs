//! Parts from the shell: values inside of them, events, permits and meetings, beside a program that
//! has their types.

use std::thread;

use serde_json::{Value, json};

use crate::uses::{KEY, some_parts};
use crate::world::{Holder, Said, World, assert_refused, said, until};

fn words(line: &str) -> String {
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    format!("{command} {KEY} {rest}")
}

fn ok(world: &World, line: &str) -> String {
    world.ok(&words(line))
}

fn run(world: &World, line: &str) -> Said {
    world.run(&words(line))
}

#[test]
fn values_inside_of_parts() {
    let world = World::new();
    let _peer = some_parts(&world);
    assert_eq!(ok(&world, "get total"), "5\n");
    assert_eq!(ok(&world, "get limits.most"), "9\n");
    ok(&world, "set limits.most 12");
    ok(&world, "set limits.least=-3 limits.most=14");
    assert_eq!(ok(&world, "get limits"), "{least: -3, most: 14}\n");
    assert_eq!(ok(&world, "incr total 2"), "7\n");
    ok(&world, "cas total 7 8");
    assert_eq!(run(&world, "cas total 7 9").code, 4);
    ok(&world, "wait total == 8");
    // The first `set` initializes a once; it never changes afterwards.
    assert_refused(&run(&world, "get table"), 3, "has no value yet");
    let waiting = world.sharehold(["wait", KEY, "table", "--timeout", "30"]);
    let waited = thread::scope(|scope| {
        let waiting = scope.spawn(|| said(waiting));
        ok(&world, "set table 3");
        waiting.join().expect("no panic")
    });
    assert_eq!(waited.code, 0, "{waited:?}");
    assert_refused(&run(&world, "set table 4"), 4, "never changes");
    let all: Value = serde_json::from_str(&ok(&world, "get --json")).expect("JSON");
    let expected = json!({
        "total": 8, "limits": {"least": -3, "most": 14}, "jobs": 3, "ready": true, "start": 0, "table": 3
    });
    assert_eq!(all, expected);
    let mut watch = world.sharehold(["watch", KEY, "limits.most", "--json"]);
    let mut watch = Holder(watch.spawn().expect("it starts"));
    let mut out = std::io::BufReader::new(watch.0.stdout.take().expect("it is piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).expect("it prints the value");
    ok(&world, "set limits.most 15");
    std::io::BufRead::read_line(&mut out, &mut line).expect("it prints the change");
    assert!(line.contains("14") && line.contains("15"), "{line}");
    watch.kill();
    for (line, told) in [
        ("get limit", "did you mean `limits`?"),
        (
            "get nothing.like.it",
            "its parts are total, limits, jobs, ready, start, table",
        ),
        ("get limits.mst", "did you mean `most`?"),
    ] {
        assert_refused(&run(&world, line), 3, told);
    }
    assert_refused(
        &run(&world, "set limits.most=1 total=2"),
        2,
        "one part at a time",
    );
    assert_refused(&run(&world, "set jobs 2"), 2, "`sharehold acquire`");
}

#[test]
fn events_are_set_and_waited_for() {
    let world = World::new();
    let _peer = some_parts(&world);
    ok(&world, "wait ready --timeout 0");
    ok(&world, "reset ready");
    assert_eq!(ok(&world, "get ready"), "false\n");
    let late = run(&world, "wait ready --timeout 10ms");
    assert_refused(&late, 4, "did not have `ready` set within 0.01s");
    let waiting = world.sharehold(["wait", KEY, "ready", "--timeout", "30"]);
    let waited = thread::scope(|scope| {
        let waiting = scope.spawn(|| said(waiting));
        ok(&world, "set ready");
        waiting.join().expect("no panic")
    });
    assert_eq!(waited.code, 0, "{waited:?}");
    assert_refused(&run(&world, "set total"), 5, "not a Event");
    world.create_job("value");
    assert_refused(&world.run("set value open"), 2, "say what `open` shall be");
}

/// Permits are held while a command runs, and come back also when their holder is killed.
#[test]
fn permits_are_held_by_a_command() {
    let world = World::new();
    let _peer = some_parts(&world);
    let run_with = |count: &str, timeout: &str| {
        let count = ["acquire", KEY, "jobs", "-n", count];
        let rest = ["--timeout", timeout, "--", "sh", "-c", "exit 7"];
        said(world.sharehold(count.into_iter().chain(rest)))
    };
    assert_eq!(run_with("3", "0").code, 7);
    let mut holder = world.sharehold(["acquire", KEY, "jobs", "-n", "2", "--", "sleep", "1000"]);
    let mut holder = Holder(holder.spawn().expect("it starts"));
    until(|| ok(&world, "get jobs") == "1\n");
    assert_eq!(run_with("1", "0").code, 7);
    let refused = run_with("2", "0");
    assert_refused(&refused, 4, "holds it");
    holder.kill();
    assert_eq!(run_with("3", "30").code, 7);
    assert_eq!(run_with("4", "0").code, 2);
}

/// Scripts meet round after round, each time as new processes, and their ends break nothing.
#[test]
fn scripts_meet() {
    let world = World::new();
    let _peer = some_parts(&world);
    for _ in 0..3 {
        let both = thread::scope(|scope| {
            let arrive = || said(world.sharehold(["arrive", KEY, "start", "--timeout", "30"]));
            let other = scope.spawn(arrive);
            [arrive(), other.join().expect("no panic")]
        });
        assert!(both.iter().all(|said| said.code == 0), "{both:?}");
    }
    let alone = run(&world, "arrive start --timeout 10ms");
    assert_refused(&alone, 4, "the others have not arrived in time");
    // One that dies as it waits breaks the round for the others.
    let mut waiting = world.sharehold(["arrive", KEY, "start"]);
    let mut waiting = Holder(waiting.spawn().expect("it starts"));
    until(|| ok(&world, "get start") == "1\n");
    waiting.kill();
    // It has arrived, and nobody had asked before the others came; but the next round misses it.
    ok(&world, "arrive start --timeout 30");
    let broken = run(&world, "arrive start --timeout 30");
    assert_refused(&broken, 1, "a participant died");
    // The round after that is as whole as the first.
    assert_refused(&run(&world, "arrive start --timeout 10ms"), 4, "in time");
}

/// A refusal names the command that does what was wanted.
#[test]
fn an_unsupported_operation_on_a_part_names_a_supported_one() {
    let world = World::new();
    let _peer = some_parts(&world);
    for line in ["read", "write"] {
        assert_refused(
            &run(&world, line),
            5,
            &format!("`sharehold get {KEY} PART`"),
        );
    }
    let whole = world.run_with(["set", KEY, ".", "{}", "--json"]);
    assert_refused(&whole, 2, "`sharehold set KEY PART JSON --json`");
    let mut holder = world.sharehold(["acquire", KEY, "jobs", "-n", "3", "--", "sleep", "1000"]);
    let _holder = Holder(holder.spawn().expect("it starts"));
    until(|| ok(&world, "get jobs") == "0\n");
    let late = world.run_with(["acquire", KEY, "jobs", "--timeout", "0", "--", "true"]);
    assert_refused(&late, 4, "cannot acquire the semaphore `jobs`");
}
