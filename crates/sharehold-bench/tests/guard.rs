//! The fast paths stay fast: instructions and system calls of each operation, which do not depend
//! on the machine's speed.
//!
//! The release build of the bench runs the very loops that it measures, under valgrind and strace.
//! A bound is what was counted when it was set, and a few more for another version of the compiler.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// Lock + unlock; the loop around it included.
const LOCK_INSTRUCTIONS: f64 = 59.0;
/// The same with a number of eight bytes read and written between them.
const COUNT_INSTRUCTIONS: f64 = 87.0;
/// Acquire + release of each part alone. A writer looks at the marks of all attachments that there
/// ever were, here one.
const PART_INSTRUCTIONS: [(&str, f64); 5] = [
    ("mutex", 253.0),
    ("rwlock 0", 382.0),
    ("rwlock 1", 701.0),
    ("semaphore", 966.0),
    ("event", 183.0),
];
/// Create, attach, detach and destroy by one process. Bare calls, which check nothing and hold
/// nothing, are 12. Of ours 13 are byte locks and questions about them, 9 are for the directory and
/// whom to trust, and 4 ask whether a descriptor is still the segment's file, since a daemon may
/// have closed all of its own. 14 block signals and let them through again, seven times, so that no
/// signal handler forks between two steps. 4 read whether anybody needs the file, before anything
/// else in it is believed, and one removes what a dead migrator may have left.
const LIFE_CALLS: f64 = 70.0;

/// The bench, built as it is measured.
static BENCH: LazyLock<PathBuf> = LazyLock::new(|| {
    let tested = Path::new(env!("CARGO_BIN_EXE_sharehold-bench"));
    let target = tested
        .ancestors()
        .nth(2)
        .expect("a profile's folder in the target folder");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--locked",
            "--package",
            "sharehold-bench",
        ])
        .arg("--target-dir")
        .arg(target)
        .status()
        .expect("cargo starts");
    assert!(built.success(), "the release build failed");
    target.join("release/sharehold-bench")
});

/// Runs one verb under a tool. A verb of the lock of a part, other than the segment's own, is
/// followed by that part: `pass mutex`.
fn under(tool: &[&str], verb: &str, key: &str, number: u32) -> Output {
    let (verb, part) = verb.split_once(' ').unwrap_or((verb, ""));
    let (part, second) = part.split_once(' ').unwrap_or((part, "0"));
    let part = (!part.is_empty()).then_some(["--part", part]);
    let output = Command::new(tool[0])
        .args(&tool[1..])
        .arg(&*BENCH)
        .arg("worker")
        .args(part.iter().flatten())
        .args([verb, key, &number.to_string(), second])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; ci/setup installs it", tool[0]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool:?} {verb}: {said}");
    output
}

/// What one operation adds to what `count` finds: the difference of many and few.
fn each(verb: &str, key: &str, count: impl Fn(&str, &str, u32) -> f64) -> f64 {
    const FEW: u32 = 1000;
    const MANY: u32 = 3000;
    let is_life = verb == "life";
    let part = verb.split_once(' ').map_or("", |(_, part)| part);
    if !is_life {
        under(&["env"], &format!("make {part}"), key, 0);
    }
    let cost = (count(verb, key, MANY) - count(verb, key, FEW)) / f64::from(MANY - FEW);
    if !is_life {
        under(&["env"], &format!("unmake {part}"), key, 0);
    }
    cost
}

fn instructions(verb: &str, key: &str, number: u32) -> f64 {
    let tool = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
    ];
    let said = under(&tool, verb, key, number).stderr;
    let said = String::from_utf8_lossy(&said);
    let found = said
        .split("Collected : ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    let found = found.unwrap_or_else(|| panic!("valgrind counts nothing: {said}"));
    found.parse().expect("a number of instructions")
}

fn calls(verb: &str, key: &str, number: u32) -> f64 {
    let said = under(&["strace", "-f", "-c"], verb, key, number).stderr;
    let said = String::from_utf8_lossy(&said);
    let total = said.lines().find(|line| line.ends_with(" total"));
    let found = total.and_then(|line| line.split_whitespace().nth(3));
    let found = found.unwrap_or_else(|| panic!("strace counts nothing: {said}"));
    found.parse().expect("a number of system calls")
}

#[track_caller]
fn assert_at_most(found: f64, bound: f64) {
    println!("{found} of at most {bound}");
    assert!(
        found <= bound,
        "{found}, but at most {bound} were promised; see what was added to the path, or say in a commit why it must be"
    );
}

#[test]
fn an_uncontended_lock_makes_no_system_call() {
    assert_at_most(each("pass", "guard.calls", calls), 0.0);
}

#[test]
fn an_uncontended_lock_takes_few_instructions() {
    assert_at_most(each("pass", "guard.lock", instructions), LOCK_INSTRUCTIONS);
}

#[test]
fn an_increment_under_the_lock_takes_few_instructions() {
    assert_at_most(
        each("count", "guard.count", instructions),
        COUNT_INSTRUCTIONS,
    );
}

#[test]
fn the_locks_of_parts_take_few_instructions() {
    for (part, bound) in PART_INSTRUCTIONS {
        let key = format!("guard.{}", part.replace(' ', "."));
        println!("{part}");
        assert_at_most(each(&format!("pass {part}"), &key, instructions), bound);
    }
}

#[test]
fn the_life_of_a_segment_takes_few_system_calls() {
    assert_at_most(each("life", "guard.life", calls), LIFE_CALLS);
}
