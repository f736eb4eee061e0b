//! Holders, waiters, dead owners and wait cycles, as `show`, `top` and `doctor` report them for
//! processes that really hold, wait and die.

use std::env;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::mem::forget;
use std::process::{ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};
use sharehold::{
    Barrier, BarrierOptions, DeathPolicy, Event, Mutex, OnceLock, Part, ResetMode, RwLock, Segment,
    Semaphore, Shareable,
};

use crate::repair::{findings, wrong};
use crate::screen::Screen;
use crate::world::{Holder, World, until};

pub(crate) const KEY: &str = "com.example.family";
/// Set in the process that is a peer.
const PEER: &str = "SHAREHOLD_COMMANDS_PEER";

#[derive(Shareable)]
#[repr(C)]
struct Limits {
    least: i32,
    most: i32,
}

#[derive(Part)]
struct Family {
    total: Mutex<u64>,
    limits: RwLock<Limits>,
    jobs: Semaphore,
    ready: Event,
    start: Barrier,
    table: OnceLock<u64>,
}

fn first() -> FamilyInit {
    FamilyInit {
        total: 5,
        limits: Limits { least: -1, most: 9 },
        jobs: 3,
        ready: ResetMode::Manual,
        start: BarrierOptions {
            participants: 2,
            death_policy: DeathPolicy::BreakRound,
        },
        table: (),
    }
}

/// The process that is a peer: it takes what it is told to take, and keeps it. As a test, it does
/// nothing.
#[test]
fn peer() {
    if env::var_os(PEER).is_none() {
        return;
    }
    let mut segments = Vec::new();
    let family = Family::open_or_create(KEY, first).expect("it is there, or can be");
    // The test harness has begun a line.
    println!();
    for line in stdin().lock().lines() {
        let line = line.expect("orders are text");
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["lock", key] => {
                let segment = Segment::attach(key).expect("it is there");
                let segment = segments.push_mut(Box::leak(Box::new(segment)));
                forget(segment.lock());
            }
            ["total"] => forget(family.total.lock()),
            ["read"] => forget(family.limits.read()),
            ["write"] => forget(family.limits.write()),
            ["take"] => family
                .jobs
                .acquire_many(2)
                .expect("there are some")
                .forget(),
            ["set"] => family.ready.set().expect("it is no fork"),
            ["meet"] => drop(family.start.wait()),
            ["make"] => drop(family.table.get_or_init(|| 7)),
            _ => panic!("`{line}` is no order"),
        }
        let mut out = stdout().lock();
        writeln!(out, "= {line}").expect("somebody listens");
    }
}

/// A segment of parts, as long as the process lives.
pub(crate) fn some_parts(world: &World) -> Peer {
    let mut peer = Peer::start(world);
    peer.takes("set");
    peer
}

/// A peer that runs.
pub(crate) struct Peer {
    process: Holder,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(world: &World) -> Peer {
        let own = env::current_exe().expect("this program has a path");
        let mut command = world.command(own.to_str().expect("it is plain"));
        command
            .args(["--exact", "uses::peer", "--nocapture"])
            .env(PEER, "1")
            .stdin(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        Peer {
            orders: process.stdin.take().expect("it is piped"),
            answers: BufReader::new(process.stdout.take().expect("it is piped")),
            process: Holder(process),
        }
    }

    fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Gives an order that may take its time.
    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("it listens");
    }

    /// Waits until an order is done.
    fn has(&mut self, order: &str) {
        let answer = format!("= {order}\n");
        let mut line = String::new();
        while line != answer {
            line.clear();
            let read = self.answers.read_line(&mut line).expect("it is whole");
            assert_ne!(read, 0, "it has ended");
        }
    }

    fn takes(&mut self, order: &str) {
        self.order(order);
        self.has(order);
    }

    fn kill(&mut self) {
        self.process.kill();
    }
}

