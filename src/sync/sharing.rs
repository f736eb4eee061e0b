//! The robust read-write lock as an algorithm over indivisible steps: many read, or one writes, and no death keeps anybody out.
//!
//! It knows neither shared memory nor the system: see [`Steps`]. Writers exclude each other by the lock of `protocol`, of which
//! only its `owner` is seen here.
//!
//! # State
//!
//! | word | value | meaning |
//! |---|---|---|
//! | `owner` | 0 | no writer |
//! | | a hold | a writer is inside, or waits for readers to leave; new readers wait |
//! | `phase` | a number | raised by each writer that leaves after it was inside |
//! | a slot's mark | holds *n* | *n* of its threads are inside, or about to look whether they may be |
//! | | waits *n*, since *p* | while `phase` is *p*: *n* of its threads wait for the writer; once it is not: they are inside |
//! | `tasks` | *n*, since *p* | while `phase` is *p*: *n* tasks wait for the writer; once it is not: they may come in when they are polled |
//! | `readers_wait` | 1 | somebody may be asleep on `turn` |
//! | `turn` | a number | raised whenever a writer has left, or given up, and `readers_wait` was 1 |
//! | `draining` | 1 | the writer may be asleep on this word until readers leave |
//!
//! # Moves
//!
//! | who | when | does |
//! |---|---|---|
//! | reader | `owner` 0 | holds + 1, then looks at `owner` again: 0, it is inside; else holds - 1, and waits |
//! | | `owner` held | waits + 1 since the phase *p* it has seen before, then looks at `phase` again: if it is not *p*, takes that back |
//! | | waits since *p*, `phase` not *p* | is inside: waits - 1, holds + 1 |
//! | | waits since *p*, `owner` 0 | waits - 1, and begins anew |
//! | | waits since *p*, `owner` dead | takes `owner` over, waits - 1, holds + 1, `owner` 0 |
//! | | leaves | holds - 1; wakes the writer if it drains |
//! | task | `owner` held | as a reader, but in `tasks` instead of its slot's mark: *n* + 1 |
//! | | `owner` held, others that may come in are in `tasks` | waits without being counted, and looks again after a period |
//! | | waits since *p*, `phase` not *p* | holds + 1, then *n* - 1 if `tasks` is still since *p*: is inside; else holds - 1, and begins anew |
//! | | waits since *p*, any other case | as a reader, with *n* - 1 for waits - 1 |
//! | writer | has `owner` | waits until no living slot's mark keeps it out: holds above 0, or waits since another phase than `phase` |
//! | | has waited long enough for tasks that may come in, or has no more time | `tasks` to none, since `phase`: they begin anew when they are polled |
//! | | leaves | `phase` + 1, then `owner` 0; wakes those who wait |
//! | | gives up before it was inside | `owner` 0; wakes those who wait |
//! | | becomes a reader | holds + 1, then leaves |
//! | reader | becomes a writer | takes `owner` if it is 0 or dead, waits for the others to leave, holds - 1 |
//!
//! # Invariants
//!
//! 1. A reader's mark and its look at `owner`, and a writer's `owner` and its look at the marks, are in one order for all (both are
//!    sequentially consistent): one of the two sees the other.
//! 2. `phase` is raised only by a writer that was inside, so while every living mark holds 0, and waits, if at all, since `phase`. So
//!    raising it lets in all who wait, by one store, before the next writer, who will see their marks: readers do not starve. And nobody
//!    waits since a phase before the last: two bits of it are enough.
//! 3. A mark that says *waits since p* counts only if `phase` was *p* after it was made: a writer that came later looks at the marks
//!    after that. One that was late is taken back; meanwhile it may keep a writer out, and lets nobody in.
//! 4. Threads of one slot wait since one phase only. While some of them have been let in and have not noticed, the others wait without
//!    a mark.
//! 5. New readers wait while `owner` is held: writers do not starve.
//! 6. Who waits for readers to leave has stored 1 into `draining`, then looked at the marks; who leaves changes its mark, then looks at
//!    `draining`.
//! 7. A reader that sleeps has seen `turn`, then stored 1 into `readers_wait`, then looked at `phase` and `owner`. A writer that leaves
//!    changes these, then takes the 1 away, then raises `turn`. So a reader whose 1 is taken away does not sleep on.
//! 8. A writer waits for tasks that may come in, as for readers inside, but not for long: whether a task is polled is not known. A task that
//!    is polled within [`GRACE`] after it was woken comes in before the next writer that waits; so tasks that are polled do not starve.
//!    One that is not delays one writer once. A writer that only tries sends tasks away at once: they may be dead. A change of `tasks` decides between a task that comes in and a writer that sends it away.
//! 9. A task that comes in changes its mark first and `tasks` then; a writer looks at `tasks` first and at the marks then. So it
//!    misses none.
//! 10. A task joins `tasks` by a change from what it found there before it looked at `phase`. So after the tasks since *p* were sent away
//!     nobody joins them, and none of them takes another's place.
//!
//! # Deaths
//!
//! | of | leaves | and then |
//! |---|---|---|
//! | a reader, waiting or inside | its mark | a writer proves it dead, and clears the mark |
//! | a writer, before it raised `phase` | its hold in `owner` | the next writer, or a waiting reader, takes over |
//! | a writer, after that | the same, and those who waited are inside | the same |
//! | a reader that took over | the same | the same |
//! | one about to wake others | them asleep | they look again after their period |
//! | a task that waits or may come in | a number in `tasks` | a writer sends it away: each number costs at most [`GRACE`], once |
//!
//! Whoever sleeps here waits for a holder, so that each sleep is bounded: see `protocol`.
//!
//! All of this is held against every interleaving by the tests in `model`, which also show how each rule is needed.

