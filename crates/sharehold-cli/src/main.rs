//! The `sharehold` command: says what can be asked, and hands each question to its module.

mod acquire;
mod arrive;
mod bench;
mod cas;
mod change;
mod complete;
mod completions;
mod content;
mod count;
mod create;
mod describe;
mod doctor;
mod exit;
mod export;
mod foreign;
mod format;
mod gc;
mod get;
mod grow;
mod help;
mod hexdump;
mod hint;
mod incr;
mod lock;
mod lock_result;
mod ls;
mod man;
mod output;
mod own;
mod parts;
mod poll;
mod primitive;
mod process;
mod read;
mod reset;
mod rm;
mod set;
mod show;
mod signals;
mod spark;
mod table;
mod target;
mod top;
mod units;
mod users;
mod value;
mod wait;
mod watch;
mod write;

use std::process::ExitCode;

use anyhow::Result;
use clap::{FromArgMatches, Parser, Subcommand};
use exit::Exit;
use output::ReaderGone;
use signals::Stopped;

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
    Top(top::Args),
    Watch(watch::Args),
    Get(get::Args),
    Set(set::Args),
    Incr(incr::Args),
    Cas(cas::Args),
    Reset(reset::Args),
    Create(create::Args),
    Export(export::Args),
    Read(read::Args),
    Write(write::Args),
    Grow(grow::Args),
    Rm(rm::Args),
    Lock(lock::Args),
    #[command(hide = true)]
    LockChild(lock::ChildArgs),
    Acquire(acquire::Args),
    Wait(wait::Args),
    Arrive(arrive::Args),
    Doctor(doctor::Args),
    Gc(gc::Args),
    Count(count::Args),
    Bench(bench::Args),
    #[command(hide = true)]
    BenchWorker(bench::WorkerArgs),
    #[command(hide = true)]
    CountWorker(count::WorkerArgs),
    Completions(completions::Args),
    Man(man::Args),
}

fn main() -> ExitCode {
    completions::answer();
    let matches = help::command().try_get_matches();
    let done = match matches.and_then(|found| Cli::from_arg_matches(&found)) {
        Ok(cli) => perform(cli.command),
        Err(mut error) if error.use_stderr() => {
            help::suggest_dashes(&mut error);
            error.exit()
        }
        // Help and version are answers like any other.
        Err(answer) => output::written(answer.print()).map(|()| Exit::Done.into()),
    };
    done.unwrap_or_else(|error| {
        if let Some(stopped) = error.downcast_ref::<Stopped>() {
            return stopped.obey();
        }
        if !error.is::<ReaderGone>() {
            output::complain(&error);
        }
        Exit::of(&error).into()
    })
}

fn perform(command: Command) -> Result<ExitCode> {
    match command {
        Command::Ls(args) => ls::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Get(args) => get::run(&args),
        Command::Set(args) => set::run(&args),
        Command::Incr(args) => incr::run(&args),
        Command::Cas(args) => cas::run(&args),
        Command::Reset(args) => reset::run(&args),
        Command::Create(args) => create::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Read(args) => read::run(&args),
        Command::Write(args) => write::run(&args),
        Command::Grow(args) => grow::run(&args),
        Command::Rm(args) => rm::run(&args),
        Command::Lock(args) => lock::run(&args),
        Command::LockChild(args) => lock::become_command(&args),
        Command::Acquire(args) => acquire::run(&args),
        Command::Wait(args) => wait::run(&args),
        Command::Arrive(args) => arrive::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Gc(args) => gc::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::BenchWorker(args) => bench::work(&args),
        Command::Count(args) => count::run(&args),
        Command::CountWorker(args) => count::work(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
