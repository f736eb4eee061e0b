//! `create`, `read`, `write`, `grow`, `rm`: segments and their bytes.

use std::io::Read;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::world::{World, assert_refused};

#[test]
fn bytes_come_back_as_they_were_written() {
    let world = World::new();
    world.ok("create plain --size 1KiB --max-size 1MiB");
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let said = world.feed("write plain --offset 24", &bytes);
    assert_eq!(said.code, 0, "{said:?}");
    let read = world
        .sharehold(["read", "plain", "--offset", "24"])
        .output();
    assert_eq!(read.expect("the command starts").stdout, bytes);
    let read = world
        .sharehold(["read", "plain", "--offset=25", "--length=3"])
        .output();
    assert_eq!(read.expect("the command starts").stdout, [1, 2, 3]);
    assert_eq!(
        world.ok("read plain --offset 24 --length 17 --hex"),
        "\
00000018  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|
00000028  10                                                |.|
"
    );
    assert_eq!(world.ok("read plain --offset 1024"), "");
}

#[test]
fn each_answers_programs() {
    let world = World::new();
    let json = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let made = json(&world.ok("create plain --size 8 --max-size 64 --json"));
    assert_eq!((&made["key"], &made["size"]), (&"plain".into(), &8.into()));
    assert_eq!(made["persistent"], true);
    let written = world.feed("write plain --offset 2 --json", b"AB\n");
    assert_eq!(json(&written.out), json!({"offset": 2, "written": 3}));
    assert_eq!(
        json(&world.ok("read plain --offset 1 --length 4 --json")),
        json!({"offset": 1, "length": 4, "bytes": "0041420a"})
    );
    assert_eq!(
        json(&world.ok("grow plain 64 --json")),
        json!({"key": "plain", "size": 64})
    );
    let removed = world.run("rm plain none --json");
    assert_eq!(removed.code, 3, "{removed:?}");
    let each = json!([{"key": "plain", "removed": true}, {"key": "none", "removed": false}]);
    assert_eq!(json(&removed.out), each);
}

/// What parts are made of is for them alone to change.
#[test]
fn parts_are_no_bytes() {
    let world = World::new();
    let _user = crate::uses::some_parts(&world);
    for words in ["read KEY", "write KEY"] {
        let said = world.run(&words.replace("KEY", crate::uses::KEY));
        assert_refused(&said, 5, "parts");
    }
}

#[test]
fn a_typed_value_is_written_in_time_or_not_at_all() {
    let world = World::new();
    world.create_job("k");
    let _holder = world.hold("k");
    let said = world.feed("write k --timeout 0", &[1]);
    assert_refused(&said, 4, "lives and still holds it");
    assert_eq!(world.ok("get k value"), "0\n");
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let world = World::new();
    world.ok("create plain --size 16");
    assert_eq!(world.feed("write plain", &[7; 16]).code, 0);
    for (words, len) in [
        ("write plain", 17),
        ("write plain --offset 1", 16),
        ("write plain --offset 17", 0),
        ("write plain --offset 17179869184G", 0),
    ] {
        let said = world.feed(words, &vec![9; len]);
        assert!([1, 2].contains(&said.code), "{words}: {said:?}");
    }
    assert_refused(
        &world.run("read plain --length 17"),
        1,
        "there are 16 bytes",
    );
    assert_refused(
        &world.run("read plain --offset 17"),
        1,
        "there are 16 bytes",
    );
    let read = world.sharehold(["read", "plain"]).output();
    assert_eq!(read.expect("the command starts").stdout, [7; 16]);
    // Nothing to write is written.
    assert_eq!(world.feed("write plain --offset 16", &[]).code, 0);
}

#[test]
fn a_typed_value_is_written_whole_or_not_at_all() {
    let world = World::new();
    let fields = "open:bool, count:u8";
    assert_eq!(
        world.run_with(["create", "typed", "--fields", fields]).code,
        0
    );
    assert_eq!(world.feed("write typed", &[1, 200]).code, 0);
    assert_refused(&world.feed("write typed", &[2, 0]), 5, "`open`");
    assert_eq!(world.feed("write typed --offset 1", &[201]).code, 0);
    let read = world.sharehold(["read", "typed"]).output();
    assert_eq!(read.expect("the command starts").stdout, [1, 201]);
}

#[test]
fn segments_grow_as_far_as_was_said() {
    let world = World::new();
    world.ok("create plain --size 4KiB --max-size 64KiB");
    world.ok("grow plain 16K");
    assert_eq!(world.ok("read plain").len(), 16 << 10);
    world.ok("grow plain 1");
    assert_eq!(world.ok("read plain").len(), 16 << 10);
    assert_refused(&world.run("grow plain 65KiB"), 2, "its largest size, 65536");
    assert_refused(&world.run("grow none 65KiB"), 3, "no segment has this key");
}

