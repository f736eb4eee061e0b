//! What one does with a lock: alone, together, waiting, waking.

use std::io;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Bench, Named, Pairs, Place, Plan};
use crate::catalogue::Skill;
use crate::parts::{PARTICIPANTS, Primitive};
use crate::process::Program;
use crate::results::{Measured, Unit};
use crate::statistics::Histogram;

/// Lock and unlock, with nothing and with an increment between them, by one process.
pub(super) fn uncontended(bench: &Bench, plan: &mut Plan) {
    for (verb, case) in [
        ("pass", "lock + unlock"),
        ("count", "lock + increment + unlock"),
    ] {
        for (named, program) in bench.able(Skill::Lock) {
            let seconds = bench.seconds(bench.hammering());
            plan.add("uncontended", case, Some(named), seconds, move |bench| {
                let pairs = hammered(bench, &program, verb, 1)?;
                Ok(Measured::pairs(
                    "uncontended",
                    case,
                    Unit::Nanoseconds,
                    named,
                    pairs,
                ))
            });
        }
    }
}

/// Processes count together.
pub(super) fn count(bench: &Bench, plan: &mut Plan) {
    for &processes in &bench.settings.processes {
        for (named, program) in bench.able(Skill::Count) {
            let case = cased(processes);
            let seconds = bench.seconds(bench.hammering() * 1.5);
            plan.add("count", &case.clone(), Some(named), seconds, move |bench| {
                let pairs = hammered(bench, &program, "count", processes)?;
                Ok(Measured::pairs(
                    "count",
                    &case,
                    Unit::Nanoseconds,
                    named,
                    pairs,
                ))
            });
        }
    }
}

fn cased(processes: u32) -> String {
    match processes {
        1 => "1 process".to_owned(),
        _ => format!("{processes} processes"),
    }
}

/// Nanoseconds of one operation, on both sides, each measured for about the same time.
fn hammered(bench: &Bench, theirs: &Program, verb: &str, processes: u32) -> Result<Pairs<f64>> {
    let duration = bench.hammering() * 1e9;
    let enough = |program: &Program| {
        // A thousand tell how many are right for a tenth, and those tell it for all of the time.
        let mut shares = 1000;
        for part in [0.1, 1.0] {
            let one = race(bench, program, verb, processes, shares)?;
            let wanted = duration * part / one / f64::from(processes);
            shares = (wanted as u64).max(100);
        }
        anyhow::Ok(shares)
    };
    let our_share = enough(&bench.ours)?;
    let their_share = theirs.blamed(|| enough(theirs))?;
    bench.pairs(theirs, |program| {
        let is_ours = program.is_ours();
        let share = if is_ours { our_share } else { their_share };
        race(bench, program, verb, processes, share)
    })
}

/// Nanoseconds of one operation while each of the processes does its share.
fn race(bench: &Bench, program: &Program, verb: &str, processes: u32, share: u64) -> Result<f64> {
    let place = bench.place(program)?;
    let ns = place.race(verb, processes, &[share])?;
    if verb == "count" && !program.forks {
        check_value(&place, share * u64::from(processes))?;
    }
    Ok(ns)
}

/// A lock that counts wrong is no lock.
fn check_value(place: &Place<'_>, total: u64) -> Result<()> {
    let mut process = place
        .program
        .start("value", &place.path, &[], Stdio::null())?;
    let value = process.answer()?.number("value")?;
    ensure!(
        value as u64 == total,
        "{} counted to {value}, not to {total}",
        place.program.path.display()
    );
    Ok(())
}

/// How long one waits for a hammered lock, and how evenly it is had.
pub(super) fn waits(bench: &Bench, plan: &mut Plan) {
    for &processes in &bench.settings.waiters() {
        for (named, program) in bench.able(Skill::Lock) {
            let case = cased(processes);
            let seconds = bench.seconds(bench.hammering() * 5.0);
            plan.add("waits", &case.clone(), Some(named), seconds, move |bench| {
                waits_of(bench, &case, processes, named, &program)
            });
        }
    }
}

fn waits_of(
    bench: &Bench,
    case: &str,
    processes: u32,
    named: Named,
    program: &Program,
) -> Result<Measured> {
    /// Of one round.
    struct Round {
        histogram: Histogram,
        share: f64,
    }
    let duration = bench.settings.millis * 5_000_000;
    let pairs = bench.pairs(program, |program| {
        let place = bench.place(program)?;
        let numbers = vec![vec![duration]; processes as usize];
        let answers = program.race("wait", &place.path, &numbers)?;
        let mut histogram = Histogram::default();
        let (mut fewest, mut most) = (f64::INFINITY, 0.0_f64);
        for answer in answers {
            let operations = answer.number("operations")?;
            (fewest, most) = (fewest.min(operations), most.max(operations));
            histogram.add_text(answer.text("waits")?, answer.number("longest")?);
        }
        Ok(Round {
            histogram,
            share: fewest / most,
        })
    })?;
    let mut measured = Measured::default();
    for (peer, rounds) in [(None, &pairs.ours), (Some(named), &pairs.theirs)] {
        let all = measured.distribution("waits", case, peer);
        for round in rounds {
            all.histogram.merge(&round.histogram);
        }
    }
    let quantile = |part: f64| pairs.map(|round| round.histogram.quantile(part) / 1e6);
    for (case, unit, pairs) in [
        (
            format!("longest, {case}"),
            Unit::Milliseconds,
            quantile(1.0),
        ),
        (
            format!("1 of 10,000 waits longer, {case}"),
            Unit::Milliseconds,
            quantile(0.9999),
        ),
        (
            format!("share of the slowest, {case}"),
            Unit::Share,
            pairs.map(|round| round.share),
        ),
    ] {
        measured.add("waits", &case, unit, named, pairs);
    }
    Ok(measured)
}

