//! Dies at every instruction of every operation, and has a survivor check the promises each time.
//!
//! `cargo test --test crash -- --every` kills after all instructions; without it, after those that
//! others can notice and a sample of the rest. Each death has a world of its own, whose path is
//! also the segment's key.

mod cancellation;
mod data;
mod life;
mod lock;
mod parts;
mod value;

use std::env;
use std::process::{Command, ExitCode};
use std::time::Duration;

use sharehold::{ErrorKind, LockError, Segment, SegmentGuard};
use sharehold_sweep::{Death, Outcome, World};

/// Far more than anything here takes: a hang is a finding, a slow machine is not.
const LONG: Duration = Duration::from_secs(20);

/// Set in the process that sweeps, and in all that it starts.
const INSIDE: &str = "SHAREHOLD_CRASH_INSIDE";

fn main() -> ExitCode {
    if env::var_os(INSIDE).is_none() {
        return in_own_directory();
    }
    let mut scenarios = life::scenarios();
    scenarios.extend(lock::scenarios());
    scenarios.extend(data::scenarios());
    scenarios.extend(value::scenarios());
    scenarios.extend(parts::scenarios());
    scenarios.extend(cancellation::scenarios());
    sharehold_sweep::main(&scenarios)
}

/// Runs this program again with a directory of segments that goes with it: a victim whose way to
/// its point has to be tried again leaves a stale segment that no survivor asks for.
fn in_own_directory() -> ExitCode {
    let directory = tempfile::TempDir::new_in("/dev/shm").expect("the memory file system has room");
    let own = env::current_exe().expect("this program has a file");
    let status = Command::new(own)
        .args(env::args_os().skip(1))
        .env("SHAREHOLD_DIR", directory.path())
        .env(INSIDE, "yes")
        .status()
        .expect("this program starts again");
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The key of the segment that a scenario is about.
fn key(world: &World) -> String {
    world.path().display().to_string()
}

fn create(world: &World, size: usize) -> sharehold::Result<Segment> {
    // Two slots: a survivor and a victim. A slot that a death did not give back is missed at once.
    Segment::options()
        .size(size)
        .max_size(1 << 20)
        .slots(2)
        .log(1024)
        .create(&key(world))
}

fn attach(world: &World) -> sharehold::Result<Segment> {
    Segment::attach(&key(world))
}

/// The lock, whatever a dead holder left; checks that it is this one, if any, that is reported.
fn lock_after(segment: &Segment, death: Death) -> Result<(SegmentGuard<'_>, bool), String> {
    match segment.lock_timeout(LONG) {
        Ok(guard) => Ok((guard, false)),
        Err(LockError::Abandoned(found)) => {
            let previous_owner = found.previous_owner().ok_or("nobody knows who died")?;
            if previous_owner.pid != death.pid()
                || previous_owner.executable.as_deref() != Some(executable())
            {
                return Err(format!(
                    "the wrong one is said to have died: {previous_owner:?}"
                ));
            }
            Ok((found.mark_consistent(), true))
        }
        Err(error) => Err(format!("the lock was not had: {error}")),
    }
}

/// The file name of this program, as far as a segment keeps it.
fn executable() -> &'static str {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| {
        let path = env::current_exe().unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.chars().take(16).collect()
    })
}

/// Checks that the segment is as good as new for a process that comes now: it can be attached to,
/// locked and detached from.
fn usable_by_a_new_one(world: &World) -> Outcome {
    let other = attach(world)?;
    match other.lock_timeout(LONG) {
        Ok(_) => {}
        Err(error) => return Err(format!("a new one cannot lock: {error}").into()),
    }
    evidence_is_sound(world)?;
    other.detach()?;
    Ok(())
}

/// Checks what inspection reports: each reported waiter waits, and each recovery record names a
/// process that died.
fn evidence_is_sound(world: &World) -> Outcome {
    let seen = sharehold::inspect(&key(world))?;
    if !seen.summary.waiters.is_empty() {
        return Err(format!("nobody waits: {:?}", seen.summary.waiters).into());
    }
    for recovery in seen.recoveries {
        let dead = recovery.dead.as_ref();
        let program = dead.and_then(|it| it.executable.as_deref());
        let is_whole = program == Some(executable()) && recovery.by.is_some();
        if !is_whole || recovery.number > seen.summary.recoveries.count {
            return Err(format!("a certificate of nothing: {recovery:?}").into());
        }
    }
    Ok(())
}

/// Checks that nothing living is under the key, that asking clears away what is left, and that the
/// key is free.
fn nothing_left(world: &World) -> Outcome {
    let key = key(world);
    match Segment::attach(&key) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(format!("not simply gone: {error}").into()),
        Ok(_) => return Err("somebody attached to what nobody uses".into()),
    }
    if is_listed(&key)? {
        return Err("the file is still there after somebody asked for the key".into());
    }
    Segment::create(&key, 16)?.detach()?;
    if is_listed(&key)? {
        return Err("the last one out left the file".into());
    }
    Ok(())
}

fn is_listed(key: &str) -> Result<bool, String> {
    let listed = sharehold::list().map_err(|error| error.to_string())?;
    for entry in listed {
        match entry.summary {
            Ok(segment) if segment.key == key => return Ok(true),
            Ok(_) => {}
            Err(error) => return Err(format!("a file that is no segment is visible: {error}")),
        }
    }
    Ok(false)
}
