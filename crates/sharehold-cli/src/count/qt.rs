//! Counting in memory that Qt programs share: Rust workers, and beside them Qt's own, under the
//! lock that both know.
//!
//! There is one number, as wide as C's `int`. Nobody is killed here: what a death leaves of such
//! memory, nobody can tell.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sharehold::qt::{ErrorKind, SharedMemory};
use signal_hook::consts::SIGKILL;

use super::report::{Outcome, Progress, Report};
use super::{Args, WorkerArgs};
use crate::exit::{Exit, Failure};
use crate::lock::{NOT_FOUND, NOT_RUN};
use crate::signals::{self, Stop, Stopped};
use crate::{foreign, output, own, process};

/// Between two looks at the workers.
const LOOK: Duration = Duration::from_millis(10);
/// How often progress is printed.
const TELL: Duration = Duration::from_secs(1);
/// The number, as bytes.
const SIZE: usize = size_of::<i32>();
/// How many Qt workers there are unless it is said.
const QT_WORKERS: u32 = 2;

/// Runs `sharehold count --qt`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let stop = Stop::listen()?;
    let total = i32::try_from(args.to.get());
    total
        .ok()
        .context("Qt programs count with an int; give --to at most 2147483647")?;
    let (key, mut memory) = fresh_memory(args)?;
    let start = Instant::now();
    let mut team = Team::start(args, &key)?;
    let mut report = Report::new(args.to.get(), args.json);
    let ended = team.watch(&mut memory, &mut report, &stop);
    report.clear();
    ended?;
    let elapsed = start.elapsed();
    let tallies = team.settle()?;
    let value: i32 = memory.lock()?.read_at(0)?;
    let outcome = Outcome {
        stopped: None,
        value: u64::try_from(value)?,
        tallies,
        by_hand: 0,
        total: args.to.get(),
        workers: team.count(),
        elapsed,
        killed: 0,
        killed_holding: 0,
        longest_recovery: Duration::ZERO,
    };
    report.end(&outcome)?;
    outcome.expect_exact()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `sharehold count-worker --qt`.
pub(super) fn work(args: &WorkerArgs) -> Result<ExitCode> {
    let mut memory = SharedMemory::new(&args.key);
    memory.attach()?;
    for _ in 0..args.share {
        let mut guard = memory.lock()?;
        let value: i32 = guard.read_at(0)?;
        guard.write_at(0, &(value + 1))?;
    }
    memory.detach()?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the memory under a key that has none. The owner and the use of existing memory would be
/// unknown.
fn fresh_memory(args: &Args) -> Result<(String, SharedMemory)> {
    let key = args.key.clone().unwrap_or_else(|| {
        clear();
        own::key("count")
    });
    let mut memory = SharedMemory::new(&key);
    match memory.create(SIZE) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let detail = format!(
                "{error}. count needs a key that is free: give another one with --key, or leave --key out"
            );
            Err(Failure::new(Exit::Busy, detail).into())
        }
        made => {
            made?;
            Ok((key, memory))
        }
    }
}

/// Removes what earlier runs left when they were killed: memory with a key that only a count has,
/// and that nobody is attached to.
fn clear() {
    /// What Qt makes of such a key: its letters, and then 40 digits of its hash.
    const LETTERS: &str = "qipc_sharedmemory_shareholdcount";
    const DIGITS: usize = 40;
    for family in foreign::families_of_qt() {
        for mut memory in family.all_memory().unwrap_or_default() {
            let native = memory.native_key().native_key();
            let name = native.rsplit('/').next().unwrap_or_default();
            let hash = name.strip_prefix(LETTERS);
            if hash.is_some_and(|hash| hash.len() == DIGITS) {
                // What is in use, or cannot be removed, is in nobody's way: this run has another
                // key.
                let _ = memory.remove_stale();
            }
        }
    }
}

/// A process that counts, and how far.
struct Worker {
    process: Child,
    share: u64,
    is_qt: bool,
    has_ended: bool,
}

struct Team(Vec<Worker>);

