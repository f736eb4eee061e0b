//! Which points to kill at, and how to get to each of them fast.

use crate::trace::{Change, Trace};
use std::collections::{BTreeSet, HashMap};

/// What arming a breakpoint costs, counted in single steps.
const BREAKPOINT_COST: usize = 4;
/// What each hit of a breakpoint costs: a stop there, and a step away from it.
const HIT_COST: usize = 2;
/// How many points are killed at on top of those where something changes, unless the caller says
/// otherwise.
const DEFAULT_SAMPLE: usize = 64;

/// Names the points of an operation at which the victim is killed.
///
/// Point *n* is the moment after *n* instructions of the operation; point 0 is the moment before
/// the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Points {
    /// Chooses the first and the last point, those before and after each system call, those after
    /// each change of shared bytes, and so many of the rest, evenly spread.
    ///
    /// This misses no state that others can meet: between two such points the victim changes only
    /// what dies with it.
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
                let size = size.min(last);
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
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Route {
    pub(crate) anchor: Option<Anchor>,
    pub(crate) steps: usize,
}

/// The moment before an instruction is executed for the `hits`-th time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    pub(crate) address: u64,
    pub(crate) hits: usize,
}

/// Returns the cheapest route to each point but the last, where the first pass has been already.
///
/// An instruction in a hot loop is a poor anchor, since the victim stops there so often; the routes
/// to such points start at a rarer instruction before it.
pub(crate) fn routes(trace: &Trace) -> Vec<Route> {
    let mut hits: HashMap<u64, usize> = HashMap::new();
    let mut routes = Vec::with_capacity(trace.len());
    let mut best = Route::default();
    let mut best_cost = 0;
    let mut previous = None;
    for step in &trace.steps {
        let address = step.address;
        // The rounds of a repeated string instruction are steps of their own, and one hit together.
        if previous != Some(address) {
            let hits = hits.entry(address).or_insert(0);
            *hits += 1;
            let cost = BREAKPOINT_COST + HIT_COST * *hits;
            if cost < best_cost {
                let hits = *hits;
                let anchor = Some(Anchor { address, hits });
                best = Route { anchor, steps: 0 };
                best_cost = cost;
            }
        }
        routes.push(best);
        previous = Some(address);
        best.steps += 1;
        best_cost += 1;
    }
    routes
}
