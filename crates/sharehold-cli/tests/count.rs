//! `sharehold count` through the real command: exact however many count, killed or not, and nothing
//! is left.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const SHAREHOLD: &str = env!("CARGO_BIN_EXE_sharehold");

/// The key that a count is given where another process uses it, too.
const KEY: &str = "com.example.count";

/// A directory of segments that is this test's own.
struct World(TempDir);

impl World {
    fn new() -> World {
        World(TempDir::new_in("/dev/shm").expect("the memory file system has room"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn sharehold(&self, arguments: &[&str]) -> Command {
        self.prepare(Command::new(SHAREHOLD), arguments)
    }

    fn prepare(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).env("SHAREHOLD_DIR", self.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.sharehold(arguments)
            .output()
            .expect("the command starts")
    }

    /// Fails if a segment is left.
    fn expect_nothing_left(&self) {
        let left: Vec<_> = self
            .path()
            .read_dir()
            .expect("the directory is there")
            .collect();
        assert!(left.is_empty(), "left over: {left:?}");
    }
}

/// The last line of what a successful command printed, as JSON.
fn result_of(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().expect("a result");
    serde_json::from_str(last).expect("JSON")
}

#[test]
fn counts_exactly_with_any_number_of_workers() {
    for workers in [1, 2, 4, 8, 64] {
        let world = World::new();
        let output = world.run(&[
            "count",
            "--json",
            "--to=100003",
            &format!("--workers={workers}"),
        ]);
        let result = result_of(&output);
        assert_eq!(result["value"], 100_003);
        assert_eq!(result["total"], 100_003);
        assert_eq!(result["workers"], workers);
        assert_eq!(result["killed"], 0);
        assert!(
            result["elapsed_s"].as_f64().is_some_and(|it| it > 0.0),
            "{result}"
        );
        world.expect_nothing_left();
    }
}

#[test]
fn counts_exactly_while_workers_are_killed() {
    let world = World::new();
    // Some time for two hundred kills a second, also where counting is fast and the killer is slow.
    let output = world.run(&["count", "--json", "--to=30000000", "--chaos=200"]);
    let result = result_of(&output);
    assert_eq!(result["value"], 30_000_000);
    assert!(
        result["killed"].as_u64().is_some_and(|it| it > 0),
        "{result}"
    );
    assert!(
        result["killed_holding"].is_u64() && result["longest_recovery_ms"].is_f64(),
        "{result}"
    );
    world.expect_nothing_left();
}

#[test]
fn says_it_in_plain_words() {
    let world = World::new();
    let output = world.run(&["count", "--workers=2", "--to=1000"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("1,000 counted by 2 processes in "),
        "{text}"
    );
    assert!(
        text.ends_with("every worker's own count and the shared value agree\n"),
        "{text}"
    );
    assert!(
        !text.contains('\u{1b}'),
        "there are colours in a pipe: {text:?}"
    );
}

#[test]
fn a_worker_can_be_started_by_hand() {
    let world = World::new();
    let mut count = start_endless(&world, KEY);
    let hand = world.run(&["count-worker", KEY, "5"]);
    assert!(
        hand.status.success(),
        "{}",
        String::from_utf8_lossy(&hand.stderr)
    );
    stop(&mut count, Signal::TERM);

    let late = world.run(&["count-worker", KEY, "5"]);
    assert_eq!(late.status.code(), Some(3));
    let text = String::from_utf8_lossy(&late.stderr);
    assert!(text.contains("no segment has this key"), "{text}");
}

#[test]
fn a_second_count_under_one_key_is_refused_and_does_not_disturb() {
    let world = World::new();
    let mut first = start_endless(&world, KEY);
    let second = world.run(&["count", "--key", KEY]);
    assert_eq!(second.status.code(), Some(4));
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(text.contains("--key"), "the next step is not named: {text}");
    let third = world.run(&["count", "--json", "--to=1000", "--key=another"]);
    assert_eq!(result_of(&third)["value"], 1000);
    assert!(
        first.0.try_wait().expect("it is ours").is_none(),
        "the first one ended"
    );
    stop(&mut first, Signal::TERM);
}

#[test]
fn counts_beside_each_other_have_keys_of_their_own() {
    let world = World::new();
    let mut first = start_endless(&world, KEY);
    for _ in 0..2 {
        assert_eq!(
            result_of(&world.run(&["count", "--json", "--to=1000"]))["value"],
            1000
        );
    }
    stop(&mut first, Signal::TERM);
    world.expect_nothing_left();
}

/// What somebody may have under a key that a count is given: it stays as it is, to the last byte.
#[test]
fn what_it_did_not_make_it_does_not_touch() {
    let world = World::new();
    for (key, kind) in [
        ("typed", "--fields=money:u64"),
        ("plain", "--size=616"),
        ("logged", "--size=5000"),
    ] {
        let made = world.run(&["create", key, kind]);
        assert!(made.status.success(), "{made:?}");
    }
    let files = || {
        let entries = world.path().read_dir().expect("it is there");
        let mut files: Vec<_> = entries
            .map(|entry| {
                let path = entry.expect("it can be listed").path();
                (path.clone(), std::fs::read(path).expect("it is ours"))
            })
            .collect();
        files.sort();
        files
    };
    assert!(
        world
            .run(&["set", "typed", "money", "1000000"])
            .status
            .success()
    );
    let before = files();
    for key in ["typed", "plain", "logged"] {
        for with in ["bytes", "value", "transaction"] {
            let said = world.run(&["count", "--key", key, "--with", with, "--to=10"]);
            let text = String::from_utf8_lossy(&said.stderr);
            assert_eq!(said.status.code(), Some(4), "{text}");
            assert!(text.contains("needs a key that is free"), "{text}");
        }
    }
    assert!(before == files(), "something was changed");
    for key in ["typed", "plain", "logged"] {
        for with in ["bytes", "value", "transaction"] {
            let said = world.run(&["count-worker", "--with", with, key, "5"]);
            assert!(!said.status.success(), "{key} {with}");
        }
    }
    let money = world.run(&["get", "typed", "money"]);
    assert_eq!(String::from_utf8_lossy(&money.stdout), "1000000\n");
    for key in ["plain", "logged"] {
        let bytes = world.run(&["read", key]).stdout;
        assert!(bytes.iter().all(|byte| *byte == 0), "{key} was changed");
    }
}

#[test]
fn wrong_usage_is_told_and_ends_with_2() {
    let world = World::new();
    for arguments in [
        &["count", "--workers=0"][..],
        &["count", "--to=0"],
        &["count", "--chaos=x"],
        &["cuont"],
    ] {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_leaves_does_not_break_the_count() {
    let world = World::new();
    let mut count = world
        .sharehold(&["count", "--to=1000"])
        .spawn()
        .expect("it starts");
    drop(count.stdout.take());
    let mut errors = String::new();
    let mut stderr = count.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut errors).expect("text");
    assert!(count.wait().expect("it ends").success(), "{errors}");
    assert_eq!(errors, "");
}

/// A count that does not end by itself; ended with its workers when dropped.
struct Endless(Child);

impl Drop for Endless {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
            let _ = self.0.wait();
        }
    }
}

/// Starts an endless count, and waits until it counts.
fn start_endless(world: &World, key: &str) -> Endless {
    let total = u64::MAX.to_string();
    // A signal that is ignored where the tests run, as under nohup(1), may be ignored by the
    // command, too.
    let mut env = Command::new("env");
    env.args(["--default-signal", SHAREHOLD]);
    let arguments = [
        "count",
        "--json",
        "--workers=2",
        "--to",
        &total,
        "--key",
        key,
    ];
    let mut command = world.prepare(env, &arguments);
    let mut count = Endless(command.spawn().expect("it starts"));
    let stdout = count.0.stdout.as_mut().expect("it is piped");
    let mut line = String::new();
    while !line.contains("\"value\":") || line.contains("\"value\":0,") {
        line.clear();
        let read = BufReader::new(&mut *stdout)
            .read_line(&mut line)
            .expect("text");
        assert_ne!(read, 0, "it ended");
    }
    count
}

/// Ends it by a signal.
fn stop(count: &mut Endless, signal: Signal) {
    kill_process(Pid::from_child(&count.0), signal).expect("it runs");
    count.0.wait().expect("it is ours");
}
