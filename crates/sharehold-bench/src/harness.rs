//! What all peer programs in Rust have in common: the verbs, the start line and the clock, as in
//! `peers/harness.h`.
//!
//! It knows neither sharehold nor the runner, so that peers which are crates of their own can
//! include it.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read, Write as _};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::time::{ClockId, clock_gettime};

/// A lock in shared memory, and a number that it guards.
pub(crate) trait Peer: Sized {
    /// What is had while the lock is held.
    type Held<'a>: Held
    where
        Self: 'a;

    /// Makes what the processes share, once; it stays when this process ends.
    fn make(path: &str) -> Result<()>;
    /// Removes it.
    fn unmake(path: &str) -> Result<()>;
    /// Takes part, in each process.
    fn join(path: &str) -> Result<Self>;
    /// Acquires the lock, whatever became of its last holder.
    fn lock(&self) -> Result<Self::Held<'_>>;
}

/// The guarded number; dropping it releases the lock.
pub(crate) trait Held {
    fn get(&self) -> Result<u64>;
    fn set(&mut self, value: u64) -> Result<()>;
}

/// Runs `peer VERB PATH [NUMBER]`.
pub(crate) fn run<P: Peer>(verb: &str, path: &str, number: u64) -> Result<()> {
    match verb {
        "make" => return P::make(path),
        "unmake" => return P::unmake(path),
        _ => {}
    }
    let peer = P::join(path)?;
    match verb {
        "value" => say(&format!("value={}", peer.lock()?.get()?)),
        "pass" => {
            let begin = start_line()?;
            for _ in 0..number {
                drop(peer.lock()?);
            }
            say(&times(begin, number))
        }
        "count" => {
            let begin = start_line()?;
            for _ in 0..number {
                let mut held = peer.lock()?;
                let value = held.get()?;
                held.set(value + 1)?;
            }
            say(&times(begin, number))
        }
        "wait" => hammer(&peer, number),
        "hold" => {
            let held = peer.lock()?;
            say("held")?;
            wait_for_end_of_input()?;
            drop(held);
            Ok(())
        }
        "regain" => {
            for line in io::stdin().lock().lines() {
                line?;
                say("waiting")?;
                let held = peer.lock()?;
                let now = now();
                drop(held);
                say(&format!("got={now}"))?;
            }
            Ok(())
        }
        "give" => give(&peer, number),
        "take" => take(&peer, number),
        "idle" => {
            let begin = start_line()?;
            let before = clock(ClockId::ProcessCPUTime);
            let held = peer.lock()?;
            let used = clock(ClockId::ProcessCPUTime) - before;
            drop(held);
            say(&format!("{} processor={used}", times(begin, 1)))
        }
        _ => bail!("there is no verb {verb}"),
    }
}

/// Hammers for some nanoseconds and times each wait for the lock.
fn hammer<P: Peer>(peer: &P, duration: u64) -> Result<()> {
    let mut waits = Waits::new();
    let begin = start_line()?;
    let (mut before, mut operations) = (begin, 0);
    while before - begin < duration {
        before = now();
        let mut held = peer.lock()?;
        waits.record(now() - before);
        let value = held.get()?;
        held.set(value + 1)?;
        drop(held);
        operations += 1;
    }
    say(&format!("{} {}", times(begin, operations), waits.text()))
}

/// Unlocks at stamped times while the taker sleeps.
fn give<P: Peer>(peer: &P, times: u64) -> Result<()> {
    start_line()?;
    for i in 0..times {
        let mut held = peer.lock()?;
        thread::sleep(Duration::from_nanos(500_000 + i * 7919 % 500_000));
        held.set(now())?;
        drop(held);
        thread::sleep(Duration::from_micros(300));
    }
    Ok(())
}

/// Times wake-ups: from the giver's stamp until this one has the lock.
fn take<P: Peer>(peer: &P, number: u64) -> Result<()> {
    let mut waits = Waits::new();
    let begin = start_line()?;
    let (mut last, mut taken) = (0, 0);
    while taken < number {
        let held = peer.lock()?;
        let (stamp, now) = (held.get()?, now());
        drop(held);
        if stamp != last {
            waits.record(now - stamp);
            taken += 1;
        }
        last = stamp;
        thread::sleep(Duration::from_micros(100));
    }
    say(&format!("{} {}", times(begin, taken), waits.text()))
}

/// A histogram of durations: 16 buckets for each power of two.
struct Waits {
    buckets: Vec<u64>,
    longest: u64,
}

impl Waits {
    fn new() -> Waits {
        Waits {
            buckets: vec![0; 1024],
            longest: 0,
        }
    }

    fn record(&mut self, ns: u64) {
        let bucket = if ns < 16 {
            ns
        } else {
            let exponent = u64::from(ns.ilog2());
            (exponent - 3) * 16 + (ns >> (exponent - 4) & 15)
        };
        if let Some(count) = usize::try_from(bucket)
            .ok()
            .and_then(|it| self.buckets.get_mut(it))
        {
            *count += 1;
        }
        self.longest = self.longest.max(ns);
    }

    fn text(&self) -> String {
        let mut text = format!("longest={} waits=", self.longest);
        for (bucket, count) in self.buckets.iter().enumerate() {
            if *count != 0 {
                // Writing to a string does not fail.
                let _ = write!(text, "{bucket}:{count},");
            }
        }
        text
    }
}

/// The system's monotonic clock in nanoseconds: the same in every process.
pub(crate) fn now() -> u64 {
    clock(ClockId::Monotonic)
}

fn clock(id: ClockId) -> u64 {
    let now = clock_gettime(id);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// Says that this process is ready, and waits until all are.
pub(crate) fn start_line() -> Result<u64> {
    say("ready")?;
    wait_for_end_of_input()?;
    Ok(now())
}

pub(crate) fn wait_for_end_of_input() -> Result<()> {
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

pub(crate) fn times(begin: u64, operations: u64) -> String {
    format!("begin={begin} end={} operations={operations}", now())
}

pub(crate) fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
