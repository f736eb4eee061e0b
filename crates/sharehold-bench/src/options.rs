//! What can be asked on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::ours::Worker;

/// Measure sharehold against other locks and shared memory, both sides in one run
///
/// Every number of ours is taken beside one of theirs, round by round: read the ratios. Digits
/// change with the machine and with what else it does.
#[derive(Debug, Parser)]
#[command(
    name = "sharehold-bench",
    version,
    args_conflicts_with_subcommands = true
)]
#[command(after_help = "\
Examples:
  sharehold-bench                              what is promised, less than five minutes
  sharehold-bench --full --check               everything, half an hour, held to the targets
  sharehold-bench count --peers pthread-robust one job against one peer
  sharehold-bench count waits --svg pictures   draw them
  sharehold-bench --list                       which peers there are, and what the others need

What is measured is printed, and appended to a file, at once. A run that was interrupted is continued by the same
command. A peer that crashes or hangs costs its own row.

Exit status: 0 measured, 1 our own side failed or, with --check, missed a target, 2 wrong usage.")]
pub(crate) struct Cli {
    /// What to measure; everything unless named
    #[arg(value_enum)]
    pub(crate) jobs: Vec<Job>,

    /// Measure more peers, with more processes, more often and for longer
    #[arg(long)]
    pub(crate) full: bool,

    /// Only these peers, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) peers: Vec<String>,

    /// How many processes hammer one lock, separated by commas [default: 1,2,4,8, with --full 32
    /// too]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    processes: Vec<u32>,

    /// How many pairs of measurements are taken [default: 3, with --full 7]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,

    /// How long one measurement of a hammered lock takes, about [default: 100, with --full 200]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    millis: Option<u64>,

    /// How many holders are killed [default: 100, with --full 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    kills: Option<u32>,

    /// How long the locks of parts are hammered to see how evenly they are had, in seconds
    /// [default: 2, with --full 10]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    fair: Option<u64>,

    /// How long idle waiters wait, in seconds [default: 2, with --full 10]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    idle: Option<u64>,

    /// After how many seconds a process that says nothing is killed
    #[arg(long, value_name = "S", default_value = "60", value_parser = clap::value_parser!(u64).range(1..))]
    patience: u64,

    /// Say for each target whether it is met, and fail if one is missed
    #[arg(long)]
    pub(crate) check: bool,

    /// The file that keeps what is measured [default: bench-results.jsonl beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) results: Option<PathBuf>,

    /// Write everything that was measured as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write pictures into a folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) svg: Option<PathBuf>,

    /// Name the peers and what they need, and measure nothing
    #[arg(long)]
    pub(crate) list: bool,

    /// Install the packages that peers need, as root on Debian or Ubuntu
    #[arg(long)]
    pub(crate) install: bool,

    #[command(subcommand)]
    pub(crate) worker: Option<Command>,
}

/// What decides which numbers a run has: two runs that agree in it measure the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) jobs: Vec<Job>,
    pub(crate) full: bool,
    pub(crate) peers: Vec<String>,
    pub(crate) processes: Vec<u32>,
    pub(crate) rounds: u32,
    pub(crate) millis: u64,
    pub(crate) kills: u32,
    pub(crate) fair: u64,
    pub(crate) idle: u64,
    patience: u64,
}

impl Cli {
    pub(crate) fn settings(&self) -> Settings {
        let processes: &[u32] = match (self.processes.as_slice(), self.full) {
            ([], true) => &[1, 2, 4, 8, 32],
            ([], false) => &[1, 2, 4, 8],
            (given, _) => given,
        };
        let default = |usual, full| if self.full { full } else { usual };
        Settings {
            jobs: self.jobs.clone(),
            full: self.full,
            peers: self.peers.clone(),
            processes: processes.to_vec(),
            rounds: self.rounds.unwrap_or(if self.full { 7 } else { 3 }),
            millis: self.millis.unwrap_or(default(100, 200)),
            kills: self.kills.unwrap_or(if self.full { 200 } else { 100 }),
            fair: self.fair.unwrap_or(default(2, 10)),
            idle: self.idle.unwrap_or(default(2, 10)),
            patience: self.patience,
        }
    }
}

impl Settings {
    /// How many processes wait for one lock: each number, or, to save time, only the largest.
    pub(crate) fn waiters(&self) -> Vec<u32> {
        let mut several = self.processes.clone();
        several.retain(|&it| it > 1);
        if !self.full {
            several = several.into_iter().max().into_iter().collect();
        }
        several
    }

    /// How long a process may say nothing, beyond what it is asked to do.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.patience + self.fair.max(self.idle))
    }
}

/// What the command starts itself with.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Does one verb of a job
    #[command(hide = true)]
    Worker(Worker),
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Lock and unlock, alone
    Uncontended,
    /// Count together, each increment under the lock
    Count,
    /// Longest wait for a contended lock, and how often each process acquires it
    Waits,
    /// From an unlock to a sleeper's having the lock
    Wake,
    /// From a change to its waiter's wake-up, in threads and in tasks
    Turns,
    /// The locks of parts: alone, and readers beside each other
    Parts,
    /// Longest wait of 8 processes for each lock, and how often each acquires it
    Fairness,
    /// From a holder's death to a waiter's having the lock
    Recovery,
    /// Create, attach, detach, destroy
    Life,
    /// Attach to 1 GiB
    Attach,
    /// Copy bytes in and out
    Copy,
    /// Snapshots of a typed value, by several readers
    Reads,
    /// Whole changes of a typed value, small and large
    Updates,
    /// What 10,000 segments and 4,000 attachments cost
    Growth,
    /// Processor time of sleeping waiters
    Idle,
    /// System calls and instructions of each operation
    Cost,
}
