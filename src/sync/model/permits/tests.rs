//! What the model of the semaphore is asked, and the mistakes that it has to find.

use super::super::crowd::{Crowd, Law, Sleeps};
use super::super::search::{Broken, search};
use super::{Count, Keep, Mistake, Semaphore, Take, TakeFor, Task, Try, Turn, of, with};

#[track_caller]
fn keeps(crowd: &Crowd<Semaphore>) {
    match search(crowd) {
        Ok(seen) => println!("{seen}"),
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[track_caller]
fn breaks(crowd: &Crowd<Semaphore>, expected: &[Law]) {
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
    keeps(&Crowd::new(of(1, &[TWICE, TWICE])));
    keeps(&Crowd::new(of(1, &[TWICE, TWICE, TWICE])));
    keeps(&Crowd::new(of(1, &[TAKE, TAKE, TAKE, TAKE])));
    keeps(&Crowd::new(of(2, &[TAKE_2, TAKE_2, TAKE])));
    keeps(&Crowd::new(of(2, &[TAKE_2, TAKE, TAKE, TAKE])));
    keeps(&Crowd::new(of(2, &[MIXED, MIXED, MIXED])));
    keeps(&Crowd::new(of(2, &[KEEP, TWICE, TWICE, COUNT])));
}

#[test]
fn a_waiter_that_gives_up_leaves_no_other_asleep() {
    const FOR: &[Turn] = &[TakeFor(1)];
    const FOR_2: &[Turn] = &[TakeFor(2)];
    const TASK: &[Turn] = &[Task(1)];
    const TASK_2: &[Turn] = &[Task(2)];
    const TRY: &[Turn] = &[Try(1), Try(1)];
    keeps(&Crowd::new(of(1, &[TAKE, FOR, FOR, TAKE])));
    keeps(&Crowd::new(of(1, &[TAKE, TASK, TASK, TAKE])));
    keeps(&Crowd::new(of(1, &[TWICE, TASK, TRY])));
    keeps(&Crowd::new(of(2, &[TAKE, FOR_2, TASK, TAKE])));
    keeps(&Crowd::new(of(2, &[TAKE_2, FOR, TASK_2, TAKE])));
}

#[test]
fn permits_of_the_dead_come_back() {
    keeps(&Crowd::new(of(1, &[TWICE, TWICE])).deaths(1));
    keeps(&Crowd::new(of(1, &[TAKE, TAKE, TAKE])).deaths(2));
    keeps(&Crowd::new(of(2, &[TAKE_2, TAKE_2, TAKE])).deaths(2));
    keeps(&Crowd::new(of(2, &[TAKE_2, TAKE, COUNT])).deaths(2));
    keeps(&Crowd::new(of(2, &[KEEP, KEEP, TAKE])).deaths(2));
    keeps(&Crowd::new(of(1, &[KEEP, TAKE, TAKE, TAKE])).deaths(1));
}

#[test]
fn threads_of_one_process_share_a_mark_and_die_together() {
    let mut semaphore = of(2, &[TAKE, TAKE, TAKE_2]);
    semaphore.slots = [0, 0, 1, 2];
    keeps(&Crowd::new(semaphore).deaths(1));
    let mut semaphore = of(2, &[TAKE, TAKE, TAKE, TAKE]);
    semaphore.slots = [0, 0, 1, 2];
    keeps(&Crowd::new(semaphore).deaths(1));
}

#[test]
fn the_stopped_keep_what_they_have_and_nothing_else() {
    keeps(&Crowd::new(of(1, &[TWICE, TWICE])).stops(1));
    keeps(&Crowd::new(of(1, &[TAKE, TAKE, TAKE])).stops(1).deaths(1));
    keeps(&Crowd::new(of(2, &[TAKE_2, TAKE, TAKE])).stops(1).deaths(1));
}

#[test]
fn one_checker_is_enough_for_all() {
    keeps(
        &Crowd::new(of(1, &[TAKE, TAKE, TAKE]))
            .deaths(2)
            .sleeps(Sleeps::Ones),
    );
    keeps(
        &Crowd::new(of(2, &[TAKE_2, TAKE, TAKE]))
            .deaths(2)
            .sleeps(Sleeps::Ones),
    );
    // One that wants too much asks for one that does not.
    let turns: &[&[Turn]] = &[TAKE_2, TAKE, KEEP, KEEP];
    keeps(&Crowd::new(of(2, turns)).deaths(1).sleeps(Sleeps::Ones));
    let keeps_to_itself = with(2, turns, Mistake::KeepsToItself);
    breaks(
        &Crowd::new(keeps_to_itself).deaths(1).sleeps(Sleeps::Ones),
        &[Law::Stuck, Law::Starved],
    );
}

#[test]
fn permits_that_are_lost_or_made_are_found() {
    const COUNTED: &[Law] = &[Law::Miscounted, Law::TooMany];
    for (mistake, deaths, laws) in [
        (Mistake::NoMark, 0, COUNTED),
        (Mistake::NoCount, 0, COUNTED),
        (Mistake::MarkStays, 0, COUNTED),
        (Mistake::NoLock, 0, &[Law::Unguarded]),
        (Mistake::NoRecount, 1, COUNTED),
        (Mistake::AlwaysGone, 0, COUNTED),
    ] {
        println!("{mistake:?}");
        breaks(
            &Crowd::new(with(1, &[TAKE, TWICE], mistake)).deaths(deaths),
            laws,
        );
    }
}

#[test]
fn waiters_that_sleep_on_are_found() {
    const TASK: &[Turn] = &[Task(1)];
    let two: &[&[Turn]] = &[TAKE, TAKE];
    for (mistake, permits, turns) in [
        (Mistake::NoAnnouncement, 1, two),
        (Mistake::NoWake, 1, two),
        (Mistake::NoChange, 1, two),
        (Mistake::TakesAnnouncement, 1, &[TAKE, TAKE, TAKE]),
        (Mistake::SmallAnnouncement, 2, &[TAKE, KEEP, TAKE_2, TAKE]),
        (Mistake::DroppedSilently, 1, &[TAKE, TASK, TAKE]),
    ] {
        println!("{mistake:?}");
        breaks(&Crowd::new(with(permits, turns, mistake)), &[Law::Stuck]);
    }
    let never_gone = Crowd::new(with(1, two, Mistake::NeverGone)).deaths(1);
    breaks(&never_gone, &[Law::Starved]);
}

#[test]
fn a_wake_up_that_a_death_uses_up_is_found_where_sleeps_never_end() {
    let untimed = Crowd::new(of(1, &[TAKE, TAKE, TAKE]))
        .deaths(1)
        .sleeps(Sleeps::Nobodys);
    breaks(&untimed, &[Law::Stuck]);
}
