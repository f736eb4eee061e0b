//! One run: every step, with what is shown and kept of it. A step that fails costs its own rows.

use std::env;
use std::io::{self, IsTerminal, Write};

use anyhow::Result;

use crate::build::Peers;
use crate::jobs::{self, Bench, Step};
use crate::journal::{Journal, Outcome};
use crate::options::Cli;
use crate::process::OfPeer;
use crate::report;
use crate::results::Results;

/// What a run came to.
pub(crate) struct Done {
    pub(crate) results: Results,
    pub(crate) failures: Vec<Failure>,
}

/// A step that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) step: String,
    /// Whether it was our own side, which is an error of this command.
    pub(crate) ours: bool,
    pub(crate) reason: String,
}

/// Does every step that an earlier run with the same settings has not done.
pub(crate) fn run(cli: &Cli, peers: Peers) -> Result<Done> {
    let path = match &cli.results {
        Some(path) => path.clone(),
        None => env::current_exe()?.with_file_name("bench-results.jsonl"),
    };
    let bench = Bench::new(cli.settings(), peers)?;
    let steps = jobs::plan(&bench);
    let mut journal = Journal::open(&path, &bench.settings)?;
    let mut left: f64 = steps
        .iter()
        .filter(|step| !journal.done.contains_key(&step.name))
        .map(|step| step.seconds)
        .sum();
    println!(
        "{} steps, {} of them done before; about {}; kept in {}",
        steps.len(),
        journal.done.len(),
        report::minutes(left),
        path.display()
    );
    let mut done = Done {
        results: Results::new(journal.machine.clone()),
        failures: Vec::new(),
    };
    let total = steps.len();
    for (number, step) in (1..).zip(steps) {
        let name = step.name.clone();
        let outcome = if let Some(outcome) = journal.done.remove(&name) {
            outcome
        } else {
            let time = report::minutes(left);
            tell(&format!("[{number}/{total}, about {time} left] {name}"));
            left -= step.seconds;
            let outcome = outcome_of(&bench, step);
            journal.keep(&name, &outcome)?;
            clear_line();
            outcome
        };
        match outcome {
            Outcome::Measured(measured) => {
                report::rows(&measured);
                done.results.add(measured);
            }
            Outcome::Failed { ours, reason } => {
                let step = name;
                let failure = Failure { step, ours, reason };
                report::failure(&failure);
                done.failures.push(failure);
            }
        }
    }
    journal.end()?;
    Ok(done)
}

fn outcome_of(bench: &Bench, step: Step) -> Outcome {
    match (step.measure)(bench) {
        Ok(measured) => Outcome::Measured(measured),
        Err(error) => Outcome::Failed {
            ours: !error.is::<OfPeer>(),
            reason: format!("{error:#}"),
        },
    }
}

/// Tells what is being done: to a person in a line that goes away, to a log in one that stays.
fn tell(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("{what} …");
        // Only a person waits for it.
        let _ = io::stderr().flush();
    } else {
        eprintln!("{what}");
    }
}

fn clear_line() {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}
