//! The tour in `docs`: every line of it is typed into a shell, and prints what it says there.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};

use crate::alone::alone;
use crate::world::{Holder, World};

/// Printed after each command, so that the end of what it prints is known.
const END: &str = "--- the command has ended ---";

/// What stands for anything: a part of a line, or, alone on it, any number of lines.
const ANYTHING: &str = "…";

struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

/// The commands in the tour's blocks, each with what it prints.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            steps.push(Step {
                line: number,
                command: command.to_owned(),
                expected: Vec::new(),
            });
        } else if inside {
            let step = steps.last_mut().expect("a block begins with a command");
            step.expected.push(line.to_owned());
        }
    }
    steps
}

/// A shell that is told one command after another.
struct Shell {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    _process: Holder,
}

impl Shell {
    fn start(world: &World) -> Shell {
        let mut bash = world.command("bash");
        bash.args(["--norc", "-s"])
            .stdin(std::process::Stdio::piped());
        let mut process = bash.spawn().expect("it starts");
        let mut shell = Shell {
            to: process.stdin.take().expect("it is piped"),
            from: BufReader::new(process.stdout.take().expect("it is piped")),
            _process: Holder(process),
        };
        // That a job was killed is said by a shell at some time or other; this one does not say it.
        shell.run("exec 2>&1; kill() { command kill \"$@\"; wait \"$2\" 2>/dev/null; }");
        shell
    }

    /// The lines that the command prints.
    fn run(&mut self, command: &str) -> Vec<String> {
        writeln!(self.to, "{command}\necho '{END}'").expect("it listens");
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.from.read_line(&mut line).expect("the pipe is whole");
            assert_ne!(read, 0, "the shell has ended in `{command}`");
            let line = line.trim_end_matches('\n');
            if line == END {
                return lines;
            }
            lines.push(line.to_owned());
        }
    }
}

/// Whether the lines are what is expected.
fn agree(expected: &[String], lines: &[String]) -> bool {
    let Some((first, rest)) = expected.split_first() else {
        return lines.is_empty();
    };
    if first == ANYTHING {
        return (0..=lines.len()).any(|skipped| agree(rest, &lines[skipped..]));
    }
    lines
        .split_first()
        .is_some_and(|(line, others)| line_agrees(first, line) && agree(rest, others))
}

fn line_agrees(expected: &str, line: &str) -> bool {
    match expected.split_once(ANYTHING) {
        None => expected.trim_end() == line.trim_end(),
        Some((before, after)) => {
            line.strip_prefix(before.trim_end_matches(' '))
                .is_some_and(|rest| {
                    let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
                    starts.into_iter().any(|at| {
                        line_agrees(after.trim_start_matches(' '), rest[at..].trim_start())
                    })
                })
        }
    }
}

alone! {
    fn the_tour_is_as_it_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tour.md");
        let text = std::fs::read_to_string(path).expect("there is a tour");
        let world = World::new();
        let mut shell = Shell::start(&world);
        let steps = steps(&text);
        assert!(steps.len() > 30, "there is not much of a tour");
        let mut wrong = String::new();
        for Step {
            line,
            command,
            expected,
        } in steps
        {
            let printed = shell.run(&command);
            if !agree(&expected, &printed) {
                let _ = writeln!(wrong, "line {line}: $ {command}\n{}\n", printed.join("\n"));
            }
        }
        assert!(wrong.is_empty(), "the tour says otherwise:\n{wrong}");
    }
}

#[test]
fn what_differs_is_noticed() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let agree = |expected: &str, printed: &str| agree(&lines(expected), &lines(printed));
    assert!(agree("a\nb", "a\nb"));
    assert!(agree("a\n…\nb", "a\nx\ny\nb"));
    assert!(agree("…\nb", "b"));
    assert!(agree("pid … (x) died", "pid 47 (x) died"));
    assert!(agree("size  …  live  …", "size  12  live  3s"));
    for (expected, printed) in [
        ("", "a"),
        ("a", ""),
        ("a", "b"),
        ("a\n…\nb", "a\nb\nc"),
        ("pid … (x) died", "pid 47 (y) died"),
        ("pid … died", "pid 47 died twice"),
    ] {
        assert!(!agree(expected, printed), "{expected} / {printed}");
    }
}
