//! What people and programs are told of a count: lines in a pipe, a bar on a terminal, JSON on
//! request.

use std::fmt;
use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};
use serde::Serialize;

use crate::output::{self, Tone};
use crate::signals::Stopped;

/// What shows more of it than a count that is over at once.
const SUGGESTIONS: &str = "\
try    sharehold count --to 300000000                see how far it is
       sharehold count --to 300000000 --chaos 200    kill 200 workers a second";

/// How far the count is.
pub(super) struct Progress {
    pub(super) value: u64,
    pub(super) total: u64,
}

/// How the count ended.
pub(super) struct Outcome {
    /// The signal that ended it early.
    pub(super) stopped: Option<Stopped>,
    pub(super) value: u64,
    /// The sum of all tallies.
    pub(super) tallies: u64,
    /// The part of it that was counted by workers started by hand.
    pub(super) by_hand: u64,
    pub(super) total: u64,
    pub(super) workers: u32,
    /// From the first worker's first count to the last one's last.
    pub(super) elapsed: Duration,
    pub(super) killed: u64,
    pub(super) killed_holding: u64,
    pub(super) longest_recovery: Duration,
}

impl Outcome {
    /// Fails if anything was lost or counted twice.
    pub(super) fn expect_exact(&self) -> Result<()> {
        let is_whole = self.stopped.is_some() || self.value == self.total + self.by_hand;
        ensure!(
            is_whole && self.value == self.tallies,
            "counted wrong: the value is {}, the workers' tallies make {}, the total is {}",
            self.value,
            self.tallies,
            self.total
        );
        Ok(())
    }

    fn per_second(&self) -> f64 {
        rate(self.value, self.elapsed)
    }

    fn ns_per_increment(&self) -> f64 {
        self.elapsed.as_secs_f64() * 1e9 / as_f64(self.value.max(1))
    }
}

#[derive(Serialize)]
struct ProgressLine {
    value: u64,
    total: u64,
    percent: f64,
    per_second: f64,
}

#[derive(Serialize)]
struct OutcomeLine {
    value: u64,
    total: u64,
    workers: u32,
    elapsed_s: f64,
    per_second: f64,
    ns_per_increment: f64,
    killed: u64,
    killed_holding: u64,
    longest_recovery_ms: f64,
    /// The signal that ended it early.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_by: Option<&'static str>,
}

enum Form {
    Lines,
    Bar(ProgressBar),
    Json,
}

/// Tells how a count goes.
pub(super) struct Report {
    form: Form,
    last: (u64, Instant),
}

impl Report {
    pub(super) fn new(total: u64, json: bool) -> Report {
        let form = if json {
            Form::Json
        } else if stdout().is_terminal() {
            Form::Bar(bar(total))
        } else {
            Form::Lines
        };
        Report {
            form,
            last: (0, Instant::now()),
        }
    }

    pub(super) fn tell(&mut self, progress: &Progress) -> Result<()> {
        let Progress { value, total } = *progress;
        let (before, then) = self.last;
        self.last = (value, Instant::now());
        let per_second = rate(value.saturating_sub(before), then.elapsed());
        let percent = 100.0 * as_f64(value) / as_f64(total);
        match &self.form {
            Form::Bar(bar) => {
                bar.set_position(value);
                Ok(())
            }
            Form::Lines => output::line(&format!(
                "{} of {} ({percent:.1} %), {}/s",
                HumanCount(value),
                HumanCount(total),
                whole(per_second)
            )),
            Form::Json => output::object(&ProgressLine {
                value,
                total,
                percent,
                per_second,
            }),
        }
    }

    /// Takes the bar off the screen.
    pub(super) fn clear(&self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }

    pub(super) fn end(&self, outcome: &Outcome) -> Result<()> {
        if let Form::Json = self.form {
            return output::object(&OutcomeLine {
                value: outcome.value,
                total: outcome.total,
                workers: outcome.workers,
                elapsed_s: outcome.elapsed.as_secs_f64(),
                per_second: outcome.per_second(),
                ns_per_increment: outcome.ns_per_increment(),
                killed: outcome.killed,
                killed_holding: outcome.killed_holding,
                longest_recovery_ms: outcome.longest_recovery.as_secs_f64() * 1e3,
                stopped_by: outcome.stopped.map(Stopped::name),
            });
        }
        if let Some(stopped) = outcome.stopped {
            output::line(&format!(
                "stopped by {} at {} of {}",
                stopped.name(),
                HumanCount(outcome.value),
                HumanCount(outcome.total)
            ))?;
        }
        output::line(&format!(
            "{} counted by {} {} in {:.3} s: {}/s, {:.1} ns per locked increment",
            HumanCount(outcome.value),
            outcome.workers,
            if outcome.workers == 1 {
                "process"
            } else {
                "processes"
            },
            outcome.elapsed.as_secs_f64(),
            whole(outcome.per_second()),
            outcome.ns_per_increment(),
        ))?;
        if outcome.by_hand > 0 {
            output::line(&format!(
                "of these, {} by workers started by hand",
                HumanCount(outcome.by_hand)
            ))?;
        }
        if outcome.killed > 0 {
            output::line(&format!(
                "{} killed, {} of them holding the lock; the longest wait for a recovery was {:.2} ms",
                HumanCount(outcome.killed),
                HumanCount(outcome.killed_holding),
                outcome.longest_recovery.as_secs_f64() * 1e3,
            ))?;
        }
        if outcome.expect_exact().is_ok() {
            output::line("every worker's own count and the shared value agree")?;
        }
        Ok(())
    }

    /// Tells people on a terminal what to try next.
    pub(super) fn suggest(&self, killed: bool) -> Result<()> {
        if let (Form::Bar(_), false) = (&self.form, killed) {
            output::line(&Tone::Faint.paint(SUGGESTIONS))?;
        }
        Ok(())
    }
}

fn bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{wide_bar:.cyan/dim} {human_pos} of {human_len} ({percent} %), {rate}/s, {eta} left",
    );
    let style = style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            // A bar that cannot be drawn is not worth an error.
            let _ = write!(out, "{}", whole(state.per_sec()));
        });
    ProgressBar::new(total).with_style(style)
}

fn rate(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 {
        as_f64(count) / seconds
    } else {
        0.0
    }
}

fn whole(per_second: f64) -> HumanCount {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate to be shown"
    )]
    HumanCount(per_second.round() as u64)
}

fn as_f64(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count to be shown")]
    {
        count as f64
    }
}
