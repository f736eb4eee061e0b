//! What the model of the semaphore is asked, and the mistakes that it has to find.

use super::{Count, Keep, Mutation, Semaphore, Take, TakeFor, Task, Try, Turn, of, with};
use crate::model::search::{Broken, search};
use crate::model::threads::{Property, Sleeps, ThreadModel};

#[track_caller]
fn keeps(crowd: &ThreadModel<Semaphore>) {
    match search(crowd) {
        Ok(seen) => println!("{seen}"),
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[track_caller]
fn breaks(crowd: &ThreadModel<Semaphore>, expected: &[Property]) {
    match search(crowd) {
        Ok(seen) => panic!("{expected:?} was to be found, in {seen}"),
        Err(Broken { law, way }) => assert!(expected.contains(&law), "{law:?} after\n{way}"),
    }
}

const TAKE: &[Turn] = &[Take(1)];
const TAKE_2: &[Turn] = &[Take(2)];
const TWICE: &[Turn] = &[Take(1), Take(1)];
const MIXED: &[Turn] = &[Take(1), Take(2)];
const KEEP: &[Turn] = &[Keep(1)];
const COUNT: &[Turn] = &[Count];

#[test]
fn each_taker_gets_its_permits_in_every_interleaving() {
    keeps(&ThreadModel::new(of(1, &[TWICE, TWICE])));
    keeps(&ThreadModel::new(of(1, &[TWICE, TWICE, TWICE])));
    keeps(&ThreadModel::new(of(1, &[TAKE, TAKE, TAKE, TAKE])));
    keeps(&ThreadModel::new(of(2, &[TAKE_2, TAKE_2, TAKE])));
    keeps(&ThreadModel::new(of(2, &[TAKE_2, TAKE, TAKE, TAKE])));
    keeps(&ThreadModel::new(of(2, &[MIXED, MIXED, MIXED])));
    keeps(&ThreadModel::new(of(2, &[KEEP, TWICE, TWICE, COUNT])));
}

#[test]
fn a_waiter_that_gives_up_leaves_no_other_asleep() {
    const FOR: &[Turn] = &[TakeFor(1)];
    const FOR_2: &[Turn] = &[TakeFor(2)];
    const TASK: &[Turn] = &[Task(1)];
    const TASK_2: &[Turn] = &[Task(2)];
    const TRY: &[Turn] = &[Try(1), Try(1)];
    keeps(&ThreadModel::new(of(1, &[TAKE, FOR, FOR, TAKE])));
    keeps(&ThreadModel::new(of(1, &[TAKE, TASK, TASK, TAKE])));
    keeps(&ThreadModel::new(of(1, &[TWICE, TASK, TRY])));
    keeps(&ThreadModel::new(of(2, &[TAKE, FOR_2, TASK, TAKE])));
    keeps(&ThreadModel::new(of(2, &[TAKE_2, FOR, TASK_2, TAKE])));
}

#[test]
fn permits_of_the_dead_come_back() {
    keeps(&ThreadModel::new(of(1, &[TWICE, TWICE])).deaths(1));
    keeps(&ThreadModel::new(of(1, &[TAKE, TAKE, TAKE])).deaths(2));
    keeps(&ThreadModel::new(of(2, &[TAKE_2, TAKE_2, TAKE])).deaths(2));
    keeps(&ThreadModel::new(of(2, &[TAKE_2, TAKE, COUNT])).deaths(2));
    keeps(&ThreadModel::new(of(2, &[KEEP, KEEP, TAKE])).deaths(2));
    keeps(&ThreadModel::new(of(1, &[KEEP, TAKE, TAKE, TAKE])).deaths(1));
}

#[test]
fn threads_of_one_process_share_a_mark_and_die_together() {
    let mut semaphore = of(2, &[TAKE, TAKE, TAKE_2]);
    semaphore.slots = [0, 0, 1, 2];
    keeps(&ThreadModel::new(semaphore).deaths(1));
    let mut semaphore = of(2, &[TAKE, TAKE, TAKE, TAKE]);
    semaphore.slots = [0, 0, 1, 2];
    keeps(&ThreadModel::new(semaphore).deaths(1));
}

#[test]
fn the_stopped_keep_what_they_have_and_nothing_else() {
    keeps(&ThreadModel::new(of(1, &[TWICE, TWICE])).stops(1));
    keeps(
        &ThreadModel::new(of(1, &[TAKE, TAKE, TAKE]))
            .stops(1)
            .deaths(1),
    );
    keeps(
        &ThreadModel::new(of(2, &[TAKE_2, TAKE, TAKE]))
            .stops(1)
            .deaths(1),
    );
}

#[test]
fn one_checker_is_enough_for_all() {
    keeps(
        &ThreadModel::new(of(1, &[TAKE, TAKE, TAKE]))
            .deaths(2)
            .sleeps(Sleeps::Ones),
    );
    keeps(
        &ThreadModel::new(of(2, &[TAKE_2, TAKE, TAKE]))
            .deaths(2)
            .sleeps(Sleeps::Ones),
    );
    // One that wants too much asks for one that does not.
    let turns: &[&[Turn]] = &[TAKE_2, TAKE, KEEP, KEEP];
    keeps(
        &ThreadModel::new(of(2, turns))
            .deaths(1)
            .sleeps(Sleeps::Ones),
    );
    let keeps_to_itself = with(2, turns, Mutation::KeepsToItself);
    breaks(
        &ThreadModel::new(keeps_to_itself)
            .deaths(1)
            .sleeps(Sleeps::Ones),
        &[Property::Stuck, Property::Starved],
    );
}

#[test]
fn permits_that_are_lost_or_made_are_found() {
    const COUNTED: &[Property] = &[Property::Miscounted, Property::TooMany];
    for (mistake, deaths, laws) in [
        (Mutation::NoMark, 0, COUNTED),
        (Mutation::NoCount, 0, COUNTED),
        (Mutation::MarkStays, 0, COUNTED),
        (Mutation::NoLock, 0, &[Property::Unguarded]),
        (Mutation::NoRecount, 1, COUNTED),
        (Mutation::AlwaysGone, 0, COUNTED),
    ] {
        println!("{mistake:?}");
        breaks(
            &ThreadModel::new(with(1, &[TAKE, TWICE], mistake)).deaths(deaths),
            laws,
        );
    }
}

#[test]
fn waiters_that_sleep_on_are_found() {
    const TASK: &[Turn] = &[Task(1)];
    let two: &[&[Turn]] = &[TAKE, TAKE];
    for (mistake, permits, turns) in [
        (Mutation::NoAnnouncement, 1, two),
        (Mutation::NoWake, 1, two),
        (Mutation::NoChange, 1, two),
        (Mutation::TakesAnnouncement, 1, &[TAKE, TAKE, TAKE]),
        (Mutation::SmallAnnouncement, 2, &[TAKE, KEEP, TAKE_2, TAKE]),
        (Mutation::DroppedSilently, 1, &[TAKE, TASK, TAKE]),
    ] {
        println!("{mistake:?}");
        breaks(
            &ThreadModel::new(with(permits, turns, mistake)),
            &[Property::Stuck],
        );
    }
    let never_gone = ThreadModel::new(with(1, two, Mutation::NeverGone)).deaths(1);
    breaks(&never_gone, &[Property::Starved]);
}

#[test]
fn a_wake_up_that_a_death_uses_up_is_found_where_sleeps_never_end() {
    let untimed = ThreadModel::new(of(1, &[TAKE, TAKE, TAKE]))
        .deaths(1)
        .sleeps(Sleeps::Nobodys);
    breaks(&untimed, &[Property::Stuck]);
}
