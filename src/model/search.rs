//! Goes through every state that a small world can reach, and judges where it may end.
//!
//! The search keeps states, not executions: it follows two interleavings that reach the same state
//! only once from there. So nothing has to be cut off, neither the number of times that threads are
//! interrupted nor the length of a run, and the search can also decide for endless runs whether all
//! threads finish.

use std::fmt::{self, Debug, Display, Write};
use std::hash::{Hash, Hasher};

/// A system of states, and steps between them.
pub(crate) trait Model {
    type State: Copy + Eq + Hash;
    /// The law that a step may break.
    type Property: Copy + Debug;
    /// The actor and the action of a step.
    type Action: Display;

    fn start(&self) -> Self::State;
    /// Every step that is possible in a state.
    fn steps(&self, state: Self::State, into: &mut Vec<Step<Self>>);
    /// Judges a state in which nothing further is sure to happen.
    fn end(&self, state: Self::State) -> Result<(), Self::Property>;
    /// The violation that a fair run never ends.
    fn endless(&self) -> Self::Property;
}

/// A step out of some state.
pub(crate) struct Step<W: Model + ?Sized> {
    pub(crate) deed: W::Action,
    /// The agent of the step, below [`AGENTS`]: an agent that can always continue does so
    /// eventually.
    pub(crate) agent: u8,
    /// Whether it happens eventually unless something else does; a death and an early wake-up only
    /// may happen.
    pub(crate) sure: bool,
    pub(crate) to: Result<W::State, W::Property>,
}

/// The largest number of agents.
pub(crate) const AGENTS: u8 = 15;

/// What was seen in a world that keeps its laws.
pub(crate) struct Statistics {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// Whether a run can go on forever, if only because an agent never gets the processor.
    pub(crate) endless: bool,
}

impl Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states and {} steps", self.states, self.steps)
    }
}

/// A law that a world breaks, and a path that leads there.
#[derive(Debug)]
pub(crate) struct Broken<L> {
    pub(crate) law: L,
    pub(crate) way: String,
}

/// A step as it is kept: the number of the state it leads to, its agent, and whether it is sure.
#[derive(Clone, Copy)]
struct Kept(u32);

impl Kept {
    const STATES: u32 = 1 << 27;

    fn new(to: u32, agent: u8, sure: bool) -> Kept {
        assert!(to < Kept::STATES && agent < AGENTS, "the world is small");
        Kept(to | u32::from(agent) << 27 | u32::from(sure) << 31)
    }

    fn to(self) -> usize {
        (self.0 % Kept::STATES) as usize
    }

    fn agent(self) -> u16 {
        1 << (self.0 >> 27 & 0xf)
    }

    fn sure(self) -> bool {
        self.0 >> 31 == 1
    }
}

/// Goes through all states of `world`. Every law holds in each, and every fair run comes to an end
/// that is allowed.
///
/// # Errors
///
/// The first law that is found broken, by one of the shortest paths.
pub(crate) fn search<W: Model>(world: &W) -> Result<Statistics, Broken<W::Property>> {
    let mut graph = Graph::new(world.start());
    let mut steps = Vec::new();
    let mut at = 0;
    while at < graph.states.len() {
        world.steps(graph.states[at], &mut steps);
        for step in steps.drain(..) {
            match step.to {
                Ok(state) => graph.add(at, state, step.agent, step.sure),
                Err(law) => {
                    let mut way = way(world, &graph, at);
                    let _ = writeln!(way, "{}", step.deed);
                    return Err(Broken { law, way });
                }
            }
        }
        graph.close();
        at += 1;
    }
    let broken = |state, law| Broken {
        law,
        way: way(world, &graph, state),
    };
    for state in 0..graph.states.len() {
        if !graph.steps_of(state).iter().any(|step| step.sure()) {
            world
                .end(graph.states[state])
                .map_err(|law| broken(state, law))?;
        }
    }
    let (endless, unfair) = rounds(&graph);
    if let Some(state) = unfair {
        return Err(broken(state, world.endless()));
    }
    Ok(Statistics {
        states: graph.states.len(),
        steps: graph.steps.len(),
        endless,
    })
}

