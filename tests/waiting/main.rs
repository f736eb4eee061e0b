//! Waiting among real processes that are stopped and killed: nobody misses what happened, and
//! nobody polls.

mod changes;
mod checkers;
mod departures;
mod events;
mod storm;
mod tasks;

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    sharehold_testkit::main([
        checkers::suite(),
        changes::suite(),
        departures::suite(),
        events::suite(),
        storm::suite(),
        tasks::suite(),
    ])
}

const KEY: &str = "com.example.waiting";

/// Far more than anything here takes: a hang is a finding, a slow machine is not.
const LONG: Duration = Duration::from_secs(30);

/// How often the threads of a process have gone to sleep so far.
fn sleeps_of(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    let sleeps = tasks.map(|task| {
        let path = task.expect("it lives").path().join("status");
        let status = fs::read_to_string(path).expect("it lives");
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let count = line.expect("Linux counts them").trim().parse::<u64>();
        count.expect("a number")
    });
    sleeps.sum()
}

/// Waits until a process goes to sleep no more: for a quarter of a second it has not woken up.
/// A process that polls would have woken up thirty times.
fn wait_until_idle(pid: u32) {
    let start = Instant::now();
    loop {
        let before = sleeps_of(pid);
        std::thread::sleep(Duration::from_millis(250));
        if sleeps_of(pid) == before {
            return;
        }
        assert!(start.elapsed() < LONG, "it wakes up again and again");
    }
}
