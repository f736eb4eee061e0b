//! What was measured, on which machine, by which command.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::jobs::{Named, Pairs};
use crate::statistics::{Histogram, median, quantile};

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "µs")]
    Microseconds,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "GiB/s")]
    GibPerSecond,
    #[serde(rename = "system calls")]
    Calls,
    #[serde(rename = "instructions")]
    Instructions,
    #[serde(rename = "slowest : fastest")]
    Share,
}

impl Unit {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::Microseconds => "µs",
            Unit::Milliseconds => "ms",
            Unit::GibPerSecond => "GiB/s",
            Unit::Calls => "calls",
            Unit::Instructions => "instructions",
            Unit::Share => "slowest : fastest",
        }
    }
}

/// One thing measured, ours and theirs side by side, a number for each round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) job: String,
    pub(crate) case: String,
    pub(crate) unit: Unit,
    /// The peer's name and title; none where ours is measured alone.
    pub(crate) peer: Option<(String, String)>,
    pub(crate) ours: Vec<f64>,
    pub(crate) theirs: Vec<f64>,
}

impl Row {
    pub(crate) fn peer_name(&self) -> Option<&str> {
        self.peer.as_ref().map(|(name, _)| name.as_str())
    }

    /// Ours divided by theirs, round by round.
    pub(crate) fn ratios(&self) -> Vec<f64> {
        let pairs = self.ours.iter().zip(&self.theirs);
        pairs.map(|(ours, theirs)| ours / theirs).collect()
    }
}

/// Many durations of one kind, of one side.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Distribution {
    pub(crate) job: String,
    pub(crate) case: String,
    pub(crate) title: String,
    /// The peer's name; none for ours.
    pub(crate) peer: Option<String>,
    pub(crate) histogram: Histogram,
    /// Of how many tries nothing came.
    pub(crate) never: u32,
}

/// What one step of a run measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    pub(crate) distributions: Vec<Distribution>,
}

impl Measured {
    /// Begins with one row, of both sides.
    pub(crate) fn pairs(
        job: &str,
        case: &str,
        unit: Unit,
        peer: Named,
        pairs: Pairs<f64>,
    ) -> Measured {
        let mut measured = Measured::default();
        measured.add(job, case, unit, peer, pairs);
        measured
    }

    /// Begins with one row, of ours alone.
    pub(crate) fn alone(job: &str, case: &str, unit: Unit, ours: Vec<f64>) -> Measured {
        let mut measured = Measured::default();
        measured.add_alone(job, case, unit, ours);
        measured
    }

    pub(crate) fn add(
        &mut self,
        job: &str,
        case: &str,
        unit: Unit,
        peer: Named,
        pairs: Pairs<f64>,
    ) {
        let (name, title) = peer;
        self.rows.push(Row {
            job: job.to_owned(),
            case: case.to_owned(),
            unit,
            peer: Some((name.to_owned(), title.to_owned())),
            ours: pairs.ours,
            theirs: pairs.theirs,
        });
    }

    /// Adds what was measured of ours alone.
    pub(crate) fn add_alone(&mut self, job: &str, case: &str, unit: Unit, ours: Vec<f64>) {
        self.rows.push(Row {
            job: job.to_owned(),
            case: case.to_owned(),
            unit,
            peer: None,
            ours,
            theirs: Vec::new(),
        });
    }

    /// The durations of one side, which begin empty.
    pub(crate) fn distribution(
        &mut self,
        job: &str,
        case: &str,
        peer: Option<Named>,
    ) -> &mut Distribution {
        self.distributions.push(Distribution {
            job: job.to_owned(),
            case: case.to_owned(),
            title: peer.map_or(OURS, |(_, title)| title).to_owned(),
            peer: peer.map(|(name, _)| name.to_owned()),
            histogram: Histogram::default(),
            never: 0,
        });
        let last = self.distributions.len() - 1;
        &mut self.distributions[last]
    }
}

/// All that one run measured.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) command: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) distributions: Vec<Distribution>,
}

/// What the numbers depend on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) system: String,
    /// How many processes were running or waiting for a processor when the run began, over the last
    /// minute.
    pub(crate) load: String,
}

/// What we are called among the peers.
pub(crate) const OURS: &str = "sharehold";

