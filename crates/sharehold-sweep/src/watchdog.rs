//! Ends what takes for ever: a victim that hangs is killed; a survivor that hangs ends the whole
//! sweep.

use crate::ptrace;
use crate::report::TEST_FAILED;
use std::io::{Write, stdout};
use std::process::exit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often the clock is looked at; limits are far longer.
const PERIOD: Duration = Duration::from_millis(100);

/// What is done when the time is over.
#[derive(Debug)]
pub(crate) enum Action {
    /// Kill the victim with this process ID.
    Kill(u32),
    /// Print this text and end the process.
    Exit(String),
}

/// One thread that looks at the clock.
#[derive(Debug)]
pub(crate) struct Watchdog {
    limit: Duration,
    alarm: Arc<Mutex<Option<Alarm>>>,
}

#[derive(Debug)]
struct Alarm {
    due: Instant,
    action: Action,
}

impl Watchdog {
    /// Starts the thread; it ends soon after the watchdog is dropped.
    pub(crate) fn start(limit: Duration) -> Self {
        let alarm = Arc::new(Mutex::new(None));
        let seen = Arc::downgrade(&alarm);
        thread::spawn(move || watch(&seen));
        Self { limit, alarm }
    }

    /// Does `action` unless it is replaced or cancelled within the limit.
    ///
    /// Returns whether an earlier action is still waiting to be done; it will no longer be done.
    pub(crate) fn set(&self, action: Action) -> bool {
        let due = Instant::now() + self.limit;
        lock(&self.alarm).replace(Alarm { due, action }).is_some()
    }

    /// Forgets the action. When this has returned, it will not be done.
    pub(crate) fn cancel(&self) {
        *lock(&self.alarm) = None;
    }
}

fn watch(alarm: &Weak<Mutex<Option<Alarm>>>) {
    while let Some(alarm) = alarm.upgrade() {
        let mut alarm = lock(&alarm);
        if alarm
            .as_ref()
            .is_some_and(|alarm| alarm.due <= Instant::now())
        {
            match alarm.take().map(|alarm| alarm.action) {
                Some(Action::Kill(pid)) => ptrace::kill(pid),
                Some(Action::Exit(text)) => {
                    println!("{text}");
                    // The process ends with a failure in either case.
                    let _ = stdout().flush();
                    exit(TEST_FAILED.into());
                }
                None => {}
            }
        }
        drop(alarm);
        thread::sleep(PERIOD);
    }
}

fn lock(alarm: &Mutex<Option<Alarm>>) -> MutexGuard<'_, Option<Alarm>> {
    // The value is whole at every moment, so it may be used after a panic elsewhere.
    alarm.lock().unwrap_or_else(PoisonError::into_inner)
}
