//! The parent: makes the segment, starts the workers, watches and, if asked to, kills them, and settles the result.

use std::collections::HashMap;
use std::env;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sharehold::{ErrorKind, Segment, When};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Args;
use super::board::{self, Board, now};
use super::report::{Outcome, Progress, Report};

/// Between two looks at the workers.
const LOOK: Duration = Duration::from_millis(10);
/// How often people are told.
const TELL: Duration = Duration::from_secs(1);

/// Runs `sharehold count`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGINT, SIGTERM] {
        signal_hook::flag::register_usize(number, Arc::clone(&signal), usize::try_from(number)?)?;
    }
    let segment = fresh_segment(&args.key)?;
    let mut report = Report::new(args.to.get(), args.json);
    let mut team = Team::start(args, &segment)?;
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
fn fresh_segment(key: &str) -> Result<Segment> {
    match Segment::destroy(key, When::UnusedWithin(Duration::ZERO)) {
        Err(error) if error.kind() == ErrorKind::Busy => {
            bail!(
                "{error}. Another count runs under this key: wait for its end, or choose another with --key"
            )
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    // Some for workers started by hand, and for the slots of the dead until they are used again.
    Ok(Segment::options()
        .size(board::SIZE)
        .slots(2 * board::PLACES)
        .create(key)?)
}

/// The workers and what happened to them.
struct Team<'a> {
    args: &'a Args,
    segment: &'a Segment,
    workers: Vec<Option<Child>>,
    /// When each was killed, by process.
    kills: HashMap<u64, u64>,
    recoveries_read: u64,
    longest_recovery: u64,
    killed: u64,
}

impl<'a> Team<'a> {
    fn start(args: &'a Args, segment: &'a Segment) -> Result<Team<'a>> {
        Board::lock(segment)?.reserve(args.workers)?;
        let mut team = Team {
            args,
            segment,
            workers: Vec::new(),
            kills: HashMap::new(),
            recoveries_read: 0,
            longest_recovery: 0,
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

    fn start_worker(&self, place: u32) -> Result<Child> {
        let own = env::current_exe().context("cannot find this command's own file")?;
        Command::new(own)
            .arg("count-worker")
            .arg(format!("--place={}", place + 1))
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
                let board = Board::lock(self.segment)?;
                let value = board.value()?;
                drop(board);
                self.read_recoveries()?;
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
                Some(_) if self.kills.contains_key(&child.id().into()) => {
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
            && !self.kills.contains_key(&child.id().into())
        {
            self.kills.insert(child.id().into(), now());
            child.kill().context("cannot kill a worker")?;
            self.killed += 1;
        }
        Ok(())
    }

    /// Reads the recoveries that have not been read yet, and how long each took: from the kill on, or from when
    /// somebody first wanted the lock after it.
    fn read_recoveries(&mut self) -> Result<()> {
        let (recoveries, read) =
            Board::lock(self.segment)?.recoveries_since(self.recoveries_read)?;
        self.recoveries_read = read;
        for recovery in recoveries {
            if let Some(killed_at) = self.kills.get(&recovery.pid) {
                let took = recovery.waited.min(recovery.at.saturating_sub(*killed_at));
                self.longest_recovery = self.longest_recovery.max(took);
            }
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
    fn settle(&mut self) -> Result<Outcome> {
        self.read_recoveries()?;
        let board = Board::lock(self.segment)?;
        let value = board.value()?;
        let places = 0..board::PLACES;
        let tallies: Vec<_> = places
            .map(|place| board.tally(place))
            .collect::<Result<_>>()?;
        drop(board);
        let (own, by_hand) = tallies.split_at(self.workers.len());
        for (place, tally) in (0..).zip(own) {
            let share = self.share(place);
            ensure!(
                tally.count == share,
                "worker {} counted {} of {share}",
                place + 1,
                tally.count
            );
        }
        let began = own.iter().map(|tally| tally.began).min().unwrap_or(0);
        let ended = own.iter().map(|tally| tally.ended).max().unwrap_or(0);
        Ok(Outcome {
            value,
            tallies: tallies.iter().map(|tally| tally.count).sum(),
            by_hand: by_hand.iter().map(|tally| tally.count).sum(),
            total: self.args.to.get(),
            workers: self.args.workers,
            elapsed: Duration::from_nanos(ended.saturating_sub(began)),
            killed: self.killed,
            killed_holding: self.recoveries_read,
            longest_recovery: Duration::from_nanos(self.longest_recovery),
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
