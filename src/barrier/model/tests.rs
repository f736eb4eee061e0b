//! What the model of the barrier is asked, and the mistakes that it has to find.

use super::{Barrier, Meet, MeetFor, MeetOnce, Mutation, Turn, lenient, strict};
use crate::model::search::{Broken, search};
use crate::model::threads::{Property, Sleeps, ThreadModel};

#[track_caller]
fn keeps(crowd: &ThreadModel<Barrier>) {
    match search(crowd) {
        Ok(seen) => println!("{seen}"),
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[track_caller]
fn breaks(crowd: &ThreadModel<Barrier>, expected: Property) {
    match search(crowd) {
        Ok(seen) => panic!("{expected:?} was to be found, in {seen}"),
        Err(Broken { law, way }) => assert_eq!(law, expected, "after\n{way}"),
    }
}

const ONE: &[Turn] = &[Meet];
const TWO: &[Turn] = &[Meet, Meet];
const THREE: &[Turn] = &[Meet, Meet, Meet];
const FOR: &[Turn] = &[MeetFor, Meet];
const ONCE: &[Turn] = &[MeetOnce];
const TWICE: &[Turn] = &[MeetOnce, MeetOnce];

#[test]
fn all_meet_in_every_interleaving() {
    for of in [strict, lenient] {
        keeps(&ThreadModel::new(of(&[THREE, THREE])));
        keeps(&ThreadModel::new(of(&[TWO, TWO, TWO])));
        keeps(&ThreadModel::new(of(&[TWO, TWO, TWO]).in_one_process()));
        keeps(&ThreadModel::new(of(&[ONE, ONE, ONE, ONE])));
        keeps(&ThreadModel::new(of(&[FOR, FOR])));
    }
}

#[test]
fn a_death_keeps_no_participant() {
    for of in [strict, lenient] {
        keeps(&ThreadModel::new(of(&[THREE, THREE])).deaths(1));
        keeps(&ThreadModel::new(of(&[TWO, TWO, TWO])).deaths(2));
        keeps(&ThreadModel::new(of(&[TWO, TWO, TWO]).in_one_process()).deaths(1));
        keeps(&ThreadModel::new(of(&[FOR, FOR])).deaths(1));
        // One more than meet: an heir.
        keeps(&ThreadModel::new(of(&[TWO, TWO, TWO]).of(2)).deaths(1));
    }
}

#[test]
fn withdrawn_threads_are_not_missed() {
    for of in [strict, lenient] {
        keeps(&ThreadModel::new(of(&[TWICE, TWICE])).deaths(1));
        keeps(&ThreadModel::new(of(&[TWICE, TWO])).deaths(1));
        keeps(&ThreadModel::new(
            of(&[ONCE, ONCE, TWO]).in_one_process().of(2),
        ));
        // Two rounds of two, each by others.
        keeps(&ThreadModel::new(of(&[ONCE, ONCE, ONCE, ONCE]).of(2)));
    }
    keeps(&ThreadModel::new(strict(&[ONCE, ONCE, ONCE, ONCE]).of(2)).deaths(1));
}

#[test]
fn the_stopped_are_waited_for_and_keep_nobody_else() {
    for of in [strict, lenient] {
        keeps(&ThreadModel::new(of(&[TWO, TWO])).stops(1));
        keeps(&ThreadModel::new(of(&[TWO, TWO, TWO])).stops(1).deaths(1));
    }
}

#[test]
fn one_checker_is_enough_for_all() {
    for of in [strict, lenient] {
        keeps(
            &ThreadModel::new(of(&[TWO, TWO, TWO]))
                .deaths(2)
                .sleeps(Sleeps::Ones),
        );
    }
}

#[test]
fn each_rule_of_the_barrier_is_needed() {
    let two: &[&[Turn]] = &[TWO, TWO];
    let three: &[&[Turn]] = &[TWO, TWO, TWO];
    for (mistake, world, deaths, law) in [
        (Mutation::NoLock, strict(two), 0, Property::Unguarded),
        (Mutation::NoWake, strict(two), 0, Property::Stuck),
        (
            Mutation::StaysArrived,
            strict(&[FOR, FOR]),
            0,
            Property::TooMany,
        ),
        (
            Mutation::NamesRoundFirst,
            strict(three).in_one_process(),
            1,
            Property::TooMany,
        ),
        (
            Mutation::ForgetsMembers,
            lenient(three).in_one_process(),
            1,
            Property::Starved,
        ),
        (Mutation::BreaksSilently, strict(two), 1, Property::TooMany),
        (Mutation::BreaksLate, strict(three), 2, Property::Starved),
        (Mutation::KeepsMarks, strict(two), 1, Property::Miscounted),
        (
            Mutation::StaysMember,
            strict(&[ONCE, ONCE, ONCE, ONCE]).of(2),
            1,
            Property::Miscounted,
        ),
        (Mutation::KeepsBits, strict(two), 0, Property::Miscounted),
        (Mutation::NoRecovery, strict(three), 2, Property::Untrue),
        (Mutation::NoRecovery, lenient(three), 2, Property::TooMany),
        (Mutation::ClearsFirst, lenient(three), 2, Property::Starved),
        (Mutation::NoPending, lenient(three), 2, Property::TooMany),
        (Mutation::NeverGone, strict(two), 1, Property::Starved),
        (Mutation::NeverGone, lenient(two), 1, Property::Starved),
        (Mutation::AlwaysGone, strict(two), 0, Property::Miscounted),
        (Mutation::AlwaysGone, lenient(two), 0, Property::TooMany),
    ] {
        println!("{mistake:?}");
        let world = ThreadModel::new(world.with(mistake));
        let world = if deaths > 0 {
            world.deaths(deaths)
        } else {
            world
        };
        breaks(&world, law);
    }
    let asleep = ThreadModel::new(lenient(three).with(Mutation::NoWakeAfterDeath)).deaths(1);
    breaks(&asleep.sleeps(Sleeps::Ones), Property::Starved);
}
