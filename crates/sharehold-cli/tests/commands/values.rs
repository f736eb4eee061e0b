//! `get`, `set`, `incr`, `cas`: fields of a typed value.

use std::thread;

use serde_json::{Value, json};

use crate::world::{World, assert_refused};

const KEY: &str = "com.example.job";

fn world() -> World {
    let world = World::new();
    world.create_job(KEY);
    world
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn get_prints_fields_and_the_whole() {
    let world = world();
    assert_eq!(
        world.ok("get com.example.job"),
        "\
FIELD  VALUE
value  0
limit  0
rate   0.0
open   false
name
marks  [0, 0]
state  Idle
"
    );
    assert_eq!(world.ok("get com.example.job state"), "Idle\n");
    assert_eq!(world.ok("get com.example.job marks[1]"), "0\n");
    assert!(world.ok("get com.example.job .").starts_with("{value: 0, "));
    let all = json(&world.ok("get --json com.example.job"));
    assert_eq!(all["marks"], json!([0, 0]));
    assert_eq!(all["state"], "Idle");
    assert_eq!(
        json(&world.ok("get --json com.example.job rate")),
        json!(0.0)
    );
}

/// JSON has the fields in the order in which they were declared, as the text has.
#[test]
fn json_keeps_the_order_of_fields() {
    let world = World::new();
    world.ok("create k --fields zone:u8,area:u8,name:u8");
    let said = world.ok("get k --json");
    let at = |name: &str| said.find(&format!("\"{name}\"")).expect("it is there");
    assert!(at("zone") < at("area") && at("area") < at("name"), "{said}");
    let changed = world.ok("set k zone=1 area=2 --json");
    assert!(changed.find("zone") < changed.find("area"), "{changed}");
}

#[test]
fn set_changes_one_field() {
    let world = world();
    for (field, value) in [
        ("value", "255"),
        ("limit", "-7"),
        ("rate", "-1.5"),
        ("open", "true"),
        ("name", "a \"b\" c"),
        ("marks", "[7, 8]"),
        ("marks[0]", "9"),
        ("state", "Busy"),
    ] {
        let said = world.run_with(["set", KEY, field, value]);
        assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");
        let said = world.run_with(["get", KEY, field]);
        assert_eq!(said.out, format!("{value}\n"));
    }
    assert_eq!(world.ok("get com.example.job marks"), "[9, 8]\n");
    let changed = json(&world.ok("set --json com.example.job value 1"));
    assert_eq!(changed, json!({"before": 255, "after": 1}));
}

#[test]
fn what_a_field_cannot_have_changes_nothing() {
    let world = world();
    let before = world.ok("get com.example.job");
    for (field, value, reason) in [
        ("value", "256", "a whole number from 0 to 255"),
        ("value", "-1", "a whole number from 0 to 255"),
        ("open", "yes", "neither `true` nor `false`"),
        ("state", "Bsy", "is not one of Idle, Busy"),
        ("name", "123456789", "at most 8 fit"),
        ("marks", "[1]", "has 2 elements, but 1 are given"),
    ] {
        assert_refused(&world.run_with(["set", KEY, field, value]), 2, reason);
    }
    assert_refused(
        &world.run("set com.example.job marks[2] 1"),
        3,
        "no element 2",
    );
    assert_refused(
        &world.run("set com.example.job valeu 1"),
        3,
        "did you mean `value`?",
    );
    assert_refused(
        &world.run("set com.example.job value=1 value=2"),
        2,
        "`value` is named twice",
    );
    assert_refused(
        &world.run("get com.example.job xyz"),
        3,
        "its fields are value, ",
    );
    assert_eq!(world.ok("get com.example.job"), before);
}

#[test]
fn incr_adds_and_never_wraps() {
    let world = world();
    assert_eq!(world.ok("incr com.example.job value"), "1\n");
    assert_eq!(world.ok("incr com.example.job value 250"), "251\n");
    assert_eq!(world.ok("incr com.example.job value -1"), "250\n");
    assert_eq!(world.ok("incr com.example.job limit -300"), "-300\n");
    assert_eq!(world.ok("incr com.example.job rate 0.5"), "0.5\n");
    assert_eq!(world.ok("incr com.example.job marks[1] 65535"), "65535\n");
    for words in [
        "value 6",
        "value -251",
        "limit -32500",
        "value 170141183460469231731687303715884105727",
        "marks[1]",
    ] {
        let said = world.run(&format!("incr com.example.job {words}"));
        assert_refused(&said, 1, "nothing is changed");
    }
    assert_refused(
        &world.run("incr com.example.job name"),
        2,
        "it is no number",
    );
    assert_refused(
        &world.run("incr com.example.job value 1.5"),
        2,
        "is no number to add",
    );
    assert_eq!(world.ok("get com.example.job value"), "250\n");
    let changed = json(&world.ok("incr --json com.example.job value 5"));
    assert_eq!(changed, json!({"before": 250, "after": 255}));
}

#[test]
fn concurrent_increments_are_all_counted() {
    let world = world();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    world.ok("incr com.example.job marks[0]");
                }
            });
        }
    });
    assert_eq!(world.ok("get com.example.job marks[0]"), "200\n");
}

