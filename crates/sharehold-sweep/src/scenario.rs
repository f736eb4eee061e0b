//! One operation to sweep: the victim that dies in it, and the survivor that checks the result.

use crate::ptrace;
use crate::victim::Victim;
use crate::world::World;
use std::error::Error;
use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

/// How much of each shared mapping the first pass compares, unless the scenario says otherwise.
const DEFAULT_WATCHED: usize = 64 * 1024;
/// How long a victim or its survivor may take, unless the scenario says otherwise.
const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(60);

/// Is what a survivor or a helper returns: nothing, or what it found wrong.
pub type Outcome = Result<(), Box<dyn Error>>;

type VictimPart = Box<dyn Fn(&World)>;
type SurvivorPart = Box<dyn Fn(&World, Victim<'_>) -> Outcome>;
type HelperPart = Box<dyn Fn(&World) -> Outcome>;

/// Describes one operation to sweep: the victim that dies in it, and the survivor that checks what
/// is left.
///
/// # Examples
///
/// See the [crate documentation](crate).
pub struct Scenario {
    name: String,
    victim: VictimPart,
    survivor: SurvivorPart,
    helpers: Vec<(String, HelperPart)>,
    pub(crate) watched: usize,
    pub(crate) time_limit: Duration,
}

impl Scenario {
    /// Makes a scenario of a victim and a survivor.
    ///
    /// `victim` runs in a process of its own: it sets up what the operation needs, and returns the
    /// operation. What the operation returns is not dropped, so that dropping a guard is part of it
    /// only if it is done inside.
    ///
    /// `survivor` runs in the process that sweeps, once for each death. It prepares what it needs,
    /// lets the victim die by [`Victim::die`], and checks that every promise holds. An error or a
    /// panic is a finding, reported with the point at which the victim died.
    pub fn new<Set, Operation, R, Survive>(
        name: impl Into<String>,
        victim: Set,
        survivor: Survive,
    ) -> Self
    where
        Set: Fn(&World) -> Operation + 'static,
        Operation: FnOnce() -> R,
        Survive: Fn(&World, Victim<'_>) -> Outcome + 'static,
    {
        Self {
            name: name.into(),
            victim: Box::new(move |world| ptrace::operate(victim(world))),
            survivor: Box::new(survivor),
            helpers: Vec::new(),
            watched: DEFAULT_WATCHED,
            time_limit: DEFAULT_TIME_LIMIT,
        }
    }

    /// Adds a part that another process plays when a survivor, or a victim's set-up, starts it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold_sweep::Scenario;
    /// use std::fs;
    ///
    /// Scenario::new(
    ///     "remove",
    ///     |world| {
    ///         let path = world.path().join("file");
    ///         move || fs::remove_file(path)
    ///     },
    ///     |world, victim| {
    ///         let status = world.helper("writer").status()?;
    ///         if !status.success() {
    ///             return Err("the writer failed".into());
    ///         }
    ///         let death = victim.die()?;
    ///         if death.completed() && world.path().join("file").exists() {
    ///             return Err("the file is still there".into());
    ///         }
    ///         Ok(())
    ///     },
    /// )
    /// .helper("writer", |world| Ok(fs::write(world.path().join("file"), "text")?));
    /// ```
    pub fn helper(
        mut self,
        name: impl Into<String>,
        part: impl Fn(&World) -> Outcome + 'static,
    ) -> Self {
        self.helpers.push((name.into(), Box::new(part)));
        self
    }

    /// Sets how many bytes at the start of each shared mapping are compared after each instruction
    /// of the first pass; 64 KiB unless set.
    ///
    /// Stores behind them are not seen to be visible changes, and only
    /// [`Points::Every`](crate::Points::Every) is sure to kill after them.
    pub fn watched(mut self, bytes: usize) -> Self {
        self.watched = bytes;
        self
    }

    /// Sets how long the set-up, the operation, and the survivor's check may each take; one minute
    /// unless set.
    ///
    /// A victim that takes longer is killed and reported. A survivor that takes longer cannot be
    /// stopped alone: the point is printed, and the whole process ends with status 101.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn play_victim(&self, world: &World) {
        (self.victim)(world);
    }

    pub(crate) fn play_survivor(&self, world: &World, victim: Victim<'_>) -> Outcome {
        (self.survivor)(world, victim)
    }

    pub(crate) fn play_helper(&self, name: &str, world: &World) -> Outcome {
        match self.helpers.iter().find(|(known, _)| known == name) {
            Some((_, part)) => part(world),
            None => Err("there is no helper of that name".into()),
        }
    }
}

impl Debug for Scenario {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Scenario")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
