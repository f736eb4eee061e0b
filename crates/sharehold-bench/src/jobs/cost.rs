//! What one operation asks of the system and of the processor: system calls by strace, instructions by valgrind.
//!
//! Each program runs twice, doing it more often the second time; the difference is the cost, without start and end. The
//! numbers are exact and do not depend on the machine's speed.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{Bench, Pairs, tell};
use crate::catalogue::Skill;
use crate::process::Program;
use crate::results::Unit;

const FEW: u64 = 1000;
const MANY: u64 = 3000;

/// Counts for each peer what lock + unlock costs, and the life of a segment.
pub(super) fn cost(bench: &mut Bench<'_>) -> Result<()> {
    let lock = "lock + unlock";
    for (named, program) in bench.able(Skill::Lock) {
        if program.forks {
            continue;
        }
        tell(format_args!("cost: {}", named.1));
        if there("strace") {
            let pairs = both(bench, &program, |program| calls(bench, program, "pass"))?;
            bench.add("cost", lock, Unit::Calls, named, pairs);
        }
        if there("valgrind") {
            for (verb, case) in [("pass", lock), ("count", "lock + increment + unlock")] {
                let pairs = both(bench, &program, |program| {
                    instructions(bench, program, verb)
                })?;
                let case = format!("{case}, instructions");
                bench.add("cost", &case, Unit::Instructions, named, pairs);
            }
        }
    }
    for (named, program) in bench.able(Skill::Life) {
        tell(format_args!("cost: {}", named.1));
        if there("strace") {
            let pairs = both(bench, &program, |program| calls(bench, program, "life"))?;
            bench.add(
                "cost",
                "create, attach, detach, destroy",
                Unit::Calls,
                named,
                pairs,
            );
        }
    }
    Ok(())
}

fn there(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok()
}

fn both(
    bench: &Bench<'_>,
    theirs: &Program,
    measure: impl Fn(&Program) -> Result<f64>,
) -> Result<Pairs<f64>> {
    Ok(Pairs {
        ours: vec![measure(&bench.ours)?],
        theirs: vec![measure(theirs)?],
    })
}

fn calls(bench: &Bench<'_>, program: &Program, verb: &str) -> Result<f64> {
    let report = bench.folder.path().join("strace");
    difference(bench, program, verb, |inner| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-o"]).arg(&report);
        wrapped(strace, inner)?;
        let text = std::fs::read_to_string(&report)?;
        let total = text.lines().find(|line| line.ends_with(" total"));
        let calls = total.and_then(|line| line.split_whitespace().nth(3));
        Ok(calls.context("strace counts nothing")?.parse()?)
    })
}

fn instructions(bench: &Bench<'_>, program: &Program, verb: &str) -> Result<f64> {
    difference(bench, program, verb, |inner| {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        let said = wrapped(valgrind, inner)?;
        let found = said.split("Collected : ").nth(1);
        let number = found.and_then(|rest| rest.split_whitespace().next());
        Ok(number.context("valgrind counts nothing")?.parse()?)
    })
}

/// What one operation adds.
fn difference(
    bench: &Bench<'_>,
    program: &Program,
    verb: &str,
    count: impl Fn(&Command) -> Result<f64>,
) -> Result<f64> {
    let mut counts = [0.0; 2];
    for (counted, number) in counts.iter_mut().zip([FEW, MANY]) {
        *counted = if verb == "life" {
            let path = bench.fresh(program);
            count(&program.command(verb, &path, &[number]))?
        } else {
            let place = bench.place(program)?;
            count(&program.command(verb, &place.path, &[number]))?
        };
    }
    Ok((counts[1] - counts[0]) / (MANY - FEW) as f64)
}

/// Runs a command under a tool; returns what the tool says.
fn wrapped(mut tool: Command, inner: &Command) -> Result<String> {
    tool.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            tool.env(name, value);
        }
    }
    let output = tool
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {tool:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{tool:?}: {said}");
    Ok(said)
}
