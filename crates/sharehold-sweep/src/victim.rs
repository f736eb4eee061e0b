//! The survivor's handles on its victim: before its set-up, after it, and dead.

use crate::error::Error;
use crate::plan::Route;
use crate::ptrace::Tracee;
use crate::trace::{self, Trace};
use crate::watchdog::{Action, Watchdog};
use crate::world::World;
use std::cell::OnceCell;

/// Where two runs of the same instruction agree even if the system randomises addresses: within a
/// page.
const PAGE_OFFSET: u64 = 0xfff;

/// From so many stops on, it is worth the effort to get to the victim's processor and back.
const MANY_STOPS: usize = 20;

/// Where a victim is to die.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal<'a> {
    /// At the end, with every instruction recorded; so many bytes of each mapping are watched.
    Record { watched: usize },
    /// At a point of the recorded operation, by a fast route.
    Fast {
        trace: &'a Trace,
        point: usize,
        route: Route,
    },
    /// At a point of the recorded operation, by single steps from the first instruction on.
    Slow { trace: &'a Trace, point: usize },
}

/// How far a victim came.
#[derive(Debug)]
pub(crate) enum End {
    /// It died at the end of the first pass, of which this is the record.
    Recorded(Trace),
    /// It died at the intended point, before the same instruction as in the first pass.
    Killed,
    /// It died after the intended number of instructions, and not where the first pass came by.
    Drifted,
    /// It did not get there.
    Missed,
    /// It could not be started, traced or killed, or ended by itself.
    Broken(String),
}

/// One death: what is to happen, and then what did.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) goal: Goal<'a>,
    pub(crate) watchdog: &'a Watchdog,
    /// What is printed if the survivor hangs.
    pub(crate) complaint: &'a str,
    /// How it ended, for the sweep to know, whatever the survivor makes of it.
    pub(crate) end: &'a OnceCell<End>,
}

impl Attempt<'_> {
    /// Does work that waits for the victim, which is killed if that takes too long.
    fn bounded<T>(
        &self,
        victim: &mut Tracee,
        work: impl FnOnce(&mut Tracee) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.watchdog.set(Action::Kill(victim.pid()));
        let result = work(victim);
        let in_time = self.watchdog.set(Action::Exit(self.complaint.to_owned()));
        if in_time { result } else { Err(Error::Hung) }
    }

    /// Notes a failure for the sweep, and passes it on to the survivor.
    fn note<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| {
            self.ended(match error {
                Error::Missed => End::Missed,
                other => End::Broken(other.to_string()),
            });
        })
    }

    /// Notes how the victim ended. The first note stays: what comes later is a consequence.
    fn ended(&self, end: End) {
        self.end.get_or_init(|| end);
    }
}

/// Stands for the process that will die, before it is started.
#[derive(Debug)]
#[must_use = "a survivor has to let its victim die"]
pub struct Victim<'a> {
    world: &'a World,
    attempt: Attempt<'a>,
}

impl<'a> Victim<'a> {
    pub(crate) fn new(world: &'a World, attempt: Attempt<'a>) -> Self {
        Self { world, attempt }
    }

    /// Starts the victim and runs its set-up; it then stands before the first instruction of its
    /// operation.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the victim cannot be started or ends by itself.
    pub fn set_up(self) -> Result<Ready<'a>, Error> {
        let attempt = self.attempt;
        let started = Tracee::spawn(&mut self.world.victim()).map_err(Error::from);
        let ready = started.and_then(|mut tracee| {
            attempt.bounded(&mut tracee, Tracee::wait_for_start)?;
            Ok(tracee)
        });
        let tracee = attempt.note(ready)?;
        Ok(Ready { tracee, attempt })
    }

    /// Starts the victim, lets it come to the point where it is killed, and reaps it.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the victim does not get there; hand it back with `?`.
    pub fn die(self) -> Result<Death, Error> {
        self.set_up()?.die()
    }
}

/// Stands for a victim that has set itself up and is stopped before the first instruction of its
/// operation.
#[derive(Debug)]
#[must_use = "a survivor has to let its victim die"]
pub struct Ready<'a> {
    tracee: Tracee,
    attempt: Attempt<'a>,
}

