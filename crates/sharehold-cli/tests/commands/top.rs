//! `top` on a real terminal: what it shows, what its keys do, and that it gives the terminal back.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use crate::rows::{chosen, lines, size};
use crate::screen::Screen;
use crate::world::{Holder, World, until};

const DOWN: &str = "\x1b[B";
const ESCAPE: &str = "\x1b";

/// Some segments: one held, one abandoned, one that nobody uses, and a file that is none.
fn world() -> (World, Holder) {
    let world = World::new();
    world.create_job("com.example.job");
    world.ok("create com.example.held --size 4096");
    world.ok("create com.example.left --size 100");
    world.ok("create com.example.cut --size 100");
    world.scribble("com.example.cut");
    world.abandon("com.example.left");
    let holder = world.hold("com.example.held");
    (world, holder)
}

fn top(world: &World) -> Screen {
    Screen::start(world.sharehold(["top", "--every", "100ms"]), 24, 80)
}

fn line(screen: &vt100::Screen, words: &str) -> Option<String> {
    let mut lines = lines(screen).into_iter();
    lines.find(|line| line.contains(words))
}

#[test]
fn every_segment_has_a_line_that_fits() {
    let (world, holder) = world();
    let mut screen = top(&world);
    let pid = holder.0.id();
    let seen = screen.shows(&[
        "KEY",
        "SIZE",
        "ATT",
        "HOLDER",
        "CHANGES/S",
        "STATE",
        "q quit",
    ]);
    let text = seen.contents();
    assert!(text.starts_with("sharehold top  4 segments, "), "{text}");
    let held = line(&seen, "com.example.held").expect("it is listed");
    let words: Vec<&str> = held.split_whitespace().collect();
    assert_eq!(
        words[..5],
        ["com.example.held", "4", "KiB", "1", &pid.to_string()]
    );
    assert_eq!(words.last(), Some(&"live"));
    let left = line(&seen, "com.example.left").expect("it is listed");
    assert!(left.contains('†') && left.contains("idle"), "{left}");
    let cut = line(&seen, "com.example.cut").expect("it is listed");
    assert!(cut.contains("damaged"), "{cut}");
    screen.press("q");
    assert!(screen.ends().success());
}

#[test]
fn what_changes_shows() {
    let (world, _holder) = world();
    let mut screen = top(&world);
    screen.shows(&["com.example.job"]);
    screen.until(|seen| {
        world.ok("incr com.example.job limit");
        world.ok("set com.example.job limit 0");
        let job = line(seen, "com.example.job").unwrap_or_default();
        job.contains('█')
    });
    world.ok("create com.example.late --size 10");
    screen.shows(&["com.example.late", "5 segments"]);
    world.ok("rm com.example.late");
    screen.until(|seen| line(seen, "com.example.late").is_none());
    screen.press("\x03");
    assert!(screen.ends().success());
}

#[test]
fn one_segment_is_opened_and_left() {
    let (world, holder) = world();
    let mut screen = top(&world);
    screen.shows(&["com.example.job"]);
    // cut, held, job: each key has been seen before the next one is pressed.
    for key in ["com.example.held", "com.example.job"] {
        screen.press(DOWN);
        screen.until(|seen| chosen(seen).is_some_and(|line| line.contains(key)));
    }
    screen.press("\r");
    screen.shows(&[
        "version 1",
        "FIELD",
        "limit",
        "i16",
        "marks",
        "[0, 0]",
        "Esc back",
    ]);
    world.ok("set com.example.job limit -- -7");
    screen.shows(&["-7"]);
    screen.press(ESCAPE);
    screen.shows(&["q quit", "by key"]);
    screen.press("k");
    screen.until(|seen| chosen(seen).is_some_and(|line| line.contains("com.example.held")));
    screen.press("l");
    let pid = holder.0.id();
    screen.shows(&[&format!("held by {pid}"), "holds the lock", "00000000"]);
    world.ok("rm com.example.held --force");
    screen.shows(&["no segment has this key"]);
    screen.press(ESCAPE);
    screen.shows(&["3 segments"]);
    screen.press("g\r");
    screen.shows(&["does not begin as a segment does"]);
    screen.press("q");
    assert!(screen.ends().success());
}

