//! Reports the results as tables, JSON and pictures.

mod picture;
mod pictures;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::build::Peers;
use crate::results::{Measured, OURS, Quantiles, Results, Row, Summary};
use crate::run::Failure;
use crate::targets::Checked;

pub(crate) use pictures::pictures;

/// Names the peers that are there, and what the others need.
pub(crate) fn peers(peers: &Peers) {
    let names: Vec<_> = peers.found.iter().map(|found| found.peer.name).collect();
    println!("peers: {}", names.join(", "));
    for (peer, lack) in &peers.missing {
        println!("  without {}: {lack}", peer.name);
    }
}

/// Prints every job as a table.
pub(crate) fn table(results: &Results) {
    println!("machine: {}", results.machine.line());
    println!("load at the start: {}", results.machine.load);
    for job in results.jobs() {
        for (case, rows) in results.cases(job) {
            let unit = rows.first().map_or("", |row| row.unit.text());
            println!("\n{job}: {case} [{unit}]");
            println!(
                "  {:<28}{:>22}{:>24}   ours : theirs",
                "peer", "ours (middle half)", "theirs (middle half)"
            );
            for row in rows {
                print_row(row);
            }
        }
    }
    let waits = ["waits", "fairness", "wake", "recovery"];
    for job in waits {
        print_distributions(results, job);
    }
}

/// Prints what a step measured, each row in a line.
pub(crate) fn rows(measured: &Measured) {
    for row in &measured.rows {
        println!("{}: {} [{}]", row.job, row.case, row.unit.text());
        print_row(row);
    }
}

/// Prints why a step failed.
pub(crate) fn failure(failure: &Failure) {
    // A peer's reason says that it is the peer's.
    let whose = if failure.ours {
        "our own side failed: "
    } else {
        ""
    };
    println!("{}: FAILED: {whose}{}", failure.step, failure.reason);
}

/// Prints all failures again, at the end.
pub(crate) fn failures(failures: &[Failure]) {
    if !failures.is_empty() {
        println!("\nfailed");
    }
    for one in failures {
        failure(one);
    }
}

/// A time as people say it.
pub(crate) fn minutes(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}

fn print_row(row: &Row) {
    let shown = |values: &[f64]| {
        Summary::of(values).map_or("never".to_owned(), |it| {
            let [median, low, high] = [it.median, it.low, it.high].map(digits);
            if values.len() > 1 {
                format!("{median} ({low}–{high})")
            } else {
                median
            }
        })
    };
    match &row.peer {
        None => println!("  {OURS:<28}{:>22}", shown(&row.ours)),
        Some((_, title)) => {
            let ratios = Summary::of(&row.ratios()).filter(|it| it.median.is_finite());
            let ratio = ratios.map_or(String::new(), |it| {
                let [median, low, high] = [it.median, it.low, it.high].map(digits);
                format!("{median} ({low}–{high})")
            });
            println!(
                "  {title:<28}{:>22}{:>24}   {ratio}",
                shown(&row.ours),
                shown(&row.theirs)
            );
        }
    }
}

fn print_distributions(results: &Results, job: &str) {
    let all: Vec<_> = results
        .distributions
        .iter()
        .filter(|it| it.job == job)
        .collect();
    if all.is_empty() {
        return;
    }
    println!(
        "\n{job}, all rounds [µs]\n  {:<44}{:>10}{:>10}{:>10}{:>10}{:>12}",
        "", "half", "1 of 10", "1 of 100", "1 of 1000", "longest"
    );
    for it in all {
        print!("  {:<44}", format!("{}, {}", it.title, it.case));
        if it.histogram.count() == 0 {
            println!("{:>10}", "never");
            continue;
        }
        for part in [0.5, 0.9, 0.99, 0.999] {
            print!("{:>10}", digits(it.histogram.quantile(part) / 1e3));
        }
        println!("{:>12}", digits(it.histogram.longest() / 1e3));
    }
}

/// Three digits that count, and no more.
pub(crate) fn digits(number: f64) -> String {
    let size = number.abs();
    if size >= 99.95 || size == 0.0 {
        let whole = format!("{number:.0}");
        let mut grouped = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index) % 3 == 0 && digit != '-' {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    } else if size >= 9.995 {
        format!("{number:.1}")
    } else if size >= 0.0995 {
        format!("{number:.2}")
    } else {
        format!("{number:.4}")
    }
}

/// Says for each target whether it is met; returns whether all that were measured are.
pub(crate) fn targets(targets: &[Checked]) -> bool {
    println!("\ntargets");
    for target in targets {
        let reach = digits(target.reach);
        let verdict = match (target.reached, target.is_met()) {
            (Some(reached), Some(true)) => format!("met      {:>8} ≤ {reach}", digits(reached)),
            (Some(reached), Some(false)) if target.reach > 0.0 => {
                let excess = (reached / target.reach - 1.0) * 100.0;
                format!(
                    "MISSED   {:>8} > {reach} (by {excess:.0} %)",
                    digits(reached)
                )
            }
            (Some(reached), _) => format!("MISSED   {:>8} > {reach}", digits(reached)),
            (None, _) => format!("unasked  {:>8} ≤ {reach}", ""),
        };
        println!("  {:<58}{verdict}", target.what);
    }
    targets.iter().all(|target| target.is_met() != Some(false))
}

/// Writes everything as JSON.
pub(crate) fn json(results: &Results, path: &Path) -> Result<()> {
    let rows: Vec<_> = results
        .rows
        .iter()
        .map(|row| {
            json!({
                "job": row.job,
                "case": row.case,
                "unit": row.unit,
                "peer": row.peer_name(),
                "ours": row.ours,
                "theirs": row.theirs,
                "ours_median": Summary::of(&row.ours).map(|it| it.median),
                "theirs_median": Summary::of(&row.theirs).map(|it| it.median),
                "ratio": Summary::of(&row.ratios()),
            })
        })
        .collect();
    let distributions: Vec<_> = results.distributions.iter().map(Quantiles::of).collect();
    let targets: Vec<_> = crate::targets::check(results)
        .iter()
        .map(|it| {
            json!({"target": it.what, "reach": it.reach, "reached": it.reached, "met": it.is_met()})
        })
        .collect();
    let all = json!({
        "machine": results.machine,
        "command": results.command,
        "rows": rows,
        "distributions": distributions,
        "targets": targets,
    });
    let text = serde_json::to_string_pretty(&all)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
