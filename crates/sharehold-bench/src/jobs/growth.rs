//! What large numbers of attachments and of segments cost; ours alone, since bare memory knows
//! neither.

use anyhow::Result;

use super::{Bench, Plan};
use crate::results::{Measured, Unit};

const TIMES: u64 = 50;

/// One more attachment beside many, and one more segment beside many.
pub(super) fn growth(bench: &Bench, plan: &mut Plan) {
    let rounds = bench.settings.rounds.min(3);
    for present in [1, 100, 1000, 3990] {
        let what = format!("beside {present} attachments");
        let seconds = f64::from(rounds) * (0.05 + present as f64 * 0.3e-3);
        plan.add("growth", &what, None, seconds, move |bench| {
            attachments(bench, rounds, present)
        });
    }
    for present in [0, 100, 10_000] {
        let what = format!("beside {present} segments");
        let seconds = f64::from(rounds) * (0.05 + present as f64 * 0.2e-3);
        plan.add("growth", &what, None, seconds, move |bench| {
            segments(bench, rounds, present)
        });
    }
}

fn attachments(bench: &Bench, rounds: u32, present: u64) -> Result<Measured> {
    let mut found: [Vec<f64>; 3] = Default::default();
    for _ in 0..rounds {
        let key = bench.fresh(&bench.ours);
        let answers = bench.ours.race("crowd", &key, &[vec![TIMES, present]])?;
        for (values, name) in found.iter_mut().zip(["attach", "detach", "lock"]) {
            values.push(answers[0].number(name)? / TIMES as f64);
        }
    }
    let [attach, detach, lock] = found;
    let micros = |values: Vec<f64>| values.into_iter().map(|ns| ns / 1e3).collect();
    let beside = |what: &str| format!("{what} beside {present} attachments");
    let mut measured = Measured::default();
    for (what, unit, values) in [
        ("attach", Unit::Microseconds, micros(attach)),
        ("detach", Unit::Microseconds, micros(detach)),
        ("lock + unlock", Unit::Nanoseconds, lock),
    ] {
        measured.add_alone("growth", &beside(what), unit, values);
    }
    Ok(measured)
}

fn segments(bench: &Bench, rounds: u32, present: u64) -> Result<Measured> {
    let (mut life, mut list) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let key = bench.fresh(&bench.ours);
        let answers = bench.ours.race("keys", &key, &[vec![TIMES, present]])?;
        life.push(answers[0].number("life")? / TIMES as f64 / 1e3);
        list.push(answers[0].number("list")? / 1e6);
    }
    let life_case = format!("create, attach, detach, destroy beside {present} segments");
    let mut measured = Measured::alone("growth", &life_case, Unit::Microseconds, life);
    if present > 0 {
        let list_case = format!("list {present} segments");
        measured.add_alone("growth", &list_case, Unit::Milliseconds, list);
    }
    Ok(measured)
}
