//! What one does with the locks of parts: alone, beside other readers, hammered by many.

use anyhow::Result;

use super::{Bench, Named, Pairs, Plan};
use crate::parts::Primitive;
use crate::process::{Answer, Program};
use crate::results::{Measured, Unit};
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
pub(super) fn parts(bench: &Bench, plan: &mut Plan) {
    let seconds = bench.seconds(bench.hammering());
    for way in WAYS {
        let Some((named, theirs)) = bench.named(way.peer) else {
            continue;
        };
        plan.add("parts", way.title, Some(named), seconds, move |bench| {
            let ours = bench.with_part(way.primitive);
            let pairs = bench.pairs_of(&ours, &theirs, |side| {
                race(bench, side, "pass", 1, way.second)
            })?;
            let unit = Unit::Nanoseconds;
            Ok(Measured::pairs("parts", way.title, unit, named, pairs))
        });
    }
    let case = "Event::set, of a set one";
    plan.add("parts", case, None, seconds / 2.0, move |bench| {
        let event = bench.with_part(Primitive::Event);
        let set = (0..bench.settings.rounds).map(|_| race(bench, &event, "set", 1, 0));
        let set = set.collect::<Result<_>>()?;
        Ok(Measured::alone("parts", case, Unit::Nanoseconds, set))
    });
    readers(bench, plan);
}

/// One reader and two, of the same lock: they share no cache line, so that two should read twice as
/// often.
fn readers(bench: &Bench, plan: &mut Plan) {
    const ALONE: Named = ("one-reader", "one reader of the same");
    let Some((named, theirs)) = bench.named(READ.peer) else {
        return;
    };
    let seconds = bench.seconds(bench.hammering());
    let ours = bench.with_part(READ.primitive);
    for (case, side) in [
        ("RwLock, 2 readers beside 1", ours.clone()),
        ("pthread rwlock, 2 readers beside 1", theirs.clone()),
    ] {
        plan.add("parts", case, None, seconds, move |bench| {
            let pairs = bench.turns(|is_two| {
                let processes = if is_two { 2 } else { 1 };
                side.blamed(|| race(bench, &side, "pass", processes, READ.second))
            })?;
            let unit = Unit::Nanoseconds;
            Ok(Measured::pairs("parts", case, unit, ALONE, pairs))
        });
    }
    let case = "RwLock, 2 readers";
    plan.add("parts", case, Some(named), seconds, move |bench| {
        let pairs = bench.pairs_of(&ours, &theirs, |side| {
            race(bench, side, "pass", 2, READ.second)
        })?;
        let unit = Unit::Nanoseconds;
        Ok(Measured::pairs("parts", case, unit, named, pairs))
    });
}

/// Nanoseconds of one operation while each of the processes does its share.
fn race(bench: &Bench, program: &Program, verb: &str, processes: u32, second: u64) -> Result<f64> {
    /// What one takes, about.
    const NS: f64 = 60.0;
    let share = (bench.hammering() * 1e9 / NS) as u64;
    bench
        .place(program)?
        .race(verb, processes, &[share, second])
}

/// Many processes contend for one lock: the longest wait, and how often each acquires it.
pub(super) fn fairness(bench: &Bench, plan: &mut Plan) {
    let own = (bench.ours.clone(), "pthread-robust");
    let part = |primitive, peer| (bench.with_part(primitive), peer);
    // Of several locks the processes use one after the other.
    let cases: [(&'static [&'static str], (Program, &str)); 4] = [
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
        let seconds = 2.0 * bench.settings.fair as f64;
        plan.add("fairness", titles[0], Some(named), seconds, move |bench| {
            let ours = hammered(bench, &ours, titles)?;
            let theirs = theirs.blamed(|| hammered(bench, &theirs, titles))?;
            let mut measured = Measured::default();
            for ((title, ours), theirs) in titles.iter().zip(ours).zip(theirs) {
                add(&mut measured, title, named, &ours, &theirs);
            }
            Ok(measured)
        });
    }
}

/// The results of the contenders.
struct Hammered {
    histogram: Histogram,
    fewest: f64,
    most: f64,
}

/// Has 8 processes hammer what `titles` names, each one of them.
fn hammered(bench: &Bench, program: &Program, titles: &[&str]) -> Result<Vec<Hammered>> {
    const PROCESSES: usize = 8;
    let place = bench.place(program)?;
    let duration = bench.settings.fair * 1_000_000_000;
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

fn add(measured: &mut Measured, title: &str, named: Named, ours: &Hammered, theirs: &Hammered) {
    let pair = |of: fn(&Hammered) -> f64| Pairs {
        ours: vec![of(ours)],
        theirs: vec![of(theirs)],
    };
    let longest = pair(|side| side.histogram.quantile(1.0) / 1e6);
    let rare = pair(|side| side.histogram.quantile(0.9999) / 1e6);
    let share = pair(|side| side.fewest / side.most);
    let (ms, job) = (Unit::Milliseconds, "fairness");
    measured.add(job, &format!("longest, {title}"), ms, named, longest);
    let case = format!("1 of 10,000 waits longer, {title}");
    measured.add(job, &case, ms, named, rare);
    let case = format!("share of the slowest, {title}");
    measured.add(job, &case, Unit::Share, named, share);
}
