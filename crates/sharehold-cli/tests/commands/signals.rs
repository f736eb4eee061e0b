//! Signals, from a terminal and from elsewhere: what ends, how it ends, and that nothing is left of
//! it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::screen::Screen;
use crate::world::{World, said, until};

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";
/// A count that does not end by itself.
const ENDLESS: &str = "sharehold count --to 99999999999";

/// Starts a shell that has the terminal as its own, as a person would use it.
fn shell(world: &World) -> Screen {
    let mut command = world.command("setsid");
    command
        .args(["--ctty", "env", "--default-signal", "bash"])
        .args(["--norc", "--noprofile", "-i"])
        .env("PS1", "$ ")
        .env("HISTFILE", "");
    let screen = Screen::start(command, 24, 100);
    screen.shows(&["$ "]);
    screen
}

/// What the shell says of the last command's end.
#[track_caller]
fn assert_status(screen: &mut Screen, status: u8) {
    // What is typed before the shell has its prompt may be dropped.
    screen.until(|screen| screen.contents().trim_end().ends_with("\n$"));
    // Not what was typed, but what came of it.
    screen.press("echo status=$?.\r");
    let seen = screen.until(|screen| {
        let text = screen.contents();
        text.lines().any(|line| line.starts_with("status="))
    });
    let text = seen.contents();
    assert!(text.contains(&format!("\nstatus={status}.")), "{text}");
}

/// The processes that have this directory in their environment, as those of a world do: each with
/// its state.
fn processes(world: &World) -> Vec<(u32, char)> {
    let marker = world.segments().display().to_string();
    let entries = fs::read_dir("/proc").expect("it is mounted");
    let pids = entries.filter_map(|it| it.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let found = pids.filter_map(|pid| {
        let file = |name| fs::read(format!("/proc/{pid}/{name}")).ok();
        let environment = String::from_utf8_lossy(&file("environ")?).into_owned();
        let name = String::from_utf8_lossy(&file("comm")?).into_owned();
        let stat = String::from_utf8_lossy(&file("stat")?).into_owned();
        let state = stat.rsplit_once(") ")?.1.chars().next()?;
        (environment.contains(&marker) && name.trim() == "sharehold").then_some((pid, state))
    });
    found.collect()
}

#[track_caller]
fn assert_nothing_left(world: &World) {
    until(|| processes(world).is_empty());
    assert!(world.is_empty(), "a segment is left");
}

#[test]
fn ctrl_c_ends_a_count_with_the_result_up_to_there() {
    for with in [
        "",
        "--chaos 100",
        "--with value",
        "--with transaction --workers 16",
    ] {
        let world = World::new();
        let mut screen = shell(&world);
        screen.press(&format!("{ENDLESS} {with}\r"));
        screen.shows(&["left"]);
        screen.press(CTRL_C);
        let seen = screen.shows(&["stopped by SIGINT at", "and the shared value agree"]);
        let text = seen.contents();
        assert!(!text.contains("ended with"), "{text}");
        assert_status(&mut screen, 130);
        assert_nothing_left(&world);
    }
}

#[test]
fn ctrl_c_ends_a_count_in_the_memory_of_qt() {
    let world = World::new();
    let mut screen = shell(&world);
    screen.press("sharehold count --qt --to 2147483647\r");
    screen.shows(&["left"]);
    screen.press(CTRL_C);
    until(|| processes(&world).is_empty());
    assert_status(&mut screen, 130);
    assert_nothing_left(&world);
    let left: Vec<_> = world.path().read_dir().expect("it is ours").collect();
    assert!(left.is_empty(), "left over: {left:?}");
}

#[test]
fn ctrl_z_stops_a_count_and_its_workers_and_fg_lets_them_go_on() {
    let world = World::new();
    let mut screen = shell(&world);
    screen.press(&format!("{ENDLESS}\r"));
    screen.shows(&["left"]);
    screen.press(CTRL_Z);
    screen.shows(&["Stopped"]);
    until(|| {
        let found = processes(&world);
        found.len() == 5 && found.iter().all(|(_, state)| *state == 'T')
    });
    screen.press("fg\r");
    until(|| processes(&world).iter().any(|(_, state)| *state == 'R'));
    screen.press(CTRL_C);
    screen.shows(&["stopped by SIGINT"]);
    assert_status(&mut screen, 130);
    assert_nothing_left(&world);
}

#[test]
fn a_count_ends_with_its_terminal() {
    let world = World::new();
    let mut screen = shell(&world);
    screen.press(&format!("{ENDLESS}\r"));
    screen.shows(&["left"]);
    // The shell is killed, and the kernel hangs the terminal up.
    drop(screen);
    assert_nothing_left(&world);
}

#[test]
fn a_background_count_goes_on_and_ends_by_kill() {
    let world = World::new();
    let mut screen = shell(&world);
    screen.press("sharehold count --to 99999999999 >/dev/null &\r");
    until(|| processes(&world).len() == 5);
    screen.press(CTRL_C);
    // What is typed before the shell has another prompt may be dropped.
    screen.until(|screen| screen.contents().matches("\n$").count() >= 2);
    screen.press("kill %1; wait %1\r");
    screen.shows(&["Terminated"]);
    assert_status(&mut screen, 143);
    assert_nothing_left(&world);
}

/// Starts a command in a process group of its own, with all signals as usual.
fn start(world: &World, words: &str) -> Child {
    let mut command = world.command("env");
    command.args(["--default-signal", "sharehold"]);
    command.args(words.split(' ')).current_dir(world.path());
    command.process_group(0).spawn().expect("it starts")
}

/// Starts an endless count, which has counted when this returns.
fn start_count(world: &World) -> Child {
    let mut child = start(world, "count --json --workers 2 --to 99999999999");
    let out = child.stdout.as_mut().expect("it is piped");
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).expect("text");
    assert!(line.contains("value"), "{line}");
    child
}

