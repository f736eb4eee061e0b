//! Learning of departures: each process that detaches, ends or is killed is reported once to each
//! waiter.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use sharehold::{ErrorKind, Segment};
use sharehold_testkit::{Child, Suite, Talk};

use super::{KEY, LONG, wait_until_idle};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(each_departure_is_reported_once)
        .test(later_attachments_are_reported_too)
        .test(a_waiter_learns_of_a_death_and_sleeps_otherwise)
        .test(every_waiter_learns_of_every_death)
        .test(the_stopped_have_not_left)
        .test(earlier_departures_are_not_reported)
        .test(a_waiter_without_notifications_polls)
        .role(member)
        .role(follower)
        .role(poor_follower)
}

fn create() -> Segment {
    let options = Segment::options().size(1).slots(64);
    options.create(KEY).expect("nothing has the key")
}

/// Attaches, and detaches when it is told.
fn member(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    test.say("ready");
    if test.hear() == "detach" {
        segment.detach().expect("it can");
        test.say("detached");
        test.wait_for_end();
    }
}

/// Prints the departures.
fn follower(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let departures = segment.departures().expect("it is ours");
    test.say("ready");
    for gone in departures {
        test.say(gone.expect("it can wait").pid);
    }
}

/// The same in a process that can open no further file.
fn poor_follower(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let limit = Rlimit {
        current: Some(3),
        maximum: Some(3),
    };
    setrlimit(Resource::Nofile, limit).expect("one may have less");
    let departures = segment.departures().expect("it is ours");
    test.say("ready");
    for gone in departures {
        test.say(gone.expect("it can wait").pid);
    }
}

fn start<F: Fn(&mut Talk)>(role: F) -> Child {
    let mut child = Child::of(role);
    child.hears("ready");
    child
}

fn each_departure_is_reported_once() {
    let segment = create();
    let mut members: Vec<Child> = (0..3).map(|_| start(member)).collect();
    let mut departures = segment.departures().expect("it is ours");
    members[0].tell("detach");
    members[0].hears("detached");
    let gone = departures.next_departure_timeout(LONG).expect("it left");
    assert_eq!((gone.pid, gone.slot), (members[0].pid(), Some(1)));
    members[1].kill();
    let gone = departures.next_departure_timeout(LONG).expect("it left");
    assert_eq!((gone.pid, gone.slot), (members[1].pid(), Some(2)));
    members[2].ends_well();
    let gone = departures.next_departure_timeout(LONG).expect("it left");
    assert_eq!((gone.pid, gone.slot), (members[2].pid(), Some(3)));
    members[0].ends_well();
    let nobody = departures.next_departure_deadline(Instant::now() + Duration::from_millis(50));
    let error = nobody.expect_err("nobody else was there");
    assert_eq!((error.kind(), error.key()), (ErrorKind::Timeout, Some(KEY)));
}

fn later_attachments_are_reported_too() {
    let segment = create();
    let mut departures = segment.departures().expect("it is ours");
    for _ in 0..3 {
        let mut killed = start(member);
        killed.kill();
        let gone = departures.next_departure_timeout(LONG).expect("it left");
        assert_eq!(gone.pid, killed.pid());
    }
    let mut quick = start(member);
    quick.ends_well();
    let mut quicker = start(member);
    quicker.ends_well();
    let pids = [(); 2].map(|()| {
        let gone = departures.next_departure_timeout(LONG);
        gone.expect("it left").pid
    });
    assert_eq!(pids, [quick.pid(), quicker.pid()]);
}

fn a_waiter_learns_of_a_death_and_sleeps_otherwise() {
    let _segment = create();
    let mut child = start(follower);
    for _ in 0..3 {
        let mut victim = start(member);
        wait_until_idle(child.pid());
        victim.kill();
        child.hears(&victim.pid().to_string());
    }
}

fn a_waiter_without_notifications_polls() {
    let _segment = create();
    let mut child = start(poor_follower);
    for leave in [Child::kill, Child::ends_well] {
        let mut member = start(member);
        leave(&mut member);
        child.hears(&member.pid().to_string());
    }
}

fn every_waiter_learns_of_every_death() {
    let _segment = create();
    let mut followers: Vec<Child> = (0..5).map(|_| start(follower)).collect();
    for _ in 0..4 {
        let mut victim = start(member);
        victim.kill();
        for child in &mut followers {
            child.hears(&victim.pid().to_string());
        }
    }
    let mut last = followers.pop().expect("there are five");
    last.kill();
    for child in &mut followers {
        child.hears(&last.pid().to_string());
    }
}

fn the_stopped_have_not_left() {
    let segment = create();
    let mut departures = segment.departures().expect("it is ours");
    let mut victim = start(member);
    victim.stop();
    let nobody = departures.next_departure_timeout(Duration::from_millis(50));
    assert_eq!(
        nobody.map_err(|error| error.kind()),
        Err(ErrorKind::Timeout)
    );
    victim.kill();
    let gone = departures.next_departure_timeout(LONG).expect("it left");
    assert_eq!(gone.pid, victim.pid());
}

fn earlier_departures_are_not_reported() {
    let segment = create();
    start(member).kill();
    let mut left = start(member);
    left.ends_well();
    let mut departures = segment.departures().expect("it is ours");
    let nobody = departures.next_departure_timeout(Duration::from_millis(50));
    assert_eq!(
        nobody.map_err(|error| error.kind()),
        Err(ErrorKind::Timeout)
    );
}