struct Graph<S> {
    states: Vec<S>,
    /// The numbers of the states, plus one, each at the first place from its hash on that was
    /// empty: 0.
    numbers: Vec<u32>,
    /// From which state each was seen first.
    before: Vec<u32>,
    steps: Vec<Kept>,
    /// Where the steps of each state end in `steps`.
    ends: Vec<u32>,
}

impl<S: Copy + Eq + Hash> Graph<S> {
    fn new(start: S) -> Graph<S> {
        let mut graph = Graph {
            states: Vec::new(),
            numbers: vec![0; 1 << 10],
            before: Vec::new(),
            steps: Vec::new(),
            ends: Vec::new(),
        };
        graph.number(start, 0);
        graph
    }

    fn add(&mut self, from: usize, state: S, agent: u8, sure: bool) {
        let to = self.number(state, from);
        self.steps.push(Kept::new(to, agent, sure));
    }

    /// The number of a state, a new one if it was never seen.
    fn number(&mut self, state: S, from: usize) -> u32 {
        let place = self.place(state);
        if let Some(number) = self.numbers[place].checked_sub(1) {
            return number;
        }
        self.states.push(state);
        self.before.push(small(from));
        let count = small(self.states.len());
        self.numbers[place] = count;
        if self.states.len() * 2 > self.numbers.len() {
            self.numbers = vec![0; self.numbers.len() * 2];
            for (number, state) in (1..).zip(&self.states) {
                let place = self.place(*state);
                self.numbers[place] = number;
            }
        }
        count - 1
    }

    fn place(&self, state: S) -> usize {
        let mut hash = Mix(0);
        state.hash(&mut hash);
        let last = self.numbers.len() - 1;
        let mut place = usize::try_from(hash.finish()).unwrap_or(0) & last;
        while let Some(number) = self.numbers[place].checked_sub(1) {
            if self.states[number as usize] == state {
                break;
            }
            place = (place + 1) & last;
        }
        place
    }

    /// All steps of the next state are added.
    fn close(&mut self) {
        self.ends.push(small(self.steps.len()));
    }

    fn steps_of(&self, state: usize) -> &[Kept] {
        let start = state.checked_sub(1).map_or(0, |last| self.ends[last]);
        &self.steps[start as usize..self.ends[state] as usize]
    }
}

fn small(count: usize) -> u32 {
    let small = u32::try_from(count).unwrap_or(u32::MAX);
    assert_ne!(small, u32::MAX, "the world is small");
    small
}

/// A shortest path from the start to a state, one step a line.
fn way<W: Model>(world: &W, graph: &Graph<W::State>, state: usize) -> String {
    let mut states = vec![state];
    let mut at = state;
    while at != 0 {
        at = graph.before[at] as usize;
        states.push(at);
    }
    states.reverse();
    let mut text = String::new();
    let mut steps = Vec::new();
    for pair in states.windows(2) {
        world.steps(graph.states[pair[0]], &mut steps);
        let to = graph.states[pair[1]];
        let step = steps
            .drain(..)
            .find(|step| step.to.is_ok_and(|it| it == to));
        if let Some(step) = step {
            let _ = writeln!(text, "{}", step.deed);
        }
    }
    text
}

/// Whether the sure steps contain a cycle, and a state of a cycle that is fair: every agent that
/// can continue in all of its states does so in one of them. (Tarjan's strongly connected
/// components, without recursion.)
fn rounds<S: Copy + Eq + Hash>(graph: &Graph<S>) -> (bool, Option<usize>) {
    const NEW: u32 = u32::MAX;
    const DONE: u32 = u32::MAX - 1;
    let count = graph.states.len();
    // The number in order of arrival, then the lowest that can be got back to, then `DONE`.
    let mut low = vec![NEW; count];
    let mut open: Vec<usize> = Vec::new();
    let mut arrived = 0;
    let mut endless = false;
    for root in 0..count {
        if low[root] != NEW {
            continue;
        }
        let mut path = vec![(root, 0, arrived)];
        low[root] = arrived;
        arrived += 1;
        open.push(root);
        while let Some((state, next, number)) = path.pop() {
            let steps = graph.steps_of(state);
            let Some(step) = steps.get(next) else {
                if low[state] == number {
                    let start = open.iter().rposition(|&it| it == state).unwrap_or(0);
                    let (circle, fair) = judge(graph, &low, &open[start..]);
                    endless |= circle;
                    if fair {
                        return (true, Some(state));
                    }
                    for member in open.drain(start..) {
                        low[member] = DONE;
                    }
                } else if let Some(&(parent, ..)) = path.last() {
                    low[parent] = low[parent].min(low[state]);
                }
                continue;
            };
            path.push((state, next + 1, number));
            let to = step.to();
            if !step.sure() || low[to] == DONE {
                continue;
            }
            if low[to] == NEW {
                low[to] = arrived;
                path.push((to, 0, arrived));
                arrived += 1;
                open.push(to);
            } else {
                low[state] = low[state].min(low[to]);
            }
        }
    }
    (endless, None)
}

