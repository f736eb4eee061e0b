//! The `sharehold-bench` command: measures sharehold against what else processes use, both sides in
//! one run.
//!
//! A *peer* is a small program that does the same loop with another lock; `catalogue` names them,
//! `build` makes them, `process` starts them behind one start line. `jobs` plans steps, which
//! interleave ours and theirs pair by pair; `run` does them and has `journal` keep what came of
//! each, so that a run can be continued. `results` is what was measured, `targets` holds it to what
//! is promised, and `report` shows it. `ours` is sharehold's own side, on the same `harness` as the
//! peers in Rust; `values`, `turns` and `parts` belong to it.

// What is measured becomes a number of 53 bits, and a number becomes a count or a place in a
// picture.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
// A flag of the command line is a bool.
#![allow(clippy::struct_excessive_bools)]
// What is measured is inlined as it is in C.
#![allow(clippy::inline_always)]

mod build;
mod catalogue;
mod harness;
mod jobs;
mod journal;
mod options;
mod ours;
mod parts;
mod process;
mod report;
mod results;
mod run;
mod statistics;
mod targets;
mod turns;
mod values;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use options::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.worker {
        Some(Command::Worker(worker)) => ours::work(worker).map(|()| ExitCode::SUCCESS),
        None => measure(&cli),
    };
    done.unwrap_or_else(|error| {
        eprintln!("sharehold-bench: {error:#}");
        ExitCode::FAILURE
    })
}

fn measure(cli: &Cli) -> Result<ExitCode> {
    if cli.install {
        build::install()?;
    }
    let peers = build::all(&cli.peers, cli.full || cli.list)?;
    report::peers(&peers);
    if cli.list {
        return Ok(ExitCode::SUCCESS);
    }
    let run::Done { results, failures } = run::run(cli, peers)?;
    report::table(&results);
    if let Some(path) = &cli.json {
        report::json(&results, path)?;
    }
    if let Some(folder) = &cli.svg {
        report::pictures(&results, folder)?;
    }
    let all_met = !cli.check || report::targets(&targets::check(&results));
    report::failures(&failures);
    let is_well = all_met && !failures.iter().any(|failure| failure.ours);
    Ok(ExitCode::from(u8::from(!is_well)))
}
