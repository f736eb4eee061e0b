//! `sharehold man`: this command's manual pages.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Command;
use clap_mangen::Man;

use crate::exit::Exit;
use crate::output;

/// Print this command's manual page, or write all its pages
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold man | man -l -                         read the page
  sharehold man --dir ~/.local/share/man/man1      install one for each subcommand

Exit status: 0 printed or written, 1 the folder cannot be written, 2 wrong usage.")]
pub(crate) struct Args {
    /// Write a page for each subcommand into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs `sharehold man`.
pub(crate) fn run(args: &Args, command: Command) -> Result<ExitCode> {
    if let Some(dir) = &args.dir {
        clap_mangen::generate_to(command, dir)
            .with_context(|| format!("cannot write manual pages into {}", dir.display()))?;
    } else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        output::bytes(&page)?;
    }
    Ok(Exit::Done.into())
}
