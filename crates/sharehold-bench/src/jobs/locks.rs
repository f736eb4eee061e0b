//! What one does with a lock: alone, together, waiting, waking.

use anyhow::{Context, Result, ensure};

use super::{Bench, Named, Pairs, Place, tell};
use crate::catalogue::Skill;
use crate::parts::{PARTICIPANTS, Primitive};
use crate::process::{Process, Program};
use crate::results::Unit;
use crate::statistics::Histogram;

/// Lock and unlock, with nothing and with an increment between them, by one process.
pub(super) fn uncontended(bench: &mut Bench<'_>) -> Result<()> {
    for (verb, case) in [
        ("pass", "lock + unlock"),
        ("count", "lock + increment + unlock"),
    ] {
        for (named, program) in bench.able(Skill::Lock) {
            tell(format_args!("uncontended: {case}, {}", named.1));
            let pairs = hammered(bench, &program, verb, 1)?;
            bench.add("uncontended", case, Unit::Nanoseconds, named, pairs);
        }
    }
    Ok(())
}

/// Processes count together.
pub(super) fn count(bench: &mut Bench<'_>) -> Result<()> {
    for processes in bench.cli.processes.clone() {
        for (named, program) in bench.able(Skill::Count) {
            let case = cased(processes);
            tell(format_args!("count: {case}, {}", named.1));
            let pairs = hammered(bench, &program, "count", processes)?;
            bench.add("count", &case, Unit::Nanoseconds, named, pairs);
        }
    }
    Ok(())
}

fn cased(processes: u32) -> String {
    match processes {
        1 => "1 process".to_owned(),
        _ => format!("{processes} processes"),
    }
}

/// Nanoseconds of one operation, on both sides, each measured for about the same time.
fn hammered(bench: &Bench<'_>, theirs: &Program, verb: &str, processes: u32) -> Result<Pairs<f64>> {
    let duration = bench.cli.millis as f64 * 1e6;
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
    let (our_share, their_share) = (enough(&bench.ours)?, enough(theirs)?);
    bench.pairs(theirs, |program| {
        let is_ours = program.segments.is_some();
        let share = if is_ours { our_share } else { their_share };
        race(bench, program, verb, processes, share)
    })
}

/// Nanoseconds of one operation while each of the processes does its share.
fn race(
    bench: &Bench<'_>,
    program: &Program,
    verb: &str,
    processes: u32,
    share: u64,
) -> Result<f64> {
    let place = bench.place(program)?;
    let ns = place.race(verb, processes, &[share])?;
    if verb == "count" && !program.forks {
        check_value(&place, share * u64::from(processes))?;
    }
    Ok(ns)
}

/// A lock that counts wrong is no lock.
fn check_value(place: &Place<'_>, total: u64) -> Result<()> {
    let command = place.program.command("value", &place.path, &[]);
    let process = Process::start(command, std::process::Stdio::null())?;
    let answer = process.answer(std::time::Duration::from_secs(10))?;
    let value = answer.context("it says no value")?.number("value")?;
    ensure!(
        value as u64 == total,
        "{} counted to {value}, not to {total}",
        place.program.path.display()
    );
    Ok(())
}

/// How long one waits for a hammered lock, and how evenly it is had.
pub(super) fn waits(bench: &mut Bench<'_>) -> Result<()> {
    /// Of one round.
    struct Round {
        histogram: Histogram,
        share: f64,
        answers: Vec<(String, f64)>,
    }
    let duration = bench.cli.millis * 5_000_000;
    let several: Vec<u32> = bench
        .cli
        .processes
        .iter()
        .copied()
        .filter(|&it| it > 1)
        .collect();
    for processes in several {
        for (named, program) in bench.able(Skill::Lock) {
            let case = cased(processes);
            tell(format_args!("waits: {case}, {}", named.1));
            let pairs = bench.pairs(&program, |program| {
                let place = bench.place(program)?;
                let numbers = vec![vec![duration]; processes as usize];
                let answers = program.race("wait", &place.path, &numbers)?;
                let mut round = Round {
                    histogram: Histogram::default(),
                    share: 1.0,
                    answers: Vec::new(),
                };
                let (mut fewest, mut most) = (f64::INFINITY, 0.0_f64);
                for answer in answers {
                    let operations = answer.number("operations")?;
                    (fewest, most) = (fewest.min(operations), most.max(operations));
                    let (text, longest) = (answer.text("waits")?, answer.number("longest")?);
                    round.histogram.add_text(text, longest);
                    round.answers.push((text.to_owned(), longest));
                }
                round.share = fewest / most;
                Ok(round)
            })?;
            for (peer, rounds) in [(None, &pairs.ours), (Some(named), &pairs.theirs)] {
                let all = bench.results.distribution("waits", &case, peer);
                for (text, longest) in rounds.iter().flat_map(|round| &round.answers) {
                    all.histogram.add_text(text, *longest);
                }
            }
            let quantile = |part: f64| pairs.map(|round| round.histogram.quantile(part) / 1e6);
            let longest = quantile(1.0);
            let rare = quantile(0.9999);
            let share = pairs.map(|round| round.share);
            let longest_case = format!("longest, {case}");
            bench.add("waits", &longest_case, Unit::Milliseconds, named, longest);
            let rare_case = format!("1 of 10,000 waits longer, {case}");
            bench.add("waits", &rare_case, Unit::Milliseconds, named, rare);
            let share_case = format!("share of the slowest, {case}");
            bench.add("waits", &share_case, Unit::Share, named, share);
        }
    }
    Ok(())
}

