//! `gc` and `doctor`: what is of no use, and what is wrong.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::alone::alone;
use crate::world::World;

pub(crate) fn findings(world: &World, code: i32) -> Vec<Value> {
    let said = world.run("doctor --json");
    assert_eq!(said.code, code, "{said:?}");
    serde_json::from_str(&said.out).expect("JSON")
}

/// What is wrong: subject, detail and advice of each finding.
pub(crate) fn wrong(world: &World) -> Vec<[String; 3]> {
    let found = findings(world, 1);
    let wrong = found.iter().filter(|it| it["verdict"] == "wrong");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    wrong
        .map(|it| {
            [
                text(&it["subject"]),
                text(&it["detail"]),
                text(&it["advice"]),
            ]
        })
        .collect()
}

#[test]
fn stale_segments_are_removed_and_nothing_else() {
    let world = World::new();
    assert_eq!(world.ok("gc"), "there is nothing to remove\n");
    world.ok("create persistent --size 8");
    world.ok("create damaged --size 8");
    world.scribble("damaged");
    world.leave_stale("stale");
    world.ok("create held --size 8");
    let _holder = world.hold("held");
    let said = world.ok("gc --dry-run");
    assert!(said.starts_with("would remove stale ("), "{said}");
    assert!(said.ends_with("): its users have all died\n"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let removed: Value = serde_json::from_str(&world.ok("gc --json")).expect("JSON");
    assert_eq!(removed[0]["key"], "stale");
    assert_eq!(removed[0]["removed"], true);
    assert_eq!(removed.as_array().map(Vec::len), Some(1));
    assert_eq!(world.ok("gc"), "there is nothing to remove\n");
    for key in ["persistent", "damaged", "held"] {
        assert!(world.file(key).exists());
    }
}

#[test]
fn stale_segments_of_another_format_are_removed() {
    let world = World::new();
    world.leave_stale("stale");
    world.make_foreign("stale");
    world.ok("create kept --size 8");
    world.make_foreign("kept");
    let removed: Value = serde_json::from_str(&world.ok("gc --json")).expect("JSON");
    // Only the name of its file is known.
    let key = removed[0]["key"].as_str().expect("it has a name");
    assert!(key.starts_with("stale."), "{key}");
    assert_eq!(removed.as_array().map(Vec::len), Some(1));
    assert!(world.file("kept").exists());
}

#[test]
fn an_older_format_is_exported() {
    let world = World::new();
    world.create_job("job");
    world.ok("set job limit 7");
    let json = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let value = json(&world.ok("get --json job"));
    world.make_of_version("job", 3);
    assert_eq!(world.run("get job").code, 5);
    let exported = json(&world.ok("export job"));
    assert_eq!(exported["format_version"], 3);
    assert_eq!(exported["value"], value);
    let schema = exported["schema"].as_str().expect("it is text");
    assert!(schema.contains("limit"), "{schema}");

    world.ok("create plain --size 4");
    let exported = json(&world.ok("export plain"));
    assert_eq!(exported["bytes"], "00000000");
    assert_eq!(exported["is_consistent"], true);
    assert_eq!(world.ok("export --raw plain"), "\0\0\0\0");
    assert_eq!(world.run("export nobody").code, 3);
    world.make_foreign("plain");
    assert_eq!(world.run("export plain").code, 5);
}

#[test]
fn a_stale_segment_is_spared_if_its_key_was_taken_again() {
    let world = World::new();
    world.leave_stale("stale");
    world.ok("create stale --size 8");
    assert_eq!(world.ok("gc"), "there is nothing to remove\n");
    assert_eq!(world.ok("read stale").len(), 8);
}

alone! {
    fn a_healthy_system_is_well() {
        let world = World::new();
        world.ok("create persistent --size 8");
        world.create_job("com.example.job");
        let _holder = world.hold("persistent");
        let found = findings(&world, 0);
        let is_well = |subject: &str| {
            let mut well = found.iter().filter(|it| it["verdict"] != "wrong");
            well.any(|it| {
                it["subject"]
                    .as_str()
                    .is_some_and(|it| it.starts_with(subject))
            })
        };
        for subject in [
            "system",
            "directory ",
            "memory",
            "trial",
            "segments",
            "inotify",
            "limit of open files",
        ] {
            assert!(is_well(subject), "{subject}: {found:?}");
        }
        let text = world.ok("doctor");
        assert!(text.ends_with("all is well\n"), "{text}");
        assert!(
            !text.contains('\u{1b}'),
            "there are colours in a pipe: {text:?}"
        );
    }
}

alone! {
    fn each_thing_that_is_wrong_comes_with_what_to_do() {
        let world = World::new();
        for key in ["abandoned", "damaged", "foreign", "stopped"] {
            world.ok(&format!("create {key} --size 8"));
        }
        world.ok("create full --size 8 --slots 1");
        let died = world.abandon("abandoned");
        world.scribble("damaged");
        world.make_foreign("foreign");
        world.leave_stale("stale");
        let _user = world.hold("full");
        let stopped = world.hold("stopped");
        kill_process(Pid::from_child(&stopped.0), Signal::STOP).expect("it is a child");

        let wrong = wrong(&world);
        let one = |subject: &str| {
            let mut found = wrong.iter().filter(|it| it[0].contains(subject));
            let first = found
                .next()
                .unwrap_or_else(|| panic!("{subject} is not in {wrong:?}"));
            assert_eq!(found.next(), None);
            first
        };
        let is = |subject: &str, detail: &str, advice: &str| {
            let found = one(subject);
            assert!(found[1].contains(detail), "`{detail}` is not in {found:?}");
            assert!(found[2].contains(advice), "`{advice}` is not in {found:?}");
        };
        is(
            "abandoned",
            &format!("pid {died} (sh) died holding its lock"),
            "the next process that locks it",
        );
        is(
            "damaged",
            "does not begin as a segment does",
            "remove the file",
        );
        is("foreign", "format version 99", "remove the file");
        is("stale", "its users have all died", "`sharehold gc`");
        is("full", "1 of its 1 slots", "more slots");
        is(
            "stopped",
            "is stopped and holds its lock",
            &format!("kill -CONT {}", stopped.0.id()),
        );
        assert_eq!(wrong.len(), 6, "{wrong:?}");

        // A process that has repaired the data marks them consistent.
        assert_eq!(world.run("lock abandoned -- false").code, 1);
        let told = world.run("doctor");
        let advice = "then mark them consistent with `sharehold lock abandoned -- true`";
        assert!(told.out.contains(advice), "{told:?}");
        assert!(told.out.ends_with("6 things are wrong\n"), "{told:?}");
        assert_eq!(world.run("lock abandoned -- true").code, 0);
        assert!(!world.run("doctor").out.contains("segment abandoned"));
    }
}

#[test]
fn an_untrusted_directory_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let open = fs::Permissions::from_mode(0o777);
    world.ok("create k --size 8");
    fs::set_permissions(world.segments(), open).expect("it is ours");
    let wrong = wrong(&world);
    assert!(
        wrong.iter().any(|it| it[1].contains("chmod go-w")),
        "{wrong:?}"
    );
}

#[test]
fn an_impossible_directory_is_reported() {
    let world = World::new();
    let nowhere = world.path().join("none/deeper");
    let mut command = world.sharehold(["doctor"]);
    let said = crate::world::said({
        command.env("SHAREHOLD_DIR", nowhere);
        command
    });
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("set SHAREHOLD_DIR to another"),
        "{said:?}"
    );
}
