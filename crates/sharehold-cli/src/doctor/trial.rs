//! The trial: a process is killed while it holds a lock, and the lock must come free.

use std::env;
use std::ffi::OsStr;
use std::iter;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sharehold::{LockError, LockState, Segment, inspect};

use super::Finding;
use crate::signals::{Stop, Stopped};
use crate::{own, poll, process};

const PATIENCE: Duration = Duration::from_secs(10);
/// What is promised.
const PROMISED: Duration = Duration::from_millis(10);

/// Fails when a signal asks for an end.
pub(super) fn check(stop: &Stop) -> Result<Finding> {
    let subject = "trial";
    own::clear("doctor");
    let found = match recovery(stop) {
        Ok(time) => {
            let detail = format!(
                "created, locked and killed; the lock was free after {:.2} ms",
                time.as_secs_f64() * 1e3
            );
            if time <= PROMISED {
                Finding::well(subject, detail)
            } else {
                // On a machine that is busy, a process waits for its turn longer than for the lock.
                Finding::note(subject, detail).advise(
                    "it should be free within 10 ms; try again when the machine is less busy",
                )
            }
        }
        Err(error) if error.is::<Stopped>() => return Err(error),
        Err(error) => Finding::wrong(subject, format!("{error:#}"))
            .advise("see docs/platforms.md for what is asked of the system"),
    };
    Ok(found)
}

/// How long the lock of a killed process keeps another one waiting.
fn recovery(stop: &Stop) -> Result<Duration> {
    let key = own::key("doctor");
    let segment = Segment::create(&key, 1)?;
    let mut holder = Holder::start(&key)?;
    let held = poll::until(Some(PATIENCE), || {
        stop.check()?;
        let is_held = matches!(inspect(&key)?.summary.lock, LockState::Held(_));
        Ok(is_held.then_some(()))
    })?;
    held.context("another process could not lock a segment that it was given")?;
    let killed = holder.kill()?;
    take_over(&segment)?;
    let time = killed.elapsed();
    // A process that is still ending may count as attached, and the last detach removes the
    // segment.
    drop(holder);
    segment.detach()?;
    Ok(time)
}

fn take_over(segment: &Segment) -> Result<()> {
    match segment.lock_timeout(PATIENCE) {
        Err(LockError::Abandoned(found)) => drop(found.mark_consistent()),
        Ok(_) => bail!("the death of the owner was not reported"),
        Err(error) => return Err(sharehold::Error::from(error).into()),
    }
    Ok(())
}

/// A process that holds the lock until it is killed.
struct Holder(Child);

impl Holder {
    fn start(key: &str) -> Result<Holder> {
        let own = env::current_exe().context("cannot find this command's own file")?;
        let line = ["lock", key, "--", "sleep", "60"].map(OsStr::new);
        let child = process::tied(&[], iter::once(own.as_os_str()).chain(line))?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Ok(Holder(child.context("cannot start a process")?))
    }

    /// Kills it; returns when.
    fn kill(&mut self) -> Result<Instant> {
        let now = Instant::now();
        self.0.kill().context("cannot kill a process")?;
        Ok(now)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
