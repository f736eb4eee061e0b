//! What a sweep found, for programs and for people.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

/// The exit status of a test program of which a test failed.
pub(crate) const TEST_FAILED: u8 = 101;

/// Tells what a sweep did and found.
///
/// Displays as one line without the failures.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Names the scenario.
    pub name: String,
    /// Counts the instructions of the operation; system calls count as one each.
    pub instructions: usize,
    /// Counts the instructions after which others could see a difference: system calls and changes
    /// of shared bytes.
    pub visible: usize,
    /// Counts the victims that died where they should or close to it, each checked by a survivor.
    pub deaths: usize,
    /// Counts the chosen points that were not reached exactly as in the first pass.
    pub missed: usize,
    /// Tells how long the sweep took.
    pub elapsed: Duration,
    /// Lists what was wrong.
    pub failures: Vec<Failure>,
}

impl Report {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            instructions: 0,
            visible: 0,
            deaths: 0,
            missed: 0,
            elapsed: Duration::ZERO,
            failures: Vec::new(),
        }
    }

    /// Says whether nothing was wrong.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} instructions, {} visible, {} deaths, {} missed, {:.2} s",
            self.instructions,
            self.visible,
            self.deaths,
            self.missed,
            self.elapsed.as_secs_f64(),
        )
    }
}

/// Tells what was wrong, where, and how to see it again.
///
/// Displays as several lines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// Names the scenario.
    pub scenario: String,
    /// Tells how many instructions the victim had executed, unless the scenario as a whole is at
    /// fault.
    pub point: Option<usize>,
    /// Tells what the survivor found, or what is wrong with the scenario.
    pub reason: String,
    /// Names the world, if it was left for a person to look at, as
    /// [`Points::One`](crate::Points::One) does.
    pub left: Option<PathBuf>,
    /// Describes the last instruction that the victim executed.
    pub(crate) place: String,
}

impl Failure {
    /// Blames the scenario as a whole.
    pub(crate) fn of_scenario(scenario: &str, reason: String) -> Self {
        Self {
            scenario: scenario.to_owned(),
            point: None,
            reason,
            left: None,
            place: String::new(),
        }
    }
}

impl Display for Failure {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            reason,
            place,
            ..
        } = self;
        match self.point {
            None => write!(formatter, "{scenario}: {reason}")?,
            Some(_) => write!(
                formatter,
                "{scenario}: killed after {place}\n    found: {reason}"
            )?,
        }
        if let Some(left) = &self.left {
            write!(formatter, "\n    left: {}", left.display())?;
        }
        write!(
            formatter,
            "\n    again: {}",
            command_line(scenario, self.point)
        )
    }
}

/// Returns the command that sweeps one scenario, or one point of it, again.
pub(crate) fn command_line(scenario: &str, point: Option<usize>) -> String {
    let program = env::current_exe().unwrap_or_else(|_| PathBuf::from("PROGRAM"));
    let point = point.map_or_else(String::new, |point| format!(" --point {point}"));
    format!("{} --only {scenario}{point}", program.display())
}
