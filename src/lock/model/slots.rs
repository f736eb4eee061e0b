//! A model check of a slot in all interleavings: taking it, releasing it, dying with it, and
//! checking whether its attachment is gone.
//!
//! The steps are those of `segment::table`, written down once more, since there they are not
//! separate from the system. A change of `try_take`, `give_up` or `is_gone` must be repeated here.
//! Two processes attach to the only slot, up to twice each, and a checker checks an attachment that
//! it has seen until it finds that it is gone.
//!
//! A byte lock and its query are one step each. A death frees the byte, or leaves it to a child
//! that inherited the file. A record is read in one step: it is either valid for its generation or
//! invalid. Loads happen in order, which the kernel's locks ensure where it matters.

use std::fmt::Debug;

use crate::model::search::{Broken, Model, Statistics, Step, search};

const ACTORS: usize = 2;
const ASKER: u8 = 2;

/// What the world contains, and what can happen in it.
#[derive(Clone, Copy)]
struct Slots {
    deaths: u8,
    /// A living process may close the file.
    closes: bool,
    /// A dead process leaves the byte to a child.
    inherits: bool,
    /// What processes see of each other.
    sight: Sight,
    /// A mapping keeps the byte whatever file is closed, so that there is no veto.
    mapping_keeps: bool,
    mistake: Mutation,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    Nothing,
    /// Which processes live and which are dead.
    Fates,
    /// That all processes live, even the dead ones: they execute other programs.
    OnlyLife,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mutation {
    None,
    NoVeto,
    /// Releases the byte before the generation.
    ByteFirst,
    /// An attachment counts as living while its byte is taken.
    ByteOnly,
    /// Takes a slot by its generation alone.
    NoByte,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Property {
    /// A living attachment counts as gone, or its slot is taken.
    Robbed,
    /// Two attachments have the same ID.
    Shared,
    /// The generation went back.
    Backwards,
    /// The checker never finds that a dead attachment is gone.
    NeverGone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    generation: u8,
    /// The process that has the byte.
    byte: Option<u8>,
    /// Generation and process; generation 0 while it is written.
    records: [(u8, u8); 2],
    actors: [Actor; ACTORS],
    asker: LivenessChecker,
    /// The generations that named an attachment, a bit each.
    named: u32,
    deaths: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Actor {
    at: At,
    /// The generation found, then the one it has.
    generation: u8,
    lives: u8,
    dead: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Outside,
    /// It has the byte.
    Locked,
    /// It has read the generation.
    Found,
    /// It has raised the generation.
    Raised,
    /// It has made the record invalid.
    Recording,
    Attached,
    /// It has done half of the release.
    Leaving,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum LivenessChecker {
    /// It has seen no attachment.
    Idle,
    /// It checks this generation.
    Asks(u8),
    /// The generation is still the same.
    Same(u8),
    /// The byte is free.
    Free(u8),
    /// The byte is taken.
    Taken(u8),
    Told,
}

/// The holder of the byte of a dead process, if a child has it.
const CHILD: u8 = 9;

impl State {
    fn is_attached(&self, generation: u8) -> bool {
        self.actors.iter().any(|actor| {
            let attached = matches!(actor.at, At::Raised | At::Recording | At::Attached);
            attached && !actor.dead && actor.generation == generation
        })
    }

    /// The process that is recorded under a generation.
    fn recorded(&self, generation: u8) -> Option<Actor> {
        let (valid, who) = self.records[usize::from(generation / 2 % 2)];
        (valid == generation).then(|| self.actors[usize::from(who)])
    }

    fn raise(&mut self, to: u8) -> Result<(), Property> {
        if to <= self.generation {
            return Err(Property::Backwards);
        }
        self.generation = to;
        Ok(())
    }
}

impl Slots {
    fn is_vetoed(self, state: &State, generation: u8) -> bool {
        let looks_alive = |it: Actor| match self.sight {
            Sight::Nothing => false,
            Sight::Fates => !it.dead,
            Sight::OnlyLife => true,
        };
        let may = self.mistake != Mutation::NoVeto && !self.mapping_keeps;
        may && state.recorded(generation).is_some_and(looks_alive)
    }

    /// The next step of a process that attaches and detaches.
    fn act(self, state: &mut State, who: u8) -> Result<(), Property> {
        let index = usize::from(who);
        let me = state.actors[index];
        let record = usize::from(me.generation / 2 % 2);
        let mut generation = me.generation;
        let next = match me.at {
            At::Outside if self.mistake == Mutation::NoByte => At::Locked,
            At::Outside if state.byte.is_some() => At::Done,
            At::Outside => {
                state.byte = Some(who);
                At::Locked
            }
            At::Locked => {
                generation = state.generation;
                At::Found
            }
            At::Found if generation % 2 == 1 && self.is_vetoed(state, generation) => {
                state.byte = None;
                At::Done
            }
            At::Found => {
                if state.is_attached(generation) {
                    return Err(Property::Robbed);
                }
                generation += if generation % 2 == 1 { 2 } else { 1 };
                if state.named >> generation & 1 == 1 {
                    return Err(Property::Shared);
                }
                state.named |= 1 << generation;
                state.raise(generation)?;
                At::Raised
            }
            At::Raised => {
                state.records[record].0 = 0;
                At::Recording
            }
            At::Recording => {
                state.records[record] = (generation, who);
                At::Attached
            }
            At::Attached if self.mistake == Mutation::ByteFirst => {
                state.byte = state.byte.filter(|&it| it != who);
                At::Leaving
            }
            At::Attached => {
                state.raise(generation + 1)?;
                At::Leaving
            }
            At::Leaving => {
                if self.mistake == Mutation::ByteFirst {
                    state.raise(generation + 1)?;
                }
                state.byte = state.byte.filter(|&it| it != who);
                state.actors[index].lives -= 1;
                if state.actors[index].lives == 0 {
                    At::Done
                } else {
                    At::Outside
                }
            }
            At::Done => At::Done,
        };
        state.actors[index].at = next;
        state.actors[index].generation = generation;
        Ok(())
    }

    /// The next step of `is_gone`.
    fn ask(self, state: &mut State) -> Result<(), Property> {
        let verdict = |gone: bool, asked: u8| match gone {
            true if state.is_attached(asked) => Err(Property::Robbed),
            true => Ok(LivenessChecker::Told),
            false => Ok(LivenessChecker::Asks(asked)),
        };
        state.asker = match state.asker {
            LivenessChecker::Asks(asked) if state.generation != asked => verdict(true, asked)?,
            LivenessChecker::Asks(asked) => LivenessChecker::Same(asked),
            LivenessChecker::Same(asked) if state.byte.is_none() => LivenessChecker::Free(asked),
            LivenessChecker::Same(asked) => LivenessChecker::Taken(asked),
            LivenessChecker::Free(asked) => {
                let gone = state.generation != asked || !self.is_vetoed(state, asked);
                verdict(gone, asked)?
            }
            LivenessChecker::Taken(asked) => {
                let seen = self.sight == Sight::Fates && self.mistake != Mutation::ByteOnly;
                let gone = seen && state.recorded(asked).is_some_and(|it| it.dead);
                verdict(gone, asked)?
            }
            other => other,
        };
        Ok(())
    }

    fn step(
        deed: String,
        agent: u8,
        sure: bool,
        from: State,
        effect: impl FnOnce(&mut State) -> Result<(), Property>,
    ) -> Step<Slots> {
        let mut to = from;
        let effect = effect(&mut to);
        Step {
            deed,
            agent,
            sure,
            to: effect.map(|()| to),
        }
    }
}

impl Model for Slots {
    type State = State;
    type Property = Property;
    type Action = String;

    fn start(&self) -> State {
        let actor = Actor {
            at: At::Outside,
            generation: 0,
            lives: 2,
            dead: false,
        };
        State {
            generation: 0,
            byte: None,
            records: [(0, 0); 2],
            actors: [actor; ACTORS],
            asker: LivenessChecker::Idle,
            named: 0,
            deaths: self.deaths,
        }
    }

    fn steps(&self, from: State, into: &mut Vec<Step<Slots>>) {
        for (who, actor) in (0..).zip(from.actors) {
            if actor.dead || actor.at == At::Done {
                continue;
            }
            let deed = |what: &dyn Debug| format!("{who}: {what:?}");
            into.push(Slots::step(deed(&actor.at), who, true, from, |state| {
                self.act(state, who)
            }));
            if actor.at == At::Attached && from.asker == LivenessChecker::Idle {
                into.push(Slots::step(deed(&"is seen"), who, false, from, |state| {
                    state.asker = LivenessChecker::Asks(actor.generation);
                    Ok(())
                }));
            }
            if actor.at == At::Attached && self.closes {
                into.push(Slots::step(deed(&"closes"), who, false, from, |state| {
                    state.byte = state.byte.filter(|&it| it != who || self.mapping_keeps);
                    Ok(())
                }));
            }
            if from.deaths > 0 {
                into.push(Slots::step(deed(&"dies"), who, false, from, |state| {
                    state.deaths -= 1;
                    state.actors[usize::from(who)].dead = true;
                    if state.byte == Some(who) {
                        state.byte = self.inherits.then_some(CHILD);
                    }
                    Ok(())
                }));
            }
        }
        if !matches!(from.asker, LivenessChecker::Idle | LivenessChecker::Told) {
            let deed = format!("asker: {:?}", from.asker);
            into.push(Slots::step(deed, ASKER, true, from, |state| {
                self.ask(state)
            }));
        }
    }

    fn end(&self, state: State) -> Result<(), Property> {
        match state.asker {
            LivenessChecker::Idle | LivenessChecker::Told => Ok(()),
            _ => Err(Property::NeverGone),
        }
    }

    fn endless(&self) -> Property {
        Property::NeverGone
    }
}

const USUAL: Slots = Slots {
    deaths: 2,
    closes: false,
    inherits: false,
    sight: Sight::Fates,
    mapping_keeps: false,
    mistake: Mutation::None,
};

fn judged(slots: Slots) -> Result<Statistics, Property> {
    search(&slots).map_err(|Broken { law, way }| {
        println!("{law:?} after\n{way}");
        law
    })
}

#[test]
fn whoever_has_a_slot_is_not_gone_and_the_dead_are() {
    for sight in [Sight::Nothing, Sight::Fates] {
        assert!(judged(Slots { sight, ..USUAL }).is_ok());
    }
    let inherits = Slots {
        inherits: true,
        ..USUAL
    };
    assert!(judged(inherits).is_ok());
    let closes = Slots {
        closes: true,
        ..USUAL
    };
    assert!(judged(closes).is_ok());
    for sight in [Sight::Nothing, Sight::Fates, Sight::OnlyLife] {
        let mapping_keeps = Slots {
            mapping_keeps: true,
            sight,
            ..closes
        };
        assert!(judged(mapping_keeps).is_ok());
    }
}

#[test]
fn slots_that_are_robbed_are_found() {
    let law = |slots| judged(slots).map(|_| ()).map_err(Some);
    let with = |mistake| Slots { mistake, ..USUAL };
    let closes = |mistake| Slots {
        closes: true,
        ..with(mistake)
    };
    let hidden = |slots| Slots {
        sight: Sight::Nothing,
        ..slots
    };
    assert_eq!(law(with(Mutation::NoByte)), Err(Some(Property::Robbed)));
    assert_eq!(law(closes(Mutation::NoVeto)), Err(Some(Property::Robbed)));
    assert_eq!(
        law(hidden(with(Mutation::ByteFirst))),
        Err(Some(Property::Backwards))
    );
    let inherits = Slots {
        inherits: true,
        ..with(Mutation::ByteOnly)
    };
    assert_eq!(law(inherits), Err(Some(Property::NeverGone)));
    // Shows why there is no veto where none is needed.
    let looks_alive = Slots {
        sight: Sight::OnlyLife,
        ..USUAL
    };
    assert_eq!(law(looks_alive), Err(Some(Property::NeverGone)));
    // If a process closes the file where no other can see the process, the veto cannot help.
    assert_eq!(
        law(hidden(closes(Mutation::None))),
        Err(Some(Property::Robbed))
    );
}
