//! Which points to kill at, and how to get to each of them fast.

use crate::trace::{Change, Trace};
use std::collections::{BTreeSet, HashMap};

/// What arming a breakpoint costs, counted in single steps.
const BREAKPOINT_COST: usize = 4;
/// How many points are killed at on top of those where something changes, unless the caller says otherwise.
const DEFAULT_SAMPLE: usize = 64;

/// Names the points of an operation at which the victim is killed.
///
/// Point *n* is the moment after *n* instructions of the operation; point 0 is the moment before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Points {
    /// Chooses the first and the last point, those before and after each system call, those after each change of
    /// shared bytes, and so many of the rest, evenly spread.
    ///
    /// This misses no state that others can meet: between two such points the victim changes only what dies with it.
    Sample(usize),
    /// Chooses every point.
    Every,
    /// Chooses one point.
    One(usize),
}

impl Default for Points {
    /// Chooses [`Points::Sample`] of 64.
    fn default() -> Self {
        Self::Sample(DEFAULT_SAMPLE)
    }
}

impl Points {
    /// Returns the chosen points of a recorded operation in rising order.
    pub(crate) fn of(self, trace: &Trace) -> BTreeSet<usize> {
        let last = trace.len();
        match self {
            Self::Every => (0..=last).collect(),
            Self::One(point) => (0..=last).filter(|&candidate| candidate == point).collect(),
            Self::Sample(size) => {
                let mut points: BTreeSet<usize> =
                    (1..=size).map(|part| last * part / (size + 1)).collect();
                points.extend([0, last]);
                for (point, change) in trace.visible() {
                    points.insert(point);
                    if change == Change::SystemCall {
                        points.insert(point - 1);
                    }
                }
                points
            }
        }
    }
}

/// How to get to a point: run to an instruction, then take single steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Route {
    pub(crate) anchor: Option<Anchor>,
    pub(crate) steps: usize,
}

/// The moment before an instruction is executed for the `hits`-th time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Anchor {
    pub(crate) address: u64,
    pub(crate) hits: usize,
}

/// Returns the cheapest route to each point, by what each breakpoint hit and each single step costs.
///
/// An instruction in a hot loop is a poor anchor, since the victim stops there so often; the routes to such points
/// start at a rarer instruction before it.
pub(crate) fn routes(trace: &Trace) -> Vec<Route> {
    let mut hits: HashMap<u64, usize> = HashMap::new();
    let mut routes: Vec<Route> = Vec::with_capacity(trace.len() + 1);
    let mut best_cost = 0;
    let mut previous = None;
    for point in 0..=trace.len() {
        let mut best = match routes.last() {
            None => Route {
                anchor: None,
                steps: 0,
            },
            Some(route) => Route {
                anchor: route.anchor,
                steps: route.steps + 1,
            },
        };
        if point > 0 {
            best_cost += 1;
        }
        let here = trace.steps.get(point).map(|step| step.address);
        // A repeated string instruction stops after every round when stepped, yet hits a breakpoint once.
        if let Some(address) = here.filter(|_| here != previous) {
            let hits = hits
                .entry(address)
                .and_modify(|hits| *hits += 1)
                .or_insert(1);
            if BREAKPOINT_COST + *hits < best_cost {
                best_cost = BREAKPOINT_COST + *hits;
                best = Route {
                    anchor: Some(Anchor {
                        address,
                        hits: *hits,
                    }),
                    steps: 0,
                };
            }
        }
        previous = here;
        routes.push(best);
    }
    routes
}