#[test]
fn one_of_many_concurrent_cas_succeeds() {
    let world = world();
    let codes: Vec<i32> = thread::scope(|scope| {
        let contenders: Vec<_> = (1..=8)
            .map(|id| {
                let world = &world;
                scope.spawn(move || world.run(&format!("cas com.example.job value 0 {id}")).code)
            })
            .collect();
        let codes = contenders
            .into_iter()
            .map(|it| it.join().expect("no panic"));
        codes.collect()
    });
    assert_eq!(
        codes.iter().filter(|&&code| code == 0).count(),
        1,
        "{codes:?}"
    );
    assert!(
        codes.iter().all(|&code| [0, 4].contains(&code)),
        "{codes:?}"
    );
}

#[test]
fn cas_says_what_it_found() {
    let world = world();
    let said = world.run("cas com.example.job state Idle Busy");
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");
    let said = world.run("cas com.example.job state Idle Busy");
    assert_eq!((said.code, said.out.as_str()), (4, "Busy\n"), "{said:?}");
    let said = world.run("cas --json com.example.job state Idle Busy");
    assert_eq!((said.code, json(&said.out)), (4, json!({"found": "Busy"})));
    // Compared as values: 00 is 0.
    assert_eq!(world.run("cas com.example.job value 00 7").code, 0);
    assert_refused(
        &world.run("cas com.example.job state Idel Busy"),
        2,
        "`Idel`",
    );
    assert_refused(
        &world.run("cas com.example.job state Busy Idel"),
        2,
        "`Idel`",
    );
    // Also where another value stands than the expected one.
    assert_refused(
        &world.run("cas com.example.job state Idle Idel"),
        2,
        "`Idel`",
    );
}

/// A held lock keeps a change waiting for as long as one likes.
#[test]
fn a_change_waits_no_longer_than_its_timeout() {
    let world = world();
    let holder = world.hold(KEY);
    let pid = holder.0.id();
    for words in [
        "set com.example.job value 1",
        "incr com.example.job value",
        "cas com.example.job value 0 1",
    ] {
        for limit in ["0", "20ms"] {
            let said = world.run(&format!("{words} --timeout {limit}"));
            assert_refused(
                &said,
                4,
                &format!("pid {pid} (sh) lives and still holds it"),
            );
        }
    }
    assert_eq!(world.ok("get com.example.job value"), "0\n");
    drop(holder);
    assert_eq!(world.run("lock com.example.job -- true").code, 0);
    assert_eq!(world.ok("incr com.example.job value --timeout 30"), "1\n");
}

