//! Where the output cannot be written, and where its reader goes away.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::Command;

use crate::screen::Screen;
use crate::world::{World, outcome, until};

/// What is run for its output, `KEY` being a segment of bytes and `job` a value.
const ALL: [&str; 25] = [
    "--help",
    "--version",
    "help count",
    "lock --help",
    "count --to 100",
    "count --to 100 --json",
    "ls",
    "ls --json",
    "ls --all",
    "show KEY",
    "get job",
    "get job value --json",
    "incr job value",
    "set job value 5 --json",
    "cas job open false false --json",
    "create other --size 8 --json",
    "read KEY",
    "write KEY --json",
    "grow KEY 1 --json",
    "wait KEY --json",
    "watch job",
    "doctor",
    "gc",
    "completions bash",
    "man",
];

#[test]
fn output_that_cannot_be_written_is_a_failure_that_says_so() {
    let world = World::new();
    world.create_job("job");
    world.ok("create com.example.bytes --size 8 --max-size 100");
    for words in ALL {
        let words = words.replace("KEY", "com.example.bytes");
        let mut command = world.sharehold(words.split(' '));
        let full = OpenOptions::new().write(true).open("/dev/full");
        command.stdout(full.expect("the system has it"));
        let said = outcome(command.output().expect("it starts"));
        assert_eq!(said.code, 1, "{words}: {said:?}");
        let reason = "cannot write to standard output: No space left on device";
        assert!(said.err.contains(reason), "{words}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{words}: {said:?}");
    }
    // What was asked for is done, and said to be.
    assert_eq!(world.ok("get job value"), "5\n");
}

#[test]
fn a_change_is_reported_as_made_if_its_answer_cannot_be_written() {
    let world = World::new();
    world.create_job("job");
    for (words, change) in [
        ("incr job value 3", "from 0 to 3"),
        ("set job value 4 --json", "from 3 to 4"),
        ("cas job value 4 5 --json", "from 4 to 5"),
    ] {
        let mut command = world.sharehold(words.split(' '));
        let full = OpenOptions::new().write(true).open("/dev/full");
        command.stdout(full.expect("the system has it"));
        let said = outcome(command.output().expect("it starts"));
        let expected = format!("sharehold: the change is made, {change}: cannot write");
        assert!(said.err.starts_with(&expected), "{said:?}");
        assert_eq!(said.code, 1, "{said:?}");
    }
    assert_eq!(world.ok("get job value"), "5\n");
}

/// They end although nothing more is to be written for long, or ever.
#[test]
fn they_notice_that_their_reader_goes_away() {
    let world = World::new();
    world.create_job("job");
    for words in [
        "count --json --to 99999999999",
        "count --to 99999999999",
        "count --qt --to 2147483647",
        "watch job value",
        "watch job --json",
        "watch job --every 1h",
    ] {
        let mut command: Command = world.sharehold(words.split(' '));
        let mut child = command.spawn().expect("it starts");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("text");
        assert!(!line.is_empty(), "{words}");
        drop(out);
        let mut status = None;
        until(|| {
            status = child.try_wait().expect("it is a child");
            status.is_some()
        });
        let said = outcome(child.wait_with_output().expect("it is a child"));
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{words}");
    }
}

#[test]
fn a_count_on_a_terminal_says_what_to_try_next() {
    let world = World::new();
    let screen = Screen::start(world.sharehold(["count"]), 24, 80);
    let seen = screen.shows(&[
        "--to 300000000 ",
        "--chaos 200    kill 200 workers a second",
    ]);
    let text = seen.contents();
    let fits = text
        .lines()
        .any(|line| line.ends_with("kill 200 workers a second"));
    assert!(fits, "{text}");
    assert!(screen.ends().success());
    // In a pipe there are no suggestions, which the tests of `count` see.
    for form in ["", " --json"] {
        let said = world.ok(&format!("count{form}"));
        assert!(!said.contains("--chaos"), "{said}");
    }
}
