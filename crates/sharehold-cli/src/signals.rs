//! Termination signals: a command with something to clean up catches them, and obeys them
//! afterwards.
//!
//! A command without anything to clear away catches none: the system ends it. The others end by the
//! same signal once they have tidied up, so that shells and service managers see what they would
//! see of any program.

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;
use signal_hook::{flag, low_level};

/// The longest time in which a signal is not noticed.
const TICK: Duration = Duration::from_millis(20);

/// The signals that ask for an end, except those that this process was started to ignore, as by
/// `nohup`.
pub(crate) fn ending() -> impl Iterator<Item = i32> {
    let all = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
    all.into_iter().filter(|&signal| !is_ignored(signal))
}

/// Whether the signal is one that asks a process to end, or SIGKILL.
pub(crate) fn ends(signal: i32) -> bool {
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGKILL].contains(&signal)
}

/// Catches the signals that ask for an end, from its making to the end of the process.
pub(crate) struct Stop(Arc<AtomicUsize>);

impl Stop {
    pub(crate) fn listen() -> Result<Stop> {
        let signal = Arc::new(AtomicUsize::new(0));
        for number in ending() {
            let value = usize::try_from(number)?;
            flag::register_usize(number, Arc::clone(&signal), value)
                .context("cannot listen to signals")?;
        }
        Ok(Stop(signal))
    }

    /// Fails if a signal has asked for an end.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        match i32::try_from(self.0.load(Ordering::Relaxed)) {
            Ok(signal) if signal != 0 => Err(Stopped(signal)),
            _ => Ok(()),
        }
    }

    /// Sleeps; fails as soon as a signal asks for an end.
    pub(crate) fn sleep(&self, time: Duration) -> Result<(), Stopped> {
        let begin = Instant::now();
        loop {
            self.check()?;
            let left = time.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(TICK));
        }
    }
}

/// Says that a signal asked for an end: everything is cleared away on the way to `main`, which then
/// obeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped by {}", self.name())]
pub(crate) struct Stopped(pub(crate) i32);

impl Stopped {
    pub(crate) fn name(self) -> &'static str {
        low_level::signal_name(self.0).unwrap_or("a signal")
    }

    /// Ends this process by the signal.
    pub(crate) fn obey(self) -> ExitCode {
        // It returns only if the signal has no effect, and then the exit status says the same.
        let _ = emulate_default_handler(self.0);
        ExitCode::from(u8::try_from(128 + self.0).unwrap_or(1))
    }
}

/// Whether this process was started with the signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
