//! The jobs: each plans steps, which measure ours beside one peer, round by round in turn.
//!
//! `locks` is what one does with a lock, `deaths` what becomes of it when its holder is killed,
//! `memory` is the life and the use of shared memory, `values` what typed values cost, `turns` what
//! waiting for a change costs, `parts` what is done with the locks of parts, `growth` what large
//! numbers cost, `cost` what the machine and the system are asked to do.

mod cost;
mod deaths;
mod growth;
mod locks;
mod memory;
mod parts;
mod turns;
mod values;

use std::cell::Cell;

use anyhow::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::build::Peers;
use crate::catalogue::{Found, Skill};
use crate::options::{Job, Settings};
use crate::parts::Primitive;
use crate::process::{Answer, Folder, Program, ourselves};
use crate::results::Measured;

/// Plans every job that was asked for.
pub(crate) fn plan(bench: &Bench) -> Vec<Step> {
    let jobs: [(Job, Planner); 16] = [
        (Job::Uncontended, locks::uncontended),
        (Job::Count, locks::count),
        (Job::Waits, locks::waits),
        (Job::Wake, locks::wake),
        (Job::Turns, turns::turns),
        (Job::Parts, parts::parts),
        (Job::Fairness, parts::fairness),
        (Job::Recovery, deaths::recovery),
        (Job::Life, memory::life),
        (Job::Attach, memory::attach),
        (Job::Copy, memory::copy),
        (Job::Reads, values::reads),
        (Job::Updates, values::updates),
        (Job::Growth, growth::growth),
        (Job::Idle, locks::idle),
        (Job::Cost, cost::cost),
    ];
    let mut plan = Plan(Vec::new());
    for (job, of) in jobs {
        if bench.settings.jobs.is_empty() || bench.settings.jobs.contains(&job) {
            of(bench, &mut plan);
        }
    }
    plan.0
}

type Planner = fn(&Bench, &mut Plan);
type Measure = Box<dyn FnOnce(&Bench) -> Result<Measured>>;

/// The steps of a run, in order.
pub(crate) struct Plan(Vec<Step>);

impl Plan {
    /// Adds a step: `what` it measures beside which peer, and about how many seconds that takes.
    fn add(
        &mut self,
        job: &'static str,
        what: &str,
        peer: Option<Named>,
        seconds: f64,
        measure: impl FnOnce(&Bench) -> Result<Measured> + 'static,
    ) {
        let name = match peer {
            Some((name, _)) => format!("{job}: {what}, {name}"),
            None => format!("{job}: {what}"),
        };
        self.0.push(Step {
            name,
            seconds,
            measure: Box::new(measure),
        });
    }
}

/// What is measured at once. A failure in it leaves the other steps as they are.
pub(crate) struct Step {
    /// Unlike that of any other step.
    pub(crate) name: String,
    /// How long it takes, about.
    pub(crate) seconds: f64,
    pub(crate) measure: Measure,
}

/// What all steps have.
pub(crate) struct Bench {
    pub(crate) settings: Settings,
    peers: Vec<Found>,
    ours: Program,
    folder: Folder,
    places: Cell<u32>,
}