use std::time::Duration;

use super::protocol::{FIRST_SLEEP, LONGEST_SLEEP};

/// How long a writer waits for tasks that may come in, and are perhaps polled no more.
pub(crate) const GRACE: Duration = LONGEST_SLEEP;

/// What the algorithm is made of; each step is indivisible and sequentially consistent, and a process may die between any two.
pub(crate) trait Steps {
    /// Loads `owner`.
    fn owner(&self) -> u64;
    /// Changes `owner` from a hold that is proven dead to this attachment, if it is.
    fn take_over(&self, owner: u64) -> bool;
    /// Releases `owner`, and wakes a writer that waits for it.
    fn free(&self);
    /// Loads `phase`.
    fn phase(&self) -> u32;
    /// Adds 1 to `phase`.
    fn end_phase(&self);
    /// Changes this attachment's mark, as [`Mark::changed`] says; false, and nothing changed, where it says nothing.
    fn remark(&self, change: Change) -> bool;
    /// Loads the mark of a slot; `None` beyond the last.
    fn mark(&self, slot: usize) -> Option<Mark>;
    /// Whether the mark is this attachment's own.
    fn is_own(&self, slot: usize) -> bool;
    /// Whether the attachment that made this mark is proven gone; asks the system only if it `may`.
    fn is_gone(&self, slot: usize, mark: Mark, may: bool) -> bool;
    /// Clears a mark of one who is gone, if it is still this.
    fn forget(&self, slot: usize, mark: Mark);
    /// Loads `tasks`.
    fn tasks(&self) -> Tasks;
    /// Changes `tasks` from one value to another, if it is that one.
    fn change_tasks(&self, from: Tasks, to: Tasks) -> bool;
    /// Stores 1 into `readers_wait`.
    fn announce_reader(&self);
    /// Stores 0 into `readers_wait`; whether it was 1.
    fn take_readers(&self) -> bool;
    /// Loads `turn`.
    fn turn(&self) -> u32;
    /// Adds 1 to `turn`.
    fn end_turn(&self);
    /// Wakes everybody who sleeps on `turn`.
    fn wake_readers(&self);
    /// Stores 1 into `draining`.
    fn announce_drain(&self);
    /// Stores 0 into `draining`; whether it was 1. A look comes first, so that mostly nothing is stored.
    fn take_drain(&self) -> bool;
    /// Wakes whoever sleeps on `draining`.
    fn wake_writer(&self);
}

/// What a slot's threads do with the lock: the slot's generation (its low half), how many hold, how many wait, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mark(pub(crate) u64);

