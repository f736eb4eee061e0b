//! `ls`, `show` and `watch`: what is told of segments that are held, abandoned, stale, damaged or
//! somebody else's.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout};

use rustix::process::geteuid;
use serde_json::Value;
use sharehold::qt::{self, KeyType};

use crate::alone::alone;
use crate::world::{Holder, World, assert_refused, copy_command, said};

/// The line that begins with these words, in words; the heading is `KEY`.
fn row(text: &str, key: &str) -> Vec<String> {
    let found = text.lines().find(|line| line.starts_with(key));
    let found = found.unwrap_or_else(|| panic!("no {key} in:\n{text}"));
    found.split_whitespace().map(str::to_owned).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The entry of a listing that has this key.
fn entry<'a>(list: &'a Value, key: &str) -> &'a Value {
    let all = list.as_array().expect("a list");
    let found = all.iter().find(|it| it["key"] == key);
    found.unwrap_or_else(|| panic!("no {key} in {list:#}"))
}

/// Leaves a segment whose only user was killed.
fn leave_stale(world: &World, key: &str) -> u32 {
    let script = "echo locked; exec sleep 1000";
    let mut command = world.sharehold(["lock", "--create", key, "--", "sh", "-c", script]);
    let mut holder = Holder(command.spawn().expect("it starts"));
    let out = holder.0.stdout.as_mut().expect("it is piped");
    out.read_exact(&mut [0; 7]).expect("it gets the lock");
    holder.kill();
    holder.0.id()
}

