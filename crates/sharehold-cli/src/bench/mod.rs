//! `sharehold bench`: what locks, values and recoveries cost on this machine.
//!
//! This module has the arguments and the order of the measurements. `measure` takes them with
//! processes that are `worker`s; `report` prints them, and `picture` draws them.

mod measure;
mod picture;
mod report;
mod worker;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use crate::exit::Exit;
use crate::output::{self, Format};
use crate::own;
use crate::signals::Stop;
use measure::Bench;
use report::Figure;
pub(crate) use worker::{WorkerArgs, work};

/// Measure what it costs on this machine
///
/// Every figure is a median of wall-clock time. Beside it stands the system's own equivalent:
/// flock(2), and an atomic addition in threads, which is the fastest kind of sharing and survives
/// no death. Other work on the machine makes figures worse: repeat a bad measurement.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold bench                           a minute
  sharehold bench --seconds 5               a rough idea
  sharehold bench --json --svg bench.svg    for a program, and a picture

Exit status: 0 measured, 1 not, 2 wrong usage; ended by a signal: a shell shows 128 + its number, 130 after
Ctrl-C.")]
pub(crate) struct Args {
    /// How long it may take in all
    #[arg(long, value_name = "N", default_value = "60", value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,

    /// Draw the figures into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    #[command(flatten)]
    format: Format,
}

/// How many count at once.
const COUNTERS: [u32; 4] = [1, 2, 4, 8];

/// Measurements that take their share of the time: three for each number of counters, and eight
/// others.
const SHARES: u32 = 3 * 4 + 8;

/// Runs `sharehold bench`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let share = Duration::from_secs(args.seconds.into()) / SHARES;
    let stop = Stop::listen()?;
    own::clear("bench");
    let bench = Bench::new(&own::key("bench"), share, stop)?;
    let bar = bar(args.seconds);
    let figures = measure_all(&bench, &bar);
    bar.finish_and_clear();
    let figures = figures?;
    if args.format.json {
        output::document(&figures)?;
    } else {
        output::text(&report::table(&figures))?;
    }
    if let Some(file) = &args.svg {
        fs::write(file, picture::of(&figures))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(Exit::Done.into())
}

/// Shows what is measured, and how much of the time has passed.
fn bar(seconds: u32) -> ProgressBar {
    const TICK: Duration = Duration::from_millis(500);
    let template = format!("{{wide_bar:.cyan/dim}} {{msg}}, {{elapsed}} of about {seconds} s");
    let style = ProgressStyle::with_template(&template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(u64::from(SHARES)).with_style(style);
    bar.enable_steady_tick(TICK);
    bar
}

fn measure_all(bench: &Bench, bar: &ProgressBar) -> Result<Vec<Figure>> {
    let took = |shares: u64| bar.inc(shares);
    let begin = |name: &str| {
        bar.set_message(name.to_owned());
        name.to_owned()
    };
    let mut figures = Vec::new();
    figures.push(Figure {
        name: begin("lock and unlock"),
        ours: bench.lock()?,
        flock: Some(bench.flock()?),
        atomic: Some(bench.atomic(1)?),
        longest: None,
    });
    took(3);
    for count in COUNTERS {
        let word = if count == 1 { "process" } else { "processes" };
        figures.push(Figure {
            name: begin(&format!("count, {count} {word}")),
            ours: bench.count(worker::Role::Count, count)?,
            flock: Some(bench.count(worker::Role::Flock, count)?),
            atomic: Some(bench.atomic(count)?),
            longest: None,
        });
        took(3);
    }
    let alone = |name: String, ours| Figure {
        name,
        ours,
        flock: None,
        atomic: None,
        longest: None,
    };
    figures.push(alone(begin("snapshot of 64 bytes"), bench.snapshot()?));
    took(1);
    let name = begin("the same while it is changed");
    figures.push(alone(name, bench.changing_snapshot()?));
    took(1);
    figures.push(alone(begin("wake-up"), bench.wake_up()?));
    took(1);
    let name = begin("recovery after a kill");
    let recoveries = bench.recoveries()?;
    ensure!(
        !recoveries.is_empty(),
        "no process could be killed in time; allow more --seconds"
    );
    figures.push(Figure {
        longest: recoveries.iter().copied().reduce(f64::max),
        ..alone(name, measure::median(recoveries))
    });
    took(2);
    Ok(figures)
}
