//! The parent: makes the segment, starts the workers, watches and, if asked to, kills them, and
//! settles the result.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use super::Args;
use super::board::{Board, ReadAll, Reserve, now};
use super::report::{Outcome, Progress, Report};
use crate::exit::Exit;
use crate::signals::{self, Stop, Stopped};
use crate::{output, own, process};

/// Between two looks at the workers.
const LOOK: Duration = Duration::from_millis(10);
/// How often progress is printed.
const TELL: Duration = Duration::from_secs(1);

/// Runs `sharehold count`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let stop = Stop::listen()?;
    let (key, board) = fresh_board(args)?;
    let mut report = Report::new(args.to.get(), args.json);
    let mut team = Team::start(args, &key, &board)?;
    let ended = team.watch(&mut report, &stop);
    report.clear();
    team.stop();
    let stopped = match ended {
        Ok(()) => None,
        // Any other error takes the segment away with the board.
        Err(error) => Some(error.downcast::<Stopped>()?),
    };
    let outcome = team.settle(stopped)?;
    drop(team);
    board.detach()?;
    let told = report.end(&outcome);
    if let Some(stopped) = stopped {
        // A terminal that was closed takes no report, and that is no reason to end otherwise.
        return Err(stopped.into());
    }
    told?;
    outcome.expect_exact()?;
    report.suggest(args.chaos.is_some())?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the segment, under a key that is free; what was under it before stays as it is.
fn fresh_board(args: &Args) -> Result<(String, Board)> {
    let key = args.key.clone().unwrap_or_else(|| {
        own::clear("count");
        own::key("count")
    });
    match Board::create(&key, args.with) {
        Err(error) if Exit::of(&error) == Exit::Busy => Err(error.context(
            "count needs a key that is free; give another one with --key, or leave --key out",
        )),
        board => Ok((key, board?)),
    }
}

/// The workers and what happened to them.
struct Team<'a> {
    args: &'a Args,
    key: &'a str,
    board: &'a Board,
    workers: Vec<Option<Child>>,
    killed: u64,
}

impl<'a> Team<'a> {
    fn start(args: &'a Args, key: &'a str, board: &'a Board) -> Result<Team<'a>> {
        board.perform(Reserve {
            places: args.workers,
        })?;
        let mut team = Team {
            args,
            key,
            board,
            workers: Vec::new(),
            killed: 0,
        };
        for place in 0..args.workers {
            let worker = team.start_worker(place)?;
            team.workers.push(Some(worker));
        }
        Ok(team)
    }

    /// How far the worker in `place` counts; the last one takes the remainder.
    fn share(&self, place: u32) -> u64 {
        let (total, workers) = (self.args.to.get(), u64::from(self.args.workers));
        let remainder = if place + 1 == self.args.workers {
            total % workers
        } else {
            0
        };
        total / workers + remainder
    }

    fn with(&self) -> String {
        let way = self.args.with.to_possible_value();
        way.map(|way| way.get_name().to_owned()).unwrap_or_default()
    }

    fn start_worker(&self, place: u32) -> Result<Child> {
        process::again("count-worker")?
            .arg(format!("--place={}", place + 1))
            .arg(format!("--with={}", self.with()))
            .arg("--")
            .arg(self.key)
            .arg(self.share(place).to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start a worker")
    }

    /// Watches until every worker has ended; fails when a signal asks for an end, or nobody reads
    /// the output any more.
    fn watch(&mut self, report: &mut Report, stop: &Stop) -> Result<()> {
        let mut next_telling = Instant::now() + TELL;
        let mut next_kill = self
            .args
            .chaos
            .map(|rate| Instant::now() + random_pause(rate));
        while self.look_after_workers()? {
            stop.check()?;
            output::expect_reader()?;
            let now = Instant::now();
            if let (Some(rate), Some(due)) = (self.args.chaos, next_kill)
                && now >= due
            {
                self.kill_one()?;
                next_kill = Some(due + random_pause(rate));
                continue;
            }
            if now >= next_telling {
                next_telling += TELL;
                if let Some(value) = self.board.value()? {
                    let total = self.args.to.get();
                    report.tell(&Progress { value, total })?;
                }
            }
            let pause = next_kill.map_or(LOOK, |due| due.saturating_duration_since(now).min(LOOK));
            stop.sleep(pause)?;
        }
        Ok(())
    }

    /// Takes note of workers that ended, replaces those that were killed; false when all have ended
    /// by themselves.
    fn look_after_workers(&mut self) -> Result<bool> {
        let mut working = false;
        for place in 0..self.args.workers {
            let Some(child) = &mut self.workers[place as usize] else {
                continue;
            };
            match child.try_wait()? {
                None => working = true,
                Some(status) if status.success() => self.workers[place as usize] = None,
                // Killed by this process or any other one: what it has counted so far is kept.
                Some(status) if status.signal().is_some_and(signals::ends) => {
                    self.killed += 1;
                    let successor = self.start_worker(place)?;
                    self.workers[place as usize] = Some(successor);
                    working = true;
                }
                Some(status) => bail!("worker {} ended with {status}", place + 1),
            }
        }
        Ok(working)
    }

    /// Kills the worker in a random place. One that has ended is spared, so that the last ones are
    /// not killed more often than the others were.
    fn kill_one(&mut self) -> Result<()> {
        let chosen = fastrand::usize(..self.workers.len());
        if let Some(child) = &mut self.workers[chosen] {
            child.kill().context("cannot kill a worker")?;
        }
        Ok(())
    }

    /// Kills the remaining workers.
    fn stop(&mut self) {
        for child in self.workers.iter_mut().flatten() {
            // One that has just ended cannot be killed, and need not be.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Compares every worker's own count with its share, unless they were stopped on the way.
    fn settle(&self, stopped: Option<Stopped>) -> Result<Outcome> {
        let all = self.board.perform(ReadAll)?;
        let recoveries = self.board.recoveries()?;
        let (own, by_hand) = all.by_worker.split_at(self.workers.len());
        for (place, &tally) in (0..).zip(own) {
            let share = self.share(place);
            ensure!(
                tally == share || stopped.is_some(),
                "worker {} counted {tally} of {share}",
                place + 1
            );
        }
        let ended = match stopped {
            Some(_) if all.began > 0 => now(),
            _ => all.ended,
        };
        Ok(Outcome {
            stopped,
            value: all.value,
            tallies: all.by_worker.iter().sum(),
            by_hand: by_hand.iter().sum(),
            total: self.args.to.get(),
            workers: self.args.workers,
            elapsed: Duration::from_nanos(ended.saturating_sub(all.began)),
            killed: self.killed,
            killed_holding: recoveries.count,
            longest_recovery: recoveries.longest,
        })
    }
}

impl Drop for Team<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A random time, `1 / rate` seconds on average.
fn random_pause(rate: u32) -> Duration {
    Duration::from_secs_f64(2.0 * fastrand::f64() / f64::from(rate))
}