impl Mark {
    const WAITS: u32 = 2;
    const HOLDS: u32 = 17;
    const MOST: u64 = (1 << 15) - 1;

    /// Nothing, of the slot in this generation.
    pub(crate) fn none(generation: u32) -> Mark {
        Mark(u64::from(generation) << 32)
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn holds(self) -> u64 {
        self.0 >> Mark::HOLDS & Mark::MOST
    }

    fn waits(self) -> u64 {
        self.0 >> Mark::WAITS & Mark::MOST
    }

    /// Whether its threads wait, if any do, since this phase.
    fn is_since(self, phase: u32) -> bool {
        self.0 & 3 == u64::from(phase) & 3
    }

    /// How many of its threads are inside in this phase.
    pub(crate) fn inside(self, phase: u32) -> u32 {
        let let_in = if self.is_since(phase) {
            0
        } else {
            self.waits()
        };
        u32::try_from(self.holds() + let_in).unwrap_or(u32::MAX)
    }

    /// Whether a writer has to wait for it in this phase; so many of those that hold are its own.
    fn keeps_out(self, phase: u32, own: u64) -> bool {
        self.holds() > own || self.waits() > 0 && !self.is_since(phase)
    }

    /// Whether another thread can hold or wait; whoever waits can always come to hold.
    fn has_room(self) -> bool {
        self.holds() + self.waits() < Mark::MOST
    }

    /// What becomes of it; `None` where that cannot be.
    pub(crate) fn changed(self, change: Change) -> Option<Mark> {
        const HOLDER: u64 = 1 << Mark::HOLDS;
        const WAITER: u64 = 1 << Mark::WAITS;
        match change {
            Change::Holds => self.has_room().then(|| Mark(self.0 + HOLDER)),
            Change::HoldsNoMore => (self.holds() > 0).then(|| Mark(self.0 - HOLDER)),
            Change::WaitsSince(phase) => {
                let joins = self.waits() == 0 || self.is_since(phase);
                let since = self.0 & !3 | u64::from(phase) & 3;
                (joins && self.has_room()).then_some(Mark(since + WAITER))
            }
            Change::WaitsNoMore => (self.waits() > 0).then(|| Mark(self.0 - WAITER)),
            Change::IsLetIn => (self.waits() > 0).then(|| Mark(self.0 - WAITER + HOLDER)),
        }
    }

    /// Whether nothing holds or waits.
    #[cfg(test)]
    pub(super) fn is_empty(self) -> bool {
        self.holds() + self.waits() == 0
    }
}

/// What one of its threads does to a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    Holds,
    HoldsNoMore,
    /// Since this phase.
    WaitsSince(u32),
    WaitsNoMore,
    /// It waited, and holds.
    IsLetIn,
}

/// The tasks of all processes that wait to read, or may come in: how many (low half), and since which phase they wait (high half).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tasks(pub(crate) u64);

impl Tasks {
    pub(super) fn new(since: u32, count: u32) -> Tasks {
        Tasks(u64::from(since) << 32 | u64::from(count))
    }

    pub(super) fn since(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn count(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    /// With one more that waits since this phase; `None` while others may come in.
    pub(super) fn with(self, phase: u32) -> Option<Tasks> {
        let joins = self.count() == 0 || self.since() == phase;
        let count = self.count().checked_add(1).filter(|_| joins)?;
        Some(Tasks::new(phase, count))
    }

    /// Without one that waits since this phase; `None` if they were sent away.
    fn without(self, since: u32) -> Option<Tasks> {
        let count = self.count().checked_sub(1)?;
        (self.since() == since).then(|| Tasks::new(since, count))
    }

    /// Whether they may come in.
    fn may_come_in(self, phase: u32) -> bool {
        self.count() > 0 && self.since() != phase
    }
}

fn wake_drainer(steps: &impl Steps) {
    if steps.take_drain() {
        steps.wake_writer();
    }
}

/// Wakes those who wait to read, if there may be any.
pub(crate) fn wake_waiting(steps: &impl Steps) {
    if steps.take_readers() {
        steps.end_turn();
        steps.wake_readers();
    }
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    Inside,
    /// A reader is inside, having taken over from this writer, who died.
    TakenOver(u64),
    /// Sleep: a reader while `turn` is this, a writer while `draining` is 1; at most so long. `None` for a reader that waits for a writer:
    /// as long as somebody asks from time to time whether that one lives.
    Sleep(u32, Option<Duration>),
}

/// What one that wants to read has come to.
enum Begun {
    Found(Found),
    /// It waits; a task perhaps without being counted.
    Waits,
    Again,
}

/// One that wants to read: what it knows between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Enter {
    /// Whether it is a task, which may never be polled again: it is let in only when it looks.
    is_task: bool,
    /// The phase since which its slot's mark, or `tasks`, says that it waits.
    since: Option<u32>,
    /// The writer that it slept on last.
    suspect: u64,
}

impl Enter {
    pub(crate) fn new(is_task: bool) -> Enter {
        Enter {
            is_task,
            since: None,
            suspect: 0,
        }
    }

