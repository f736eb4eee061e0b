//! `sharehold top`: the segments of this user, live on a terminal.
//!
//! This module has the loop. `model` has the state and the effect of keys, `draw` the layout with
//! `columns` and `fit`, and `terminal` sets up and restores the terminal.

mod columns;
mod draw;
mod fit;
mod model;
mod terminal;

use std::io::{IsTerminal, stdin, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use model::{Flow, Model};
use ratatui::crossterm::event::Event;
use terminal::Screen;

use crate::exit::{Exit, Failure};
use crate::units;

/// Watch all segments of this user, live
///
/// Each segment has a line: the owner of its lock, the number of attachments, and how often its
/// value changes. Watching delays no process. The key ? shows all keys, q quits, and Ctrl-Z
/// suspends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold top              look once a second
  sharehold top --every 5s   look less often

In the column LOCK, `+` behind a holder means that others wait for it.

Exit status: 0 ended by q or Ctrl-C, 2 wrong usage, or not on a terminal, 6 the directory is not to be trusted or not permitted;
ended by a signal: a shell shows 128 + its number, 143 after SIGTERM.")]
pub(crate) struct Args {
    /// Time between two updates
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = period)]
    every: Duration,
}

/// The longest time in which no signal is noticed.
const TICK: Duration = Duration::from_millis(100);

/// Runs `sharehold top`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        let detail = "top needs a terminal; for a pipe or a file there is `sharehold ls --json`";
        return Err(Failure::new(Exit::Usage, detail).into());
    }
    let mut model = Model::default();
    model.refresh(Instant::now())?;
    let mut screen = Screen::open()?;
    let mut looked = Instant::now();
    loop {
        screen.draw(|frame| draw::all(frame, &mut model))?;
        // Keys come first: however long a look takes, they are heard between two.
        let mut flow = Flow::Go;
        while !screen.is_spoiled() {
            let due = args.every.saturating_sub(looked.elapsed());
            match screen.event(due.min(TICK))? {
                Some(Event::Key(key)) if key.is_press() => flow = model.press(key),
                Some(Event::Resize(..)) => {}
                _ if due.is_zero() => flow = Flow::Look,
                _ => continue,
            }
            break;
        }
        match flow {
            Flow::Go => {}
            Flow::Look => {
                model.refresh(Instant::now())?;
                // The next look is due that long after the end of this one.
                looked = Instant::now();
            }
            Flow::Pause => screen.suspend()?,
            Flow::End => return Ok(Exit::Done.into()),
        }
    }
}

/// The time between two looks, which leaves the machine some of its own.
fn period(text: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_millis(10);
    let period = units::duration(text)?;
    if period < SHORTEST {
        return Err("it looks at most a hundred times a second: give 10ms or more".to_owned());
    }
    Ok(period)
}
