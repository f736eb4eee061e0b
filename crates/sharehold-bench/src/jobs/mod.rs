//! The jobs: each measures ours beside each peer that can do it, round by round in turn.
//!
//! `locks` is what one does with a lock, `deaths` what becomes of it when its holder is killed, `memory` is the life and the
//! use of shared memory, `values` what typed values cost, `turns` what waiting for a change costs, `parts` what is done with the locks of parts, `growth` what large numbers
//! cost, `cost` what the machine and the system are asked to do.

mod cost;
mod deaths;
mod growth;
mod locks;
mod memory;
mod parts;
mod turns;
mod values;

use std::cell::Cell;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::build::Peers;
use crate::catalogue::{Found, Skill};
use crate::options::{Cli, Job};
use crate::parts::Primitive;
use crate::process::{Answer, Folder, Program, ourselves};
use crate::results::{Results, Row, Unit};

/// Does every job that was asked for.
pub(crate) fn run(cli: &Cli, peers: Peers) -> Result<Results> {
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
        cli,
        peers: peers.found,
        ours: ourselves(&folder)?,
        folder,
        results: Results::new(),
        places: Cell::new(0),
    };
    let jobs: [(Job, Measure); 16] = [
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
    for (job, measure) in jobs {
        if cli.wants(job) {
            measure(&mut bench)?;
        }
    }
    clear_line();
    Ok(bench.results)
}

type Measure = fn(&mut Bench<'_>) -> Result<()>;

/// What all jobs have.
struct Bench<'a> {
    cli: &'a Cli,
    peers: Vec<Found>,
    ours: Program,
    folder: Folder,
    results: Results,
    places: Cell<u32>,
}

impl Bench<'_> {
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

    /// A name that nothing has yet: a key for ours, a path for others.
    fn fresh(&self, program: &Program) -> String {
        let number = self.places.get();
        self.places.set(number + 1);
        if program.segments.is_some() {
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

    /// Measures ours and theirs in turn, as often as there are rounds; who is first changes from round to round.
    fn pairs<T>(
        &self,
        theirs: &Program,
        mut measure: impl FnMut(&Program) -> Result<T>,
    ) -> Result<Pairs<T>> {
        self.turns(|is_ours| measure(if is_ours { &self.ours } else { theirs }))
    }

    /// The same for two sides that differ in more than their program; `measure` is told whether it is our turn.
    fn turns<T>(&self, mut measure: impl FnMut(bool) -> Result<T>) -> Result<Pairs<T>> {
        let mut pairs = Pairs {
            ours: Vec::new(),
            theirs: Vec::new(),
        };
        for round in 0..self.cli.rounds {
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

    fn add(&mut self, job: &'static str, case: &str, unit: Unit, peer: Named, pairs: Pairs<f64>) {
        self.results.rows.push(Row {
            job,
            case: case.to_owned(),
            unit,
            peer: Some(peer),
            ours: pairs.ours,
            theirs: pairs.theirs,
        });
    }

    /// Adds what was measured of ours alone.
    fn add_alone(&mut self, job: &'static str, case: &str, unit: Unit, ours: Vec<f64>) {
        self.results.rows.push(Row {
            job,
            case: case.to_owned(),
            unit,
            peer: None,
            ours,
            theirs: Vec::new(),
        });
    }
}

/// A peer's name and title.
type Named = (&'static str, &'static str);

/// The same measured on both sides.
struct Pairs<T> {
    ours: Vec<T>,
    theirs: Vec<T>,
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
    /// Nanoseconds of one operation while each of the processes does its share, which is the first of `numbers`.
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

/// Tells a person at a terminal what is being done.
fn tell(what: fmt::Arguments<'_>) {
    if io::stderr().is_terminal() {
        clear_line();
        eprint!("{what} …");
        // Only a person waits for it.
        let _ = io::stderr().flush();
    }
}

fn clear_line() {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}
