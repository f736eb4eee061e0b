//! What the model of the barrier is asked, and the mistakes that it has to find.

use super::super::crowd::{Crowd, Law, Sleeps};
use super::super::search::{Broken, search};
use super::{Barrier, Meet, MeetFor, MeetOnce, Mistake, Turn, lenient, strict};

#[track_caller]
fn keeps(crowd: &Crowd<Barrier>) {
    match search(crowd) {
        Ok(seen) => println!("{seen}"),
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[track_caller]
fn breaks(crowd: &Crowd<Barrier>, expected: Law) {
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
        keeps(&Crowd::new(of(&[THREE, THREE])));
        keeps(&Crowd::new(of(&[TWO, TWO, TWO])));
        keeps(&Crowd::new(of(&[TWO, TWO, TWO]).in_one_process()));
        keeps(&Crowd::new(of(&[ONE, ONE, ONE, ONE])));
        keeps(&Crowd::new(of(&[FOR, FOR])));
    }
}

#[test]
fn a_death_keeps_no_participant() {
    for of in [strict, lenient] {
        keeps(&Crowd::new(of(&[THREE, THREE])).deaths(1));
        keeps(&Crowd::new(of(&[TWO, TWO, TWO])).deaths(2));
        keeps(&Crowd::new(of(&[TWO, TWO, TWO]).in_one_process()).deaths(1));
        keeps(&Crowd::new(of(&[FOR, FOR])).deaths(1));
        // One more than meet: an heir.
        keeps(&Crowd::new(of(&[TWO, TWO, TWO]).of(2)).deaths(1));
    }
}

#[test]
fn withdrawn_threads_are_not_missed() {
    for of in [strict, lenient] {
        keeps(&Crowd::new(of(&[TWICE, TWICE])).deaths(1));
        keeps(&Crowd::new(of(&[TWICE, TWO])).deaths(1));
        keeps(&Crowd::new(of(&[ONCE, ONCE, TWO]).in_one_process().of(2)));
        // Two rounds of two, each by others.
        keeps(&Crowd::new(of(&[ONCE, ONCE, ONCE, ONCE]).of(2)));
    }
    keeps(&Crowd::new(strict(&[ONCE, ONCE, ONCE, ONCE]).of(2)).deaths(1));
}

#[test]
fn the_stopped_are_waited_for_and_keep_nobody_else() {
    for of in [strict, lenient] {
        keeps(&Crowd::new(of(&[TWO, TWO])).stops(1));
        keeps(&Crowd::new(of(&[TWO, TWO, TWO])).stops(1).deaths(1));
    }
}

#[test]
fn one_checker_is_enough_for_all() {
    for of in [strict, lenient] {
        keeps(
            &Crowd::new(of(&[TWO, TWO, TWO]))
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
        (Mistake::NoLock, strict(two), 0, Law::Unguarded),
        (Mistake::NoWake, strict(two), 0, Law::Stuck),
        (Mistake::StaysArrived, strict(&[FOR, FOR]), 0, Law::TooMany),
        (
            Mistake::NamesRoundFirst,
            strict(three).in_one_process(),
            1,
            Law::TooMany,
        ),
        (
            Mistake::ForgetsMembers,
            lenient(three).in_one_process(),
            1,
            Law::Starved,
        ),
        (Mistake::BreaksSilently, strict(two), 1, Law::TooMany),
        (Mistake::BreaksLate, strict(three), 2, Law::Starved),
        (Mistake::KeepsMarks, strict(two), 1, Law::Miscounted),
        (
            Mistake::StaysMember,
            strict(&[ONCE, ONCE, ONCE, ONCE]).of(2),
            1,
            Law::Miscounted,
        ),
        (Mistake::KeepsBits, strict(two), 0, Law::Miscounted),
        (Mistake::NoRecovery, strict(three), 2, Law::Untrue),
        (Mistake::NoRecovery, lenient(three), 2, Law::TooMany),
        (Mistake::ClearsFirst, lenient(three), 2, Law::Starved),
        (Mistake::NoPending, lenient(three), 2, Law::TooMany),
        (Mistake::NeverGone, strict(two), 1, Law::Starved),
        (Mistake::NeverGone, lenient(two), 1, Law::Starved),
        (Mistake::AlwaysGone, strict(two), 0, Law::Miscounted),
        (Mistake::AlwaysGone, lenient(two), 0, Law::TooMany),
    ] {
        println!("{mistake:?}");
        let world = Crowd::new(world.with(mistake));
        let world = if deaths > 0 {
            world.deaths(deaths)
        } else {
            world
        };
        breaks(&world, law);
    }
    let asleep = Crowd::new(lenient(three).with(Mistake::NoWakeAfterDeath)).deaths(1);
    breaks(&asleep.sleeps(Sleeps::Ones), Law::Starved);
}
