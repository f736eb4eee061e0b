//! Typed values: snapshots beside what else readers use, and whole changes beside plain writes.

use anyhow::Result;

use super::{Bench, Named, Plan};
use crate::catalogue::Skill;
use crate::process::Program;
use crate::results::{Measured, Unit};
use crate::values::SIZES;

/// How many bytes the peers' value has.
const SMALL: u64 = 64;

/// Several processes read one value that does not change.
pub(super) fn reads(bench: &Bench, plan: &mut Plan) {
    for readers in [1_u32, 2, 4] {
        let case = match readers {
            1 => "64 B, 1 reader".to_owned(),
            _ => format!("64 B, {readers} readers"),
        };
        for (named, program) in bench.able(Skill::Read) {
            let case = case.clone();
            let seconds = bench.seconds(bench.hammering());
            plan.add("reads", &case.clone(), Some(named), seconds, move |bench| {
                let share = enough(bench, 10.0);
                let pairs = bench.pairs(&program, |program| {
                    race(bench, program, "get", readers, share, SMALL)
                })?;
                let unit = Unit::Nanoseconds;
                Ok(Measured::pairs("reads", &case, unit, named, pairs))
            });
        }
    }
}

/// One process changes a value whole; beside it, the same bytes under the lock.
pub(super) fn updates(bench: &Bench, plan: &mut Plan) {
    const RAW: Named = ("raw-write", "lock + raw write");
    for (size, shown) in SIZES {
        let seconds = bench.seconds(bench.hammering()) * 1.5;
        plan.add("updates", shown, None, seconds, move |bench| {
            let size = size as u64;
            let share = enough(bench, size as f64 / 2.0);
            let one = |verb| race(bench, &bench.ours, verb, 1, share, size);
            let pairs = bench.turns(|is_ours| one(if is_ours { "update" } else { "write" }))?;
            let snapshots = (0..bench.settings.rounds).map(|_| one("get"));
            let snapshots = snapshots.collect::<Result<_>>()?;
            let unit = Unit::Nanoseconds;
            let mut measured = Measured::pairs("updates", shown, unit, RAW, pairs);
            let case = format!("{shown}, a snapshot");
            measured.add_alone("updates", &case, unit, snapshots);
            Ok(measured)
        });
    }
}

/// How often a process does what takes about so long, to fill the time of one measurement.
fn enough(bench: &Bench, ns: f64) -> u64 {
    (bench.hammering() * 1e9 / ns) as u64 + 10
}

/// Nanoseconds of one operation while each of the processes does its share.
fn race(
    bench: &Bench,
    program: &Program,
    verb: &str,
    processes: u32,
    share: u64,
    size: u64,
) -> Result<f64> {
    let place = bench.place_by(program, "make-value", &[0, size])?;
    place.race(verb, processes, &[share, size])
}
