//! Every command against what it cannot use: no key, damaged, of another version, plain or typed,
//! another user's, no directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::world::{World, assert_refused, copy_command, outcome};

/// Each command that needs a segment, which is called `k`.
const COMMANDS: [&str; 8] = [
    "get k value",
    "set k value 1",
    "incr k value",
    "cas k value 0 1",
    "read k",
    "write k",
    "grow k 8",
    "lock k -- true",
];

#[test]
fn a_key_that_is_missing() {
    let world = World::new();
    for words in COMMANDS.iter().chain(&["rm k"]) {
        assert_refused(&world.run(words), 3, "no segment has this key");
    }
    assert!(world.is_empty());
    world.ok("create com.example.key --size 8");
    assert_refused(
        &world.run("get com.exmple.key"),
        3,
        "did you mean `com.example.key`?",
    );
}

/// To change a stale segment is refused, and what it holds is still there afterwards.
#[test]
fn a_stale_segment() {
    for words in COMMANDS {
        let world = World::new();
        world.create_job("k");
        world.ok("set k value 7");
        world.make_stale("k");
        let said = world.run(words);
        assert_refused(&said, 3, "no process is attached to it");
        for next in ["show", "export", "rm"] {
            let next = format!("`sharehold {next} k`");
            assert!(said.err.contains(&next), "{words}: {said:?}");
        }
        let saved = world.ok("export k");
        assert!(saved.contains("\"value\": 7"), "{words}: {saved}");
        world.ok("rm k");
        world.ok("create k --size 8");
    }
}

#[test]
fn stale_bytes_are_exported() {
    let world = World::new();
    world.ok("create k --size 5");
    world.feed("write k", b"Hello");
    world.make_stale("k");
    assert_refused(&world.run("read k"), 3, "`sharehold export k`");
    assert_eq!(world.ok("export --raw k"), "Hello");
    world.ok("gc");
    assert!(world.is_empty());
}

#[test]
fn a_stale_segment_of_another_version_is_kept() {
    let world = World::new();
    world.create_job("k");
    world.make_stale("k");
    world.make_foreign("k");
    let said = world.run("set k value 1");
    assert_refused(&said, 3, "no process is attached to it");
    assert!(!world.is_empty());
    world.ok("rm k");
}

#[test]
fn a_stale_segment_says_how_to_see_what_it_held() {
    let world = World::new();
    world.leave_stale("k");
    assert_refused(&world.run("get k"), 3, "`sharehold show k`");
}

/// A missing `--` is named in the error.
#[test]
fn a_command_without_dashes() {
    let world = World::new();
    for words in ["lock k true", "acquire k jobs true"] {
        let said = world.run(words);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("behind `--`: -- true"), "{said:?}");
    }
    let said = world.run("lock k --tru");
    assert!(!said.err.contains("behind `--`"), "{said:?}");
}

/// Reading a value waits for nobody; changing it waits for its turn, and is not lost.
#[test]
fn a_value_whose_lock_is_held() {
    let world = World::new();
    world.create_job("k");
    let mut holder = world.hold("k");
    assert_eq!(world.ok("get k value"), "0\n");
    let waiting = world.sharehold(["incr", "k", "value"]);
    let said = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| crate::world::said(waiting));
        crate::world::until(|| world.ok("show k --json").contains("\"awaited\": true"));
        assert!(!waiting.is_finished());
        holder.stop();
        waiting.join().expect("no panic")
    });
    assert_eq!((said.code, said.out.as_str()), (0, "1\n"), "{said:?}");
}

#[test]
fn a_directory_that_is_missing() {
    let world = World::new();
    for words in COMMANDS.iter().chain(&["rm k"]) {
        let mut command = world.sharehold(words.split(' '));
        command.env("SHAREHOLD_DIR", world.path().join("none"));
        let said = outcome(command.output().expect("it starts"));
        assert_refused(&said, 3, "no segment has this key");
    }
    assert!(world.is_empty());
}

#[test]
fn a_damaged_segment() {
    for cut in [0, 100, 300, 3000] {
        let world = World::new();
        world.create_job("k");
        let file = fs::File::options().write(true).open(world.file("k"));
        file.and_then(|file| file.set_len(cut)).expect("it is ours");
        for words in COMMANDS {
            let said = world.run(words);
            assert_refused(&said, 5, "`sharehold rm k` removes it");
        }
    }
    let world = World::new();
    world.create_job("k");
    world.scribble("k");
    for words in COMMANDS {
        assert_refused(&world.run(words), 5, "`sharehold rm k` removes it");
    }
}

#[test]
fn a_segment_of_another_version() {
    let world = World::new();
    world.create_job("k");
    world.make_foreign("k");
    for words in COMMANDS {
        assert_refused(&world.run(words), 5, "format version 99");
    }
    world.ok("rm k");
}

#[test]
fn plain_bytes_where_a_value_is_asked_for() {
    let world = World::new();
    world.ok("create k --size 8");
    for words in [
        "get k value",
        "set k value 1",
        "incr k value",
        "cas k value 0 1",
    ] {
        assert_refused(&world.run(words), 5, "plain bytes");
    }
}