/// Whether the component is a cycle, and whether a fair run can stay in it. Of its states none is
/// done, and of those that it leads to outside all are.
fn judge<S: Copy + Eq + Hash>(graph: &Graph<S>, low: &[u32], members: &[usize]) -> (bool, bool) {
    let first = low[members[0]];
    let mut able = u16::MAX;
    let mut going = 0;
    for &member in members {
        let mut here = 0;
        for step in graph.steps_of(member).iter().filter(|step| step.sure()) {
            here |= step.agent();
            let inside = low[step.to()];
            if inside >= first && inside < u32::MAX - 1 {
                going |= step.agent();
            }
        }
        able &= here;
    }
    (going != 0, going != 0 && able & !going == 0)
}

/// A quick hash of the words of a state; it need not resist chosen collisions.
#[derive(Default)]
struct Mix(u64);

impl Mix {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_ne_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(Mix::ODD);
    }

    fn finish(&self) -> u64 {
        let folded = (self.0 ^ self.0 >> 32).wrapping_mul(Mix::ODD);
        folded ^ folded >> 29
    }
}

/// A world written down: steps from state to state by some agent, sure or not. State 9 is broken, 8
/// is a good end.
struct Written(&'static [(u8, u8, u8, bool)]);

impl Model for Written {
    type State = u8;
    type Property = &'static str;
    type Action = String;

    fn start(&self) -> u8 {
        0
    }

    fn steps(&self, state: u8, into: &mut Vec<Step<Written>>) {
        for &(from, to, agent, sure) in self.0.iter().filter(|step| step.0 == state) {
            into.push(Step {
                deed: format!("{from} to {to}"),
                agent,
                sure,
                to: if to == 9 { Err("broken") } else { Ok(to) },
            });
        }
    }

    fn end(&self, state: u8) -> Result<(), &'static str> {
        if state == 8 { Ok(()) } else { Err("stuck") }
    }

    fn endless(&self) -> &'static str {
        "endless"
    }
}

#[test]
fn worlds_are_judged() {
    let judged = |steps| search(&Written(steps)).map(|seen| (seen.states, seen.endless));
    let law = |steps| judged(steps).map_err(|broken| broken.law);

    assert_eq!(law(&[(0, 8, 0, true)]), Ok((2, false)));
    assert_eq!(law(&[(0, 1, 0, true)]), Err("stuck"));
    // What merely may happen does not help.
    assert_eq!(law(&[(0, 8, 0, false)]), Err("stuck"));
    let broken = judged(&[(0, 1, 0, true), (1, 2, 0, true), (1, 9, 0, true)]);
    let way = broken.map_err(|broken| broken.way);
    assert_eq!(way, Err("0 to 1\n1 to 9\n".to_owned()));

    // One agent cycles forever, and no other agent can continue: fair.
    assert_eq!(
        law(&[(0, 1, 0, true), (1, 0, 0, true), (1, 8, 0, true)]),
        Err("endless")
    );
    // Another agent could always have continued: unfair.
    let unfair = &[
        (0, 1, 0, true),
        (1, 0, 0, true),
        (0, 8, 1, true),
        (1, 8, 1, true),
    ];
    assert_eq!(law(unfair), Ok((3, true)));
    // Another agent could, but not at every moment: fair.
    assert_eq!(
        law(&[(0, 1, 0, true), (1, 0, 0, true), (0, 8, 1, true)]),
        Err("endless")
    );
    // An agent that only may cycle does not do so eventually.
    assert_eq!(
        law(&[(0, 1, 0, false), (1, 0, 0, true), (0, 8, 1, true)]),
        Ok((3, false))
    );
}