    /// The phase since which a thread waits, whom no writer overtakes.
    #[cfg(test)]
    pub(super) fn thread_since(self) -> Option<u32> {
        self.since.filter(|_| !self.is_task)
    }

    /// The phase since which a task waits.
    #[cfg(test)]
    pub(super) fn task_since(self) -> Option<u32> {
        self.since.filter(|_| self.is_task)
    }

    /// Looks once. `now`: there is no other look, so that a writer is asked at once whether it lives.
    pub(crate) fn look(&mut self, steps: &impl Steps, now: bool) -> Found {
        loop {
            match self.since {
                None => match self.begin(steps) {
                    Begun::Waits => {}
                    Begun::Again => continue,
                    Begun::Found(found) => return found,
                },
                // Let in by the writer that left.
                Some(since) if steps.phase() != since => match self.step_in(steps, since) {
                    Some(found) => return found,
                    None => continue,
                },
                Some(_) => {}
            }
            let turn = steps.turn();
            steps.announce_reader();
            if self.since.is_some_and(|since| steps.phase() != since) {
                continue;
            }
            let owner = steps.owner();
            if owner == 0 {
                self.give_up(steps);
                continue;
            }
            let stays = owner == self.suspect;
            self.suspect = owner;
            if (stays || now) && steps.take_over(owner) {
                let marked = steps.remark(Change::Holds);
                self.give_up(steps);
                steps.free();
                wake_waiting(steps);
                if marked {
                    return Found::TakenOver(owner);
                }
                continue;
            }
            // One that is not counted looks whether it can be by now.
            let limit = self.since.is_none().then_some(LONGEST_SLEEP);
            return Found::Sleep(turn, limit);
        }
    }

    /// Goes in, or makes a mark that it waits.
    fn begin(&mut self, steps: &impl Steps) -> Begun {
        let tasks = self.is_task.then(|| steps.tasks());
        let phase = steps.phase();
        if steps.owner() == 0 {
            if !steps.remark(Change::Holds) {
                return Begun::Found(Found::Sleep(steps.turn(), Some(FIRST_SLEEP)));
            }
            if steps.owner() == 0 {
                return Begun::Found(Found::Inside);
            }
            leave_reading(steps);
        }
        match tasks {
            None if steps.remark(Change::WaitsSince(phase)) => {}
            // Another thread of this process was let in, and is about to notice.
            None => return Begun::Found(Found::Sleep(steps.turn(), Some(FIRST_SLEEP))),
            Some(tasks) => match tasks.with(phase) {
                Some(joined) if steps.change_tasks(tasks, joined) => {}
                Some(_) => return Begun::Again,
                // Others may come in, and are perhaps polled no more.
                None => return Begun::Waits,
            },
        }
        self.since = Some(phase);
        if steps.phase() != phase {
            self.give_up(steps);
            return Begun::Again;
        }
        Begun::Waits
    }

    /// Goes in, having been let in; `None` to look on.
    fn step_in(&mut self, steps: &impl Steps, since: u32) -> Option<Found> {
        if !self.is_task {
            self.since = None;
            steps.remark(Change::IsLetIn);
            return Some(Found::Inside);
        }
        if !steps.remark(Change::Holds) {
            return Some(Found::Sleep(steps.turn(), Some(FIRST_SLEEP)));
        }
        self.since = None;
        if leave_tasks(steps, since) {
            return Some(Found::Inside);
        }
        // A writer has sent it away.
        leave_reading(steps);
        None
    }