impl Ready<'_> {
    /// Returns the process ID of the victim.
    pub fn pid(&self) -> u32 {
        self.tracee.pid()
    }

    /// Lets the victim come to the point where it is killed, and reaps it.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the victim does not get there; hand it back with `?`.
    pub fn die(self) -> Result<Death, Error> {
        self.die_unreaped()?.reap()
    }

    /// Lets the victim come to the point where it is killed, and leaves it a zombie.
    ///
    /// That is what others meet as long as the parent of a dead process is busy with something
    /// else.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the victim does not get there; hand it back with `?`.
    pub fn die_unreaped(self) -> Result<Zombie, Error> {
        let Self {
            mut tracee,
            attempt,
        } = self;
        let died = attempt.bounded(&mut tracee, |tracee| {
            let end = if attempt.goal.stops() < MANY_STOPS {
                attempt.goal.reach(tracee)?
            } else {
                tracee.on_one_processor(|tracee| attempt.goal.reach(tracee))?
            };
            let completed = trace::at_end(tracee)?;
            tracee.kill()?;
            Ok((end, completed))
        });
        let (end, completed) = attempt.note(died)?;
        let point = match (&end, attempt.goal) {
            (End::Recorded(trace), _) => trace.len(),
            (_, Goal::Fast { point, .. } | Goal::Slow { point, .. }) => point,
            (_, Goal::Record { .. }) => unreachable!("only the first pass records"),
        };
        attempt.ended(end);
        let death = Death {
            pid: tracee.pid(),
            point,
            completed,
        };
        Ok(Zombie { tracee, death })
    }
}

impl Goal<'_> {
    /// Returns how often the victim stops on its way.
    fn stops(self) -> usize {
        match self {
            Self::Record { .. } => usize::MAX,
            Self::Fast { route, .. } => route.steps + route.anchor.map_or(0, |anchor| anchor.hits),
            Self::Slow { point, .. } => point,
        }
    }

    /// Lets the victim come to the point where it is to be killed.
    fn reach(self, victim: &mut Tracee) -> Result<End, Error> {
        match self {
            Self::Record { watched } => Ok(End::Recorded(Trace::record(victim, watched)?)),
            Self::Fast {
                trace,
                point,
                route,
            } => {
                // If the system lends no breakpoint, or the victim dies on the way, the slow way
                // will tell more.
                let address = follow(route, victim).map_err(|_| Error::Missed)?;
                if address == trace.address_after(point) {
                    Ok(End::Killed)
                } else {
                    Err(Error::Missed)
                }
            }
            Self::Slow { trace, point } => {
                for _ in 0..point {
                    if trace::at_end(victim)? {
                        return Err(Error::Missed);
                    }
                    victim.step()?;
                }
                let distance = victim.instruction_pointer()? ^ trace.address_after(point);
                if distance & PAGE_OFFSET == 0 {
                    Ok(End::Killed)
                } else {
                    Ok(End::Drifted)
                }
            }
        }
    }
}

/// Lets the victim follow a route, and returns where it then stands.
fn follow(route: Route, victim: &mut Tracee) -> Result<u64, Error> {
    if let Some(anchor) = route.anchor {
        victim.run_to(anchor.address, anchor.hits)?;
    }
    for _ in 0..route.steps {
        victim.step()?;
    }
    Ok(victim.instruction_pointer()?)
}

/// Stands for a victim that is dead and not yet reaped; dropping it reaps it.
#[derive(Debug)]
pub struct Zombie {
    tracee: Tracee,
    death: Death,
}

impl Zombie {
    /// Returns what is known of the death.
    pub fn death(&self) -> Death {
        self.death
    }

    /// Removes the dead process from the system's table of processes.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the system refuses.
    pub fn reap(mut self) -> Result<Death, Error> {
        self.tracee.reap()?;
        Ok(self.death)
    }
}

/// Tells a survivor how far its victim came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    pid: u32,
    point: usize,
    completed: bool,
}

impl Death {
    /// Returns the process ID that the victim had.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Returns how many instructions of its operation the victim executed.
    pub fn point(self) -> usize {
        self.point
    }

    /// Says whether the victim executed all of its operation.
    ///
    /// What the operation promises then holds in full: what it wrote is to be found, for example.
    pub fn completed(self) -> bool {
        self.completed
    }
}