fn shown(world: &World, key: &str) -> Value {
    serde_json::from_str(&world.ok(&format!("show {key} --json"))).expect("JSON")
}

fn part(world: &World, path: &str) -> Value {
    let shown = shown(world, KEY);
    let parts = shown["parts"].as_array().expect("there are some");
    let found = parts.iter().find(|it| it["path"] == path);
    found.expect("it is one of them").clone()
}

/// Waits until these processes are seen to wait for a part, the longest first.
fn until_waiting(world: &World, path: &str, pids: &[u32]) {
    until(|| {
        let part = part(world, path);
        let waiters = part["waiters"].as_array().expect("a list");
        waiters.iter().map(|it| &it["pid"]).eq(pids)
    });
}

/// The line of `show` that begins with these words, in words.
fn line(text: &str, words: &str) -> String {
    let mut lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let found = lines.find(|line| line.starts_with(words));
    found.unwrap_or_else(|| panic!("no line `{words}` in:\n{text}"))
}

/// What a segment remembers of the name of this test's program.
fn program() -> String {
    let own = env::current_exe().expect("this program has a path");
    let name = own.file_name().expect("it is a file").to_string_lossy();
    name.chars().take(16).collect()
}

#[test]
fn each_part_names_its_holders() {
    let world = World::new();
    let mut one = Peer::start(&world);
    for order in ["total", "read", "read", "take", "set", "make"] {
        one.takes(order);
    }
    let mut two = Peer::start(&world);
    two.takes("read");
    two.order("meet");
    until(|| part(&world, "start")["arrived"] != json!([]));
    let (a, b) = (one.pid(), two.pid());
    let text = world.ok(&format!("show {KEY}"));
    let is = |name: &str, words: &str| {
        let words = words.replace("commands", &program());
        assert_eq!(
            line(&text, &format!("{name} ")),
            format!("{name} {words}"),
            "{text}"
        );
    };
    is(
        "total",
        &format!(
            "Mutex held by {a} commands, thread {}",
            thread(&world, "total", "lock")
        ),
    );
    is(
        "limits",
        &format!("RwLock read by {a} commands (2), {b} commands"),
    );
    is(
        "jobs",
        &format!("Semaphore 1 of 3 left, taken by {a} commands (2)"),
    );
    is("ready", "Event set");
    is("start", &format!("Barrier 1 of 2 here: {b} commands"));
    is("table", "OnceLock made");
    assert!(
        !text.contains("no value") && !text.contains("WAITING"),
        "{text}"
    );

    // What they guard, and what nobody has made yet is not there.
    for (field, kind, value) in [
        ("total", "u64", "5"),
        ("limits.least", "i32", "-1"),
        ("limits.most", "i32", "9"),
        ("table", "u64", "7"),
    ] {
        let words = format!("{field} {kind} {value}");
        assert_eq!(line(&text, &words), words, "{text}");
    }
    assert_eq!(
        part(&world, "limits")["value"],
        json!({"least": -1, "most": 9})
    );

    let total = part(&world, "total");
    assert_eq!(total["value"], 5);
    assert_eq!(
        shown(&world, KEY)["version"],
        Value::Null,
        "there are several"
    );
    assert_eq!(
        (&total["kind"], &total["lock"]["state"]),
        (&json!("Mutex"), &json!("held"))
    );
    assert_eq!(total["lock"]["holder"]["pid"], a);
    let readers = part(&world, "limits")["readers"].clone();
    assert_eq!(
        (&readers[0]["pid"], &readers[0]["count"]),
        (&json!(a), &json!(2))
    );
    let jobs = part(&world, "jobs");
    assert_eq!(
        (&jobs["permits"], &jobs["holders"][0]["count"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(part(&world, "ready")["set"], true);
    assert_eq!(part(&world, "start")["participants"], 2);
    assert_eq!(part(&world, "table")["made"], true);
}

/// The thread that holds a part.
fn thread(world: &World, path: &str, lock: &str) -> u64 {
    let part = part(world, path);
    part[lock]["thread"].as_u64().expect("it is known")
}

#[test]
fn waiters_for_a_part_are_listed_with_their_waiting_times() {
    let world = World::new();
    let mut holder = Peer::start(&world);
    holder.takes("total");
    holder.takes("read");
    let mut waiter = Peer::start(&world);
    waiter.order("total");
    until_waiting(&world, "total", &[waiter.pid()]);
    let mut writer = Peer::start(&world);
    writer.order("write");
    until_waiting(&world, "limits", &[writer.pid()]);

    let total = part(&world, "total");
    assert!(
        total["waiters"][0]["waits_ms"]
            .as_f64()
            .is_some_and(|ms| ms > 0.0),
        "{total}"
    );
    assert!(total["waiters"][0]["thread"].is_u64(), "{total}");
    assert!(total["lock"]["seen_since"].is_string(), "{total}");
    let text = world.ok(&format!("show {KEY}"));
    assert!(line(&text, "total ").ends_with("s or longer"), "{text}");
    let limits = line(&text, "limits ");
    let both = format!("RwLock to write, held by {}", writer.pid());
    assert!(limits.contains(&both), "{text}");
    assert!(
        limits.contains(&format!("; still read by {}", holder.pid())),
        "{text}"
    );
    assert_eq!(
        line(&text, "WAITING "),
        "WAITING PROGRAM THREAD WHAT SINCE FOR"
    );
    for (pid, path) in [(waiter.pid(), "total"), (writer.pid(), "limits")] {
        let waits = text.lines().find(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.first() == Some(&&*pid.to_string()) && words.get(3) == Some(&path)
        });
        assert!(
            waits.is_some_and(|line| line.ends_with('s')),
            "{path}: {text}"
        );
    }
    // No process waits any longer.
    writer.kill();
    holder.kill();
    waiter.has("total");
    assert_eq!(part(&world, "total")["waiters"], json!([]));
}

#[test]
fn waiters_for_the_lock_are_listed() {
    let world = World::new();
    world.ok("create k --size 8");
    let holder = world.hold("k");
    let mut waiters = Vec::new();
    for number in 1..=2 {
        let command = world.sharehold(["lock", "k", "--", "true"]).spawn();
        waiters.push(Holder(command.expect("it starts")));
        until(|| {
            let seen = shown(&world, "k");
            seen["lock"]["waiters"].as_array().map(Vec::len) == Some(number)
        });
    }
    let lock = shown(&world, "k")["lock"].clone();
    for (seen, waiter) in lock["waiters"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(&waiters)
    {
        assert_eq!(
            (&seen["pid"], &seen["executable"]),
            (&json!(waiter.0.id()), &json!("true"))
        );
    }
    let text = world.ok("show k");
    let said = line(&text, "lock ");
    let held = format!("lock held by {} sh, for ", holder.0.id());
    assert!(said.starts_with(&held), "{text}");
    assert!(
        said.ends_with("s or longer, changes data in place, 2 waiting"),
        "{text}"
    );
    let waits = line(&text, &format!("{} true - the lock", waiters[0].0.id()));
    assert!(waits.ends_with('s'), "{text}");
    let listed: Value = serde_json::from_str(&world.ok("ls --json")).expect("JSON");
    assert_eq!(listed[0]["lock"]["waiters"][1]["pid"], waiters[1].0.id());
}

#[test]
fn the_dead_have_their_certificates() {
    let world = World::new();
    let mut dead = Peer::start(&world);
    dead.takes("total");
    let table = part(&world, "table");
    assert_eq!(
        (&table["made"], &table["value"]),
        (&json!(false), &Value::Null)
    );
    let mut heir = Peer::start(&world);
    heir.order("total");
    until_waiting(&world, "total", &[heir.pid()]);
    dead.kill();
    heir.has("total");
    let said = shown(&world, KEY);
    assert_eq!(said["recoveries"]["count"], 1);
    let certificate = &said["last_recoveries"][0];
    assert_eq!(certificate["number"], 1);
    assert_eq!(certificate["dead"]["pid"], dead.pid());
    assert_eq!(certificate["by"]["pid"], heir.pid());
    assert_eq!(certificate["part"], "total");
    assert!(
        certificate["took_ms"].as_f64().is_some_and(|ms| ms > 0.0),
        "{certificate}"
    );
    let text = world.ok(&format!("show {KEY}"));
    let told = format!(
        "total {} {name} {} {name}",
        dead.pid(),
        heir.pid(),
        name = program()
    );
    let found = text.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        words.join(" ").starts_with(&told) && line.ends_with(" ms")
    });
    assert!(found, "{told}: {text}");

    world.ok("create k --size 8");
    let dead = world.abandon("k");
    assert_eq!(world.run("lock k -- true").code, 0);
    let said = shown(&world, "k");
    let certificate = &said["last_recoveries"][0];
    assert_eq!(certificate["dead"]["pid"], dead);
    assert_eq!(certificate["part"], Value::Null);
    assert_eq!(certificate["by"]["executable"], "true");
    let text = world.ok("show k");
    assert!(text.contains(&format!("the lock  {dead} sh")), "{text}");
}

#[test]
fn top_tells_the_same_of_one_segment() {
    let world = World::new();
    let mut dead = Peer::start(&world);
    dead.takes("total");
    let mut holder = Peer::start(&world);
    holder.order("total");
    until_waiting(&world, "total", &[holder.pid()]);
    dead.kill();
    holder.has("total");
    let mut waiter = Peer::start(&world);
    waiter.order("total");
    until_waiting(&world, "total", &[waiter.pid()]);
    let mut screen = Screen::start(world.sharehold(["top", "--every", "100ms"]), 40, 120);
    screen.shows(&[KEY]);
    screen.press("\r");
    let pid = waiter.pid().to_string();
    screen.shows(&[
        "WAITING",
        &pid,
        "RECOVERED",
        &dead.pid().to_string(),
        "PART",
        "Mutex",
        "held by",
    ]);
    screen.press("q");
    assert!(screen.ends().success());
}

#[test]
fn a_wait_cycle_is_reported() {
    let world = World::new();
    for key in ["one", "two"] {
        world.ok(&format!("create {key} --size 8"));
    }
    let mut first = Peer::start(&world);
    let mut second = Peer::start(&world);
    first.takes("lock one");
    second.takes("lock two");
    first.order("lock two");
    until(|| shown(&world, "two")["lock"]["waiters"] != json!([]));
    let is_told = |found: &[[String; 3]]| found.iter().any(|it| it[0] == "deadlock");
    let text = world.run("doctor").out;
    assert!(
        !text.contains("deadlock"),
        "one waits for one who does not: {text}"
    );
    second.order("lock one");
    until(|| shown(&world, "one")["lock"]["waiters"] != json!([]));

    let found = wrong(&world);
    let told = found.iter().find(|it| it[0] == "deadlock");
    let [_, detail, advice] = told.unwrap_or_else(|| panic!("it is not told: {found:?}"));
    for (waiter, key, holder) in [(&first, "two", &second), (&second, "one", &first)] {
        let waits = format!(
            "waits for the lock of `{key}`, held by pid {}",
            holder.pid()
        );
        assert!(detail.contains(&waits), "{detail}");
        assert!(advice.contains(&waiter.pid().to_string()), "{advice}");
    }
    assert_eq!(found.iter().filter(|it| it[0] == "deadlock").count(), 1);
    second.kill();
    first.has("lock two");
    assert!(is_told(&found) && !world.run("doctor").out.contains("deadlock"));
    assert!(
        findings(&world, 1)
            .iter()
            .any(|it| it["verdict"] == "wrong"),
        "two was abandoned"
    );
}