fn ended(mut child: Child) -> (ExitStatus, String, String) {
    let mut text = [String::new(), String::new()];
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let read = |from: &mut dyn Read, into: &mut String| {
        from.read_to_string(into).expect("text");
    };
    read(out.as_mut().expect("it is piped"), &mut text[0]);
    read(err.as_mut().expect("it is piped"), &mut text[1]);
    let [out, err] = text;
    (child.wait().expect("it is a child"), out, err)
}

#[test]
fn a_count_ends_by_the_signal_that_it_or_its_group_gets() {
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
        for of_group in [true, false] {
            let world = World::new();
            let child = start_count(&world);
            let pid = Pid::from_child(&child);
            if of_group {
                kill_process_group(pid, signal).expect("it runs");
            } else {
                kill_process(pid, signal).expect("it runs");
            }
            let (status, out, err) = ended(child);
            assert_eq!(status.signal(), Some(signal.as_raw()), "{out}{err}");
            let last = out.lines().last().unwrap_or_default();
            assert!(last.contains("\"stopped_by\":\"SIG"), "{out}");
            assert_eq!(err, "");
            assert_nothing_left(&world);
        }
    }
}

/// Stopping at any moment includes those in which the parent starts a process.
#[test]
fn a_count_that_starts_processes_all_the_time_can_be_stopped() {
    let world = World::new();
    let child = start(
        &world,
        "count --json --workers 2 --to 99999999999 --chaos 1000",
    );
    let group = Pid::from_child(&child);
    until(|| processes(&world).len() >= 3);
    for _ in 0..60 {
        kill_process_group(group, Signal::TSTP).expect("it runs");
        until(|| {
            processes(&world)
                .iter()
                .all(|(_, state)| matches!(state, 'T' | 'Z'))
        });
        kill_process_group(group, Signal::CONT).expect("it is stopped");
    }
    kill_process_group(group, Signal::INT).expect("it runs");
    let (status, _, err) = ended(child);
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()), "{err}");
    assert_nothing_left(&world);
}

#[test]
fn a_worker_killed_from_outside_is_replaced() {
    let world = World::new();
    let child = start_count(&world);
    let parent = child.id();
    for signal in [Signal::KILL, Signal::TERM] {
        let before = processes(&world);
        let worker = before.iter().find(|(pid, _)| *pid != parent);
        let worker = worker.expect("two work").0;
        let pid = Pid::from_raw(worker.cast_signed()).expect("a process");
        kill_process(pid, signal).expect("it runs");
        until(|| {
            let now = processes(&world);
            now.len() == 3 && now.iter().all(|(pid, _)| *pid != worker)
        });
    }
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let (_, out, err) = ended(child);
    let last = out.lines().last().unwrap_or_default();
    assert!(last.contains("\"killed\":2,"), "{out}{err}");
    assert_nothing_left(&world);
}