impl Team {
    fn start(args: &Args, key: &str) -> Result<Team> {
        let default = args.qt_worker.as_ref().map_or(0, |_| QT_WORKERS);
        let of_qt = args.workers_qt.unwrap_or(default);
        let all = args.workers + of_qt;
        let mut team = Team(Vec::new());
        for place in 0..all {
            let (total, all) = (args.to.get(), u64::from(all));
            // The first one takes the remainder.
            let share = total / all + if place == 0 { total % all } else { 0 };
            let qt_worker = args.qt_worker.as_deref().filter(|_| place >= args.workers);
            let process = match qt_worker {
                Some(program) => start_qt(program, key, share)?,
                None => start_own(key, share)?,
            };
            team.0.push(Worker {
                process,
                share,
                is_qt: qt_worker.is_some(),
                has_ended: false,
            });
        }
        Ok(team)
    }

    fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Watches until every worker has ended; fails when a signal asks for an end, or nobody reads
    /// the output any more.
    fn watch(&mut self, memory: &mut SharedMemory, report: &mut Report, stop: &Stop) -> Result<()> {
        let total = self.0.iter().map(|worker| worker.share).sum();
        let mut next_telling = Instant::now() + TELL;
        while self.is_working()? {
            stop.check()?;
            output::expect_reader()?;
            if Instant::now() >= next_telling {
                next_telling += TELL;
                let value: i32 = memory.lock()?.read_at(0)?;
                let value = u64::try_from(value)?;
                report.tell(&Progress { value, total })?;
            }
            stop.sleep(LOOK)?;
        }
        Ok(())
    }

    fn is_working(&mut self) -> Result<bool> {
        let mut working = false;
        for worker in self.0.iter_mut().filter(|worker| !worker.has_ended) {
            match worker.process.try_wait()? {
                None => working = true,
                Some(status) if status.success() => worker.has_ended = true,
                Some(status) => match status.signal() {
                    // The signal went to the whole group, and reached a worker first.
                    Some(signal) if signal != SIGKILL && signals::ends(signal) => {
                        return Err(Stopped(signal).into());
                    }
                    _ if worker.is_qt && could_not_run(status) => {
                        bail!("cannot start the program that --qt-worker names")
                    }
                    _ => bail!("a worker ended with {status}"),
                },
            }
        }
        Ok(working)
    }

    /// The sum of what each has counted.
    fn settle(&mut self) -> Result<u64> {
        let mut sum = 0;
        for worker in &mut self.0 {
            sum += if worker.is_qt {
                counted_by_qt(&mut worker.process)?
            } else {
                worker.share
            };
        }
        Ok(sum)
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        for Worker { process, .. } in &mut self.0 {
            // One that has ended cannot be killed, and need not be.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Whether a process never became the program that it was started for.
fn could_not_run(status: ExitStatus) -> bool {
    let codes = [NOT_FOUND, NOT_RUN].map(i32::from);
    status.code().is_some_and(|code| codes.contains(&code))
}

fn start_own(key: &str, share: u64) -> Result<Child> {
    process::again("count-worker")?
        .args(["--qt", "--", key, &share.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start a worker")
}

/// Starts a Qt program and says all that it shall do, one command a line; texts are the hexadecimal
/// digits of their UTF-8.
fn start_qt(program: &Path, key: &str, share: u64) -> Result<Child> {
    let started = process::tied(&["--quiet"], [program])?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut worker = started.with_context(|| format!("cannot start {}", program.display()))?;
    let digits: String = key.bytes().fold(String::new(), |digits, byte| {
        digits + &format!("{byte:02x}")
    });
    let orders = format!("new m {digits}\nattach m\ncount m {share}\ndetach m\nexit\n");
    let mut to = worker.stdin.take().context("a Qt worker has no input")?;
    // One that does not listen, or has ended, will not say how far it counted.
    let _ = to.write_all(orders.as_bytes());
    Ok(worker)
}

/// How far a Qt program says that it has counted, in the third of its answers.
fn counted_by_qt(worker: &mut Child) -> Result<u64> {
    let mut said = String::new();
    let mut from = worker.stdout.take().context("a Qt worker has no output")?;
    from.read_to_string(&mut said)?;
    let mut answers = said.lines();
    if let Some(error) = said.lines().find_map(|line| line.strip_prefix("! ")) {
        bail!("a Qt worker says: {error}");
    }
    let counted = answers.nth(2).and_then(|line| line.strip_prefix("= "));
    let counted = counted.and_then(|number| number.trim().parse().ok());
    counted.context("a Qt worker did not say how far it counted")
}
