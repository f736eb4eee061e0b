//! What the model of the event is asked, and the mistakes that it has to find.

use super::{Event, Mutation, Reset, Set, Turn, Wait, WaitFor, auto, manual};
use crate::model::search::{Broken, search};
use crate::model::threads::{Property, Sleeps, ThreadModel};

#[track_caller]
fn keeps(crowd: &ThreadModel<Event>) {
    match search(crowd) {
        Ok(seen) => println!("{seen}"),
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[track_caller]
fn breaks(crowd: &ThreadModel<Event>, expected: Property) {
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
        keeps(&ThreadModel::new(world));
    }
}

/// Nobody looks by itself, whoever dies.
#[test]
fn no_death_leaves_a_waiter_asleep() {
    for world in worlds(auto).into_iter().chain(worlds(manual)) {
        keeps(&ThreadModel::new(world).deaths(2).sleeps(Sleeps::Nobodys));
    }
    let stops = |world| {
        keeps(
            &ThreadModel::new(world)
                .stops(1)
                .deaths(1)
                .sleeps(Sleeps::Nobodys),
        );
    };
    stops(auto(&[WAIT, WAIT, SETS]));
    stops(manual(&[WAIT, WAIT, SETS]));
}

#[test]
fn without_the_one_step_no_waiter_sleeps_for_long() {
    for world in worlds(auto).into_iter().chain(worlds(manual)) {
        keeps(&ThreadModel::new(world.in_two_steps()));
    }
    for world in worlds(auto).into_iter().chain(worlds(manual)) {
        keeps(&ThreadModel::new(world.in_two_steps()).deaths(2));
    }
}

#[test]
fn each_rule_of_the_event_is_needed() {
    let two: &[&[Turn]] = &[WAIT, SETS];
    for (mistake, world, law) in [
        (
            Mutation::TakeByStore,
            auto(&[WAIT, WAIT, SETS]),
            Property::TooMany,
        ),
        (Mutation::AnnounceByStore, auto(two), Property::Miscounted),
        (Mutation::SeesSet, manual(two), Property::Miscounted),
        (Mutation::NoAnnouncement, manual(two), Property::Stuck),
        (
            Mutation::WakesOne,
            manual(&[WAIT, WAIT, SETS]),
            Property::Stuck,
        ),
        (
            Mutation::NoStore,
            manual(two).in_two_steps(),
            Property::Miscounted,
        ),
        (
            Mutation::NoWake,
            manual(two).in_two_steps(),
            Property::Stuck,
        ),
        (
            Mutation::WakeFirst,
            manual(two).in_two_steps(),
            Property::Stuck,
        ),
        (
            Mutation::ResetByStore,
            auto(&[WAIT_2, SETS, RESETS]),
            Property::TooMany,
        ),
        (
            Mutation::KeepsGeneration,
            manual(&[WAIT, SETS, RESETS]),
            Property::Stuck,
        ),
        (
            Mutation::OwesNothing,
            auto(&[WAIT, SETS, RESETS]),
            Property::Stuck,
        ),
        (
            Mutation::TakesOwed,
            auto(&[WAIT, SETS, RESETS]),
            Property::Untrue,
        ),
    ] {
        println!("{mistake:?}");
        breaks(&ThreadModel::new(world.with(mistake)), law);
    }
    let split = ThreadModel::new(manual(two).with(Mutation::SplitWake)).deaths(1);
    breaks(&split.sleeps(Sleeps::Nobodys), Property::Stuck);
    // One that is woken for all, and dies.
    let one = ThreadModel::new(auto(&[WAIT, WAIT, SETS]).with(Mutation::WakesOne)).deaths(1);
    breaks(&one.sleeps(Sleeps::Nobodys), Property::Stuck);
}
