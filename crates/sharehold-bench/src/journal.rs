//! The file that keeps what was measured, line by line: a run that was interrupted is continued.
//!
//! A line says that a run begins, what came of one step of it, or that it ended; each is JSON. A
//! run whose end is missing is continued by one with the same settings, on the same machine, with
//! the same build of this program.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::options::Settings;
use crate::results::{Machine, Measured};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Begin(Run),
    Step(Step),
    End,
}

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    name: String,
    outcome: Outcome,
}

/// What a run depends on.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    settings: Settings,
    machine: Machine,
    /// When this program was built, in nanoseconds since 1970.
    built: u64,
}

/// What came of a step.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Measured(Measured),
    Failed {
        /// Whether it was our own side.
        ours: bool,
        reason: String,
    },
}

/// The open file, at its end.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    /// The machine, as it was when the run began.
    pub(crate) machine: Machine,
    /// What was done before the run was interrupted, by the names of the steps.
    pub(crate) done: HashMap<String, Outcome>,
}

impl Journal {
    /// Opens the file, and continues the run that it ends with or begins a new one.
    pub(crate) fn open(path: &Path, settings: &Settings) -> Result<Journal> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let file = File::options().append(true).create(true).open(path);
        let mut journal = Journal {
            file: file.with_context(|| format!("cannot write {}", path.display()))?,
            path: path.to_owned(),
            machine: Machine::this(),
            done: HashMap::new(),
        };
        if !text.is_empty() && !text.ends_with('\n') {
            // The last line was cut off; it counts for nothing.
            journal.file.write_all(b"\n")?;
        }
        let built = fs::metadata(env::current_exe()?)?.modified()?;
        let built = built.duration_since(UNIX_EPOCH)?.as_nanos() as u64;
        let mut open: Option<(Run, HashMap<String, Outcome>)> = None;
        for line in text.lines().filter_map(|it| serde_json::from_str(it).ok()) {
            match line {
                Line::Begin(run) => open = Some((run, HashMap::new())),
                Line::End => open = None,
                Line::Step(step) => {
                    if let Some((_, done)) = &mut open {
                        done.insert(step.name, step.outcome);
                    }
                }
            }
        }
        match open {
            Some((run, done))
                if run.settings == *settings
                    && run.built == built
                    && run.machine.line() == journal.machine.line() =>
            {
                journal.machine = run.machine;
                journal.done = done;
            }
            _ => journal.write(&Line::Begin(Run {
                settings: settings.clone(),
                machine: Machine::this(),
                built,
            }))?,
        }
        Ok(journal)
    }

    /// Keeps what came of a step.
    pub(crate) fn keep(&mut self, name: &str, outcome: &Outcome) -> Result<()> {
        self.write(&json!({"step": {"name": name, "outcome": outcome}}))
    }

    /// Notes that the run is complete, so that the next one measures again.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.write(&Line::End)
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(line)? + "\n";
        let written = self.file.write_all(text.as_bytes());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}
