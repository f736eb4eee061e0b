//! The scenarios of waiting for a change, and the mistakes that the model must find.

use super::{Change, Mutation, Program, Property, START};
use crate::model::search::{Broken, search};
use crate::value::change::VersionWatch;

fn waits() -> Program {
    Program::Waits(VersionWatch::new(START.into()))
}

fn commits(changes: u8) -> Program {
    Program::Commits(changes)
}

#[track_caller]
fn keeps(world: &Change) {
    match search(world) {
        Ok(seen) => println!("{seen}"),
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[test]
fn no_change_is_missed() {
    keeps(&Change::new(&[waits(), commits(3)], Mutation::None));
    keeps(&Change::new(
        &[waits(), commits(2), commits(1)],
        Mutation::None,
    ));
    keeps(&Change::new(
        &[waits(), waits(), commits(2)],
        Mutation::None,
    ));
}

#[test]
fn no_change_is_missed_after_a_death() {
    keeps(&Change::new(&[waits(), commits(2)], Mutation::None).deaths(1));
    keeps(&Change::new(&[waits(), commits(2), commits(1)], Mutation::None).deaths(2));
    keeps(&Change::new(&[waits(), waits(), commits(1)], Mutation::None).deaths(1));
}

#[test]
fn no_change_is_missed_where_commit_and_wake_up_are_two_steps() {
    keeps(&Change::new(&[waits(), commits(2)], Mutation::None).in_two_steps());
    let one_dies = Change::new(&[waits(), commits(2)], Mutation::None).deaths(1);
    keeps(&one_dies.in_two_steps());
    let two_die = Change::new(&[waits(), commits(2), commits(1)], Mutation::None).deaths(2);
    keeps(&two_die.in_two_steps());
}

#[test]
fn no_change_is_missed_where_there_are_no_barriers() {
    keeps(&Change::new(&[waits(), commits(3)], Mutation::None).without_barriers());
    let one_dies = Change::new(&[waits(), commits(2), commits(1)], Mutation::None).deaths(1);
    keeps(&one_dies.without_barriers());
    let trusting = Change::new(&[waits(), commits(2)], Mutation::TrustsBarriers);
    let Err(Broken { law, .. }) = search(&trusting.without_barriers()) else {
        panic!("a change is missed by one who does not notice it")
    };
    assert_eq!(law, Property::Missed);
}

#[test]
fn each_rule_of_waiting_is_needed() {
    let two = &[waits(), commits(2)][..];
    let writers = &[waits(), commits(1), commits(2)][..];
    for (mistake, threads, deaths, law) in [
        (Mutation::NoBarrier, two, 0, Property::Missed),
        (Mutation::BarrierFirst, two, 0, Property::Missed),
        (Mutation::SplitWake, two, 1, Property::Missed),
        (Mutation::TakeLate, two, 0, Property::Missed),
        (Mutation::NoRecovery, writers, 1, Property::Missed),
        (Mutation::NoPeriods, two, 1, Property::Missed),
        (Mutation::NeverGone, two, 1, Property::Polls),
    ] {
        println!("{mistake:?}");
        match search(&Change::new(threads, mistake).deaths(deaths)) {
            Ok(seen) => panic!("{law:?} was to be found, in {seen}"),
            Err(Broken { law: found, way }) => assert_eq!(found, law, "after\n{way}"),
        }
    }
}