impl Bench {
    pub(crate) fn new(settings: Settings, peers: Peers) -> Result<Bench> {
        let folder = Folder::new()?;
        // Thousands of segments are thousands of open files.
        let most = getrlimit(Resource::Nofile).maximum;
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: most,
                maximum: most,
            },
        )?;
        let mut bench = Bench {
            peers: peers.found,
            ours: ourselves(&folder)?,
            settings,
            folder,
            places: Cell::new(0),
        };
        let programs = bench.peers.iter_mut().map(|found| &mut found.program);
        for program in programs.chain([&mut bench.ours]) {
            program.patience = bench.settings.patience();
        }
        Ok(bench)
    }

    /// Our own side with the lock of a part.
    fn with_part(&self, primitive: Primitive) -> Program {
        let mut program = self.ours.clone();
        let part = ["--part", primitive.name()];
        program.before.extend(part.map(Into::into));
        program
    }

    /// A peer, if it can be run.
    fn named(&self, name: &str) -> Option<(Named, Program)> {
        let found = self.peers.iter().find(|found| found.peer.name == name)?;
        Some(((found.peer.name, found.peer.title), found.program.clone()))
    }

    /// The peers that can do it.
    fn able(&self, skill: Skill) -> Vec<(Named, Program)> {
        let able = self
            .peers
            .iter()
            .filter(|found| found.peer.can.contains(&skill));
        able.map(|found| {
            let named = (found.peer.name, found.peer.title);
            (named, found.program.clone())
        })
        .collect()
    }

    /// The same without peers that share their locks only by fork.
    fn able_alone(&self, skill: Skill) -> Vec<(Named, Program)> {
        let mut able = self.able(skill);
        able.retain(|(_, program)| !program.forks);
        able
    }

    /// About how many seconds pairs take of which one side takes so many.
    fn seconds(&self, one: f64) -> f64 {
        // Each starts and ends some processes.
        f64::from(self.settings.rounds) * 2.0 * (one + 0.03)
    }

    /// How long one measurement of a hammered lock takes, in seconds.
    fn hammering(&self) -> f64 {
        self.settings.millis as f64 / 1e3
    }

    /// A name that nothing has yet: a key for ours, a path for others.
    fn fresh(&self, program: &Program) -> String {
        let number = self.places.get();
        self.places.set(number + 1);
        if program.is_ours() {
            format!("bench.{number}")
        } else {
            let path = self.folder.path().join(format!("peer-{number}"));
            path.to_string_lossy().into_owned()
        }
    }

    /// Has a program make what its processes share.
    fn place<'p>(&self, program: &'p Program) -> Result<Place<'p>> {
        self.place_by(program, "make", &[])
    }

    fn place_by<'p>(&self, program: &'p Program, verb: &str, numbers: &[u64]) -> Result<Place<'p>> {
        let path = self.fresh(program);
        program.call(verb, &path, numbers)?;
        Ok(Place { program, path })
    }

    /// Measures ours and theirs in turn, as often as there are rounds; the order changes from round
    /// to round.
    fn pairs<T>(
        &self,
        theirs: &Program,
        measure: impl FnMut(&Program) -> Result<T>,
    ) -> Result<Pairs<T>> {
        self.pairs_of(&self.ours, theirs, measure)
    }

    /// The same with the lock of a part, for example, on our side.
    fn pairs_of<T>(
        &self,
        ours: &Program,
        theirs: &Program,
        mut measure: impl FnMut(&Program) -> Result<T>,
    ) -> Result<Pairs<T>> {
        self.turns(|is_ours| {
            let side = if is_ours { ours } else { theirs };
            side.blamed(|| measure(side))
        })
    }

    /// The same for two sides that differ in more than their program; `measure` gets whether it is
    /// our turn.
    fn turns<T>(&self, mut measure: impl FnMut(bool) -> Result<T>) -> Result<Pairs<T>> {
        let mut pairs = Pairs {
            ours: Vec::new(),
            theirs: Vec::new(),
        };
        for round in 0..self.settings.rounds {
            let we_begin = round % 2 == 0;
            for is_ours in [we_begin, !we_begin] {
                let measured = measure(is_ours)?;
                if is_ours {
                    pairs.ours.push(measured);
                } else {
                    pairs.theirs.push(measured);
                }
            }
        }
        Ok(pairs)
    }

    /// Measures both sides once.
    fn once<T>(
        &self,
        theirs: &Program,
        measure: impl Fn(&Program) -> Result<T>,
    ) -> Result<Pairs<T>> {
        Ok(Pairs {
            ours: vec![measure(&self.ours)?],
            theirs: vec![theirs.blamed(|| measure(theirs))?],
        })
    }
}

/// A peer's name and title.
pub(crate) type Named = (&'static str, &'static str);

/// The same measured on both sides.
pub(crate) struct Pairs<T> {
    pub(crate) ours: Vec<T>,
    pub(crate) theirs: Vec<T>,
}

impl<T> Pairs<T> {
    fn map(&self, each: impl Fn(&T) -> f64) -> Pairs<f64> {
        Pairs {
            ours: self.ours.iter().map(&each).collect(),
            theirs: self.theirs.iter().map(&each).collect(),
        }
    }
}

/// What the processes of one program share; removed when dropped.
struct Place<'a> {
    program: &'a Program,
    path: String,
}

impl Place<'_> {
    /// Nanoseconds of one operation while each of the processes does its share, which is the first
    /// of `numbers`.
    fn race(&self, verb: &str, processes: u32, numbers: &[u64]) -> Result<f64> {
        let all = vec![numbers.to_vec(); processes as usize];
        let answers = self.program.race(verb, &self.path, &all)?;
        let share = numbers.first().copied().unwrap_or_default();
        Ok(Answer::elapsed(&answers)? / (share * u64::from(processes)) as f64)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // What is left is in the run's folder, which goes at the end.
        let _ = self.program.call("unmake", &self.path, &[]);
    }
}
