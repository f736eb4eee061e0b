//! `wait`: until a key or a field is so.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Said, World, assert_refused, said};

const KEY: &str = "com.example.job";
/// Enough for a command to start and look, mostly.
const SEEN: Duration = Duration::from_millis(300);

/// Runs the command while `act` makes true what it waits for.
fn meanwhile(world: &World, words: &[&str], act: impl FnOnce()) -> Said {
    let command = world.sharehold(words);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| said(command));
        act();
        waiting.join().expect("no panic")
    })
}

#[test]
fn a_key_comes_and_goes() {
    let world = World::new();
    assert_refused(
        &world.run("wait com.example.job --timeout 20ms"),
        4,
        "`com.example.job` did not exist within 0.02s",
    );
    world.ok("wait com.example.job --gone");
    let came = meanwhile(&world, &["wait", KEY, "--timeout", "30"], || {
        world.create_job(KEY);
    });
    assert_eq!((came.code, came.out.as_str()), (0, ""), "{came:?}");
    world.ok("wait com.example.job");
    let said = world.run("wait com.example.job --gone --timeout 20ms");
    assert_refused(&said, 4, "`com.example.job` was not removed within 0.02s");
    let went = meanwhile(&world, &["wait", KEY, "--gone", "--timeout", "30"], || {
        world.ok("rm com.example.job");
    });
    assert_eq!(went.code, 0, "{went:?}");
}

#[test]
fn a_key_is_gone_when_its_last_user_dies() {
    let world = World::new();
    let mut holder = world.hold(KEY);
    let words = ["wait", KEY, "--gone", "--timeout", "30"];
    let said = meanwhile(&world, &words, || holder.kill());
    assert_eq!(said.code, 0, "{said:?}");
}

/// Where the system gives no hints, the wait looks by itself, and `doctor` says so.
#[test]
fn a_new_key_is_found_without_inotify() {
    const WITHOUT: &str = "echo 0 >/proc/sys/user/max_inotify_instances && exec sharehold \"$@\"";
    let world = World::new();
    let without = |words: &[&str]| {
        let mut command = world.command("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", WITHOUT, "sh"]);
        command.args(words);
        command
    };
    let told = said(without(&["doctor"]));
    assert!(
        told.out.contains("fs.inotify.max_user_instances"),
        "{told:?}"
    );
    world.ok("create other --size 8");
    let command = without(&["wait", KEY, "--timeout", "30"]);
    let came = thread::scope(|scope| {
        let waiting = scope.spawn(|| said(command));
        world.create_job(KEY);
        waiting.join().expect("no panic")
    });
    assert_eq!(came.code, 0, "{came:?}");
}

/// A directory that comes later than the wait is seen as well.
#[test]
fn a_key_comes_with_its_directory() {
    let world = World::new();
    let words = ["wait", KEY, "--timeout", "30"];
    assert!(!world.segments().exists());
    let said = meanwhile(&world, &words, || world.create_job(KEY));
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_field_becomes_what_is_waited_for() {
    let world = World::new();
    world.create_job(KEY);
    let words = ["wait", KEY, "value", ">=", "3", "--timeout", "30"];
    let said = meanwhile(&world, &words, || {
        for _ in 0..3 {
            world.ok("incr com.example.job value");
        }
    });
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");
}

#[test]
fn json_names_what_was_waited_for() {
    let world = World::new();
    world.create_job(KEY);
    let json = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let found = json(&world.ok("wait com.example.job marks == [0,0] --json"));
    assert_eq!(found["value"], json!([0, 0]));
    assert!(
        found["waited_ms"].as_f64().is_some_and(|ms| ms >= 0.0),
        "{found}"
    );
    assert_eq!(
        json(&world.ok("wait com.example.job --json"))["value"],
        Value::Null
    );
}

#[test]
fn fields_are_compared_as_what_they_are() {
    let world = World::new();
    world.create_job(KEY);
    for (field, value) in [
        ("value", "9"),
        ("limit", "-10"),
        ("rate", "1.5"),
        ("open", "true"),
        ("name", "pear"),
        ("marks", "[1, 2]"),
        ("state", "Busy"),
    ] {
        assert_eq!(world.run_with(["set", KEY, field, value]).code, 0);
    }
    for (field, operator, value, holds) in [
        ("value", "==", "9", true),
        ("value", "eq", "10", false),
        ("value", "!=", "10", true),
        // As numbers, not as texts.
        ("value", "<", "10", true),
        ("value", "le", "9", true),
        ("value", ">", "10", false),
        ("value", "ge", "9", true),
        ("limit", "<", "-9", true),
        ("limit", ">=", "-9", false),
        ("rate", ">", "1.25", true),
        ("rate", "<=", "NaN", false),
        ("open", "==", "true", true),
        ("open", "!=", "true", false),
        ("name", ">", "apple", true),
        ("name", "==", "pear", true),
        ("marks", "==", "[1, 2]", true),
        ("marks[1]", ">", "2", false),
        ("state", "==", "Busy", true),
        ("state", ">", "Idle", true),
    ] {
        let said = world.run_with(["wait", KEY, field, operator, value, "--timeout", "0"]);
        let code = if holds { 0 } else { 4 };
        assert_eq!(said.code, code, "{field} {operator} {value}: {said:?}");
    }
    for (field, operator, value) in [
        ("marks", "<", "[1, 3]"),
        ("open", ">", "false"),
        ("state", "==", "Bsy"),
        ("value", "==", "x"),
    ] {
        let said = world.run_with(["wait", KEY, field, operator, value]);
        assert_eq!(said.code, 2, "{field} {operator} {value}: {said:?}");
    }
    let said = world.run("wait com.example.job valeu == 1");
    assert_refused(&said, 3, "did you mean `value`?");
    for (words, told) in [
        ("value == abc", "`value` cannot be compared: `abc` is no"),
        (
            "value",
            "say what `value` shall be, such as: sharehold wait",
        ),
    ] {
        let said = world.run(&format!("wait com.example.job {words}"));
        assert_refused(&said, 2, told);
    }
    let told = "`com.example.job` did not have `value` > 10 within 0.01s";
    assert_refused(
        &world.run("wait com.example.job value > 10 --timeout 10ms"),
        4,
        told,
    );
    for words in [
        "wait com.example.job value",
        "wait com.example.job value ==",
        "wait k v ~ 1",
    ] {
        assert_eq!(world.run(words).code, 2, "{words}");
    }
}

#[test]
fn a_segment_that_goes_ends_the_wait_for_its_field() {
    let world = World::new();
    world.create_job(KEY);
    let words = ["wait", KEY, "value", "==", "1", "--timeout", "3"];
    let said = meanwhile(&world, &words, || {
        thread::sleep(SEEN);
        world.ok("rm com.example.job");
    });
    // A wait that came too late to see the key waits for it, and ends at its limit.
    assert!([3, 4].contains(&said.code), "{said:?}");
    world.ok("create plain --size 8");
    assert_refused(&world.run("wait plain value == 1"), 5, "plain bytes");
}

/// A field of a segment that is not there yet is waited for like the segment.
#[test]
fn a_field_comes_with_its_segment() {
    let world = World::new();
    let words = ["wait", KEY, "value", "==", "0", "--timeout", "30"];
    let said = meanwhile(&world, &words, || world.create_job(KEY));
    assert_eq!(said.code, 0, "{said:?}");
    let said = world.run("wait none value == 1 --timeout 20ms");
    assert_refused(&said, 4, "`none` did not have `value` == 1 within 0.02s");
}
