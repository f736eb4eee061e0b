//! What is promised of the speed, each as a ratio of both sides in one run, and whether it is kept.

use crate::results::Results;
use crate::statistics::median;

/// A promise.
#[derive(Debug)]
struct Target {
    job: &'static str,
    case: &'static str,
    what: Against,
    reach: f64,
}

/// What ours is held against.
#[derive(Debug, Clone, Copy)]
enum Against {
    /// The median ratio to this peer.
    Peer(&'static str),
    /// Our own median.
    Itself,
    /// Our own worst.
    Worst,
}

const ROBUST: Against = Against::Peer("pthread-robust");
const FUTEX: Against = Against::Peer("futex");
const FETCH_ADD: Against = Against::Peer("fetch-add");

#[rustfmt::skip]
const TARGETS: &[Target] = &[
    Target { job: "uncontended", case: "lock + unlock", what: ROBUST, reach: 0.45 },
    Target { job: "uncontended", case: "lock + unlock", what: FUTEX, reach: 0.9 },
    Target { job: "count", case: "1 process", what: ROBUST, reach: 0.45 },
    Target { job: "count", case: "2 processes", what: ROBUST, reach: 0.22 },
    Target { job: "count", case: "4 processes", what: ROBUST, reach: 0.22 },
    Target { job: "count", case: "8 processes", what: ROBUST, reach: 0.22 },
    Target { job: "count", case: "1 process", what: FETCH_ADD, reach: 1.6 },
    Target { job: "count", case: "2 processes", what: FETCH_ADD, reach: 1.15 },
    Target { job: "count", case: "4 processes", what: FETCH_ADD, reach: 1.15 },
    Target { job: "count", case: "8 processes", what: FETCH_ADD, reach: 1.15 },
    Target { job: "count", case: "2 processes", what: FUTEX, reach: 0.4 },
    Target { job: "count", case: "4 processes", what: FUTEX, reach: 0.4 },
    Target { job: "count", case: "8 processes", what: FUTEX, reach: 0.4 },
    Target { job: "count", case: "1 process", what: Against::Peer("qt5"), reach: 1.0 / 45.0 },
    Target { job: "count", case: "8 processes", what: Against::Peer("qt5"), reach: 1.0 / 250.0 },
    Target { job: "count", case: "1 process", what: Against::Peer("qt6"), reach: 1.0 / 45.0 },
    Target { job: "count", case: "8 processes", what: Against::Peer("qt6"), reach: 1.0 / 250.0 },
    Target { job: "waits", case: "longest, 8 processes", what: ROBUST, reach: 0.5 },
    Target { job: "cost", case: "lock + unlock", what: Against::Itself, reach: 0.0 },
    Target { job: "life", case: "all four", what: Against::Peer("bare"), reach: 2.0 },
    Target { job: "life", case: "all four", what: Against::Peer("qt5"), reach: 1.0 },
    Target { job: "life", case: "all four", what: Against::Peer("qt6"), reach: 1.0 },
    Target { job: "reads", case: "64 B, 1 reader", what: Against::Peer("seqlock"), reach: 1.2 },
    Target { job: "wake", case: "a sleeper", what: FUTEX, reach: 1.15 },
    Target { job: "turns", case: "an event, a thread", what: Against::Peer("bare-futex"), reach: 1.15 },
    Target { job: "turns", case: "an event, a task", what: Against::Peer("bare-futex"), reach: 2.0 },
    Target { job: "parts", case: "RwLock, 2 readers beside 1", what: Against::Peer("one-reader"), reach: 1.0 / 1.8 },
    Target { job: "recovery", case: "a killed holder", what: Against::Itself, reach: 1.0 },
    Target { job: "recovery", case: "a killed holder", what: Against::Worst, reach: 10.0 },
];

/// A target beside what was reached.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) what: String,
    pub(crate) reach: f64,
    /// None when this run did not measure it.
    pub(crate) reached: Option<f64>,
}

impl Checked {
    pub(crate) fn is_met(&self) -> Option<bool> {
        self.reached.map(|reached| reached <= self.reach)
    }
}

/// Holds what was measured to every target.
pub(crate) fn check(results: &Results) -> Vec<Checked> {
    TARGETS.iter().map(|target| target.check(results)).collect()
}

impl Target {
    fn check(&self, results: &Results) -> Checked {
        let Target {
            job, case, what, ..
        } = self;
        let alone = || {
            results.row(job, case, None).or_else(|| {
                results
                    .rows
                    .iter()
                    .find(|row| row.job == *job && row.case == *case)
            })
        };
        let (against, reached) = match what {
            Against::Peer(name) => {
                let row = results.row(job, case, Some(name));
                let ratio = row.and_then(|row| median(&row.ratios()));
                (format!("against {name}"), ratio)
            }
            Against::Itself => {
                let row = alone();
                let unit = row.map_or("", |row| row.unit.text());
                (unit.to_owned(), row.and_then(|row| median(&row.ours)))
            }
            Against::Worst => {
                let row = alone();
                let unit = row.map_or("", |row| row.unit.text());
                let worst = row.and_then(|row| row.ours.iter().copied().reduce(f64::max));
                (format!("worst, {unit}"), worst)
            }
        };
        Checked {
            what: format!("{job}: {case}, {against}"),
            reach: self.reach,
            reached,
        }
    }
}
