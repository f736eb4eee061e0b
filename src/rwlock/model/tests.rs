//! What the model of the read-write lock is asked, and the mistakes that it has to find.

use super::program::{Mutation, Turn};
use super::{Property, Sharing};
use crate::model::search::{Broken, Statistics, search};

const R: &[Turn] = &[Turn::Read];
const R2: &[Turn] = &[Turn::Read; 2];
const W: &[Turn] = &[Turn::Write];
const W2: &[Turn] = &[Turn::Write; 2];
const UP: &[Turn] = &[Turn::Upgrade];
const DOWN: &[Turn] = &[Turn::Downgrade];

#[track_caller]
fn keeps(world: &Sharing) -> Statistics {
    match search(world) {
        Ok(seen) => {
            println!("{seen}");
            seen
        }
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[track_caller]
fn breaks(world: &Sharing, expected: &[Property]) {
    match search(world) {
        Ok(seen) => panic!("{expected:?} was to be found, in {seen}"),
        Err(Broken { law, way }) => assert!(expected.contains(&law), "{law:?} after\n{way}"),
    }
}

#[test]
fn readers_and_writers_finish_in_every_interleaving() {
    keeps(&Sharing::new(&[R, W]));
    keeps(&Sharing::new(&[R2, W2]));
    keeps(&Sharing::new(&[W, W]));
    keeps(&Sharing::new(&[R, R, W]));
    keeps(&Sharing::new(&[R, W, W]));
}

#[test]
fn upgrades_and_downgrades_finish_in_every_interleaving() {
    keeps(&Sharing::new(&[UP, UP]));
    keeps(&Sharing::new(&[UP, W]));
    keeps(&Sharing::new(&[DOWN, R2]));
    keeps(&Sharing::new(&[DOWN, UP]));
    keeps(&Sharing::new(&[UP, UP, R]));
    keeps(&Sharing::new(&[DOWN, W, R]));
    keeps(&Sharing::new(&[UP, R, W]));
}

#[test]
fn a_waiter_that_gives_up_leaves_no_other_asleep() {
    const TRY_R: &[Turn] = &[Turn::TryRead];
    const R_FOR: &[Turn] = &[Turn::ReadFor];
    const TRY_W: &[Turn] = &[Turn::TryWrite];
    const W_FOR: &[Turn] = &[Turn::WriteFor];
    keeps(&Sharing::new(&[R2, W_FOR]));
    keeps(&Sharing::new(&[R_FOR, W2]));
    keeps(&Sharing::new(&[R, R, W_FOR]));
    keeps(&Sharing::new(&[R_FOR, W, R]));
    keeps(&Sharing::new(&[R, TRY_R, TRY_W]));
    keeps(&Sharing::new(&[TRY_R, W, W_FOR]));
    keeps(&Sharing::new(&[TASK, &[Turn::Write, Turn::TryWrite]]));
}

#[test]
fn threads_of_one_process_share_a_mark() {
    keeps(&Sharing::new(&[R, R, W]).in_one_process().timed());
}

#[test]
fn the_dead_keep_nobody_out() {
    keeps(&Sharing::new(&[R, W]).deaths(1));
    keeps(&Sharing::new(&[R2, W2]).deaths(2));
    keeps(&Sharing::new(&[UP, DOWN]).deaths(1));
    keeps(&Sharing::new(&[R, R, W]).deaths(1));
    keeps(&Sharing::new(&[R, R, W]).in_one_process().deaths(1));
    keeps(&Sharing::new(&[UP, R, W]).deaths(2));
}

const TASK: &[Turn] = &[Turn::ReadTask];
const TASKS: &[Turn] = &[Turn::ReadTask; 2];
const DROP: &[Turn] = &[Turn::DropTask];
const FORGET: &[Turn] = &[Turn::ForgetTask];

#[test]
fn tasks_come_in_when_they_are_polled() {
    keeps(&Sharing::new(&[TASKS, W2]));
    keeps(&Sharing::new(&[DROP, W2]));
    keeps(&Sharing::new(&[TASK, UP]));
    keeps(&Sharing::new(&[TASK, R, W]));
}

#[test]
fn tasks_that_are_not_polled_keep_nobody_out() {
    keeps(&Sharing::new(&[FORGET, W2]).timed());
    keeps(&Sharing::new(&[FORGET, W, W]).timed());
    let keep_tasks = Sharing::with(&[FORGET, W2], Mutation::KeepTasks).timed();
    breaks(&keep_tasks, &[Property::Starved, Property::Stuck]);
}

#[test]
fn each_rule_of_tasks_is_needed() {
    let worlds: [(Mutation, &[&[Turn]]); 4] = [
        (Mutation::NotSentAway, &[TASK, W2]),
        (Mutation::TasksFirst, &[TASK, W2]),
        (Mutation::LateTask, &[TASK, W2]),
        (Mutation::JoinsAny, &[TASK, TASK, W2]),
    ];
    for (mistake, turns) in worlds {
        println!("{mistake:?}");
        breaks(
            &Sharing::with(turns, mistake).timed(),
            &[Property::Together, Property::Overtaken],
        );
    }
}

#[test]
fn dead_tasks_keep_nobody_out() {
    keeps(&Sharing::new(&[TASK, W2]).deaths(2));
    keeps(&Sharing::new(&[FORGET, W2]).deaths(1));
}

const GIVES_UP: &[Turn] = &[
    Turn::Write,
    Turn::WriteFor,
    Turn::WriteFor,
    Turn::WriteFor,
    Turn::Write,
];

#[test]
fn a_thread_beside_a_writer_is_found() {
    let worlds: [(Mutation, &[&[Turn]]); 5] = [
        (Mutation::NoSecondLook, &[R, W]),
        (Mutation::LateMark, &[R, W2]),
        (Mutation::FreeFirst, &[R, W, W]),
        (Mutation::ForgetLiving, &[R, W]),
        // Until a phase looks like the one since which somebody waited.
        (Mutation::PhaseUnused, &[R, GIVES_UP]),
    ];
    for (mistake, turns) in worlds {
        println!("{mistake:?}");
        breaks(
            &Sharing::with(turns, mistake),
            &[Property::Together, Property::Overtaken],
        );
    }
    let robbed = Sharing::with(&[R, W], Mutation::NoProof).deaths(1);
    breaks(&robbed, &[Property::Robbed]);
}

#[test]
fn a_lost_wake_up_of_readers_or_writers_is_found() {
    for mistake in [
        Mutation::NoReaderAnnouncement,
        Mutation::NoReaderWakeUp,
        Mutation::NoWriterWakeUp,
    ] {
        println!("{mistake:?}");
        breaks(&Sharing::with(&[R, W], mistake), &[Property::Stuck]);
    }
}

#[test]
fn threads_that_are_kept_out_forever_are_found() {
    let kept_out = [Property::Starved, Property::Stuck];
    for mistake in [Mutation::KeepDead, Mutation::NoTakeOver] {
        println!("{mistake:?}");
        breaks(&Sharing::with(&[R, W], mistake).deaths(1), &kept_out);
    }
}