#[test]
fn lines_are_filtered_and_sorted() {
    let (world, _holder) = world();
    let mut screen = top(&world);
    screen.shows(&["com.example.job"]);
    screen.press("/JO");
    let seen = screen.until(|seen| line(seen, "com.example.held").is_none());
    assert!(line(&seen, "com.example.job").is_some());
    screen.press("\r");
    screen.shows(&["filter: JO"]);
    screen.press(ESCAPE);
    screen.shows(&["com.example.held"]);
    for order in ["changes", "attached", "size", "state", "key"] {
        screen.press("s");
        let expected = match order {
            "changes" => "com.example.job",
            "attached" | "size" => "com.example.held",
            _ => "com.example.cut",
        };
        screen.until(|seen| {
            let lines = lines(seen);
            lines[0].contains(&format!("by {order}")) && lines[2].starts_with(expected)
        });
    }
    screen.press("?");
    screen.shows(&["sort by key, changes, attached, size, state"]);
    screen.press("\x1b");
    screen.shows(&["by key"]);
    screen.press("q");
    assert!(screen.ends().success());
}

#[test]
fn help_scrolls_where_it_has_no_room() {
    let (world, _holder) = world();
    let mut screen = top(&world);
    screen.shows(&["com.example.job"]);
    screen.resize(10, 40);
    screen.press("?");
    screen.until(|seen| {
        let lines = lines(seen);
        lines[1].starts_with("q Ctrl-C") && lines.iter().any(|line| line.contains("↑↓ scroll"))
    });
    screen.press("G");
    screen.shows(&["Ctrl-Z", "stop for a while"]);
    screen.press("g");
    screen.until(|seen| lines(seen)[1].starts_with("q Ctrl-C"));
    screen.press("q");
    assert!(screen.ends().success());
}

/// Keys of one program often begin alike.
#[test]
fn a_long_key_is_seen_with_both_ends() {
    let (world, _holder) = world();
    let key = format!("com.example.{}last", "long.".repeat(30));
    world.ok(&format!("create {key} --size 8"));
    let screen = top(&world);
    screen.until(|seen| {
        let lines = lines(seen);
        let mut keys = lines
            .iter()
            .filter_map(|line| line.split_whitespace().next());
        keys.any(|it| it.starts_with("com.example") && it.contains('…') && it.ends_with("last"))
    });
}

#[test]
fn it_fits_every_size() {
    let (world, _holder) = world();
    let mut screen = top(&world);
    screen.shows(&["com.example.job", "STATE"]);
    for (rows, columns, head, foot, columns_shown) in [
        (
            50,
            200,
            "by key",
            "↑↓ move",
            "KEY SIZE ATT HOLDER CHANGES/S STATE",
        ),
        (
            10,
            40,
            "sharehold top  4 segments, 1 live",
            "? help  q quit",
            "KEY ATT HOLDER STATE",
        ),
        (
            24,
            80,
            "by key",
            "↑↓ move",
            "KEY SIZE ATT HOLDER CHANGES/S STATE",
        ),
        (10, 24, "sharehold top", "? help  q quit", "KEY STATE"),
        (3, 20, "sharehold top", "? help  q quit", "KEY"),
        (2, 14, "sharehold top", "? help  q quit", ""),
        (10, 9, "", "q quit", "KEY"),
        (
            10,
            40,
            "sharehold top  4 segments, 1 live",
            "? help  q quit",
            "KEY ATT HOLDER STATE",
        ),
    ] {
        screen.resize(rows, columns);
        let seen = screen.until(|seen| {
            let lines = lines(seen);
            size(seen) == (rows, columns)
                && lines[0].contains(head)
                && lines[usize::from(rows) - 1].contains(foot)
        });
        let lines = lines(&seen);
        let words: Vec<&str> = lines[1].split_whitespace().collect();
        if rows > 3 {
            assert_eq!(words.join(" "), columns_shown, "{}", seen.contents());
            assert!(lines[2].starts_with("com.exam"), "{}", seen.contents());
        }
        // No word of the first and of the last line is cut.
        let known = "sharehold top 4 segments, 1 live, 2 idle, 1 damaged by key ↑↓ move \
                     Enter open s sort / filter ? help q quit 1 live 2 idle";
        for word in [&lines[0], &lines[usize::from(rows) - 1]].map(|it| it.split_whitespace()) {
            for word in word {
                assert!(
                    known.split(' ').any(|it| it == word),
                    "{word}: {}",
                    seen.contents()
                );
            }
        }
    }
    screen.press("q");
    assert!(screen.ends().success());
}

#[test]
fn the_last_line_keeps_whole_words_beside_a_filter() {
    let (world, _holder) = world();
    let mut screen = top(&world);
    screen.shows(&["com.example.job"]);
    screen.resize(10, 40);
    screen.press("/example");
    screen.shows(&["/example▏"]);
    screen.press("\r");
    let seen = screen.shows(&["filter: example"]);
    assert_eq!(
        lines(&seen)[9].trim_end(),
        "filter: example  ? help  q quit"
    );
    screen.press(DOWN);
    screen.press("\r");
    let seen = screen.shows(&["sharehold top  com.example.held"]);
    assert_eq!(lines(&seen)[9].trim_end(), "↑↓ scroll  Esc back  q quit");
    screen.press("q");
    assert!(screen.ends().success());
}

