//! What one operation asks of the system and of the processor: system calls by strace, instructions
//! by valgrind.
//!
//! Each program runs twice, doing it more often the second time; the difference is the cost,
//! without start and end. The numbers are exact and do not depend on the machine's speed.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{Bench, Plan};
use crate::catalogue::Skill;
use crate::process::Program;
use crate::results::{Measured, Unit};

const FEW: u64 = 1000;
const MANY: u64 = 3000;

/// Counts for each peer what lock + unlock costs, and the life of a segment.
pub(super) fn cost(bench: &Bench, plan: &mut Plan) {
    const LOCK: &str = "lock + unlock";
    let (strace, valgrind) = (there("strace"), there("valgrind"));
    for (named, program) in bench.able_alone(Skill::Lock) {
        if strace {
            let program = program.clone();
            plan.add("cost", LOCK, Some(named), 1.0, move |bench| {
                let pairs = bench.once(&program, |side| calls(bench, side, "pass"))?;
                Ok(Measured::pairs("cost", LOCK, Unit::Calls, named, pairs))
            });
        }
        for (verb, case) in [("pass", LOCK), ("count", "lock + increment + unlock")] {
            if valgrind {
                let program = program.clone();
                let case = format!("{case}, instructions");
                plan.add("cost", &case.clone(), Some(named), 4.0, move |bench| {
                    let pairs = bench.once(&program, |side| instructions(bench, side, verb))?;
                    let unit = Unit::Instructions;
                    Ok(Measured::pairs("cost", &case, unit, named, pairs))
                });
            }
        }
    }
    for (named, program) in bench.able(Skill::Life) {
        let case = "create, attach, detach, destroy";
        if strace {
            plan.add("cost", case, Some(named), 4.0, move |bench| {
                let pairs = bench.once(&program, |side| calls(bench, side, "life"))?;
                Ok(Measured::pairs("cost", case, Unit::Calls, named, pairs))
            });
        }
    }
}

fn there(tool: &str) -> bool {
    let mut version = Command::new(tool);
    version.arg("--version").stdin(Stdio::null());
    version.output().is_ok()
}

fn calls(bench: &Bench, program: &Program, verb: &str) -> Result<f64> {
    let report = bench.folder.path().join("strace");
    difference(bench, program, verb, |path, number| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-o"]).arg(&report);
        program.under(strace, verb, path, &[number])?;
        let text = std::fs::read_to_string(&report)?;
        let total = text.lines().find(|line| line.ends_with(" total"));
        let calls = total.and_then(|line| line.split_whitespace().nth(3));
        Ok(calls.context("strace counts nothing")?.parse()?)
    })
}

fn instructions(bench: &Bench, program: &Program, verb: &str) -> Result<f64> {
    difference(bench, program, verb, |path, number| {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        let said = program.under(valgrind, verb, path, &[number])?;
        let found = said.split("Collected : ").nth(1);
        let number = found.and_then(|rest| rest.split_whitespace().next());
        Ok(number.context("valgrind counts nothing")?.parse()?)
    })
}

/// What one operation adds to what `count` finds for a path and a number of operations.
fn difference(
    bench: &Bench,
    program: &Program,
    verb: &str,
    count: impl Fn(&str, u64) -> Result<f64>,
) -> Result<f64> {
    let mut counts = [0.0; 2];
    for (counted, number) in counts.iter_mut().zip([FEW, MANY]) {
        *counted = if verb == "life" {
            count(&bench.fresh(program), number)?
        } else {
            count(&bench.place(program)?.path, number)?
        };
    }
    Ok((counts[1] - counts[0]) / (MANY - FEW) as f64)
}
