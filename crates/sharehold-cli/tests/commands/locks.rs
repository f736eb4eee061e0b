//! `lock`: one command at a time, despite deaths.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{Said, World, assert_refused, said, until};

const SHELLS: u32 = 8;
const RUNS: u32 = 1000;

/// Adds one to the number in the file, in two steps that others must not come between; then says
/// what it is. The file is written in place and at once, so that a death leaves the old number or
/// the new one.
const ADD_ONE: &str = "read n <count; n=$((n + 1)); echo $n 1<>count; echo $n";

#[test]
fn eight_shells_add_one_a_thousand_times_each() {
    let world = World::new();
    fs::write(world.path().join("count"), "0\n").expect("there is room");
    let script = format!(
        "i=0; while [ $i -lt {RUNS} ]; do i=$((i + 1)); \
         sharehold lock --create com.example.lock -- sh -c '{ADD_ONE}' >/dev/null || exit; done"
    );
    thread::scope(|scope| {
        for _ in 0..SHELLS {
            scope.spawn(|| {
                let mut shell = world.command("sh");
                shell.args(["-c", &script]).current_dir(world.path());
                let said = said(shell);
                assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
            });
        }
    });
    assert_eq!(count(&world), SHELLS * RUNS);
    assert!(world.is_empty(), "the lock stays");
}

fn count(world: &World) -> u32 {
    let text = fs::read_to_string(world.path().join("count")).expect("it is there");
    text.trim().parse().expect("a number")
}

/// No number is made twice, however many die with the lock; a death may swallow one, which nobody
/// was told of.
#[test]
fn nothing_is_lost_while_holders_are_killed() {
    const EACH: u32 = 100;
    let world = World::new();
    world.ok("create com.example.lock --size 8");
    fs::write(world.path().join("count"), "0\n").expect("there is room");
    let made: Vec<(u32, bool)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..SHELLS)
            .map(|seed| {
                let world = &world;
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed.into());
                    let runs = (0..EACH).map(|_| add_one_or_die(world, &mut random));
                    runs.flatten().collect::<Vec<_>>()
                })
            })
            .collect();
        let made = threads
            .into_iter()
            .flat_map(|it| it.join().expect("no panic"));
        made.collect()
    });
    let numbers: BTreeSet<u32> = made.iter().map(|(number, _)| *number).collect();
    assert_eq!(
        numbers.len(),
        made.len(),
        "a number was made twice: {made:?}"
    );
    let last = numbers.last().copied().unwrap_or(0);
    assert!((last..=SHELLS * EACH).contains(&count(&world)));
    assert!(
        made.iter().any(|(_, told)| *told),
        "nobody was told of a death"
    );
    let said = world.run("lock --timeout 30 com.example.lock -- true");
    assert_eq!(said.code, 0, "{said:?}");
}

/// A typed value stays whole when any process dies, so it can be changed. The next `lock` reports
/// the death.
#[test]
fn a_killed_lock_command_does_not_block_changes_of_a_value() {
    const DEATHS: u32 = 100;
    let world = World::new();
    world.ok("create com.example.value --fields a:u64");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let changer = scope.spawn(|| {
            let mut changes = 0_u64;
            while !done.load(Ordering::Relaxed) || changes == 0 {
                let said = world.run("incr com.example.value a");
                assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
                changes += 1;
            }
            changes
        });
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..DEATHS {
            if changer.is_finished() {
                break;
            }
            let script = [
                "lock",
                "com.example.value",
                "--",
                "sh",
                "-c",
                "echo; exec sleep 60",
            ];
            let mut holder = world.sharehold(script).spawn().expect("the command starts");
            let mut out = BufReader::new(holder.stdout.take().expect("it is piped"));
            if random.u8(..4) > 0 {
                let mut line = String::new();
                out.read_line(&mut line).expect("the pipe is whole");
            } else {
                thread::sleep(Duration::from_micros(random.u64(..5000)));
            }
            holder.kill().expect("it is a child");
            holder.wait().expect("it is a child");
        }
        done.store(true, Ordering::Relaxed);
        let made = changer.join().expect("no change is refused");
        let value = world.ok("get com.example.value a");
        assert_eq!(value.trim(), made.to_string());
    });
    // Every way to change it, while nobody has vouched for what the command guards.
    world.ok("set com.example.value a 7");
    world.ok("cas com.example.value a 7 8");
    let told = world.run("lock com.example.value -- true");
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.err.contains("died holding it"), "{told:?}");
    let calm = world.run("lock com.example.value -- true");
    assert_eq!((calm.code, calm.err.as_str()), (0, ""), "{calm:?}");
}