#[test]
fn create_refuses_what_cannot_be() {
    let world = World::new();
    for (words, code, reason) in [
        ("create plain --size 0", 2, "its size is 0"),
        (
            "create plain --size 8 --max-size 4",
            2,
            "its largest size, 4",
        ),
        ("create plain --size 8 --slots 0", 2, "0 slots"),
        ("create plain --size 8 --mode 0060", 2, "mode 0060"),
        ("create plain --size 1048576T", 1, "no memory left for it"),
        ("create plain --fields count", 2, "not NAME:KIND"),
        (
            "create plain --fields count:u9",
            2,
            "`u9` is not a kind: the kinds are",
        ),
        (
            "create plain --fields a:u8,a:u8",
            2,
            "two fields have the name `a`",
        ),
        (
            "create plain --fields text:text",
            2,
            "`text` is not a kind: the kinds are",
        ),
    ] {
        assert_refused(&world.run(words), code, reason);
    }
    for words in [
        "create plain",
        "create plain --size 8 --fields a:u8",
        "create plain --fields a:u8 --max-size 8",
        "create plain --size x",
        "create plain --mode 999 --size 1",
    ] {
        assert_eq!(world.run(words).code, 2, "{words}");
    }
    assert!(world.is_empty());
    world.ok("create plain --size 8");
    assert_refused(
        &world.run("create plain --size 8"),
        4,
        "it exists and is persistent",
    );
    assert_refused(
        &world.run_with(["create", "", "--size", "8"]),
        2,
        "it is empty",
    );
}

#[test]
fn any_key_is_a_key() {
    let world = World::new();
    for key in ["../../etc/passwd", "a b", "日本語", "-x", "\u{1b}[2J"] {
        let said = world.run_with(["create", "--size", "8", "--", key]);
        assert_eq!(said.code, 0, "{key}: {said:?}");
        let said = world.run_with(["rm", "--", key]);
        assert_eq!(said.code, 0, "{key}: {said:?}");
    }
    assert!(world.is_empty());
}

#[test]
fn rm_spares_what_is_used_unless_forced() {
    let world = World::new();
    world.ok("create used --size 8");
    world.ok("create free --size 8");
    let holder = world.hold("used");
    let said = world.run("rm free used none");
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.err
            .contains("cannot remove `used`: other processes are still attached"),
        "{said:?}"
    );
    assert!(said.err.contains("cannot remove `none`"), "{said:?}");
    assert_refused(
        &world.run("rm --wait 10ms used"),
        4,
        "other processes are still attached",
    );
    drop(holder);
    world.ok("rm --wait 30s used");
    assert!(world.is_empty());

    world.ok("create used --size 8");
    let _holder = world.hold("used");
    world.ok("rm --force used");
    assert!(world.is_empty());
}

#[test]
fn rm_removes_what_is_damaged() {
    let world = World::new();
    world.ok("create damaged --size 8");
    world.scribble("damaged");
    world.ok("rm damaged");
    assert!(world.is_empty());
}

#[test]
fn a_reader_that_goes_is_no_failure() {
    let world = World::new();
    world.ok("create plain --size 4MiB");
    let mut command = world.sharehold(["read", "plain"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = child.stdout.take().expect("it is piped");
    out.read_exact(&mut [0; 100]).expect("it writes");
    drop(out);
    let said = crate::world::outcome(child.wait_with_output().expect("it is a child"));
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    world.ok("rm plain");
}

#[test]
fn an_abandoned_segment_is_read_with_a_warning_and_made_whole_by_a_whole_write() {
    let world = World::new();
    world.ok("create plain --size 8");
    let pid = world.abandon("plain");
    let died = format!("pid {pid} (sh) died holding it");
    let said = world.run("read plain");
    assert_eq!((said.code, said.out.len()), (0, 8), "{said:?}");
    assert!(said.err.contains(&died), "{said:?}");
    let said = world.feed("write plain", &[1; 4]);
    assert!(said.code == 0 && said.err.contains(&died), "{said:?}");
    let said = world.feed("write plain", &[1; 8]);
    assert!(said.code == 0 && said.err.contains(&died), "{said:?}");
    let said = world.run("read plain");
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
}

#[test]
fn a_held_lock_is_waited_for_no_longer_than_asked() {
    let world = World::new();
    world.ok("create plain --size 8");
    let mut holder = world.hold("plain");
    let held = format!("pid {} (sh) lives and still holds it", holder.0.id());
    assert_refused(&world.run("read plain --timeout 20ms"), 4, &held);
    assert_refused(&world.feed("write plain --timeout 0", &[1]), 4, &held);
    holder.kill();
    assert_eq!(world.run("read plain --timeout 30").code, 0);
}

/// All commands show the size of a value as the number of its bytes.
#[test]
fn all_commands_show_the_same_size() {
    let world = World::new();
    world.ok("create k --fields a:u64,b:u32,c:u32");
    assert!(world.ok("ls").contains(" 16 B "), "{}", world.ok("ls"));
    assert!(world.ok("show k").contains("16 B of data in two copies"));
    let shown: Value = serde_json::from_str(&world.ok("show k --json")).expect("JSON");
    assert_eq!(
        (&shown["size"], &shown["max_size"]),
        (&16.into(), &16.into())
    );
    assert_eq!(world.ok("read k").len(), 16);
    let refused = world.feed("write k", &[0; 17]);
    assert_refused(&refused, 1, "there is room for 16 of 16 bytes");
}
