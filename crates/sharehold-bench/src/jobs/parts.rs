//! What one does with the locks of parts: alone, beside other readers, hammered by many.

use anyhow::Result;

use super::{Bench, Named, Pairs, tell};
use crate::parts::Primitive;
use crate::process::{Answer, Program};
use crate::results::Unit;
use crate::statistics::Histogram;

/// A way to use a primitive, and what else is used for that.
struct Way {
    title: &'static str,
    primitive: Primitive,
    /// Which of its locks.
    second: u64,
    peer: &'static str,
}

const WAYS: [Way; 5] = [
    way("Mutex", Primitive::Mutex, 0, "pthread-robust"),
    READ,
    way("RwLock, write", Primitive::Rwlock, 1, "pthread-rwlock"),
    way("Semaphore", Primitive::Semaphore, 0, "semaphore"),
    way("Event, wait + set", Primitive::Event, 0, "semaphore"),
];

const READ: Way = way("RwLock, read", Primitive::Rwlock, 0, "pthread-rwlock");

const fn way(title: &'static str, primitive: Primitive, second: u64, peer: &'static str) -> Way {
    Way {
        title,
        primitive,
        second,
        peer,
    }
}

/// Acquires and releases each of them, alone; and reads with one process and with two.
pub(super) fn parts(bench: &mut Bench<'_>) -> Result<()> {
    for way in WAYS {
        let Some((named, theirs)) = bench.named(way.peer) else {
            continue;
        };
        tell(format_args!("parts: {}, {}", way.title, named.1));
        let ours = bench.with_part(way.primitive);
        let pairs = bench.turns(|is_ours| {
            let side = if is_ours { &ours } else { &theirs };
            race(bench, side, "pass", 1, way.second)
        })?;
        bench.add("parts", way.title, Unit::Nanoseconds, named, pairs);
    }
    tell(format_args!("parts: Event::set"));
    let event = bench.with_part(Primitive::Event);
    let set = (0..bench.cli.rounds).map(|_| race(bench, &event, "set", 1, 0));
    let set = set.collect::<Result<_>>()?;
    bench.add_alone("parts", "Event::set, of a set one", Unit::Nanoseconds, set);
    readers(bench)
}

/// One reader and two, of the same lock: they share no cache line, so that two should read twice as often.
fn readers(bench: &mut Bench<'_>) -> Result<()> {
    const ALONE: Named = ("one-reader", "one reader of the same");
    let Some((named, theirs)) = bench.named(READ.peer) else {
        return Ok(());
    };
    let ours = bench.with_part(READ.primitive);
    tell(format_args!("parts: two readers, {}", named.1));
    let two = bench.turns(|is_ours| {
        let side = if is_ours { &ours } else { &theirs };
        race(bench, side, "pass", 2, READ.second)
    })?;
    bench.add("parts", "RwLock, 2 readers", Unit::Nanoseconds, named, two);
    for (side, case) in [
        (&ours, "RwLock, 2 readers beside 1"),
        (&theirs, "pthread rwlock, 2 readers beside 1"),
    ] {
        let pairs = bench.turns(|is_two| {
            let processes = if is_two { 2 } else { 1 };
            race(bench, side, "pass", processes, READ.second)
        })?;
        bench.add("parts", case, Unit::Nanoseconds, ALONE, pairs);
    }
    Ok(())
}

/// Nanoseconds of one operation while each of the processes does its share.
fn race(
    bench: &Bench<'_>,
    program: &Program,
    verb: &str,
    processes: u32,
    second: u64,
) -> Result<f64> {
    /// What one takes, about.
    const NS: f64 = 60.0;
    let share = (bench.cli.millis as f64 * 1e6 / NS) as u64;
    bench
        .place(program)?
        .race(verb, processes, &[share, second])
}

/// Many processes that want one lock all the time: how long one of them waits at most, and who gets it how often.
pub(super) fn fairness(bench: &mut Bench<'_>) -> Result<()> {
    let own = (bench.ours.clone(), "pthread-robust");
    let part = |primitive, peer| (bench.with_part(primitive), peer);
    // Of several locks the processes use one after the other.
    let cases: [(&[&'static str], (Program, &str)); 4] = [
        (&["segment lock"], own),
        (&["Mutex"], part(Primitive::Mutex, "pthread-robust")),
        (
            &["RwLock, read", "RwLock, write"],
            part(Primitive::Rwlock, "pthread-rwlock"),
        ),
        (&["Semaphore of 1"], part(Primitive::Semaphore, "semaphore")),
    ];
    for (titles, (ours, peer)) in cases {
        let Some((named, theirs)) = bench.named(peer) else {
            continue;
        };
        let [ours, theirs] = [ours, theirs].map(|side| hammered(bench, &side, titles));
        for ((title, ours), theirs) in titles.iter().zip(ours?).zip(theirs?) {
            add(bench, title, named, &ours, &theirs);
        }
    }
    Ok(())
}

/// What became of those who wanted the same.
struct Hammered {
    histogram: Histogram,
    fewest: f64,
    most: f64,
}

/// Has 8 processes hammer what `titles` names, each one of them.
fn hammered(bench: &Bench<'_>, program: &Program, titles: &[&str]) -> Result<Vec<Hammered>> {
    const PROCESSES: usize = 8;
    tell(format_args!("fairness: {}", program.path.display()));
    let place = bench.place(program)?;
    let duration = bench.cli.fair * 1_000_000_000;
    let kinds = titles.len();
    let numbers: Vec<_> = (0..PROCESSES)
        .map(|process| vec![duration, (process / 2 % kinds) as u64])
        .collect();
    let answers = program.race("wait", &place.path, &numbers)?;
    (0..kinds)
        .map(|kind| {
            let of_kind = |numbers: &Vec<u64>| numbers.last() == Some(&(kind as u64));
            let answers = answers.iter().zip(&numbers);
            summed(answers.filter(|(_, it)| of_kind(it)).map(|(it, _)| it))
        })
        .collect()
}

fn summed<'a>(answers: impl Iterator<Item = &'a Answer>) -> Result<Hammered> {
    let mut all = Hammered {
        histogram: Histogram::default(),
        fewest: f64::INFINITY,
        most: 0.0,
    };
    for answer in answers {
        let operations = answer.number("operations")?;
        all.fewest = all.fewest.min(operations);
        all.most = all.most.max(operations);
        let (text, longest) = (answer.text("waits")?, answer.number("longest")?);
        all.histogram.add_text(text, longest);
    }
    Ok(all)
}

fn add(bench: &mut Bench<'_>, title: &str, named: Named, ours: &Hammered, theirs: &Hammered) {
    let pair = |of: fn(&Hammered) -> f64| Pairs {
        ours: vec![of(ours)],
        theirs: vec![of(theirs)],
    };
    let longest = pair(|side| side.histogram.quantile(1.0) / 1e6);
    let rare = pair(|side| side.histogram.quantile(0.9999) / 1e6);
    let share = pair(|side| side.fewest / side.most);
    let (ms, job) = (Unit::Milliseconds, "fairness");
    bench.add(job, &format!("longest, {title}"), ms, named, longest);
    let case = format!("1 of 10,000 waits longer, {title}");
    bench.add(job, &case, ms, named, rare);
    let case = format!("share of the slowest, {title}");
    bench.add(job, &case, Unit::Share, named, share);
}