    /// Takes back the mark that it waits.
    pub(crate) fn give_up(&mut self, steps: &impl Steps) {
        let Some(since) = self.since.take() else {
            return;
        };
        if self.is_task {
            leave_tasks(steps, since);
        } else {
            steps.remark(Change::WaitsNoMore);
        }
        wake_drainer(steps);
    }
}

/// Counts one less that waits since this phase; false if they were sent away.
fn leave_tasks(steps: &impl Steps, since: u32) -> bool {
    loop {
        let tasks = steps.tasks();
        let Some(left) = tasks.without(since) else {
            return false;
        };
        if steps.change_tasks(tasks, left) {
            return true;
        }
    }
}

/// Leaves, for one who is inside as a reader.
pub(crate) fn leave_reading(steps: &impl Steps) {
    steps.remark(Change::HoldsNoMore);
    wake_drainer(steps);
}

/// A writer that has `owner`, and waits for readers to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Drain {
    /// How many of its own slot's holds are its own: 1 for a reader that becomes a writer.
    own: u64,
    slept: bool,
    period: Duration,
}

impl Drain {
    pub(crate) fn new(own: u64) -> Drain {
        Drain {
            own,
            slept: false,
            period: FIRST_SLEEP,
        }
    }

    /// Looks once. `now`: there is no other look, so that readers are asked at once whether they live. `is_late`: it has waited for
    /// [`GRACE`], or has no more time.
    pub(crate) fn look(&mut self, steps: &impl Steps, now: bool, is_late: bool) -> Found {
        let phase = steps.phase();
        steps.announce_drain();
        let tasks = steps.tasks();
        let mut kept_out = tasks.may_come_in(phase)
            && !(is_late && steps.change_tasks(tasks, Tasks::new(phase, 0)));
        let mut slot = 0;
        while let Some(mark) = steps.mark(slot) {
            let own = if steps.is_own(slot) { self.own } else { 0 };
            if mark.keeps_out(phase, own) {
                // Asking costs system calls: readers are asked only by one who has slept.
                if steps.is_gone(slot, mark, self.slept || now) {
                    steps.forget(slot, mark);
                } else {
                    kept_out = true;
                }
            }
            slot += 1;
        }
        if !kept_out {
            steps.take_drain();
            if self.own > 0 {
                steps.remark(Change::HoldsNoMore);
            }
            return Found::Inside;
        }
        let period = self.period;
        self.period = LONGEST_SLEEP.min(period * 2);
        self.slept = true;
        Found::Sleep(1, Some(period))
    }

    /// Itself without what only says how long to sleep.
    #[cfg(test)]
    pub(super) fn timeless(self) -> Drain {
        let period = FIRST_SLEEP;
        Drain { period, ..self }
    }

    #[cfg(test)]
    pub(super) fn has_slept(self) -> bool {
        self.slept
    }

    /// Whether it is inside as a reader meanwhile.
    #[cfg(test)]
    pub(super) fn is_reader(self) -> bool {
        self.own > 0
    }

    /// A mark that keeps this writer out.
    pub(crate) fn kept_out_by(self, steps: &impl Steps) -> Option<(usize, Mark)> {
        let phase = steps.phase();
        let marks = (0..).map_while(|slot| Some((slot, steps.mark(slot)?)));
        let own = |slot| if steps.is_own(slot) { self.own } else { 0 };
        marks
            .into_iter()
            .find(|&(slot, mark)| mark.keeps_out(phase, own(slot)))
    }

    /// Releases `owner` without having been inside.
    pub(crate) fn give_up(steps: &impl Steps) {
        steps.take_drain();
        steps.free();
        wake_waiting(steps);
    }
}

/// Leaves, for the writer that is inside.
pub(crate) fn leave_writing(steps: &impl Steps) {
    steps.end_phase();
    steps.free();
    wake_waiting(steps);
}

/// Becomes a reader that is inside, for the writer that is.
pub(crate) fn downgrade(steps: &impl Steps) -> bool {
    let marked = steps.remark(Change::Holds);
    leave_writing(steps);
    marked
}
