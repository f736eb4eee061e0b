//! From a holder's death to a waiter's having the lock.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Bench, Named, Place, tell};
use crate::catalogue::Skill;
use crate::harness::now;
use crate::process::{Process, Program};
use crate::results::Unit;

/// Whoever has not got the lock by then is taken to wait for ever.
const FOR_EVER: Duration = Duration::from_secs(1);

/// One waiter, which loses one holder after another.
struct Widow<'a> {
    peer: Option<Named>,
    place: Place<'a>,
    waiter: Process,
    recoveries: Vec<f64>,
    hangs: bool,
}

/// Kills holders, ours and each peer's in turn.
pub(super) fn recovery(bench: &mut Bench<'_>) -> Result<()> {
    let able = bench.able(Skill::Lock);
    let ours = bench.ours.clone();
    let mut widows = vec![widow(bench, &ours, None)?];
    for (named, program) in able.iter().filter(|(_, program)| !program.forks) {
        widows.push(widow(bench, program, Some(*named))?);
    }
    for kill in 0..bench.cli.kills {
        tell(format_args!("recovery: kill {kill} of {}", bench.cli.kills));
        for widow in widows.iter_mut().filter(|widow| !widow.hangs) {
            // Waiters sleep for some milliseconds at once: any moment in there may be the one of death.
            let waited = Duration::from_micros(fastrand::u64(2_000..22_000));
            match widow.lose(waited)? {
                Some(ns) => widow.recoveries.push(ns),
                None => widow.hangs = true,
            }
        }
    }
    let case = "a killed holder";
    let ours = widows.first().map(|widow| {
        widow
            .recoveries
            .iter()
            .map(|ns| ns / 1e6)
            .collect::<Vec<_>>()
    });
    let ours = ours.unwrap_or_default();
    bench.add_alone("recovery", case, Unit::Milliseconds, ours.clone());
    for widow in &widows {
        let all = bench.results.distribution("recovery", case, widow.peer);
        for &ns in &widow.recoveries {
            all.histogram.add(ns);
        }
        all.never += u32::from(widow.hangs);
        if let Some(named) = widow.peer {
            let theirs = widow.recoveries.iter().map(|ns| ns / 1e6).collect();
            let pairs = super::Pairs {
                ours: ours.clone(),
                theirs,
            };
            bench.add("recovery", case, Unit::Milliseconds, named, pairs);
        }
    }
    Ok(())
}

fn widow<'a>(bench: &Bench<'_>, program: &'a Program, peer: Option<Named>) -> Result<Widow<'a>> {
    let place = bench.place(program)?;
    let command = program.command("regain", &place.path, &[]);
    Ok(Widow {
        peer,
        waiter: Process::start(command, Stdio::piped())?,
        place,
        recoveries: Vec::new(),
        hangs: false,
    })
}

impl Widow<'_> {
    /// Nanoseconds from a holder's kill until the waiter had the lock; nothing if it never gets it.
    fn lose(&mut self, waited: Duration) -> Result<Option<f64>> {
        let Place { program, path } = &self.place;
        let mut holder = Process::start(program.command("hold", path, &[]), Stdio::piped())?;
        holder.expect("held")?;
        self.waiter.nudge()?;
        self.waiter.expect("waiting")?;
        thread::sleep(waited);
        let killed = now();
        holder.kill()?;
        let Some(answer) = self.waiter.answer(FOR_EVER)? else {
            return Ok(None);
        };
        let got = answer.number("got").context("after a death")?;
        Ok(Some((got - killed as f64).max(0.0)))
    }
}
