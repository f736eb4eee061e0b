//! What the model of the event is asked, and the mistakes that it has to find.

use super::super::crowd::{Crowd, Law, Sleeps};
use super::super::search::{Broken, search};
use super::{Event, Mistake, Reset, Set, Turn, Wait, WaitFor, auto, manual};

#[track_caller]
fn keeps(crowd: &Crowd<Event>) {
    match search(crowd) {
        Ok(seen) => println!("{seen}"),
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[track_caller]
fn breaks(crowd: &Crowd<Event>, expected: Law) {
    match search(crowd) {
        Ok(seen) => panic!("{expected:?} was to be found, in {seen}"),
        Err(Broken { law, way }) => assert_eq!(law, expected, "after\n{way}"),
    }
}

const WAIT: &[Turn] = &[Wait];
const WAIT_2: &[Turn] = &[Wait, Wait];
const SETS: &[Turn] = &[Set];
const SETS_2: &[Turn] = &[Set, Set];
const RESETS: &[Turn] = &[Reset];
const SET_RESET: &[Turn] = &[Set, Reset];
const FOR: &[Turn] = &[WaitFor];

/// Worlds of one event, of either kind.
fn worlds(of: fn(&[&'static [Turn]]) -> Event) -> Vec<Event> {
    let worlds: [&[&'static [Turn]]; 8] = [
        &[WAIT_2, SETS_2],
        &[WAIT, WAIT, SETS_2],
        &[WAIT, WAIT, SETS, SETS],
        &[WAIT, FOR, SETS, SETS],
        &[WAIT, WAIT_2, SETS, RESETS],
        &[FOR, WAIT, SETS_2, RESETS],
        &[WAIT, WAIT, SET_RESET],
        &[WAIT, FOR, SET_RESET],
    ];
    worlds.into_iter().map(of).collect()
}

#[test]
fn each_waiter_passes_when_the_event_is_set() {
    for world in worlds(auto).into_iter().chain(worlds(manual)) {
        keeps(&Crowd::new(world));
    }
}

/// Nobody looks by itself, whoever dies.
#[test]
fn no_death_leaves_a_waiter_asleep() {
    for world in worlds(auto).into_iter().chain(worlds(manual)) {
        keeps(&Crowd::new(world).deaths(2).sleeps(Sleeps::Nobodys));
    }
    let stops = |world| keeps(&Crowd::new(world).stops(1).deaths(1).sleeps(Sleeps::Nobodys));
    stops(auto(&[WAIT, WAIT, SETS]));
    stops(manual(&[WAIT, WAIT, SETS]));
}

#[test]
fn without_the_one_step_no_waiter_sleeps_for_long() {
    for world in worlds(auto).into_iter().chain(worlds(manual)) {
        keeps(&Crowd::new(world.in_two_steps()));
    }
    for world in worlds(auto).into_iter().chain(worlds(manual)) {
        keeps(&Crowd::new(world.in_two_steps()).deaths(2));
    }
}

#[test]
fn each_rule_of_the_event_is_needed() {
    let two: &[&[Turn]] = &[WAIT, SETS];
    for (mistake, world, law) in [
        (
            Mistake::TakeByStore,
            auto(&[WAIT, WAIT, SETS]),
            Law::TooMany,
        ),
        (Mistake::AnnounceByStore, auto(two), Law::Miscounted),
        (Mistake::SeesSet, manual(two), Law::Miscounted),
        (Mistake::NoAnnouncement, manual(two), Law::Stuck),
        (Mistake::WakesOne, manual(&[WAIT, WAIT, SETS]), Law::Stuck),
        (
            Mistake::NoStore,
            manual(two).in_two_steps(),
            Law::Miscounted,
        ),
        (Mistake::NoWake, manual(two).in_two_steps(), Law::Stuck),
        (Mistake::WakeFirst, manual(two).in_two_steps(), Law::Stuck),
        (
            Mistake::ResetByStore,
            auto(&[WAIT_2, SETS, RESETS]),
            Law::TooMany,
        ),
        (
            Mistake::KeepsGeneration,
            manual(&[WAIT, SETS, RESETS]),
            Law::Stuck,
        ),
        (
            Mistake::OwesNothing,
            auto(&[WAIT, SETS, RESETS]),
            Law::Stuck,
        ),
        (Mistake::TakesOwed, auto(&[WAIT, SETS, RESETS]), Law::Untrue),
    ] {
        println!("{mistake:?}");
        breaks(&Crowd::new(world.with(mistake)), law);
    }
    let split = Crowd::new(manual(two).with(Mistake::SplitWake)).deaths(1);
    breaks(&split.sleeps(Sleeps::Nobodys), Law::Stuck);
    // One that is woken for all, and dies.
    let one = Crowd::new(auto(&[WAIT, WAIT, SETS]).with(Mistake::WakesOne)).deaths(1);
    breaks(&one.sleeps(Sleeps::Nobodys), Law::Stuck);
}
