//! Signals that ask for an end, to a process that runs a command: they end its wait, and later are
//! the command's.
//!
//! | state | a signal |
//! |---|---|
//! | waiting, or about to start the command | is noted, and ends this process in good order: nothing stays abandoned |
//! | the command runs | is passed on, unless the kernel sent it |
//!
//! The kernel sends those of a terminal to the whole process group, which the command belongs to.
//! From a process, a signal may be meant for this process alone, as that of a service manager is,
//! or for the group: the two look alike. It is passed on in both cases, so that none is lost.

use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Signal, pidfd_send_signal};
use signal_hook::flag;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;

use crate::signals::{self, Stopped};

/// Catches the signals that ask for an end, from its making to the end of the process.
pub(crate) struct Relay {
    /// The last signal, 0 before the first one. The signal's handler stores it, so that it is there
    /// at once.
    asked: Arc<AtomicUsize>,
    /// The command, once it runs.
    command: Arc<Mutex<Option<OwnedFd>>>,
}

impl Relay {
    /// Begins, before this process holds anything. It is the thread that waits which calls this.
    pub(crate) fn listen() -> Result<Relay> {
        let asked = Arc::new(AtomicUsize::new(0));
        for number in signals::ending() {
            flag::register_usize(number, Arc::clone(&asked), usize::try_from(number)?)
                .context("cannot listen to signals")?;
        }
        let mut signals = SignalsInfo::<WithRawSiginfo>::new(signals::ending())
            .context("cannot listen to signals")?;
        let command = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&command);
        let waiter = thread::current();
        thread::spawn(move || {
            for signal in signals.forever() {
                let is_from_kernel = signal.si_code > 0;
                match &*lock(&shared) {
                    Some(process) if !is_from_kernel => pass_on(process, signal.si_signo),
                    Some(_) => {}
                    None => waiter.unpark(),
                }
            }
        });
        Ok(Relay { asked, command })
    }

    /// Fails if a signal has asked for an end.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        self.asked().map_or(Ok(()), |signal| Err(Stopped(signal)))
    }

    fn asked(&self) -> Option<i32> {
        let signal = i32::try_from(self.asked.load(Ordering::Relaxed)).ok();
        signal.filter(|&signal| signal != 0)
    }

    /// Waits, at most for the time that is given; `None` when that was over first.
    ///
    /// # Errors
    ///
    /// A signal has asked for an end. What was awaited is given back if it came all the same.
    pub(crate) fn wait_for<T>(
        &self,
        awaited: impl Future<Output = T>,
        limit: Option<Duration>,
    ) -> Result<Option<T>, Stopped> {
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = task::Context::from_waker(&waker);
        let mut awaited = pin!(awaited);
        loop {
            let polled = awaited.as_mut().poll(&mut context);
            self.check()?;
            if let Poll::Ready(found) = polled {
                return Ok(Some(found));
            }
            match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return Ok(None),
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    /// From now on signals are those of the process that was started. One that has come meanwhile
    /// is passed on.
    pub(crate) fn hand_to(&self, process: OwnedFd) {
        let mut command = lock(&self.command);
        if let Some(signal) = self.asked() {
            pass_on(&process, signal);
        }
        *command = Some(process);
    }
}

fn lock(command: &Mutex<Option<OwnedFd>>) -> MutexGuard<'_, Option<OwnedFd>> {
    command.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pass_on(process: &OwnedFd, number: i32) {
    if let Some(signal) = Signal::from_named_raw(number) {
        // It fails when the command has just ended.
        let _ = pidfd_send_signal(process, signal);
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