impl Results {
    pub(crate) fn new(machine: Machine) -> Results {
        // Where the results are written changes nothing in them.
        let mut arguments = Vec::new();
        let mut given = env::args().skip(1);
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--svg" | "--json" | "--results" => drop(given.next()),
                "--check" => {}
                _ => arguments.push(argument),
            }
        }
        let command = "cargo run --release -p sharehold-bench --";
        Results {
            machine,
            command: format!("{command} {}", arguments.join(" "))
                .trim_end_matches([' ', '-'])
                .to_owned(),
            rows: Vec::new(),
            distributions: Vec::new(),
        }
    }

    /// Adds what a step measured; durations to those of the same side.
    pub(crate) fn add(&mut self, measured: Measured) {
        self.rows.extend(measured.rows);
        for new in measured.distributions {
            let same = |it: &&mut Distribution| {
                it.job == new.job && it.case == new.case && it.peer == new.peer
            };
            match self.distributions.iter_mut().find(same) {
                Some(found) => {
                    found.histogram.merge(&new.histogram);
                    found.never += new.never;
                }
                None => self.distributions.push(new),
            }
        }
    }

    pub(crate) fn row(&self, job: &str, case: &str, peer: Option<&str>) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.job == job && row.case == case && row.peer_name() == peer)
    }

    /// The rows of a job, by their cases in the order of measuring.
    pub(crate) fn cases(&self, job: &str) -> Vec<(&str, Vec<&Row>)> {
        let mut cases: Vec<(&str, Vec<&Row>)> = Vec::new();
        for row in self.rows.iter().filter(|row| row.job == job) {
            match cases.iter_mut().find(|(case, _)| *case == row.case) {
                Some((_, rows)) => rows.push(row),
                None => cases.push((&row.case, vec![row])),
            }
        }
        cases
    }

    pub(crate) fn jobs(&self) -> Vec<&str> {
        let mut jobs = Vec::new();
        for row in &self.rows {
            if !jobs.contains(&row.job.as_str()) {
                jobs.push(&row.job);
            }
        }
        jobs
    }
}

/// A number of several rounds, as it is printed.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Summary {
    /// The median, and where the middle half of the rounds lies.
    pub(crate) fn of(values: &[f64]) -> Option<Summary> {
        Some(Summary {
            median: median(values)?,
            low: quantile(values, 0.25)?,
            high: quantile(values, 0.75)?,
        })
    }
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str, mark: char| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let value = line.and_then(|line| line.split_once(mark));
            value.map_or("unknown".to_owned(), |(_, it)| {
                it.trim().trim_matches('"').to_owned()
            })
        };
        Machine {
            processor: field(&read("/proc/cpuinfo"), "model name", ':'),
            cores: thread::available_parallelism().map_or(1, Into::into),
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            system: field(&read("/etc/os-release"), "PRETTY_NAME", '='),
            load: read("/proc/loadavg")
                .split_whitespace()
                .next()
                .unwrap_or("unknown")
                .to_owned(),
        }
    }

    /// The machine in one line.
    pub(crate) fn line(&self) -> String {
        let Machine {
            processor,
            cores,
            kernel,
            system,
            ..
        } = self;
        // "6.18.44-fc-v595" says more of the vendor than of the machine.
        let kernel = kernel.split('-').next().unwrap_or(kernel);
        format!("{processor}, {cores} cores, {kernel}, {system}")
    }
}

/// Distributions as JSON: quantiles in nanoseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Quantiles<'a> {
    job: &'a str,
    case: &'a str,
    peer: &'a str,
    count: u64,
    never: u32,
    ns: BTreeMap<String, f64>,
}

impl<'a> Quantiles<'a> {
    pub(crate) fn of(it: &'a Distribution) -> Quantiles<'a> {
        let parts = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];
        let mut ns: BTreeMap<String, f64> = parts
            .iter()
            .map(|&part| (part.to_string(), it.histogram.quantile(part)))
            .collect();
        ns.insert("1".to_owned(), it.histogram.longest());
        Quantiles {
            job: &it.job,
            case: &it.case,
            peer: it.peer.as_deref().unwrap_or(OURS),
            count: it.histogram.count(),
            never: it.never,
            ns,
        }
    }
}