/// Keys are heard however long a look takes, and however short the time between two is.
#[test]
fn keys_are_heard_while_it_looks_all_the_time() {
    let world = World::new();
    for every in ["0", "9ms", "0.001"] {
        let refused = world.run(&format!("top --every {every}"));
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains("give 10ms or more"), "{refused:?}");
    }
    world.ok("create com.example.last --size 10");
    let file = world.file("com.example.last");
    let whole = fs::read(&file).expect("it is ours");
    for number in 0..3000 {
        let name = world.segments().join(format!("copy.{number:04}"));
        fs::write(name, &whole[..100]).expect("there is memory");
    }
    for (key, code) in [("q", Some(0)), ("\x03", Some(0)), ("", None)] {
        let command = world.sharehold(["top", "--every", "10ms"]);
        let mut screen = Screen::start(command, 24, 80);
        screen.shows(&["3001 segments"]);
        if key.is_empty() {
            screen.signal(Signal::TERM);
        }
        screen.press(key);
        assert_eq!(screen.ends().code(), code);
    }
}

#[test]
fn a_thousand_segments_are_a_few_pages() {
    let world = World::new();
    let options = || {
        let mut command = world.sharehold(["top"]);
        command.arg("--every=100ms");
        command
    };
    world.ok("create com.example.last --size 10");
    let file = world.file("com.example.last");
    let whole = fs::read(&file).expect("it is ours");
    for number in 0..1000 {
        let name = world.segments().join(format!("copy.{number:04}"));
        fs::write(name, &whole[..100]).expect("there is memory");
    }
    let mut screen = Screen::start(options(), 24, 80);
    screen.shows(&["1001 segments", "1000 damaged"]);
    screen.press("G");
    screen.until(|seen| chosen(seen).is_some_and(|line| line.contains("copy.0999")));
    screen.press("\x1b[5~");
    screen.until(|seen| chosen(seen).is_some_and(|line| line.contains("copy.0978")));
    screen.press("g");
    screen.until(|seen| chosen(seen).is_some_and(|line| line.contains("com.example.last")));
    screen.press("q");
    assert!(screen.ends().success());
}

#[test]
fn signals_end_it_and_give_the_terminal_back() {
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1)] {
        let world = World::new();
        // A signal that is ignored where the tests run, as under nohup(1), may be ignored by the
        // command, too.
        let mut command = world.command("env");
        command.args(["--default-signal", "sharehold", "top", "--every", "100ms"]);
        let screen = Screen::start(command, 24, 80);
        screen.shows(&["0 segments"]);
        screen.signal(signal);
        let status = screen.ends();
        assert_eq!((status.code(), status.signal()), (None, Some(number)));
    }
}

#[test]
fn it_ends_with_its_terminal_even_without_a_signal() {
    let world = World::new();
    let [pid, drawn] = ["pid", "drawn"].map(|name| world.path().join(name));
    let script = format!(
        "echo $$ >{}; stty rows 24 cols 80; trap '' HUP; exec sharehold top --every 100ms",
        pid.display()
    );
    let mut terminal = world.command("script");
    terminal.args(["--quiet", "--flush", "--command", &script]);
    let mut terminal = Holder(terminal.arg(&drawn).spawn().expect("it is installed"));
    until(|| {
        let drawn = fs::read(&drawn).unwrap_or_default();
        drawn.windows(8).any(|it| it == b"segments")
    });
    let pid = fs::read_to_string(pid).expect("it was written");
    let stat = || fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    until(|| stat().is_ok_and(|it| it.contains(") S ")));
    terminal.kill();
    // Nobody may be there to learn of its end.
    until(|| stat().map_or(true, |it| it.contains(") Z ")));
}

#[test]
fn without_a_terminal_it_says_what_else_there_is() {
    let world = World::new();
    crate::world::assert_refused(&world.run("top"), 2, "sharehold ls --json");
}

/// A text may come from another user, and must not control the reader's terminal. A pipe gets it
/// unchanged.
#[test]
fn a_text_does_not_steer_the_terminal() {
    let world = World::new();
    world.ok("create k --fields name:text32");
    let key = ["k", "name"];
    let set = world
        .sharehold(["set"])
        .args(key)
        .arg("a\u{1b}[2Jb")
        .status();
    assert!(set.expect("it runs").success());
    assert_eq!(world.ok("get k name"), "a\u{1b}[2Jb\n");
    let screen = Screen::start(world.sharehold(["get", "k", "name"]), 24, 80);
    screen.shows(&[r"a\u{1b}[2Jb"]);
    assert!(screen.ends().success());
}