/// A value stays whole when any process dies, so it can be changed. The next `lock` reports the
/// death, because its command may guard files.
#[test]
fn a_value_whose_in_place_owner_died() {
    let world = World::new();
    world.create_job("k");
    let pid = world.abandon("k");
    let died = format!("pid {pid} (sh) died holding it");
    assert_eq!(world.ok("get k value"), "0\n");
    world.ok("set k value 1");
    world.ok("incr k value");
    world.ok("cas k value 2 3");
    assert_refused(&world.run("lock --strict k -- true"), 5, &died);
    assert_eq!(world.run("lock k -- true").code, 0);
    assert_eq!(world.run("lock --strict k -- true").code, 0);
    assert_eq!(world.ok("get k value"), "3\n");
}

#[test]
fn another_user() {
    assert!(
        geteuid().is_root(),
        "run as root: this test becomes another user"
    );
    let world = World::new();
    world.create_job("k");
    // Where the other user can run it from.
    let folder = TempDir::new_in("/dev/shm").expect("there is room");
    let program = folder.path().join("sharehold");
    copy_command(&program);
    for path in [folder.path(), &program] {
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(path, open).expect("it is ours");
    }
    let run = |words: &str, directory: &Path| {
        let mut command = world.command(program.to_str().expect("it is plain"));
        command
            .args(words.split(' '))
            .env("SHAREHOLD_DIR", directory)
            .current_dir("/")
            .uid(12_345)
            .gid(12_345);
        outcome(command.output().expect("it starts"))
    };
    for words in COMMANDS.iter().chain(&["rm k", "create k --size 8", "gc"]) {
        let said = run(words, &world.segments());
        assert_eq!(said.code, 6, "{words}: {said:?}");
        assert!(said.err.starts_with("sharehold: cannot "), "{said:?}");
    }
    assert_eq!(world.ok("get k value"), "0\n");
}

#[test]
fn an_error_without_anybody_to_hear_it() {
    let world = World::new();
    let mut shell = world.command("sh");
    shell.args(["-c", "sharehold get none >&- 2>&-; echo $?"]);
    let said = crate::world::said(shell);
    assert_eq!(said.out, "3\n", "{said:?}");
    world.create_job("k");
    let mut shell = world.command("sh");
    shell.args([
        "-c",
        "sharehold get k 2>&1 | :; sharehold incr k value | :; echo done",
    ]);
    let said = crate::world::said(shell);
    assert_eq!(
        (said.out.as_str(), said.err.as_str()),
        ("done\n", ""),
        "{said:?}"
    );
    assert_eq!(world.ok("get k value"), "1\n");
}

#[test]
fn numbers_below_zero_are_values() {
    let world = World::new();
    world.create_job("job");
    for (words, reason) in [
        ("create k --size -1", "`-1` is no size"),
        ("lock --timeout -1 k -- true", "`-1` is no time"),
        ("count --workers -1", "-1 is not in 1..=64"),
        ("count --to -1", "'-1' for '--to <TOTAL>'"),
        ("bench --seconds -5", "-5 is not in 1..=3600"),
    ] {
        let said = world.run(words);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(
            said.err.contains(reason) && !said.err.contains("tip:"),
            "{said:?}"
        );
    }
    world.ok("set job limit -7");
    assert_eq!(world.ok("get job limit"), "-7\n");
}

/// Each says what may be written instead, in this command's words.
#[test]
fn wrong_words_get_a_suggestion() {
    let world = World::new();
    for (words, told) in [
        ("create k", "--size <SIZE>|--fields <FIELDS>"),
        (
            "create k --size 10MB",
            "KiB, MiB, GiB or TiB (or K, M, G, T)",
        ),
        ("create k --size 1PiB", "KiB, MiB, GiB or TiB"),
        ("create k --size -1", "`-1` is no size"),
        ("create k --size 8 --group no-such-group", "`id -g`"),
        (
            "wait k --timeout 5d",
            "a number of seconds, or with ms, s, m or h",
        ),
        ("count --to 0", "`0` is no whole number from 1"),
        ("wait k n ~ 1", "==, !=, <, <=, >, >="),
    ] {
        let said = world.run(words);
        assert_eq!(said.code, 2, "{words}: {said:?}");
        assert!(said.err.contains(told), "{words}: {said:?}");
    }
    world.ok("create bytes --size 100 --max-size 200");
    world.create_job("job");
    let many = vec![b'x'; 2000];
    let said = world.feed("write bytes", &many);
    assert_refused(
        &said,
        1,
        "room for 100 of 100 bytes from 0 on, and standard input has more",
    );
    for (words, code, told) in [
        ("grow bytes 1000", 2, "create it with a larger `--max-size`"),
        (
            "create bytes --size 8",
            4,
            "`sharehold rm bytes` removes it",
        ),
        ("create new --size 0", 2, "at least one byte with `--size`"),
        (
            "incr bytes n",
            5,
            "`sharehold read` and `sharehold write` take its bytes",
        ),
        (
            "incr job value 300",
            1,
            "0 and 300 make a number that does not fit in u8",
        ),
        ("get none", 3, "`sharehold ls` lists the keys"),
    ] {
        assert_refused(&world.run(words), code, told);
    }
}

/// It is refused before memory is taken for it.
#[test]
fn a_value_without_room() {
    let world = World::new();
    let said = world.run("create k --fields name:text1000000000000");
    assert_refused(&said, 1, "takes 1.8 TiB of memory in its two copies");
    assert!(said.err.contains("has room for"), "{said:?}");
    assert!(world.is_empty());
}
