//! Lets processes work in phases: no process begins a phase before all have finished the last one.
//!
//! Run it in two terminals:
//!
//! ```text
//! $ cargo run --example phases
//! phase 1: press Enter when its work is done
//!
//! phase 1: waiting for the others
//! ```
//!
//! When you have pressed Enter in the other terminal, too, both go on to phase 2. Press Enter in
//! the first terminal, and kill the other process with `kill -9`. The first one does not wait
//! forever. It does the phase again:
//!
//! ```text
//! phase 2: waiting for the others
//! phase 2: a participant died
//! phase 2: press Enter when its work is done
//! ```
//!
//! A new process takes the place of the dead one with `cargo run --example phases -- 2`, where 2
//! is the phase to begin with. With `DeathPolicy::RemoveParticipant` the others would finish
//! without a new process.

use std::error::Error;
use std::{env, io};

use sharehold::{Barrier, BarrierOptions, DeathPolicy, ErrorKind, Part};

const KEY: &str = "com.example.phases";
const PHASES: u32 = 3;
const PARTICIPANTS: u32 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let barrier = Barrier::open_or_create(KEY, || BarrierOptions {
        participants: PARTICIPANTS,
        death_policy: DeathPolicy::BreakRound,
    })?;
    let first = env::args().nth(1).map_or(Ok(1), |first| first.parse())?;

    for phase in first..=PHASES {
        work(phase)?;
        while is_broken(&barrier, phase)? {
            println!("phase {phase}: a participant died");
            work(phase)?;
        }
    }
    println!("all {PHASES} phases are done");
    Ok(())
}

/// Stands for the work of a phase.
fn work(phase: u32) -> io::Result<()> {
    println!("phase {phase}: press Enter when its work is done");
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Waits until all participants have finished the phase, or one has died.
fn is_broken(barrier: &Barrier, phase: u32) -> sharehold::Result<bool> {
    println!("phase {phase}: waiting for the others");
    match barrier.wait() {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::Broken => Ok(true),
        Err(error) => Err(error),
    }
}
