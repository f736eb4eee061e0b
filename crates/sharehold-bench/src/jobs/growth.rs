//! What large numbers of attachments and of segments cost; ours alone, since bare memory knows neither.

use anyhow::Result;

use super::{Bench, tell};
use crate::results::Unit;

const TIMES: u64 = 50;

/// One more attachment beside many, and one more segment beside many.
pub(super) fn growth(bench: &mut Bench<'_>) -> Result<()> {
    for present in [1, 100, 1000, 3990] {
        tell(format_args!("growth: {present} attachments"));
        let mut found: [Vec<f64>; 3] = Default::default();
        for _ in 0..bench.cli.rounds.min(3) {
            let key = bench.fresh(&bench.ours);
            let answers = bench.ours.race("crowd", &key, &[vec![TIMES, present]])?;
            for (values, name) in found.iter_mut().zip(["attach", "detach", "lock"]) {
                values.push(answers[0].number(name)? / TIMES as f64);
            }
        }
        let [attach, detach, lock] = found;
        let micros = |values: Vec<f64>| values.into_iter().map(|ns| ns / 1e3).collect();
        let beside = |what: &str| format!("{what} beside {present} attachments");
        bench.add_alone(
            "growth",
            &beside("attach"),
            Unit::Microseconds,
            micros(attach),
        );
        bench.add_alone(
            "growth",
            &beside("detach"),
            Unit::Microseconds,
            micros(detach),
        );
        bench.add_alone("growth", &beside("lock + unlock"), Unit::Nanoseconds, lock);
    }
    for present in [0, 100, 10_000] {
        tell(format_args!("growth: {present} segments"));
        let (mut life, mut list) = (Vec::new(), Vec::new());
        for _ in 0..bench.cli.rounds.min(3) {
            let key = bench.fresh(&bench.ours);
            let answers = bench.ours.race("keys", &key, &[vec![TIMES, present]])?;
            life.push(answers[0].number("life")? / TIMES as f64 / 1e3);
            list.push(answers[0].number("list")? / 1e6);
        }
        let life_case = format!("create, attach, detach, destroy beside {present} segments");
        bench.add_alone("growth", &life_case, Unit::Microseconds, life);
        if present > 0 {
            let list_case = format!("list {present} segments");
            bench.add_alone("growth", &list_case, Unit::Milliseconds, list);
        }
    }
    Ok(())
}
