//! Measures the time from a change to its waiter's wake-up.

use super::{Bench, Plan};
use crate::catalogue::Skill;
use crate::process::{Answer, Program};
use crate::results::{Measured, Unit};

/// Turns of each process.
const TURNS: u64 = 5000;

/// Two processes take turns: by a value and by events, in threads and in tasks, and by what the
/// peer has.
pub(super) fn turns(bench: &Bench, plan: &mut Plan) {
    for (named, program) in bench.able(Skill::Turns) {
        for (case, make, verb) in [
            ("a thread", "make-turns", "turns"),
            ("a task", "make-turns", "turns-in-tasks"),
            ("an event, a thread", "make-events", "turns-by-event"),
            ("an event, a task", "make-events", "turns-by-event-in-tasks"),
        ] {
            let program = program.clone();
            let seconds = bench.seconds(2.0 * TURNS as f64 * 10e-6);
            plan.add("turns", case, Some(named), seconds, move |bench| {
                let pairs = bench.pairs(&program, |side: &Program| {
                    let (make, verb) = if side.is_ours() {
                        (make, verb)
                    } else {
                        ("make", "turns")
                    };
                    let place = bench.place_by(side, make, &[])?;
                    let sides = [vec![TURNS, 0], vec![TURNS, 1]];
                    let answers = side.race(verb, &place.path, &sides)?;
                    Ok(Answer::elapsed(&answers)? / (2 * TURNS) as f64 / 1e3)
                })?;
                let unit = Unit::Microseconds;
                Ok(Measured::pairs("turns", case, unit, named, pairs))
            });
        }
    }
}
