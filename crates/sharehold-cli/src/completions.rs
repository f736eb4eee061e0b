//! `sharehold completions`: what a shell needs to complete this command's words.
//!
//! The script asks this program for each word, so that it knows the keys and fields that there are
//! at that moment.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};

use crate::exit::Exit;
use crate::{help, output};

/// The variable by which a shell says that it wants words, and which shell it is.
const VARIABLE: &str = "SHAREHOLD_COMPLETE";
const NAME: &str = "sharehold";

/// Print what a shell needs to complete the words of this command
///
/// The shell then offers subcommands and options, the keys of segments, and their fields and parts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold completions bash > ~/.local/share/bash-completion/completions/sharehold
  sharehold completions zsh > ~/.zfunc/_sharehold           with ~/.zfunc in fpath
  sharehold completions fish > ~/.config/fish/completions/sharehold.fish

Exit status: 0 printed, 2 wrong usage.")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Runs `sharehold completions`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let shell = args.shell.to_string();
    let shells = Shells::builtins();
    let completer = shells.completer(&shell);
    let completer = completer.with_context(|| format!("{shell} cannot ask a program for words"))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    output::bytes(&script)?;
    Ok(Exit::Done.into())
}

/// Answers a shell that asks for words, and ends; returns if none asks.
pub(crate) fn answer() {
    CompleteEnv::with_factory(help::for_people)
        .var(VARIABLE)
        .complete();
}
