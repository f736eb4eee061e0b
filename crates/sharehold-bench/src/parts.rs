//! Sharehold's own side of the jobs about parts: each primitive as a lock, with the verbs of all
//! peers.
//!
//! What is no lock is used as one: who has the only permit, or has reset the event, has it; a
//! barrier is passed when the last one comes.

use anyhow::Result;
use sharehold::{
    Barrier, BarrierOptions, DeathPolicy, DestroyMode, Event, Mutex, MutexGuard, Part, Permit,
    Policy, ReadGuard, ResetMode, RwLock, Segment, Semaphore, WriteGuard,
};

use crate::harness::{self, Held, Peer, say, start_line, times, wait_for_end_of_input};

/// The number of participants of the barrier: the waiters, and the one that completes the round.
pub(crate) const PARTICIPANTS: u32 = 65;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Primitive {
    Mutex,
    /// To read, and where the second number is 1, to write.
    Rwlock,
    Semaphore,
    /// One that resets itself.
    Event,
    Barrier,
}

impl Primitive {
    /// What it is called on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Primitive::Mutex => "mutex",
            Primitive::Rwlock => "rwlock",
            Primitive::Semaphore => "semaphore",
            Primitive::Event => "event",
            Primitive::Barrier => "barrier",
        }
    }

    /// Runs one verb.
    pub(crate) fn run(self, verb: &str, key: &str, number: u64, second: usize) -> Result<()> {
        match (self, second) {
            (Primitive::Mutex, _) => harness::run::<Mutex<u64>>(verb, key, number),
            (Primitive::Rwlock, 0) => harness::run::<Reading>(verb, key, number),
            (Primitive::Rwlock, _) => harness::run::<Writing>(verb, key, number),
            (Primitive::Semaphore, _) => harness::run::<Semaphore>(verb, key, number),
            (Primitive::Event, _) if verb == "set" => set(key, number),
            (Primitive::Event, _) => harness::run::<Event>(verb, key, number),
            (Primitive::Barrier, _) if verb == "hold" => arrive_last(key),
            (Primitive::Barrier, _) => harness::run::<Barrier>(verb, key, number),
        }
    }
}

fn make<P: Part>(key: &str, first: P::Init) -> Result<()> {
    let options = Segment::options().policy(Policy::Persistent);
    options.create_part::<P>(key, first)?;
    Ok(())
}

fn unmake(key: &str) -> Result<()> {
    Ok(Segment::destroy(key, DestroyMode::Immediate)?)
}

/// Sets an event that is set already.
fn set(key: &str, number: u64) -> Result<()> {
    let event = Event::attach(key)?;
    let begin = start_line()?;
    for _ in 0..number {
        event.set()?;
    }
    say(&times(begin, number))
}

/// Comes to a barrier when all others are there, at the end of the input.
fn arrive_last(key: &str) -> Result<()> {
    let barrier = Barrier::attach(key)?;
    say("held")?;
    wait_for_end_of_input()?;
    barrier.wait()?;
    Ok(())
}

impl Peer for Mutex<u64> {
    type Held<'a> = MutexGuard<'a, u64>;

    fn make(key: &str) -> Result<()> {
        make::<Mutex<u64>>(key, 0)
    }

    fn unmake(key: &str) -> Result<()> {
        unmake(key)
    }

    fn join(key: &str) -> Result<Mutex<u64>> {
        Ok(Mutex::attach(key)?)
    }

    #[inline(always)]
    fn lock(&self) -> Result<MutexGuard<'_, u64>> {
        Ok(Mutex::lock(self)?)
    }
}

impl Held for MutexGuard<'_, u64> {
    fn get(&self) -> Result<u64> {
        Ok(**self)
    }

    fn set(&mut self, value: u64) -> Result<()> {
        **self = value;
        Ok(())
    }
}

/// One that reads.
struct Reading(RwLock<u64>);

impl Peer for Reading {
    type Held<'a> = ReadGuard<'a, u64>;