/// The number that a run made, if it came so far, and whether it was told that another one had
/// died.
fn add_one_or_die(world: &World, random: &mut fastrand::Rng) -> Option<(u32, bool)> {
    // With some time between the two steps, in which one that is not killed with its lock would do
    // harm.
    let script = "echo \"in $SHAREHOLD_ABANDONED\"; read n <count; \
        i=0; while [ $i -lt 1000 ]; do i=$((i + 1)); done; \
        n=$((n + 1)); echo $n 1<>count; echo $n";
    let mut command = world.sharehold(["lock", "com.example.lock", "--", "sh", "-c", script]);
    command.current_dir(world.path());
    let mut child = command.spawn().expect("the command starts");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut first = String::new();
    if random.u8(..3) == 0 {
        // Mostly between the two steps, sometimes while it waits.
        if random.u8(..4) > 0 {
            out.read_line(&mut first).expect("the pipe is whole");
        }
        thread::sleep(Duration::from_micros(random.u64(..2000)));
        child.kill().expect("it is a child");
    }
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("the pipe is whole");
    child.wait().expect("it is a child");
    let text = first + &rest;
    let mut lines = text.lines();
    let told = lines.next()?.contains("died holding it");
    let number = lines.next()?.parse().expect("a number");
    Some((number, told))
}

#[test]
fn it_ends_as_the_command_does() {
    let world = World::new();
    world.ok("create com.example.lock --size 8");
    let run = |arguments: &[&str]| {
        let head = ["lock", "com.example.lock", "--"];
        said(world.sharehold(head.iter().chain(arguments)))
    };
    assert_eq!(run(&["true"]).code, 0);
    assert_eq!(run(&["sh", "-c", "exit 7"]).code, 7);
    assert_eq!(run(&["sh", "-c", "kill -TERM $$"]).code, 128 + 15);
    assert_eq!(run(&["sh", "-c", "kill -KILL $$"]).code, 128 + 9);
    assert_refused(&run(&["com.example.no-such-program"]), 127, "cannot run");
    assert_refused(&run(&["/dev/null"]), 126, "cannot run /dev/null");
    let said = run(&["sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("out\n", "err\n"));
    assert_eq!(run(&[]).code, 2);
    // The command gets its words as they are.
    let said = run(&["printf", "%s|", "--json", "a b", "-h"]);
    assert_eq!(said.out, "--json|a b|-h|");
}

#[test]
fn a_lock_that_is_missing_is_made_if_asked_for_and_goes_with_its_users() {
    let world = World::new();
    assert_refused(&world.run("lock none -- true"), 3, "--create makes it");
    assert!(world.is_empty());
    assert_eq!(world.run("lock --create none -- true").code, 0);
    assert!(world.is_empty());
}

#[test]
fn a_living_holder_is_waited_for() {
    let world = World::new();
    world.ok("create com.example.lock --size 8");
    let mut holder = world.hold("com.example.lock");
    let held = format!("pid {} (sh) lives and still holds it", holder.0.id());
    for timeout in ["0", "20ms"] {
        let words = format!("lock --timeout {timeout} com.example.lock -- echo ran");
        assert_refused(&world.run(&words), 4, &held);
    }
    // One that is stopped lives.
    let pid = Pid::from_child(&holder.0);
    kill_process(pid, Signal::STOP).expect("it is a child");
    let refused = world.run("lock --timeout 50ms com.example.lock -- echo ran");
    assert_refused(&refused, 4, &held);
    let waiting = world.sharehold("lock --timeout 30s com.example.lock -- echo ran".split(' '));
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| said(waiting));
        holder.kill();
        waiting.join().expect("no panic")
    });
    assert_eq!(
        (waiting.code, waiting.out.as_str()),
        (0, "ran\n"),
        "{waiting:?}"
    );
}

#[test]
fn a_death_is_reported_until_a_command_succeeds() {
    let world = World::new();
    world.ok("create com.example.lock --size 8");
    let pid = world.abandon("com.example.lock");
    let died = format!("pid {pid} (sh) died holding it");
    let lock = |strict: &[&str], script: &str| -> Said {
        let mut words = vec!["lock", "com.example.lock"];
        words.extend(strict);
        words.extend(["--", "sh", "-c", script]);
        said(world.sharehold(words))
    };
    assert_refused(&lock(&["--strict"], "echo ran"), 5, &died);
    let failed = lock(&[], "echo \"$SHAREHOLD_ABANDONED\"; exit 3");
    assert_eq!((failed.code, failed.out), (3, format!("{died}\n")));
    assert_eq!(failed.err, format!("sharehold: {died}\n"));
    let mended = lock(&[], "echo \"$SHAREHOLD_ABANDONED\"");
    assert_eq!((mended.code, mended.out), (0, format!("{died}\n")));
    let after = lock(&["--strict"], "echo ${SHAREHOLD_ABANDONED-unset}");
    assert_eq!(
        (after.code, after.out.as_str(), after.err.as_str()),
        (0, "unset\n", "")
    );
}

