//! What the model of seats is asked, and the mistakes that it has to find.

use super::{Able, Blind, Crew, END, Kind, Mutation, Property, Rarely, Stops};
use crate::model::search::{Broken, search};

#[track_caller]
fn keeps(crew: &Crew) {
    match search(crew) {
        Ok(seen) => println!("{seen}"),
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[track_caller]
fn breaks(crew: &Crew, expected: Property) {
    match search(crew) {
        Ok(seen) => panic!("{expected:?} was to be found, in {seen}"),
        Err(Broken { law, way }) => assert_eq!(law, expected, "after\n{way}"),
    }
}

#[test]
fn a_stopped_checker_is_replaced() {
    keeps(&Crew::new(0, &[(1, Able), (2, Able)]));
    keeps(&Crew::new(0, &[(1, Stops), (1, Able)]));
    keeps(&Crew::new(3, &[(1, Stops), (2, Able)]));
    keeps(&Crew::new(3, &[(1, Stops), (1, Able), (2, Able)]));
}

#[test]
fn a_task_that_is_hardly_polled_keeps_no_seat() {
    keeps(&Crew::new(3, &[(1, Rarely(END)), (1, Able)]));
    keeps(&Crew::new(3, &[(1, Rarely(6)), (1, Able)]));
    keeps(&Crew::new(3, &[(1, Rarely(6)), (2, Able)]));
    keeps(&Crew::new(3, &[(1, Rarely(6)), (2, Rarely(5)), (3, Able)]));
}

#[test]
fn a_checker_that_cannot_see_keeps_no_seat() {
    keeps(&Crew::new(3, &[(1, Blind), (2, Able)]));
    keeps(&Crew::new(3, &[(1, Blind), (2, Blind), (3, Able)]));
}

#[test]
fn each_rule_of_seats_is_needed() {
    type Model = &'static [(usize, Kind)];
    let worlds: [(Mutation, Model, Property); 5] = [
        (
            Mutation::NoTakeOver,
            &[(1, Stops), (1, Able)],
            Property::Unchecked,
        ),
        (
            Mutation::AnyBeat,
            &[(1, Rarely(6)), (2, Able)],
            Property::Unchecked,
        ),
        (
            Mutation::BlindBeats,
            &[(1, Blind), (2, Able)],
            Property::Unchecked,
        ),
        (
            Mutation::BlindHurries,
            &[(1, Blind), (2, Blind), (3, Able)],
            Property::Unchecked,
        ),
        (Mutation::ByStore, &[(1, Able), (2, Able)], Property::Shared),
    ];
    for (mistake, waiters, law) in worlds {
        println!("{mistake:?}");
        breaks(&Crew::new(3, waiters).with(mistake), law);
    }
}