    fn make(key: &str) -> Result<()> {
        make::<RwLock<u64>>(key, 0)
    }

    fn unmake(key: &str) -> Result<()> {
        unmake(key)
    }

    fn join(key: &str) -> Result<Reading> {
        Ok(Reading(RwLock::attach(key)?))
    }

    #[inline(always)]
    fn lock(&self) -> Result<ReadGuard<'_, u64>> {
        Ok(self.0.read()?)
    }
}

impl Held for ReadGuard<'_, u64> {
    fn get(&self) -> Result<u64> {
        Ok(**self)
    }

    /// A reader changes nothing.
    fn set(&mut self, _value: u64) -> Result<()> {
        Ok(())
    }
}

/// One that writes.
struct Writing(RwLock<u64>);

impl Peer for Writing {
    type Held<'a> = WriteGuard<'a, u64>;

    fn make(key: &str) -> Result<()> {
        Reading::make(key)
    }

    fn unmake(key: &str) -> Result<()> {
        unmake(key)
    }

    fn join(key: &str) -> Result<Writing> {
        Ok(Writing(RwLock::attach(key)?))
    }

    #[inline(always)]
    fn lock(&self) -> Result<WriteGuard<'_, u64>> {
        Ok(self.0.write()?)
    }
}

impl Held for WriteGuard<'_, u64> {
    fn get(&self) -> Result<u64> {
        Ok(**self)
    }

    fn set(&mut self, value: u64) -> Result<()> {
        **self = value;
        Ok(())
    }
}

impl Peer for Semaphore {
    type Held<'a> = Permit<'a>;

    fn make(key: &str) -> Result<()> {
        make::<Semaphore>(key, 1)
    }

    fn unmake(key: &str) -> Result<()> {
        unmake(key)
    }

    fn join(key: &str) -> Result<Semaphore> {
        Ok(Semaphore::attach(key)?)
    }

    #[inline(always)]
    fn lock(&self) -> Result<Permit<'_>> {
        Ok(self.acquire()?)
    }
}

/// No number goes with it.
impl Held for Permit<'_> {
    fn get(&self) -> Result<u64> {
        Ok(0)
    }

    fn set(&mut self, _value: u64) -> Result<()> {
        Ok(())
    }
}

impl Peer for Event {
    type Held<'a> = Taken<'a>;

    fn make(key: &str) -> Result<()> {
        make::<Event>(key, ResetMode::Auto)?;
        Ok(Event::attach(key)?.set()?)
    }

    fn unmake(key: &str) -> Result<()> {
        unmake(key)
    }

    fn join(key: &str) -> Result<Event> {
        Ok(Event::attach(key)?)
    }

    #[inline(always)]
    fn lock(&self) -> Result<Taken<'_>> {
        self.wait()?;
        Ok(Taken(self))
    }
}

/// What reset an event, and sets it again.
pub(crate) struct Taken<'a>(&'a Event);

impl Held for Taken<'_> {
    fn get(&self) -> Result<u64> {
        Ok(0)
    }

    fn set(&mut self, _value: u64) -> Result<()> {
        Ok(())
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0
            .set()
            .expect("the event is there while it is attached");
    }
}

impl Peer for Barrier {
    type Held<'a> = Passed;

    fn make(key: &str) -> Result<()> {
        let first = BarrierOptions {
            participants: PARTICIPANTS,
            death_policy: DeathPolicy::BreakRound,
        };
        make::<Barrier>(key, first)
    }

    fn unmake(key: &str) -> Result<()> {
        unmake(key)
    }

    fn join(key: &str) -> Result<Barrier> {
        Ok(Barrier::attach(key)?)
    }

    fn lock(&self) -> Result<Passed> {
        self.wait()?;
        Ok(Passed)
    }
}

/// A barrier is behind everybody.
pub(crate) struct Passed;

impl Held for Passed {
    fn get(&self) -> Result<u64> {
        Ok(0)
    }

    fn set(&mut self, _value: u64) -> Result<()> {
        Ok(())
    }
}
