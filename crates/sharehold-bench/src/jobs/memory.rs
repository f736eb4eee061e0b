//! The life and the use of shared memory, beside the bare system calls.

use anyhow::Result;

use super::{Bench, tell};
use crate::catalogue::Skill;
use crate::process::{Answer, Program};
use crate::results::Unit;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Create, attach, detach and destroy 4 KiB.
pub(super) fn life(bench: &mut Bench<'_>) -> Result<()> {
    const LIVES: u64 = 1000;
    const STEPS: [&str; 4] = ["create", "attach", "detach", "destroy"];
    for (named, program) in bench.able(Skill::Life) {
        tell(format_args!("life: {}", named.1));
        let pairs = bench.pairs(&program, |program| {
            let path = bench.fresh(program);
            let answers = program.race("life", &path, &[vec![LIVES]])?;
            let mut times = vec![Answer::elapsed(&answers)? / LIVES as f64 / 1e3];
            for step in STEPS {
                times.push(answers[0].number(step)? / LIVES as f64 / 1e3);
            }
            Ok(times)
        })?;
        let whole = pairs.map(|times| times[0]);
        bench.add("life", "all four", Unit::Microseconds, named, whole);
        for (number, step) in (1..).zip(STEPS) {
            let one = pairs.map(|times| times[number]);
            bench.add("life", step, Unit::Microseconds, named, one);
        }
    }
    Ok(())
}

/// Attach to a large segment, read a byte, detach.
pub(super) fn attach(bench: &mut Bench<'_>) -> Result<()> {
    const TIMES: u64 = 500;
    for (named, program) in bench.able(Skill::Memory) {
        tell(format_args!("attach: {}", named.1));
        let our_place = bench.place_by(&bench.ours, "make-large", &[GIB])?;
        let their_place = bench.place_by(&program, "make-large", &[GIB])?;
        let pairs = bench.pairs(&program, |program| {
            let is_ours = program.segments.is_some();
            let place = if is_ours { &our_place } else { &their_place };
            let answers = program.race("attach", &place.path, &[vec![TIMES]])?;
            Ok(Answer::elapsed(&answers)? / TIMES as f64 / 1e3)
        })?;
        drop((our_place, their_place));
        bench.add(
            "attach",
            "attach, read, detach 1 GiB",
            Unit::Microseconds,
            named,
            pairs,
        );
    }
    Ok(())
}

/// Copy blocks into a segment and out of it.
pub(super) fn copy(bench: &mut Bench<'_>) -> Result<()> {
    const SIZE: u64 = 64 * MIB;
    const TIMES: u64 = 4;
    const BLOCKS: [(u64, &str); 3] = [(64, "64 B"), (4 * KIB, "4 KiB"), (MIB, "1 MiB")];
    for (named, program) in bench.able(Skill::Memory) {
        for (block, shown) in BLOCKS {
            tell(format_args!("copy: {shown}, {}", named.1));
            let speeds = |program: &Program| {
                let place = bench.place_by(program, "make-large", &[SIZE])?;
                // Once before: the first touch of a page is another matter.
                program.race("copy", &place.path, &[vec![1, block]])?;
                let answers = program.race("copy", &place.path, &[vec![TIMES, block]])?;
                let (all, into) = (Answer::elapsed(&answers)?, answers[0].number("in")?);
                let speed = |ns: f64| (SIZE * TIMES) as f64 / GIB as f64 / (ns / 1e9);
                anyhow::Ok((speed(into), speed(all - into)))
            };
            let pairs = bench.pairs(&program, speeds)?;
            let into = pairs.map(|(into, _)| *into);
            let out = pairs.map(|(_, out)| *out);
            let case = |way: &str| format!("{shown} blocks {way} 64 MiB");
            bench.add("copy", &case("into"), Unit::GibPerSecond, named, into);
            bench.add("copy", &case("out of"), Unit::GibPerSecond, named, out);
        }
    }
    Ok(())
}
