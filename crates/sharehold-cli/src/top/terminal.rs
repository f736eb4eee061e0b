//! The terminal: taken over, and given back as it was, however the program ends short of SIGKILL.

use std::io::stdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use ratatui::crossterm::event::{self, Event};
use ratatui::{DefaultTerminal, Frame};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, kill_current_process_group};
use signal_hook::consts::{SIGCONT, SIGHUP};

use crate::signals::{Stop, Stopped};

/// The whole terminal, until it is dropped.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    stop: Stop,
    /// Whether this process goes on after it was stopped.
    continues: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal over. A panic gives it back before it says anything.
    pub(super) fn open() -> Result<Screen> {
        let stop = Stop::listen()?;
        let continues = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGCONT, Arc::clone(&continues))?;
        let terminal = ratatui::try_init().context("cannot use this terminal")?;
        Ok(Screen {
            terminal,
            stop,
            continues,
        })
    }

    /// Gives the terminal back and stops, as programs do at Ctrl-Z, until SIGCONT.
    pub(super) fn suspend(&mut self) -> Result<()> {
        ratatui::try_restore()?;
        // The whole group, as the terminal would. Without a shell that could let it go on, nothing
        // happens.
        kill_current_process_group(Signal::TSTP)?;
        self.continues.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame)) -> Result<()> {
        if self.continues.swap(false, Ordering::Relaxed) {
            // Whatever was done to the terminal meanwhile.
            ratatui::try_restore()?;
            self.terminal = ratatui::try_init().context("cannot use this terminal")?;
        }
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// Whether everything has to be drawn anew.
    pub(super) fn is_spoiled(&self) -> bool {
        self.continues.load(Ordering::Relaxed)
    }

    /// Waits for a key or a new size, but not longer than this; fails when a signal asks for an
    /// end.
    pub(super) fn event(&self, limit: Duration) -> Result<Option<Event>> {
        self.stop.check()?;
        // Some may have come with the one before.
        for limit in [Duration::ZERO, limit] {
            wait(limit)?;
            if event::poll(Duration::ZERO)? {
                return Ok(Some(event::read()?));
            }
        }
        Ok(None)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = ratatui::try_restore();
    }
}

/// Waits until there is something to read. A terminal that has gone is what SIGHUP tells of, and
/// must not be read, since `crossterm` would do so for ever.
fn wait(limit: Duration) -> Result<()> {
    let input = stdin();
    let mut polled = [PollFd::new(&input, PollFlags::IN)];
    let limit = Timespec::try_from(limit)?;
    match poll(&mut polled, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [input] = polled;
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    if input.revents().intersects(gone) {
        return Err(Stopped(SIGHUP).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
