//! The `sharehold` command: says what can be asked, and hands each question to its module.

mod bench;
mod cas;
mod change;
mod completions;
mod count;
mod create;
mod data;
mod doctor;
mod exit;
mod export;
mod foreign;
mod gc;
mod get;
mod grow;
mod hexdump;
mod hint;
mod human;
mod incr;
mod lock;
mod locked;
mod ls;
mod man;
mod output;
mod own;
mod poll;
mod process;
mod read;
mod rm;
mod seen;
mod set;
mod show;
mod signals;
mod spark;
mod table;
mod top;
mod units;
mod uses;
mod value;
mod wait;
mod watch;
mod write;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
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
    Create(create::Args),
    Export(export::Args),
    Read(read::Args),
    Write(write::Args),
    Grow(grow::Args),
    Rm(rm::Args),
    Lock(lock::Args),
    #[command(hide = true)]
    LockChild(lock::ChildArgs),
    Wait(wait::Args),
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
    let parsed = with_negative_numbers(Cli::command()).try_get_matches();
    let done = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => perform(cli.command),
        Err(error) if error.use_stderr() => error.exit(),
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
        Command::Create(args) => create::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Read(args) => read::run(&args),
        Command::Write(args) => write::run(&args),
        Command::Grow(args) => grow::run(&args),
        Command::Rm(args) => rm::run(&args),
        Command::Lock(args) => lock::run(&args),
        Command::LockChild(args) => lock::become_command(&args),
        Command::Wait(args) => wait::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Gc(args) => gc::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::BenchWorker(args) => bench::work(&args),
        Command::Count(args) => count::run(&args),
        Command::CountWorker(args) => count::work(&args),
        Command::Completions(args) => completions::run(&args, for_people()),
        Command::Man(args) => man::run(&args, for_people()),
    }
}

/// The command with values such as -1 taken as values, so that what is wrong with them is said of them.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    command.mut_subcommands(|subcommand| {
        subcommand.mut_args(|arg| {
            let takes_values = arg.get_action().takes_values();
            arg.allow_negative_numbers(takes_values)
        })
    })
}

/// The command without what it starts itself with.
fn for_people() -> clap::Command {
    let all = Cli::command();
    let shown = all.get_subcommands().filter(|it| !it.is_hide_set());
    let shown: Vec<clap::Command> = shown.cloned().collect();
    clap::Command::new("sharehold")
        .about(all.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .subcommands(shown)
}