#[test]
fn each_segment_has_a_line() {
    let world = World::new();
    world.create_job("job");
    world.ok("create held --size 4096");
    world.ok("create left --size 1536");
    let holder = world.hold("held");
    let dead = world.abandon("left");
    let stale = leave_stale(&world, "stale");
    let text = world.ok("ls");
    assert_eq!(
        row(&text, "KEY"),
        ["KEY", "SIZE", "TYPE", "ATTACHED", "LOCK", "STATE", "AGE"]
    );
    let pid = holder.0.id().to_string();
    let held = row(&text, "held");
    assert_eq!(
        held[..8],
        ["held", "4", "KiB", "-", "1", "held", "by", &pid]
    );
    assert_eq!(held[8..10], ["sh", "live"]);
    let left = row(&text, "left");
    assert_eq!(
        left[..8],
        [
            "left",
            "1.5",
            "KiB",
            "-",
            "0",
            "abandoned",
            "by",
            &dead.to_string()
        ]
    );
    assert_eq!(left[9], "idle");
    let gone = row(&text, "stale");
    assert_eq!(gone[5..8], ["abandoned", "by", &stale.to_string()]);
    assert_eq!(gone[9], "stale");
    assert_eq!(row(&text, "job")[3..7], ["Fields", "0", "free", "idle"]);
    let widths: Vec<_> = text.lines().map(|line| line.find("STATE")).collect();
    let at = widths[0].expect("the heading has it");
    for (line, word) in text.lines().skip(1).zip(["live", "idle", "idle", "stale"]) {
        assert!(line[at..].starts_with(word), "{text}");
    }
    assert!(!text.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn a_program_reads_the_same() {
    let world = World::new();
    assert_eq!(json(&world.ok("ls --json")), Value::Array(Vec::new()));
    world.create_job("job");
    world.ok("create held --size 4096");
    let holder = world.hold("held");
    let dead = world.abandon("job");
    let list = json(&world.ok("ls --json"));
    let held = entry(&list, "held");
    assert_eq!(held["state"], "live");
    assert_eq!((&held["size"], &held["type"]), (&4096.into(), &Value::Null));
    assert_eq!(held["lock"]["state"], "held");
    assert_eq!(held["lock"]["holder"]["pid"], holder.0.id());
    assert_eq!(held["lock"]["in_place"], true);
    assert_eq!(held["attachments"][0]["executable"], "sh");
    assert_eq!(held["attachments"][0]["read_only"], false);
    assert_eq!(held["mode"], "0600");
    assert_eq!(held["persistent"], true);
    let at = held["created_at"].as_str().expect("a moment");
    assert!(at.len() == 20 && at.ends_with('Z'), "{at}");
    let job = entry(&list, "job");
    assert_eq!(job["type"]["name"], "Fields");
    assert_eq!(job["version"], 1);
    assert_eq!(job["lock"]["state"], "abandoned");
    assert_eq!(job["departed"][0]["pid"], dead);
    assert_eq!(job["condition"]["consistent"], true);
}

#[test]
fn what_is_no_segment_has_its_reason() {
    let world = World::new();
    world.ok("create whole --size 8");
    for key in ["cut", "foreign", "scribbled"] {
        world.ok(&format!("create {key} --size 8"));
    }
    world.scribble("scribbled");
    world.make_foreign("foreign");
    let file = fs::OpenOptions::new().write(true).open(world.file("cut"));
    file.and_then(|file| file.set_len(3000))
        .expect("it is ours");
    let text = world.ok("ls");
    assert!(row(&text, "cut.")[1] == "damaged:", "{text}");
    assert!(row(&text, "scribbled.")[1] == "damaged:", "{text}");
    assert_eq!(row(&text, "foreign.")[1..3], ["other", "version:"]);
    assert!(text.contains("format version 99"), "{text}");
    assert_eq!(row(&text, "whole")[6], "idle");
    let list = json(&world.ok("ls --json"));
    let list = list.as_array().expect("a list");
    let kinds: Vec<_> = list.iter().map(|it| it["kind"].as_str()).collect();
    let expected = ["damaged", "other version", "damaged"].map(Some);
    assert_eq!((&kinds[..3], kinds[3]), (&expected[..], None));
    for (key, words) in [
        ("cut", "contradicts itself"),
        ("foreign", "format version 99"),
        ("scribbled", "does not begin"),
    ] {
        assert_refused(&world.run(&format!("show {key}")), 5, words);
        assert_refused(&world.run(&format!("watch {key}")), 5, words);
    }
}

#[test]
fn show_prints_everything_about_one_segment() {
    let world = World::new();
    world.create_job("job");
    world.ok("set job marks [7,8]");
    let text = world.ok("show job");
    assert_eq!(row(&text, "key"), ["key", "job"]);
    assert_eq!(row(&text, "version"), ["version", "2"]);
    assert!(
        text.contains("\nstate       idle, stays until it is destroyed\n"),
        "{text}"
    );
    assert!(text.contains("\nlock        free\n"), "{text}");
    assert!(
        text.contains("\nmarks  [u16; 2]                  [7, 8]\n"),
        "{text}"
    );
    let shown = json(&world.ok("show job --json"));
    assert_eq!(shown["value"]["marks"], Value::from(vec![7, 8]));
    assert_eq!(shown["value"]["state"], "Idle");
    assert!(
        shown["schema"]
            .as_str()
            .is_some_and(|it| it.contains(" type Fields\n"))
    );
    let name = world.file("job");
    assert_eq!(
        name.file_name().and_then(|it| it.to_str()),
        shown["file"].as_str()
    );

    world.ok("create bytes --size 1000");
    world.feed("write bytes", b"what stands here");
    let dead = world.abandon("bytes");
    let text = world.ok("show bytes");
    assert!(text.contains("|what stands here|"), "{text}");
    assert!(text.contains("and 744 bytes more"), "{text}");
    assert!(text.contains(&format!("abandoned by {dead} sh")), "{text}");
    // Dead processes are not among the attachments.
    assert!(!text.contains("ATTACHED"), "{text}");
    let (_, left) = text.split_once("DIED").expect("somebody did");
    assert!(left.contains(&format!("{dead}  sh")), "{left}");
    // A reader recovers the lock, and does not mark the data consistent.
    world.ok("read bytes");
    let text = world.ok("show bytes");
    assert!(
        text.contains(&format!("{dead} sh died holding the lock")),
        "{text}"
    );
    let listed = world.ok("ls");
    assert!(
        listed.contains(&format!("free, unrepaired since {dead} sh")),
        "{listed}"
    );
    let shown = json(&world.ok("show bytes --json"));
    assert_eq!(shown["value"], Value::Null);
    assert!(
        shown["bytes"]
            .as_str()
            .is_some_and(|it| it.starts_with("77686174"))
    );
}

#[test]
fn what_others_wrote_moves_no_cursor() {
    let world = World::new();
    let key = "evil\u{1b}[2J\nkey";
    let said = world.run_with(["create", key, "--fields", "name:text8"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = world.run_with(["set", key, "name", "\u{1b}]0;"]);
    assert_eq!(said.code, 0, "{said:?}");
    for text in [world.ok("ls"), world.run_with(["show", key]).out] {
        assert!(text.contains("evil\\u{1b}[2J\\nkey"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn without_a_directory_there_is_nothing() {
    let world = World::new();
    let nowhere = world.path().join("missing");
    let run = |words: &[&str]| {
        let mut command = world.sharehold(words);
        command.env("SHAREHOLD_DIR", &nowhere);
        said(command)
    };
    let listed = run(&["ls"]);
    assert_eq!(
        (listed.code, listed.out.lines().count()),
        (0, 1),
        "{listed:?}"
    );
    assert_refused(&run(&["show", "job"]), 3, "no segment has this key");
    assert_refused(&run(&["watch", "job"]), 3, "no segment has this key");
    assert!(!nowhere.exists(), "looking makes nothing");
}

#[test]
fn other_users_are_refused() {
    const SOMEBODY: u32 = 12_345;
    assert!(
        geteuid().is_root(),
        "run as root: this test becomes another user"
    );
    let world = World::new();
    world.ok("create ours --size 8");
    let open = fs::Permissions::from_mode(0o755);
    for path in [world.path(), &world.segments()] {
        fs::set_permissions(path, open.clone()).expect("it is ours");
    }
    // Where the other user can run it from.
    let program = world.path().with_extension("program");
    copy_command(&program);
    let as_somebody = |words: &[&str]| {
        let mut command = world.command(program.to_str().expect("it is plain"));
        command
            .args(words)
            .uid(SOMEBODY)
            .gid(SOMEBODY)
            .current_dir("/");
        said(command)
    };
    // Its own segments can be in a directory of root's, but this one is not its own.
    let listed = as_somebody(&["ls"]);
    let shown = as_somebody(&["show", "ours"]);
    chown(world.file("ours"), Some(SOMEBODY), None).expect("root may");
    let theirs = world.ok("ls");
    chown(world.segments(), Some(SOMEBODY), None).expect("root may");
    let refused = world.run("ls");
    fs::remove_file(&program).expect("it is ours");
    assert_eq!(listed.code, 0, "{listed:?}");
    assert_eq!(row(&listed.out, "root")[2..4], ["no", "permission:"]);
    assert_refused(&shown, 6, "uid 0");
    assert_eq!(row(&theirs, "12345")[1], "ours");
    assert_refused(&refused, 6, "belongs to uid 12345");
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let world = World::new();
    for number in 0..100 {
        world.ok(&format!("create com.example.one.of.many.{number} --size 8"));
    }
    world.create_job("job");
    let key = "com.example.one.of.many.7";
    let all = [
        "ls",
        "ls --json",
        "ls --all",
        "show KEY",
        "show KEY --json",
        "get job",
        "get job value --json",
        "incr job value",
        "cas job open false true --json",
        "create other --size 8 --json",
        "read KEY",
        "read KEY --hex",
        "write KEY --json",
        "grow KEY 1 --json",
        "wait KEY --json",
        "watch job --every 1ms",
        "doctor",
        "gc --dry-run",
        "gc --json",
        "rm KEY --json",
        "count --to 100",
        "completions bash",
        "man",
    ];
    for words in all.map(|words| words.replace("KEY", key)) {
        let (reader, writer) = std::io::pipe().expect("there are descriptors");
        drop(reader);
        let mut command = world.sharehold(words.split(' '));
        let output = command.stdout(writer).output().expect("it starts");
        assert_eq!(output.status.code(), Some(0), "{words}: {output:?}");
        assert!(output.stderr.is_empty(), "{words}: {output:?}");
    }
}

/// A watch that runs, and what it prints.
struct Watch(Child, BufReader<ChildStdout>);

impl Watch {
    fn start(world: &World, words: &str) -> Watch {
        let mut command = world.sharehold(words.split(' '));
        let mut child = command.spawn().expect("it starts");
        let out = child.stdout.take().expect("it is piped");
        Watch(child, BufReader::new(out))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).expect("the pipe is whole");
        line
    }

    /// How it ends, and what it says at the end.
    fn ends(mut self) -> (Option<i32>, String) {
        let status = self.0.wait().expect("it is a child");
        let mut said = String::new();
        let err = self.0.stderr.as_mut().expect("it is piped");
        err.read_to_string(&mut said).expect("it is text");
        (status.code(), said)
    }
}

#[test]
fn a_change_is_a_line_and_the_end_is_an_error() {
    let world = World::new();
    world.create_job("job");
    let mut all = Watch::start(&world, "watch job --every 1ms");
    let mut limit = Watch::start(&world, "watch job limit --every 1ms");
    let mut program = Watch::start(&world, "watch job --every 1ms --json");
    for watch in [&mut all, &mut limit] {
        assert_eq!(
            watch.line().split_whitespace().collect::<Vec<_>>(),
            ["TIME", "VERSION", "VALUE"]
        );
    }
    let first = all.line();
    assert!(
        first.contains(" 1  ") && first.contains("limit=0 ") && first.contains("state=Idle"),
        "{first}"
    );
    assert!(limit.line().ends_with(" 1  0\n"));
    assert_eq!(json(&program.line())["value"]["open"], false);
    world.ok("set job limit 5");
    assert!(all.line().ends_with(" 2  limit=5\n"));
    assert!(limit.line().ends_with(" 2  5\n"));
    let change = json(&program.line());
    assert_eq!(
        (&change["version"], &change["value"]["limit"]),
        (&2.into(), &5.into())
    );
    // A change of another field is none of the watched one's.
    world.ok("set job open true");
    assert!(all.line().ends_with(" 3  open=true\n"));
    assert_eq!(json(&program.line())["value"]["open"], true);
    world.ok("set job limit 6");
    assert!(limit.line().ends_with(" 4  6\n"));
    world.ok("rm job");
    for watch in [all, limit, program] {
        let (code, said) = watch.ends();
        assert_eq!(code, Some(3), "{said}");
        assert!(
            said.starts_with("sharehold: ") && said.contains("`job` is gone"),
            "{said}"
        );
    }
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let world = World::new();
    world.create_job("job");
    world.ok("create bytes --size 8");
    leave_stale(&world, "stale");
    assert_refused(&world.run("watch bytes"), 5, "plain bytes");
    assert_refused(&world.run("watch stale"), 3, "no process is attached");
    assert_refused(&world.run("watch job nothing"), 3, "no field `nothing`");
    assert_eq!(world.run("watch job --every soon").code, 2);
    assert_eq!(world.run("show").code, 2);
}

alone! {
    fn memory_of_qt_programs_is_shown_with_its_text_key() {
        let world = World::new();
        let text = format!("sees{}", letters(std::process::id()));
        for (key_type, kind) in [
            (KeyType::SYSTEM_V, "Qt, System V"),
            (KeyType::Posix, "Qt, POSIX"),
        ] {
            let options = qt::Options::new().temp_dir(world.path()).key_type(key_type);
            let mut memory = options.shared_memory(&text);
            memory.create(1000).expect("nobody has the key");
            let locked = memory.lock().expect("nobody has it");
            let list = json(&world.ok("ls --all --json"));
            let all = list.as_array().expect("a list");
            let found = all
                .iter()
                .find(|it| it["text_key"] == *text && it["foreign"] == kind);
            let found = found.unwrap_or_else(|| panic!("no {kind} in {list:#}"));
            assert_eq!(
                (&found["size"], &found["mode"]),
                (&1000.into(), &"0600".into())
            );
            if key_type == KeyType::SYSTEM_V {
                assert_eq!(found["attachments"], 1);
                assert_eq!(found["made_by"], std::process::id());
            }
            let told = world.ok("ls --all");
            let line = row(&told, &text);
            assert_eq!(line[1..4], ["1000", "B", "Qt,"]);
            assert!(!world.ok("ls").contains(&text), "only if asked for");
            let native = found["native_key"].as_str().expect("it has one");
            let shown = world.run_with(["show", native]);
            assert_eq!(shown.code, 0, "{shown:?}");
            assert!(shown.out.contains("size          1000 B\n"), "{shown:?}");
            assert!(shown.out.contains("lock          held"), "{shown:?}");
            let shown = json(&world.run_with(["show", native, "--json"]).out);
            assert_eq!(
                (&shown["size"], &shown["lock"]["free"]),
                (&1000.into(), &0.into())
            );
            drop(locked);
            memory.detach().expect("it is attached");
            // POSIX leaves memory and lock unless somebody clears them away.
            memory.remove_stale().expect("nobody else knows it");
            assert_refused(
                &world.run_with(["show", native]),
                3,
                "no memory has the native key",
            );
        }
    }
}

/// A number as letters, which a name of Qt's shows.
fn letters(number: u32) -> String {
    let digits = number.to_string();
    let letter = |digit| char::from(b'a' + digit - b'0');
    digits.bytes().map(letter).collect()
}
