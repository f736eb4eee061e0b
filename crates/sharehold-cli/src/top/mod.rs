//! `sharehold top`: the segments of this user, live on a terminal.
//!
//! Here is the loop; `model` is what is shown and what keys do to it, `draw` is how it looks, `terminal` is what becomes of
//! the terminal.

mod draw;
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
/// A line for each segment: who holds its lock, how many are attached, and how often its value changes. Looking keeps nobody
/// waiting. The keys are shown with ?, and q ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold top              look once a second
  sharehold top --every 5s   look less often

Exit status: 0 ended by q or Ctrl-C, 2 wrong usage, or not on a terminal, 6 the directory is not to be trusted or not permitted, 143
ended by SIGTERM.")]
pub(crate) struct Args {
    /// The time between two looks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::duration)]
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
        loop {
            if let Some(signal) = screen.signal() {
                drop(screen);
                return Ok(ExitCode::from(u8::try_from(128 + signal)?));
            }
            let due = args.every.saturating_sub(looked.elapsed());
            if due.is_zero() {
                looked = Instant::now();
                model.refresh(looked)?;
                break;
            }
            match screen.event(due.min(TICK))? {
                Some(Event::Key(key)) if key.is_press() => match model.press(key) {
                    Flow::End => return Ok(Exit::Done.into()),
                    Flow::Look => {
                        looked = Instant::now();
                        model.refresh(looked)?;
                    }
                    Flow::Go => {}
                },
                Some(Event::Resize(..)) => {}
                _ => continue,
            }
            break;
        }
    }
}
