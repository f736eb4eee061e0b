//! What can be asked on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::ours::Worker;

/// Measure sharehold against other locks and shared memory, both sides in one run
///
/// Every number of ours is taken beside one of theirs, round by round: read the ratios. Digits change with the machine
/// and with what else it does.
#[derive(Debug, Parser)]
#[command(
    name = "sharehold-bench",
    version,
    args_conflicts_with_subcommands = true
)]
#[command(after_help = "\
Examples:
  sharehold-bench                              everything, some minutes
  sharehold-bench count --peers pthread-robust one job against one peer
  sharehold-bench --check --json out.json      hold it to the targets, keep the numbers
  sharehold-bench count waits --svg pictures   draw them
  sharehold-bench --list                       which peers there are, and what the others need")]
pub(crate) struct Cli {
    /// What to measure; everything unless named
    #[arg(value_enum)]
    pub(crate) jobs: Vec<Job>,

    /// Only these peers, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) peers: Vec<String>,

    /// How many processes hammer one lock, separated by commas
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "1,2,4,8,32",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) processes: Vec<u32>,

    /// How many pairs of measurements are taken
    #[arg(long, value_name = "N", default_value = "7", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,

    /// How long one measurement of a hammered lock takes, about
    #[arg(long, value_name = "MS", default_value = "200", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) millis: u64,

    /// How many holders are killed for each peer
    #[arg(long, value_name = "N", default_value = "200", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) kills: u32,

    /// How long the locks of parts are hammered to see how evenly they are had, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) fair: u64,

    /// How long idle waiters wait, in seconds
    #[arg(long, value_name = "S", default_value = "10", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) idle: u64,

    /// Say for each target whether it is met
    #[arg(long)]
    pub(crate) check: bool,

    /// As --check, and fail if one is missed
    #[arg(long)]
    pub(crate) strict: bool,

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

impl Cli {
    /// Whether a job is to be done.
    pub(crate) fn wants(&self, job: Job) -> bool {
        self.jobs.is_empty() || self.jobs.contains(&job)
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Job {
    /// Lock and unlock, alone
    Uncontended,
    /// Count together, each increment under the lock
    Count,
    /// How long one waits for a hammered lock, and who gets it how often
    Waits,
    /// From an unlock to a sleeper's having the lock
    Wake,
    /// From a change to who waits for it, in threads and in tasks
    Turns,
    /// The locks of parts: alone, and readers beside each other
    Parts,
    /// How long 8 processes wait for each lock at most, and who gets it how often
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