#[test]
fn kinds_need_no_spaces() {
    let world = World::new();
    let said = world.run_with([
        "create",
        "k",
        "--fields",
        "a:[u32;4],b:enum u8 {No=0,Yes=1}",
    ]);
    assert_eq!(said.code, 0, "{said:?}");
    let shown = world.ok("show k");
    assert!(
        shown.contains("[u32; 4]") && shown.contains("enum u8 {No=0, Yes=1}"),
        "{shown}"
    );
}

/// What `get --json` prints, `set --json` takes: of every kind, and not only numbers that JSON has.
#[test]
fn json_goes_in_as_it_came_out() {
    let world = World::new();
    let fields = "open:bool, small:u8, large:u128, low:i128, rate:f64, part:f32, name:text32, \
                  state:enum i16 {Idle=-1, Busy=1}, marks:[u16; 2], names:List<Text<8>, 3>, \
                  tail:u8";
    assert_eq!(
        world.run_with(["create", "from", "--fields", fields]).code,
        0
    );
    assert_eq!(world.run_with(["create", "to", "--fields", fields]).code, 0);
    let large = u128::MAX.to_string();
    let low = i128::MIN.to_string();
    for pairs in [
        [
            "open=true",
            "small=255",
            &format!("large={large}"),
            &format!("low={low}"),
            "rate=NaN",
        ],
        [
            "part=0.1",
            "name=a \"b\" \\ \u{e4}",
            "state=Busy",
            "marks=[1, 65535]",
            "tail=1",
        ],
        [
            "names=[\"a\\\"b\", \"\u{e4}\"]",
            "small=7",
            "rate=-inf",
            "part=-0.0",
            "state=Idle",
        ],
    ] {
        let command = ["set", "from"].into_iter().chain(pairs);
        let changed = crate::world::said(world.sharehold(command));
        assert_eq!(changed.code, 0, "{changed:?}");
        let json = world.ok("get from --json");
        assert!(!json.contains("reserved"), "{json}");
        let changed = world.run_with(["set", "to", ".", &json, "--json"]);
        assert_eq!(changed.code, 0, "{changed:?}");
        assert_eq!(world.ok("get to --json"), json);
        assert_eq!(world.ok("get to ."), world.ok("get from ."));
    }
    // Part of an object changes part of the value; anything wrong changes nothing.
    assert_eq!(
        world
            .run_with(["set", "to", ".", "{\"small\": 9}", "--json"])
            .code,
        0
    );
    assert_eq!(world.ok("get to small"), "9\n");
    for (path, json, code) in [
        (".", "{\"small\": 1, \"tail\": 256}", 2),
        (".", "{\"small\": 1, \"tial\": 2}", 3),
        ("marks", "[1]", 2),
        ("open", "1", 2),
        ("small", "1,", 2),
    ] {
        let said = world.run_with(["set", "to", path, json, "--json"]);
        assert_eq!(said.code, code, "{json}: {said:?}");
    }
    assert_eq!(world.ok("get to small"), "9\n");
}

/// Several fields change together, or none of them.
#[test]
fn several_fields_in_one_update() {
    let world = World::new();
    world.create_job("k");
    world.ok("set k value=1 limit=-2 open=true --timeout 1s");
    assert_eq!(world.ok("get k limit"), "-2\n");
    let version = |world: &World| json(&world.ok("show k --json"))["version"].clone();
    let before = version(&world);
    assert_eq!(world.run("set k value=2 limit=100000").code, 2);
    assert_eq!(world.run("set k value=2 limit").code, 2);
    assert_eq!(world.ok("get k value"), "1\n");
    assert_eq!(version(&world), before);
    let changed = json(&world.ok("set k value=2 rate=0.5 --json"));
    assert_eq!(changed["value"], json!({"before": 1, "after": 2}));
    // The first one may have its value beside it.
    world.ok("set k value 3 limit=-3 rate=1.5");
    assert_eq!(world.ok("get k limit"), "-3\n");
    assert_eq!(world.ok("get k value"), "3\n");
    // A text may look like an assignment.
    world.ok("set k name a=b");
    assert_eq!(world.ok("get k name"), "a=b\n");
}
