//! The life and the use of shared memory, beside the bare system calls.

use super::{Bench, Plan};
use crate::catalogue::Skill;
use crate::process::{Answer, Program};
use crate::results::{Measured, Unit};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Create, attach, detach and destroy 4 KiB.
pub(super) fn life(bench: &Bench, plan: &mut Plan) {
    const LIVES: u64 = 1000;
    const STEPS: [&str; 4] = ["create", "attach", "detach", "destroy"];
    for (named, program) in bench.able(Skill::Life) {
        let seconds = bench.seconds(LIVES as f64 * 60e-6);
        plan.add("life", "all four", Some(named), seconds, move |bench| {
            let pairs = bench.pairs(&program, |program| {
                let path = bench.fresh(program);
                let answers = program.race("life", &path, &[vec![LIVES]])?;
                let mut times = vec![Answer::elapsed(&answers)? / LIVES as f64 / 1e3];
                for step in STEPS {
                    times.push(answers[0].number(step)? / LIVES as f64 / 1e3);
                }
                Ok(times)
            })?;
            let mut measured = Measured::default();
            for (number, step) in (0..).zip(["all four"].into_iter().chain(STEPS)) {
                let one = pairs.map(|times| times[number]);
                measured.add("life", step, Unit::Microseconds, named, one);
            }
            Ok(measured)
        });
    }
}

/// Attach to a large segment, read a byte, detach.
pub(super) fn attach(bench: &Bench, plan: &mut Plan) {
    const TIMES: u64 = 500;
    let case = "attach, read, detach 1 GiB";
    for (named, program) in bench.able(Skill::Memory) {
        let seconds = 2.0 + bench.seconds(TIMES as f64 * 30e-6);
        plan.add("attach", case, Some(named), seconds, move |bench| {
            let our_place = bench.place_by(&bench.ours, "make-large", &[GIB])?;
            let theirs = || bench.place_by(&program, "make-large", &[GIB]);
            let their_place = program.blamed(theirs)?;
            let pairs = bench.pairs(&program, |program| {
                let is_ours = program.is_ours();
                let place = if is_ours { &our_place } else { &their_place };
                let answers = program.race("attach", &place.path, &[vec![TIMES]])?;
                Ok(Answer::elapsed(&answers)? / TIMES as f64 / 1e3)
            })?;
            let unit = Unit::Microseconds;
            Ok(Measured::pairs("attach", case, unit, named, pairs))
        });
    }
}

/// Copy blocks into a segment and out of it.
pub(super) fn copy(bench: &Bench, plan: &mut Plan) {
    const SIZE: u64 = 64 * MIB;
    const TIMES: u64 = 4;
    const BLOCKS: [(u64, &str); 3] = [(64, "64 B"), (4 * KIB, "4 KiB"), (MIB, "1 MiB")];
    for (named, program) in bench.able(Skill::Memory) {
        for (block, shown) in BLOCKS {
            let program = program.clone();
            let seconds = bench.seconds(0.3);
            plan.add("copy", shown, Some(named), seconds, move |bench| {
                let speeds = |program: &Program| {
                    let place = bench.place_by(program, "make-large", &[SIZE])?;
                    // Once before: the first touch of a page is another matter.
                    program.race("copy", &place.path, &[vec![1, block]])?;
                    let answers = program.race("copy", &place.path, &[vec![TIMES, block]])?;
                    let (all, into) = (Answer::elapsed(&answers)?, answers[0].number("in")?);
                    let speed = |ns: f64| (SIZE * TIMES) as f64 / GIB as f64 / (ns / 1e9);
                    Ok((speed(into), speed(all - into)))
                };
                let pairs = bench.pairs(&program, speeds)?;
                let into = pairs.map(|(into, _)| *into);
                let out = pairs.map(|(_, out)| *out);
                let case = |way: &str| format!("{shown} blocks {way} 64 MiB");
                let unit = Unit::GibPerSecond;
                let mut measured = Measured::pairs("copy", &case("into"), unit, named, into);
                measured.add("copy", &case("out of"), unit, named, out);
                Ok(measured)
            });
        }
    }
}
