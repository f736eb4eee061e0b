//! The `sharehold` command: says what can be asked, and hands each question to its module.

mod count;
mod exit;
mod hexdump;
mod human;
mod ls;
mod output;
mod poll;
mod seen;
mod show;
mod spark;
mod table;
mod units;
mod value;
mod watch;

use std::io::{Write, stderr};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use exit::Exit;
use output::ReaderGone;

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
    Ls(ls::Args),
    Show(show::Args),
    Watch(watch::Args),
    Count(count::Args),
    #[command(hide = true)]
    CountWorker(count::WorkerArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Ls(args) => ls::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Count(args) => count::run(&args),
        Command::CountWorker(args) => count::work(&args),
    };
    done.unwrap_or_else(|error| {
        if !error.is::<ReaderGone>() {
            // Where nobody listens to errors, the exit code has to do.
            let _ = writeln!(stderr(), "sharehold: {error:#}");
        }
        Exit::of(&error).into()
    })
}
