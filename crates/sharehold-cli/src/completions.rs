//! `sharehold completions`: what a shell needs to complete this command's words.

use std::process::ExitCode;

use anyhow::Result;
use clap::Command;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::output;

/// Print what a shell needs to complete the words of this command
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
pub(crate) fn run(args: &Args, mut command: Command) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "sharehold", &mut script);
    output::bytes(&script)?;
    Ok(Exit::Done.into())
}