#[test]
fn the_workers_of_a_killed_count_die_and_the_next_one_clears_away() {
    let world = World::new();
    let mut child = start_count(&world);
    child.kill().expect("it is a child");
    child.wait().expect("it is a child");
    until(|| processes(&world).is_empty());
    assert!(!world.is_empty(), "nobody could have cleared it away");
    world.ok("count --to 1000");
    assert_nothing_left(&world);
}

#[test]
fn what_is_ignored_stays_so() {
    let world = World::new();
    let mut shell = world.command("sh");
    let script = "trap '' HUP INT; exec sharehold count --json --workers 1 --to 99999999999";
    shell.args(["-c", script]).process_group(0);
    let mut child = shell.spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut hear = || {
        let mut line = String::new();
        out.read_line(&mut line).expect("text");
        assert!(line.contains("per_second"), "{line}");
    };
    hear();
    for signal in [Signal::HUP, Signal::INT] {
        kill_process_group(Pid::from_child(&child), signal).expect("it runs");
        hear();
    }
    kill_process_group(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let status = child.wait().expect("it is a child");
    assert_eq!(status.signal(), Some(15));
    assert_nothing_left(&world);
}

#[test]
fn a_stopped_worker_does_not_prevent_the_end_of_a_count() {
    let world = World::new();
    let mut child = start_count(&world);
    let parent = child.id();
    for (pid, _) in processes(&world) {
        if pid != parent {
            let pid = Pid::from_raw(pid.cast_signed()).expect("a process");
            kill_process(pid, Signal::STOP).expect("it runs");
        }
    }
    // The parent looks at the value once a second.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let mut ended = None;
    until(|| {
        ended = child.try_wait().expect("it is a child");
        ended.is_some()
    });
    assert_eq!(ended.and_then(|it| it.signal()), Some(15));
    assert_nothing_left(&world);
}

#[test]
fn a_benchmark_and_a_doctor_end_by_signals_and_leave_nothing() {
    for words in ["bench --seconds 600", "doctor"] {
        for signal in [Signal::INT, Signal::TERM] {
            let world = World::new();
            let child = start(&world, words);
            until(|| !world.is_empty());
            kill_process_group(Pid::from_child(&child), signal).expect("it runs");
            let (status, _, _) = ended(child);
            // A doctor may have been through with it.
            if words != "doctor" {
                assert_eq!(status.signal(), Some(signal.as_raw()));
            }
            assert_nothing_left(&world);
        }
    }
}

#[test]
fn what_a_killed_benchmark_and_a_killed_doctor_left_goes_with_the_next_one() {
    for (words, next) in [
        ("bench --seconds 600", "bench --seconds 1"),
        ("doctor", "doctor"),
    ] {
        let world = World::new();
        let mut child = start(&world, words);
        // A doctor is quick: stopped before it can be through.
        until(|| !world.is_empty());
        kill_process(Pid::from_child(&child), Signal::STOP).expect("it runs");
        child.kill().expect("it is a child");
        child.wait().expect("it is a child");
        until(|| processes(&world).is_empty());
        // Doctor's verdict depends on the machine.
        said(world.sharehold(next.split(' ')));
        assert_nothing_left(&world);
    }
}

#[test]
fn commands_that_wait_end_by_ctrl_c() {
    let world = World::new();
    world.create_job("com.example.job");
    for words in ["watch com.example.job value", "wait com.example.none"] {
        let mut screen = shell(&world);
        screen.press(&format!("sharehold {words}\r"));
        until(|| processes(&world).iter().any(|(_, state)| *state == 'S'));
        screen.press(CTRL_C);
        until(|| processes(&world).is_empty());
        assert_status(&mut screen, 130);
    }
}

#[test]
fn ctrl_c_reaches_the_command_under_a_lock_once() {
    let world = World::new();
    let mut screen = shell(&world);
    let script = "trap \"echo heard\" INT; echo ready; n=0; \
                  while [ $n -lt 20 ]; do n=$((n + 1)); sleep 0.05; done; exit 7";
    screen.press(&format!("sharehold lock --create l -- sh -c '{script}'\r"));
    screen.until(|screen| screen.contents().contains("\nready"));
    screen.press(CTRL_C);
    screen.until(|screen| screen.contents().contains("heard\n"));
    assert_status(&mut screen, 7);
    let text = screen.now().contents();
    let heard = text.lines().filter(|line| line.ends_with("heard")).count();
    assert_eq!(heard, 1, "{text}");
    assert_nothing_left(&world);
}

#[test]
fn ctrl_c_ends_a_lock_that_waits() {
    let world = World::new();
    let mut holder = world.hold("l");
    let mut screen = shell(&world);
    screen.press("sharehold lock l -- echo ran\r");
    until(|| processes(&world).len() >= 2);
    screen.press(CTRL_C);
    until(|| processes(&world).len() == 1);
    assert_status(&mut screen, 130);
    assert!(!screen.now().contents().contains("\nran"));
    holder.stop();
    assert_nothing_left(&world);
}

/// What the kernel sends to the whole group, the command has already. A process may mean the group
/// or this process alone.
#[test]
fn a_terminal_that_hangs_up_reaches_the_command_under_a_lock_once() {
    let world = World::new();
    let heard = world.path().join("heard");
    let script = world.path().join("script");
    let lines = format!(
        "trap 'echo heard >>{0}' HUP; touch {0}; n=0\n\
         while [ $n -lt 20 ]; do n=$((n + 1)); sleep 0.05; done",
        heard.display()
    );
    fs::write(&script, lines).expect("there is room");
    // The shell leads the session, and the lock is in the foreground of its terminal.
    let mut command = world.command("setsid");
    command.args(["--ctty", "env", "--default-signal", "bash", "-c"]);
    let line = format!("sharehold lock --create l -- sh {}; true", script.display());
    command.arg(line);
    let screen = Screen::start(command, 24, 100);
    until(|| heard.exists());
    // The shell is killed, and the kernel hangs the terminal up.
    drop(screen);
    assert_nothing_left(&world);
    assert_eq!(fs::read_to_string(&heard).expect("it is there"), "heard\n");
}

/// The signal comes when the lock is held and the command is not yet started: when this program
/// looks for its own file.
#[test]
fn a_signal_before_the_command_runs_releases_the_lock_in_good_order() {
    let world = World::new();
    world.create_job("l");
    for words in ["lock l", "lock --timeout 1m l"] {
        let mut traced = world.command("strace");
        traced
            .args(["-f", "-o", "/dev/null", "-e", "trace=/readlink.*"])
            .args([
                "-e",
                "inject=/readlink.*:signal=SIGTERM",
                "env",
                "--default-signal",
            ])
            .arg("sharehold")
            .args(words.split(' '))
            .args(["--", "echo", "ran"]);
        let said = said(traced);
        assert_eq!((said.code, said.out.as_str()), (-15, ""), "{said:?}");
        assert_eq!(world.run("lock --strict l -- true").code, 0, "{words}");
    }
}

#[test]
fn top_is_stopped_and_goes_on() {
    let world = World::new();
    let mut screen = shell(&world);
    screen.press("sharehold top\r");
    screen.shows(&["0 segments"]);
    screen.press(CTRL_Z);
    let seen = screen.shows(&["Stopped"]);
    assert!(!seen.alternate_screen());
    screen.press("fg\r");
    screen.until(|screen| screen.alternate_screen() && screen.contents().contains("0 segments"));
    // Also where another one stops it and lets it go on.
    let pid = processes(&world)[0].0;
    let kill = |signal: &str| {
        let mut kill = Command::new("kill");
        let done = kill.args([signal, &pid.to_string()]).status();
        assert!(done.expect("it is installed").success());
    };
    kill("-STOP");
    screen.shows(&["Stopped"]);
    screen.press("fg\r");
    screen.until(|screen| screen.alternate_screen() && screen.contents().contains("0 segments"));
    screen.press("q");
    screen.until(|screen| !screen.alternate_screen());
    until(|| processes(&world).is_empty());
}
