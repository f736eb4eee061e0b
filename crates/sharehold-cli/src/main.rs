//! The `sharehold` command: says what can be asked, and hands each question to its module.

mod count;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keyed shared memory between processes that no process's death can break.
#[derive(Debug, Parser)]
#[command(
    name = "sharehold",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Count(count::Args),
    #[command(hide = true)]
    CountWorker(count::WorkerArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Count(args) => count::run(&args),
        Command::CountWorker(args) => count::work(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("sharehold: {error:#}");
        ExitCode::FAILURE
    })
}