/// Starts a shell under the lock; it has said its process identifier, which is the first thing in
/// the pipe.
fn start(world: &World, script: &str) -> (Child, BufReader<ChildStdout>, i32) {
    let script = format!("echo $$; {script}");
    // Signals that are ignored where the tests run, as under nohup(1), no shell can trap.
    let mut command = world.command("env");
    command.args([
        "--default-signal",
        "sharehold",
        "lock",
        "--create",
        "l",
        "--",
    ]);
    command.args(["sh", "-c", &script]);
    // Not in the foreground of the terminal that the tests may run in.
    let mut child = command.process_group(0).spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("the pipe is whole");
    let pid = line.trim().parse().expect("a process identifier");
    (child, out, pid)
}

#[test]
fn the_command_is_killed_with_the_holder_of_the_lock() {
    let world = World::new();
    let (mut child, mut out, pid) = start(&world, "exec sleep 1000");
    child.kill().expect("it is a child");
    child.wait().expect("it is a child");
    until(|| has_ended(pid));
    // The pipe ends when the last process that could write into it has ended.
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("the pipe is whole");
    assert!(rest.is_empty());
}

fn has_ended(pid: i32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    let stat = stat.unwrap_or_default();
    stat.rsplit_once(") ")
        .is_none_or(|(_, state)| state.starts_with('Z'))
}

#[test]
fn signals_are_the_commands() {
    let world = World::new();
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
    ] {
        let script =
            format!("trap 'echo heard; exit 9' {name}; echo ready; while :; do sleep 0.01; done");
        let (mut child, mut out, _) = start(&world, &script);
        let mut line = String::new();
        out.read_line(&mut line).expect("the pipe is whole");
        kill_process(Pid::from_child(&child), signal).expect("it is a child");
        let code = child.wait().expect("it is a child").code();
        let mut rest = String::new();
        out.read_to_string(&mut rest).expect("the pipe is whole");
        assert_eq!((code, rest.as_str()), (Some(9), "heard\n"), "{name}");
    }
    assert!(world.is_empty());
}

#[test]
fn one_that_does_not_catch_a_signal_ends_by_it() {
    let world = World::new();
    let (mut child, _, _) = start(&world, "exec sleep 1000");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it is a child");
    let code = child.wait().expect("it is a child").code();
    assert_eq!(code, Some(128 + 15));
    assert!(world.is_empty());
}

#[test]
fn what_was_ignored_stays_ignored() {
    let world = World::new();
    let mut shell: Command = world.command("sh");
    let script = "trap '' HUP; exec sharehold lock --create l -- sh -c 'kill -HUP $$; echo alive'";
    shell.args(["-c", script]);
    let said = said(shell);
    assert_eq!((said.code, said.out.as_str()), (0, "alive\n"), "{said:?}");
}

#[test]
fn its_short_options_are_those_of_flock() {
    let world = World::new();
    let mut holder = world.hold("l");
    assert_refused(&world.run("lock -n l -- echo ran"), 4, "(sh) lives");
    assert_refused(&world.run("lock -n -E 75 l -- echo ran"), 75, "(sh) lives");
    assert_refused(
        &world.run("lock -w 0.02 -E 0 l -- echo ran"),
        0,
        "(sh) lives",
    );
    assert_eq!(world.run("lock -n -w 5 l -- true").code, 2);
    assert_eq!(world.run("lock -s l -- true").code, 2);
    assert!(world.ok("lock --help").contains("cannot be shared"));
    holder.stop();
    // Only a conflict has that status.
    assert_refused(&world.run("lock -n -E 75 l -- true"), 3, "nothing to lock");
    assert_eq!(world.run("lock -n -E 75 --create l -- false").code, 1);
}

#[test]
fn it_waits_for_a_slot() {
    let world = World::new();
    world.ok("create l --size 8 --slots 1");
    let mut holder = world.hold("l");
    let full = "all of its 1 slots are taken";
    assert_refused(&world.run("lock -n l -- echo ran"), 4, full);
    assert_refused(&world.run("lock -w 50ms -E 9 l -- echo ran"), 9, full);
    let waiting = world.sharehold("lock -w 60s l -- echo ran".split(' '));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| said(waiting));
        thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished(), "it did not wait");
        holder.stop();
        let said = waiting.join().expect("no panic");
        assert_eq!((said.code, said.out.as_str()), (0, "ran\n"), "{said:?}");
    });
}

#[test]
fn inspection_shows_the_command_that_runs_under_the_lock() {
    let world = World::new();
    let holder = world.hold("l");
    let seen = format!("{} sh", holder.0.id());
    for words in ["ls", "show l"] {
        let text = world.ok(words);
        assert!(text.contains(&format!("held by {seen}")), "{text}");
    }
    kill_process(Pid::from_child(&holder.0), Signal::STOP).expect("it is a child");
    let text = world.run("doctor").out;
    assert!(
        text.contains(&format!("pid {} (sh) is stopped", holder.0.id())),
        "{text}"
    );
}
