//! The sweep of one scenario: one victim after the other.

use crate::place;
use crate::plan::{self, Points};
use crate::report::{Failure, Report, command_line};
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::victim::{Attempt, End, Goal, Victim};
use crate::watchdog::{Action, Watchdog};
use crate::world::World;
use std::any::Any;
use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Instant;

/// After so many failures the rest of a sweep would say nothing new.
const MOST_FAILURES: usize = 10;

impl Scenario {
    /// Kills one victim after the other at the chosen points, and reports what the survivors found.
    ///
    /// A first pass steps through the whole operation; its survivor counts as the one for the last
    /// point. Where a later victim takes another course than that one did, a new victim is stepped
    /// to the point all the way.
    ///
    /// The program that calls this must have called [`play_role`](crate::play_role) first.
    pub fn sweep(&self, points: Points) -> Report {
        let mut sweep = Sweep {
            scenario: self,
            watchdog: Watchdog::start(self.time_limit),
            keep_worlds: matches!(points, Points::One(_)),
            report: Report::new(self.name()),
        };
        let started = Instant::now();
        if let Err(reason) = sweep.run(points) {
            sweep
                .report
                .failures
                .push(Failure::of_scenario(self.name(), reason));
        }
        sweep.report.elapsed = started.elapsed();
        sweep.report
    }
}

struct Sweep<'a> {
    scenario: &'a Scenario,
    watchdog: Watchdog,
    /// Whether the world of a failure is left for a person to look at.
    keep_worlds: bool,
    report: Report,
}

impl Sweep<'_> {
    /// Fails if the scenario itself is at fault, so that there is no point in going on.
    fn run(&mut self, points: Points) -> Result<(), String> {
        let watched = self.scenario.watched;
        let (End::Recorded(trace), finding) =
            self.attempt(Goal::Record { watched }, "the last instruction")?
        else {
            return Err("the first pass recorded nothing".to_owned());
        };
        let last = trace.len();
        self.report.instructions = last;
        self.report.visible = trace.visible().count();
        self.count_death(&trace, last, finding);

        if let Points::One(point) = points
            && point > last
        {
            return Err(format!(
                "there is no point {point}: the operation has {last} instructions"
            ));
        }
        let mut remaining = points.of(&trace);
        remaining.remove(&last);
        let routes = plan::routes(&trace);
        for point in remaining {
            if self.report.failures.len() >= MOST_FAILURES {
                return Err(format!("stopped after {MOST_FAILURES} failures"));
            }
            let trace = &trace;
            let name = format!("instruction {point} of {last}");
            let fast = Goal::Fast {
                trace,
                point,
                route: routes[point],
            };
            let (mut end, mut finding) = self.attempt(fast, &name)?;
            if let End::Missed = end {
                (end, finding) = self.attempt(Goal::Slow { trace, point }, &name)?;
            }
            if !matches!(end, End::Killed) {
                self.report.missed += 1;
            }
            if !matches!(end, End::Missed) {
                self.count_death(trace, point, finding);
            }
        }
        if self.report.missed > self.report.deaths / 2 {
            return Err(
                "the operation takes another course each time, so that this sweep proves little"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn count_death(&mut self, trace: &Trace, point: usize, finding: Option<Finding>) {
        self.report.deaths += 1;
        if let Some(Finding { reason, left }) = finding {
            self.report.failures.push(Failure {
                scenario: self.scenario.name().to_owned(),
                point: Some(point),
                reason,
                left,
                place: place::describe(trace, point),
            });
        }
    }

    /// Plays one death in a new world. Returns how the victim ended, and what the survivor found
    /// wrong.
    fn attempt(&self, goal: Goal<'_>, point: &str) -> Result<(End, Option<Finding>), String> {
        let name = self.scenario.name();
        let world =
            World::make(name).map_err(|error| format!("cannot make a directory: {error}"))?;
        let complaint = format!(
            "{name}: the survivor hangs; the victim was to die after {point}\n    left: {}\n    again: {}",
            world.path().display(),
            command_line(name, None),
        );
        let end = OnceCell::new();
        let attempt = Attempt {
            goal,
            watchdog: &self.watchdog,
            complaint: &complaint,
            end: &end,
        };
        self.watchdog.set(Action::Exit(complaint.clone()));
        let survivor = || {
            self.scenario
                .play_survivor(&world, Victim::new(&world, attempt))
        };
        let verdict = catch_unwind(AssertUnwindSafe(survivor));
        self.watchdog.cancel();

        let reason = match verdict {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => Some(text_of(&*panic)),
        };
        match end.into_inner() {
            Some(End::Broken(reason)) => Err(reason),
            Some(end) => Ok((
                end,
                reason.map(|reason| Finding {
                    reason,
                    left: self.keep_worlds.then(|| world.keep()),
                }),
            )),
            None => Err(reason.map_or_else(
                || "the survivor let its victim live".to_owned(),
                |reason| format!("the survivor failed before its victim died: {reason}"),
            )),
        }
    }
}

/// What a survivor found wrong.
struct Finding {
    reason: String,
    /// The world, if it is left for a person to look at.
    left: Option<PathBuf>,
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the survivor panicked")
        .to_owned()
}
