//! The measurements. Times are in nanoseconds.

use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, ChildStdout, Stdio, id};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, MemfdFlags, flock, memfd_create};
use sharehold::{LockError, Segment, Shared};

use super::worker::{BOARD, Board, DELAY, Role, STAMP, lock, now};
use crate::signals::Stop;
use crate::{poll, process};

/// How long workers may take until they begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many times something is done between two looks at the clock.
const BATCH: u32 = 1000;

/// Long enough for a waiter to have fallen asleep.
const ASLEEP: Duration = Duration::from_millis(2);

/// The middle one, or the mean of the middle two; 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or(0.0);
    if values.len().is_multiple_of(2) && middle > 0 {
        f64::midpoint(upper, values[middle - 1])
    } else {
        upper
    }
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// What is measured with.
pub(super) struct Bench {
    key: String,
    segment: Segment,
    board: Shared<Board>,
    /// What flock locks: a file without a name, which workers open by way of this process.
    file: OwnedFd,
    share: Duration,
    stop: Stop,
}

impl Bench {
    pub(super) fn new(key: &str, share: Duration, stop: Stop) -> Result<Bench> {
        Ok(Bench {
            key: key.to_owned(),
            segment: Segment::options().size(64).slots(1000).create(key)?,
            board: Segment::options()
                .slots(1000)
                .create_shared(&format!("{key}{BOARD}"), &Board::default())?,
            file: memfd_create("sharehold-bench", MemfdFlags::CLOEXEC)?,
            share,
            stop,
        })
    }

    /// The time of one `action`, done again and again.
    fn time_of(&self, mut action: impl FnMut() -> Result<()>) -> Result<f64> {
        let end = Instant::now() + self.share;
        let mut times = Vec::new();
        while times.is_empty() || Instant::now() < end {
            self.stop.check()?;
            let start = Instant::now();
            for _ in 0..BATCH {
                action()?;
            }
            times.push(nanoseconds(start.elapsed()) / f64::from(BATCH));
        }
        Ok(median(times))
    }

    pub(super) fn lock(&self) -> Result<f64> {
        self.time_of(|| {
            drop(lock(&self.segment)?);
            Ok(())
        })
    }

    pub(super) fn flock(&self) -> Result<f64> {
        self.time_of(|| {
            flock(&self.file, FlockOperation::LockExclusive)?;
            Ok(flock(&self.file, FlockOperation::Unlock)?)
        })
    }

    /// The time of one addition, while so many threads add.
    pub(super) fn atomic(&self, threads: u32) -> Result<f64> {
        let number = AtomicU64::new(0);
        let done = AtomicBool::new(false);
        let start = Instant::now();
        let slept = thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        for _ in 0..BATCH {
                            number.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            let slept = self.stop.sleep(self.share);
            done.store(true, Ordering::Relaxed);
            slept
        });
        slept?;
        let counted = number.into_inner();
        Ok(per(start.elapsed(), counted))
    }

    /// The time of one increment, while so many processes count under the same lock.
    pub(super) fn count(&self, role: Role, processes: u32) -> Result<f64> {
        self.board.set(&Board::default())?;
        let mut workers = Vec::new();
        for place in 0..processes {
            workers.push(self.start(role, place)?);
        }
        let all = usize::try_from(processes)?;
        let begun = poll::until(Some(PATIENCE), || {
            self.stop.check()?;
            let board = self.board.get()?;
            Ok(board.tallies[..all].iter().all(|it| *it > 0).then_some(()))
        })?;
        begun.context("the processes that count did not begin")?;
        let (start, before) = (Instant::now(), self.board.get()?.total());
        self.stop.sleep(self.share)?;
        let (time, after) = (start.elapsed(), self.board.get()?.total());
        drop(workers);
        Ok(per(time, after - before))
    }

    pub(super) fn snapshot(&self) -> Result<f64> {
        self.time_of(|| {
            std::hint::black_box(self.board.get()?);
            Ok(())
        })
    }

    pub(super) fn changing_snapshot(&self) -> Result<f64> {
        let before = self.board.version()?;
        let _writer = self.start(Role::Change, 0)?;
        let begun = poll::until(Some(PATIENCE), || {
            self.stop.check()?;
            Ok((self.board.version()? > before).then_some(()))
        })?;
        begun.context("the process that changes the value did not begin")?;
        self.snapshot()
    }

    /// The time from a release to the next holder's first step, where that one has slept.
    pub(super) fn wake_up(&self) -> Result<f64> {
        let _sleeper = self.start(Role::Sleep, 0)?;
        let end = Instant::now() + self.share;
        let mut times = Vec::new();
        while times.is_empty() || Instant::now() < end {
            let mut guard = lock(&self.segment)?;
            guard.write_at(DELAY, &0_u64)?;
            thread::sleep(ASLEEP);
            guard.write_at(STAMP, &now())?;
            drop(guard);
            let delay = poll::until(Some(PATIENCE), || {
                self.stop.check()?;
                let guard = lock(&self.segment)?;
                let delay: u64 = guard.read_at(DELAY)?;
                Ok((delay > 0).then_some(delay))
            })?;
            let delay = delay.context("the process that sleeps for the lock did not get it")?;
            times.push(nanoseconds(Duration::from_nanos(delay)));
        }
        Ok(median(times))
    }

    /// The times for which a killed process's lock keeps another one waiting.
    pub(super) fn recoveries(&self) -> Result<Vec<f64>> {
        let end = Instant::now() + 2 * self.share;
        let mut times = Vec::new();
        while times.is_empty() || Instant::now() < end {
            self.stop.check()?;
            let mut holder = self.start(Role::Hold, 0)?;
            holder.hear()?;
            let start = Instant::now();
            holder.kill()?;
            match self.segment.lock_timeout(PATIENCE) {
                Err(LockError::Abandoned(found)) => {
                    times.push(nanoseconds(start.elapsed()));
                    drop(found.mark_consistent());
                }
                Ok(_) => anyhow::bail!("the death of the owner was not reported"),
                Err(error) => return Err(sharehold::Error::from(error).into()),
            }
        }
        Ok(times)
    }

    fn start(&self, role: Role, place: u32) -> Result<Worker> {
        let file = format!("/proc/{}/fd/{}", id(), self.file.as_raw_fd());
        let mut child = process::again("bench-worker")?
            .args([role.word(), &place.to_string(), &file, &self.key])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a process")?;
        let out = child.stdout.take().context("a process has no output")?;
        let out = BufReader::new(out);
        Ok(Worker { child, out })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn per(time: Duration, count: u64) -> f64 {
    nanoseconds(time) / count.max(1) as f64
}

/// A process that is killed when dropped.
struct Worker {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Worker {
    /// Waits for a line.
    fn hear(&mut self) -> Result<()> {
        let read = self.out.read_line(&mut String::new())?;
        anyhow::ensure!(read > 0, "a process of the benchmark ended early");
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill a process")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
