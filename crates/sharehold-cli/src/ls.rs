//! `sharehold ls`: what segments there are.

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use sharehold::Listed;

use crate::exit::Exit;
use crate::human;
use crate::output::{self, Format, Tone};
use crate::table::{Align, Cell, Table};

/// List the segments of this user
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold ls          a line for each segment
  sharehold ls --json   the same for a program

Exit status: 0 listed, also when a file is damaged, which is told in its line; 6 the directory is not to be trusted.")]
pub(crate) struct Args {
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
struct Line {
    key: String,
}

/// Runs `sharehold ls`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let listed = sharehold::list()?;
    if args.format.json {
        let keys = listed.iter().filter_map(|it| it.summary.as_ref().ok());
        let lines: Vec<Line> = keys
            .map(|it| Line {
                key: it.key.clone(),
            })
            .collect();
        output::document(&lines)?;
    } else {
        output::text(&table(&listed).to_text())?;
    }
    Ok(Exit::Done.into())
}

fn table(listed: &[Listed]) -> Table {
    let mut table = Table::new([("KEY", Align::Left), ("SIZE", Align::Right)]);
    for it in listed {
        match &it.summary {
            Ok(summary) => table.row([
                Cell::from(human::visible(&summary.key)),
                human::bytes(summary.size as u64).into(),
            ]),
            Err(error) => {
                let name = human::visible(&it.file_name.to_string_lossy());
                table.row([Cell::new(format!("{name}: {error}"), Tone::Bad)]);
            }
        }
    }
    table
}
