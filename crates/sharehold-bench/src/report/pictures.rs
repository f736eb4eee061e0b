//! The pictures: bars of the count job, waits for a hammered lock, recoveries after a death.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::picture::{Anchor, LogAxis, Look, Picture, duration};
use crate::results::{Distribution, OURS, Results};
use crate::statistics::median;

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
const NAMES: f64 = 200.0;
const ROW: f64 = 24.0;

/// Draws what was measured, each job into its file.
pub(crate) fn pictures(results: &Results, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, drawn) in [
        ("count.svg", count(results)),
        ("waits.svg", waits(results)),
        ("recovery.svg", recovery(results)),
    ] {
        if let Some(text) = drawn {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}

fn head(picture: &mut Picture, title: &str, subtitle: &str) {
    picture.text(MARGIN, 34.0, Anchor::Start, "title", title);
    picture.text(MARGIN, 55.0, Anchor::Start, "faint", subtitle);
}

fn foot(picture: &mut Picture, results: &Results, height: f64) {
    let machine = results.machine.line();
    picture.text(MARGIN, height - 32.0, Anchor::Start, "faint", &machine);
    let command = &results.command;
    picture.text(MARGIN, height - 14.0, Anchor::Start, "faint", command);
}

fn look(is_ours: bool) -> (Look, &'static str) {
    if is_ours {
        (Look::Ours, "ours bold")
    } else {
        (Look::Theirs, "")
    }
}

/// One row for each lock, one panel for each number of processes.
fn count(results: &Results) -> Option<String> {
    let cases = results.cases("count");
    // Each lock with its medians, case by case; ours is in every row, so its median is taken over
    // all.
    let mut locks: Vec<(&str, Vec<Option<f64>>)> = vec![(OURS, vec![None; cases.len()])];
    for (number, (_, rows)) in cases.iter().enumerate() {
        let ours: Vec<f64> = rows.iter().flat_map(|row| row.ours.clone()).collect();
        locks[0].1[number] = median(&ours);
        for row in rows {
            let (_, title) = row.peer.as_ref()?;
            let index = locks.iter().position(|(name, _)| name == title);
            let index = index.unwrap_or_else(|| {
                locks.push((title, vec![None; cases.len()]));
                locks.len() - 1
            });
            locks[index].1[number] = median(&row.theirs);
        }
    }
    let last = |medians: &[Option<f64>]| medians.last().copied().flatten().unwrap_or(0.0);
    locks.sort_by(|(_, a), (_, b)| last(a).total_cmp(&last(b)));

    let (top, rows) = (96.0, locks.len() as f64 * ROW);
    let height = top + rows + 84.0;
    let mut picture = Picture::new(WIDTH, height);
    head(
        &mut picture,
        "Counting together: one increment under the lock",
        "time per increment, all processes together; logarithmic axis, shorter is better",
    );
    let panel = (WIDTH - NAMES - MARGIN) / cases.len() as f64;
    for (number, (case, _)) in cases.iter().enumerate() {
        let left = NAMES + panel * number as f64;
        let all = locks
            .iter()
            .flat_map(|(_, medians)| medians.iter().copied().flatten());
        // The number stands to the right of its bar.
        let axis = LogAxis::over(all, left, panel - 62.0);
        picture.text(left, 82.0, Anchor::Start, "bold", case);
        for decade in axis.decades() {
            let x = axis.at(decade);
            picture.grid((x, top - 4.0), (x, top + rows));
            let label = duration(decade);
            picture.text(x, top + rows + 16.0, Anchor::Middle, "faint small", &label);
        }
        for (row, (title, medians)) in locks.iter().enumerate() {
            let Some(ns) = medians[number] else {
                continue;
            };
            let y = top + row as f64 * ROW;
            let (shape, class) = look(*title == OURS);
            picture.bar(left, y + 3.0, axis.at(ns) - left, ROW - 8.0, shape);
            let label = duration(ns);
            let class = format!("small {class}");
            picture.text(axis.at(ns) + 5.0, y + 15.5, Anchor::Start, &class, &label);
        }
    }
    for (row, (title, _)) in locks.iter().enumerate() {
        let y = top + row as f64 * ROW + 16.0;
        let (_, class) = look(*title == OURS);
        picture.text(NAMES - 10.0, y, Anchor::End, class, title);
    }
    foot(&mut picture, results, height);
    Some(picture.finish("Time per locked increment of each lock, by number of processes"))
}

/// How long the unlucky wait: time over the share of waits that are longer.
fn waits(results: &Results) -> Option<String> {
    const NINES: [(f64, &str); 6] = [
        (0.5, "1 of 2"),
        (0.9, "1 of 10"),
        (0.99, "1 of 100"),
        (0.999, "1 of 1,000"),
        (0.9999, "1 of 10,000"),
        (0.99999, "1 of 100,000"),
    ];
    let case = &results
        .distributions
        .iter()
        .rev()
        .find(|it| it.job == "waits")?
        .case;
    let of_case = |it: &&Distribution| it.job == "waits" && it.case == *case;
    let all: Vec<_> = results.distributions.iter().filter(of_case).collect();
    let height = 480.0;
    let (top, bottom, left, right) = (84.0, height - 92.0, 76.0, WIDTH - 220.0);
    let mut picture = Picture::new(WIDTH, height);
    head(
        &mut picture,
        &format!("Waiting for a lock that {case} hammer"),
        "how long the unluckiest wait; logarithmic axes, lower is better",
    );
    let times = |it: &Distribution| {
        let mut times: Vec<f64> = NINES
            .iter()
            .map(|(part, _)| it.histogram.quantile(*part))
            .collect();
        times.push(it.histogram.longest());
        times
    };
    let shown = all.iter().flat_map(|it| times(it));
    let axis = LogAxis::over(shown, bottom, top - bottom);
    for decade in axis.decades() {
        let y = axis.at(decade);
        picture.grid((left, y), (right, y));
        let label = duration(decade);
        picture.text(left - 8.0, y + 4.0, Anchor::End, "faint small", &label);
    }
    let step = (right - left) / NINES.len() as f64;
    let labels = NINES.iter().map(|(_, label)| *label).chain(["the longest"]);
    for (number, label) in labels.enumerate() {
        let x = left + step * number as f64;
        picture.text(x, bottom + 18.0, Anchor::Middle, "faint small", label);
    }
    picture.text(
        left,
        bottom + 36.0,
        Anchor::Start,
        "faint small",
        "… waits longer than",
    );
    // Ours last, so that it lies on top.
    let mut ordered = all.clone();
    ordered.sort_by_key(|it| it.peer.is_none());
    let mut ends = Vec::new();
    for it in ordered {
        let points: Vec<_> = (0..)
            .zip(times(it))
            .map(|(number, ns)| (left + step * f64::from(number), axis.at(ns)))
            .collect();
        let (shape, class) = look(it.peer.is_none());
        picture.line(&points, shape);
        let y = points.last().map_or(top, |point| point.1);
        picture.dot(right, y, 3.0, shape);
        let label = format!("{} {}", it.title, duration(it.histogram.longest()));
        ends.push((y, class, label));
    }
    spread(&mut ends);
    for (y, class, label) in ends {
        let class = format!("small {class}");
        picture.text(right + 10.0, y + 4.0, Anchor::Start, &class, &label);
    }
    foot(&mut picture, results, height);
    Some(picture.finish("How long the unluckiest waits for a hammered lock are"))
}

/// Moves labels apart that would lie on each other.
fn spread(labels: &mut [(f64, &'static str, String)]) {
    const APART: f64 = 15.0;
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    for _ in 0..50 {
        for index in 1..labels.len() {
            let overlap = APART - (labels[index].0 - labels[index - 1].0);
            if overlap > 0.0 {
                labels[index - 1].0 -= overlap / 2.0;
                labels[index].0 += overlap / 2.0;
            }
        }
    }
}

/// One row for each lock: from the shortest recovery to the longest.
fn recovery(results: &Results) -> Option<String> {
    let of_job = |it: &&Distribution| it.job == "recovery";
    let mut all: Vec<_> = results.distributions.iter().filter(of_job).collect();
    let kills = all.first()?.histogram.count();
    // Those that never recover come last.
    all.sort_by(|a, b| {
        let key = |it: &Distribution| (it.never > 0, it.histogram.quantile(0.5));
        let ((a_never, a_half), (b_never, b_half)) = (key(a), key(b));
        a_never.cmp(&b_never).then(a_half.total_cmp(&b_half))
    });
    let (top, row, left) = (88.0, 30.0, NAMES);
    let rows = all.len() as f64 * row;
    let height = top + rows + 84.0;
    let mut picture = Picture::new(WIDTH, height);
    head(
        &mut picture,
        "A holder is killed: until a waiter has the lock",
        &format!(
            "{kills} kills; thick: middle half, thin: all, dot: median; logarithmic axis, further left is better"
        ),
    );
    let living = || all.iter().filter(|it| it.never == 0);
    let ends = living().flat_map(|it| [it.histogram.quantile(0.0), it.histogram.longest()]);
    let axis = LogAxis::over(ends, left, WIDTH - left - 220.0);
    for decade in axis.decades() {
        let x = axis.at(decade);
        picture.grid((x, top - 4.0), (x, top + rows));
        picture.text(
            x,
            top + rows + 16.0,
            Anchor::Middle,
            "faint small",
            &duration(decade),
        );
    }
    for (index, it) in all.iter().enumerate() {
        let y = top + index as f64 * row;
        let (shape, class) = look(it.peer.is_none());
        picture.text(left - 12.0, y + 19.0, Anchor::End, class, &it.title);
        if it.never > 0 {
            picture.text(
                left + 6.0,
                y + 19.0,
                Anchor::Start,
                "faint",
                "never: the lock is lost with its holder",
            );
            continue;
        }
        let at = |part: f64| axis.at(it.histogram.quantile(part));
        let middle = y + row / 2.0;
        picture.bar(
            at(0.0),
            middle - 1.0,
            axis.at(it.histogram.longest()) - at(0.0),
            2.0,
            shape,
        );
        picture.bar(
            at(0.25),
            middle - 5.0,
            (at(0.75) - at(0.25)).max(2.0),
            10.0,
            shape,
        );
        picture.dot(at(0.5), middle, 6.0, shape);
        let label = format!(
            "median {}, longest {}",
            duration(it.histogram.quantile(0.5)),
            duration(it.histogram.longest())
        );
        let class = format!("small {class}");
        picture.text(WIDTH - 206.0, y + 19.0, Anchor::Start, &class, &label);
    }
    foot(&mut picture, results, height);
    Some(picture.finish("Time from the kill of a lock's holder until a waiter has the lock"))
}
