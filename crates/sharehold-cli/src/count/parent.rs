//! The parent: makes the segment, starts the workers, watches and, if asked to, kills them, and settles the result.

use std::collections::HashSet;
use std::env;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use sharehold::{ErrorKind, Segment, When};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Args;
use super::board::{Board, ReadAll, ReadValue, Reserve};
use super::report::{Outcome, Progress, Report};

/// Between two looks at the workers.
const LOOK: Duration = Duration::from_millis(10);
/// How often people are told.
const TELL: Duration = Duration::from_secs(1);

/// Runs `sharehold count`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGINT, SIGTERM] {
        signal_hook::flag::register_usize(number, Arc::clone(&signal), usize::try_from(number)?)?;
    }
    let board = fresh_board(args)?;
    let mut report = Report::new(args.to.get(), args.json);
    let mut team = Team::start(args, &board)?;
    let ended = team.watch(&mut report, || signal.load(Ordering::Relaxed));
    report.clear();
    team.stop();
    let stopped_by = match ended {
        Ok(0) => None,
        Ok(signal) => Some(signal),
        Err(error) => {
            // Nobody is left but this one, which leaves with the function.
            return Err(error);
        }
    };
    if let Some(signal) = stopped_by {
        eprintln!("sharehold: stopped; the segment is destroyed");
        return Ok(ExitCode::from(u8::try_from(128 + signal)?));
    }
    let outcome = team.settle()?;
    drop(team);
    Segment::destroy(&args.key, When::Now)?;
    report.end(&outcome);
    ensure!(
        outcome.is_exact(),
        "counted wrong: the value is {}, the workers' tallies make {}, the total is {}",
        outcome.value,
        outcome.tallies,
        outcome.total
    );
    Ok(ExitCode::SUCCESS)
}

/// Destroys what an earlier run may have left, and makes the segment.
fn fresh_board(args: &Args) -> Result<Board> {
    match Segment::destroy(&args.key, When::UnusedWithin(Duration::ZERO)) {
        Err(error) if error.kind() == ErrorKind::Busy => {
            bail!(
                "{error}. Another count runs under this key: wait for its end, or choose another with --key"
            )
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    Board::create(&args.key, args.with)
}

/// The workers and what happened to them.
struct Team<'a> {
    args: &'a Args,
    board: &'a Board,
    workers: Vec<Option<Child>>,
    /// The workers that were killed and not replaced yet, by process.
    dying: HashSet<u32>,
    killed: u64,
}

impl<'a> Team<'a> {
    fn start(args: &'a Args, board: &'a Board) -> Result<Team<'a>> {
        board.perform(Reserve {
            places: args.workers,
        })?;
        let mut team = Team {
            args,
            board,
            workers: Vec::new(),
            dying: HashSet::new(),
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
        let own = env::current_exe().context("cannot find this command's own file")?;
        Command::new(own)
            .arg("count-worker")
            .arg(format!("--place={}", place + 1))
            .arg(format!("--with={}", self.with()))
            .arg("--")
            .arg(&self.args.key)
            .arg(self.share(place).to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start a worker")
    }

    /// Watches until every worker has ended, or a signal came; returns that signal, or 0.
    fn watch(&mut self, report: &mut Report, signal: impl Fn() -> usize) -> Result<usize> {
        let mut next_telling = Instant::now() + TELL;
        let mut next_kill = self
            .args
            .chaos
            .map(|rate| Instant::now() + random_pause(rate));
        while self.look_after_workers()? {
            if signal() != 0 {
                return Ok(signal());
            }
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
                let value = self.board.perform(ReadValue)?;
                report.tell(&Progress {
                    value,
                    total: self.args.to.get(),
                });
            }
            let pause = next_kill.map_or(LOOK, |due| due.saturating_duration_since(now).min(LOOK));
            thread::sleep(pause);
        }
        Ok(0)
    }

    /// Takes note of workers that ended, replaces those that were killed; false when all have ended by themselves.
    fn look_after_workers(&mut self) -> Result<bool> {
        let mut working = false;
        for place in 0..self.args.workers {
            let Some(child) = &mut self.workers[place as usize] else {
                continue;
            };
            match child.try_wait()? {
                None => working = true,
                Some(status) if status.success() => self.workers[place as usize] = None,
                Some(_) if self.dying.remove(&child.id()) => {
                    let successor = self.start_worker(place)?;
                    self.workers[place as usize] = Some(successor);
                    working = true;
                }
                Some(status) => bail!("worker {} ended with {status}", place + 1),
            }
        }
        Ok(working)
    }

    /// Kills the worker in a random place. One that has ended is spared, so that the last ones are not killed more often than
    /// the others were.
    fn kill_one(&mut self) -> Result<()> {
        let chosen = fastrand::usize(..self.workers.len());
        if let Some(child) = &mut self.workers[chosen]
            && self.dying.insert(child.id())
        {
            child.kill().context("cannot kill a worker")?;
            self.killed += 1;
        }
        Ok(())
    }

    /// Kills whoever is left.
    fn stop(&mut self) {
        for child in self.workers.iter_mut().flatten() {
            // One that has just ended cannot be killed, and need not be.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Compares every worker's own count with the value.
    fn settle(&self) -> Result<Outcome> {
        let all = self.board.perform(ReadAll)?;
        let recoveries = self.board.recoveries()?;
        let (own, by_hand) = all.by_worker.split_at(self.workers.len());
        for (place, &tally) in (0..).zip(own) {
            let share = self.share(place);
            ensure!(
                tally == share,
                "worker {} counted {tally} of {share}",
                place + 1
            );
        }
        Ok(Outcome {
            value: all.value,
            tallies: all.by_worker.iter().sum(),
            by_hand: by_hand.iter().sum(),
            total: self.args.to.get(),
            workers: self.args.workers,
            elapsed: Duration::from_nanos(all.ended.saturating_sub(all.began)),
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
