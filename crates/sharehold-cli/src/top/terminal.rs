//! The terminal: taken over, and given back as it was, however the program ends short of SIGKILL.

use std::io::stdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use ratatui::crossterm::event::{self, Event};
use ratatui::{DefaultTerminal, Frame};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The whole terminal, until it is dropped.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    signal: Arc<AtomicUsize>,
    registered: Vec<SigId>,
}

impl Screen {
    /// Takes the terminal over. A panic gives it back before it says anything.
    pub(super) fn open() -> Result<Screen> {
        let signal = Arc::new(AtomicUsize::new(0));
        let mut registered = Vec::new();
        for number in [SIGHUP, SIGINT, SIGTERM] {
            let value = usize::try_from(number)?;
            registered.push(signal_hook::flag::register_usize(
                number,
                Arc::clone(&signal),
                value,
            )?);
        }
        let terminal = ratatui::try_init().context("cannot use this terminal")?;
        Ok(Screen {
            terminal,
            signal,
            registered,
        })
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame)) -> Result<()> {
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// The signal that came and wants an end.
    pub(super) fn signal(&self) -> Option<usize> {
        Some(self.signal.load(Ordering::Relaxed)).filter(|&number| number != 0)
    }

    /// Waits for a key, a new size or a signal, but not longer than this.
    pub(super) fn event(&self, limit: Duration) -> Result<Option<Event>> {
        // Some may have come with the one before.
        for limit in [Duration::ZERO, limit] {
            if !self.wait(limit)? {
                break;
            }
            if event::poll(Duration::ZERO)? {
                return Ok(Some(event::read()?));
            }
        }
        Ok(None)
    }

    /// Waits until there is something to read; whether the terminal is still there. One that has gone is what SIGHUP tells of,
    /// and must not be read, since `crossterm` would do so for ever.
    fn wait(&self, limit: Duration) -> Result<bool> {
        let input = stdin();
        let mut polled = [PollFd::new(&input, PollFlags::IN)];
        let limit = Timespec::try_from(limit)?;
        match poll(&mut polled, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [input] = polled;
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        let is_there = !input.revents().intersects(gone);
        if !is_there {
            self.signal
                .store(usize::try_from(SIGHUP)?, Ordering::Relaxed);
        }
        Ok(is_there)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = ratatui::try_restore();
        for id in self.registered.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}

#[cfg(test)]
mod tests;
