//! The terminal: taken over, and given back as it was, however the program ends short of SIGKILL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use ratatui::{DefaultTerminal, Frame};
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