/// From an unlock to a sleeper's having the lock.
pub(super) fn wake(bench: &mut Bench<'_>) -> Result<()> {
    const WAKES: u64 = 200;
    for (named, program) in bench.able(Skill::Lock) {
        if program.forks {
            continue;
        }
        tell(format_args!("wake: {}", named.1));
        let mut said: Vec<(bool, String, f64)> = Vec::new();
        let pairs = bench.pairs(&program, |program| {
            let place = bench.place(program)?;
            let (start, gun) = std::io::pipe()?;
            let process = |verb, number| {
                let command = program.command(verb, &place.path, &[number]);
                Process::start(command, start.try_clone()?.into())
            };
            let giver = process("give", u64::MAX)?;
            let taker = process("take", WAKES)?;
            drop(start);
            giver.expect("ready")?;
            taker.expect("ready")?;
            drop(gun);
            let answer = taker.answer(std::time::Duration::from_mins(1))?;
            let answer = answer.context("it is not woken")?;
            let (text, longest) = (answer.text("waits")?, answer.number("longest")?);
            let mut histogram = Histogram::default();
            histogram.add_text(text, longest);
            said.push((program.segments.is_some(), text.to_owned(), longest));
            Ok(histogram.quantile(0.5) / 1e3)
        })?;
        for (is_ours, text, longest) in said {
            let peer: Option<Named> = (!is_ours).then_some(named);
            let all = bench.results.distribution("wake", "a sleeper", peer);
            all.histogram.add_text(&text, longest);
        }
        bench.add("wake", "a sleeper", Unit::Microseconds, named, pairs);
    }
    Ok(())
}

/// What waiters cost that wait for long.
pub(super) fn idle(bench: &mut Bench<'_>) -> Result<()> {
    const WAITERS: u32 = PARTICIPANTS - 1;
    let seconds = bench.cli.idle;
    let case = format!("{WAITERS} waiters, processor time in {seconds} s");
    // `holder` and `waiter` say which of the program's locks each of them uses.
    let measure = |program: &Program, holder: u64, waiter: u64| {
        let place = bench.place(program)?;
        let (start, gun) = std::io::pipe()?;
        let mut waiters = Vec::new();
        for _ in 0..WAITERS {
            let command = program.command("idle", &place.path, &[0, waiter]);
            waiters.push(Process::start(command, start.try_clone()?.into())?);
        }
        drop(start);
        for waiter in &waiters {
            waiter.expect("ready")?;
        }
        // Only now: Qt cannot attach while somebody holds the lock.
        let command = program.command("hold", &place.path, &[0, holder]);
        let mut holder = Process::start(command, std::process::Stdio::piped())?;
        holder.expect("held")?;
        drop(gun);
        std::thread::sleep(std::time::Duration::from_secs(seconds));
        holder.let_go();
        let mut used = 0.0;
        for waiter in &waiters {
            let answer = waiter.answer(std::time::Duration::from_mins(1))?;
            used += answer
                .context("it has not got the lock")?
                .number("processor")?;
        }
        anyhow::Ok(used / 1e6)
    };
    let mut all = Vec::new();
    let able = bench.able(Skill::Lock);
    for (named, program) in able.iter().filter(|(_, program)| !program.forks) {
        tell(format_args!("idle: {}", named.1));
        // One pair: it takes long, and what it finds is small or large.
        let pairs = Pairs {
            ours: vec![measure(&bench.ours, 0, 0)?],
            theirs: vec![measure(program, 0, 0)?],
        };
        all.push((*named, pairs));
    }
    let mut parts = Vec::new();
    for (title, primitive, holder, waiter) in [
        ("Mutex", Primitive::Mutex, 0, 0),
        ("RwLock, to read", Primitive::Rwlock, 1, 0),
        ("RwLock, to write", Primitive::Rwlock, 0, 1),
        ("Semaphore", Primitive::Semaphore, 0, 0),
        ("Event", Primitive::Event, 0, 0),
        ("Barrier", Primitive::Barrier, 0, 0),
    ] {
        tell(format_args!("idle: {title}"));
        let used = measure(&bench.with_part(primitive), holder, waiter)?;
        parts.push((format!("{title}, {case}"), used));
    }
    for (case, used) in parts {
        bench.add_alone("idle", &case, Unit::Milliseconds, vec![used]);
    }
    for (named, pairs) in all {
        bench.add("idle", &case, Unit::Milliseconds, named, pairs);
    }
    Ok(())
}
