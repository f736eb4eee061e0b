//! From a holder's death to a waiter's having the lock.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::{Bench, Named, Pairs, Place, Plan};
use crate::catalogue::Skill;
use crate::harness::now;
use crate::process::{Process, Program};
use crate::results::{Measured, Unit};

/// A waiter that has not got the lock by then is taken to wait for ever.
const FOR_EVER: Duration = Duration::from_secs(1);

const CASE: &str = "a killed holder";

/// Kills holders of ours, and then of ours and of each peer in turn.
pub(super) fn recovery(bench: &Bench, plan: &mut Plan) {
    let kills = bench.settings.kills;
    // A start, a wait, and a recovery.
    let seconds = f64::from(kills) * 0.02;
    plan.add("recovery", CASE, None, seconds, move |bench| {
        let mut ours = Widow::new(bench, &bench.ours)?;
        for _ in 0..kills {
            ours.lose()?;
        }
        let mut measured = Measured::default();
        ours.show(&mut measured, None);
        measured.add_alone("recovery", CASE, Unit::Milliseconds, ours.millis());
        Ok(measured)
    });
    for (named, program) in bench.able_alone(Skill::Lock) {
        // Seven rounds are enough for a ratio.
        let kills = kills.min(7 * bench.settings.rounds);
        let seconds = f64::from(kills) * 0.04;
        plan.add("recovery", CASE, Some(named), seconds, move |bench| {
            let mut ours = Widow::new(bench, &bench.ours)?;
            let mut theirs = program.blamed(|| Widow::new(bench, &program))?;
            for _ in 0..kills {
                ours.lose()?;
                program.blamed(|| theirs.lose())?;
            }
            let mut measured = Measured::default();
            ours.show(&mut measured, None);
            theirs.show(&mut measured, Some(named));
            let pairs = Pairs {
                ours: ours.millis(),
                theirs: theirs.millis(),
            };
            measured.add("recovery", CASE, Unit::Milliseconds, named, pairs);
            Ok(measured)
        });
    }
}

/// One waiter, which loses one holder after another.
struct Widow<'a> {
    place: Place<'a>,
    waiter: Process,
    /// Nanoseconds from a kill until the waiter had the lock.
    recoveries: Vec<f64>,
    hangs: bool,
}

impl Widow<'_> {
    fn new<'a>(bench: &Bench, program: &'a Program) -> Result<Widow<'a>> {
        let place = bench.place(program)?;
        Ok(Widow {
            waiter: program.start("regain", &place.path, &[], Stdio::piped())?,
            place,
            recoveries: Vec::new(),
            hangs: false,
        })
    }

    /// Kills a holder, unless the waiter still waits for the lock of an earlier one.
    fn lose(&mut self) -> Result<()> {
        if self.hangs {
            return Ok(());
        }
        let Place { program, path } = &self.place;
        let mut holder = program.start("hold", path, &[], Stdio::piped())?;
        holder.expect("held")?;
        self.waiter.nudge()?;
        self.waiter.expect("waiting")?;
        // Waiters sleep for some milliseconds at once: any moment in there may be the one of death.
        thread::sleep(Duration::from_micros(fastrand::u64(2_000..22_000)));
        let killed = now();
        holder.kill()?;
        match self.waiter.answer_within(FOR_EVER)? {
            Some(answer) => {
                let ns = answer.number("got")? - killed as f64;
                self.recoveries.push(ns.max(0.0));
            }
            None => self.hangs = true,
        }
        Ok(())
    }

    fn millis(&self) -> Vec<f64> {
        self.recoveries.iter().map(|ns| ns / 1e6).collect()
    }

    fn show(&self, measured: &mut Measured, peer: Option<Named>) {
        let all = measured.distribution("recovery", CASE, peer);
        for &ns in &self.recoveries {
            all.histogram.add(ns);
        }
        all.never += u32::from(self.hangs);
    }
}