/// From an unlock to a sleeper's having the lock.
pub(super) fn wake(bench: &Bench, plan: &mut Plan) {
    let case = "a sleeper";
    for (named, program) in bench.able_alone(Skill::Lock) {
        let seconds = bench.seconds(WAKES as f64 * 1.2e-3);
        plan.add("wake", case, Some(named), seconds, move |bench| {
            let pairs = bench.pairs(&program, |program| woken(bench, program))?;
            let mut measured = Measured::default();
            for (peer, rounds) in [(None, &pairs.ours), (Some(named), &pairs.theirs)] {
                let all = measured.distribution("wake", case, peer);
                for round in rounds {
                    all.histogram.merge(round);
                }
            }
            let micros = pairs.map(|round| round.quantile(0.5) / 1e3);
            measured.add("wake", case, Unit::Microseconds, named, micros);
            Ok(measured)
        });
    }
}

/// How often a sleeper is woken.
const WAKES: u64 = 200;

fn woken(bench: &Bench, program: &Program) -> Result<Histogram> {
    let place = bench.place(program)?;
    let (start, gun) = io::pipe()?;
    let mut giver = program.start("give", &place.path, &[u64::MAX], start.try_clone()?.into())?;
    let mut taker = program.start("take", &place.path, &[WAKES], start.into())?;
    giver.expect("ready")?;
    taker.expect("ready")?;
    drop(gun);
    let answer = taker.answer()?;
    let mut histogram = Histogram::default();
    histogram.add_text(answer.text("waits")?, answer.number("longest")?);
    Ok(histogram)
}

const WAITERS: u32 = PARTICIPANTS - 1;

/// What waiters cost that wait for long.
pub(super) fn idle(bench: &Bench, plan: &mut Plan) {
    let seconds = bench.settings.idle;
    let case = format!("{WAITERS} waiters, processor time in {seconds} s");
    for (title, primitive, holder, waiter) in [
        ("Mutex", Primitive::Mutex, 0, 0),
        ("RwLock, to read", Primitive::Rwlock, 1, 0),
        ("RwLock, to write", Primitive::Rwlock, 0, 1),
        ("Semaphore", Primitive::Semaphore, 0, 0),
        ("Event", Primitive::Event, 0, 0),
        ("Barrier", Primitive::Barrier, 0, 0),
    ] {
        let case = format!("{title}, {case}");
        plan.add("idle", title, None, seconds as f64, move |bench| {
            let used = used_by_idle(bench, &bench.with_part(primitive), holder, waiter)?;
            let unit = Unit::Milliseconds;
            Ok(Measured::alone("idle", &case, unit, vec![used]))
        });
    }
    // One pair: it takes long, and what it finds is small or large.
    for (named, program) in bench.able_alone(Skill::Lock) {
        let case = case.clone();
        let twice = 2.0 * seconds as f64;
        plan.add("idle", "lock", Some(named), twice, move |bench| {
            let pairs = bench.once(&program, |program| used_by_idle(bench, program, 0, 0))?;
            Ok(Measured::pairs(
                "idle",
                &case,
                Unit::Milliseconds,
                named,
                pairs,
            ))
        });
    }
}

/// Milliseconds of processor time that waiters use. `holder` and `waiter` say which of the
/// program's locks they want.
fn used_by_idle(bench: &Bench, program: &Program, holder: u64, waiter: u64) -> Result<f64> {
    let place = bench.place(program)?;
    let (start, gun) = io::pipe()?;
    let mut waiters = Vec::new();
    for _ in 0..WAITERS {
        let input = start.try_clone()?.into();
        waiters.push(program.start("idle", &place.path, &[0, waiter], input)?);
    }
    drop(start);
    for waiter in &mut waiters {
        waiter.expect("ready")?;
    }
    // Only now: Qt cannot attach while the lock is held.
    let mut holder = program.start("hold", &place.path, &[0, holder], Stdio::piped())?;
    holder.expect("held")?;
    drop(gun);
    thread::sleep(Duration::from_secs(bench.settings.idle));
    holder.let_go();
    let mut used = 0.0;
    for waiter in &mut waiters {
        used += waiter.answer()?.number("processor")?;
    }
    Ok(used / 1e6)
}
