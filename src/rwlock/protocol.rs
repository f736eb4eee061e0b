//! The robust read-write lock as an algorithm over indivisible steps: many readers or one writer
//! are inside, and no death keeps a thread out.
//!
//! The algorithm knows neither shared memory nor the system: see [`RwLockMemory`]. Writers exclude
//! each other by the lock of `protocol`; this algorithm uses only its `owner`.
//!
//! # State
//!
//! | word | value | meaning |
//! |---|---|---|
//! | `owner` | 0 | no writer |
//! | | an attachment ID | a writer is inside, or waits for readers to leave; new readers wait |
//! | `phase` | a number | raised by each writer that leaves after it was inside |
//! | a slot's mark | holds *n* | *n* of its threads are inside, or are about to check whether they may be |
//! | | waits *n*, since *p* | while `phase` is *p*: *n* of its threads wait for the writer; afterwards: they are inside |
//! | `tasks` | *n*, since *p* | while `phase` is *p*: *n* tasks wait for the writer; afterwards: they may enter when they are polled |
//! | `readers_wait` | 1 | a reader may be asleep on `turn` |
//! | `turn` | a number | raised when a writer has left or given up while `readers_wait` was 1 |
//! | `draining` | 1 | the writer may be asleep on this word until readers leave |
//!
//! # Moves
//!
//! | actor | condition | action |
//! |---|---|---|
//! | reader | `owner` is 0 | holds + 1, then loads `owner` again: if 0, it is inside; else holds - 1, and waits |
//! | | `owner` is held | waits + 1 since the phase *p* that it loaded before, then loads `phase` again: if it is not *p*, takes the mark back |
//! | | waits since *p*, `phase` is not *p* | is inside: waits - 1, holds + 1 |
//! | | waits since *p*, `owner` is 0 | waits - 1, and starts again |
//! | | waits since *p*, `owner` is dead | takes `owner` over, waits - 1, holds + 1, `owner` 0 |
//! | | leaves | holds - 1; wakes the writer if it drains |
//! | task | `owner` is held | as a reader, but in `tasks` instead of its slot's mark: *n* + 1 |
//! | | `owner` is held, and `tasks` counts other tasks that may enter | waits without being counted, and looks again after a period |
//! | | waits since *p*, `phase` is not *p* | holds + 1, then *n* - 1 if `tasks` is still since *p*: is inside; else holds - 1, and starts again |
//! | | waits since *p*, any other case | as a reader, with *n* - 1 instead of waits - 1 |
//! | writer | has `owner` | waits until no living slot's mark keeps it out: holds above 0, or waits since a phase other than `phase` |
//! | | has waited long enough for tasks that may enter, or has no time left | `tasks` to none, since `phase`: those tasks start again when they are polled |
//! | | leaves | `phase` + 1, then `owner` 0; wakes the waiters |
//! | | gives up before it was inside | `owner` 0; wakes the waiters |
//! | | becomes a reader | holds + 1, then leaves |
//! | reader | becomes a writer | takes `owner` if it is 0 or dead, waits for the other readers to leave, holds - 1 |
//!
//! # Invariants
//!
//! 1. A reader changes its mark, then loads `owner`. A writer changes `owner`, then loads the
//!    marks. All four operations are sequentially consistent, so at least one of the two sees the
//!    other.
//! 2. Only a writer that was inside raises `phase`. At that time every living mark holds 0, and
//!    waits, if at all, since `phase`. So:
//!    - raising `phase` lets in all waiting readers, by one store, before the next writer, which
//!      sees their marks: readers do not starve;
//!    - no reader waits since a phase before the last one: two bits of the phase are enough.
//! 3. A mark that says *waits since p* counts only if `phase` was *p* after the mark was made: a
//!    later writer loads the marks after that. A reader takes back a mark that was made too late.
//!    Until then that mark may keep a writer out, and lets no reader in.
//! 4. All waiting threads of one slot wait since the same phase. While some of them have been let
//!    in and have not noticed yet, other threads of the slot wait without a mark.
//! 5. New readers wait while `owner` is held: writers do not starve.
//! 6. A writer that waits for readers has stored 1 into `draining`, then loaded the marks. A reader
//!    that leaves changes its mark, then loads `draining`.
//! 7. A reader that sleeps has loaded `turn`, then stored 1 into `readers_wait`, then loaded
//!    `phase` and `owner`. A writer that leaves changes these two, then takes the 1 away, then
//!    raises `turn`. So a reader does not sleep on after its 1 was taken away.
//! 8. A writer waits for tasks that may enter as for readers inside, but not for long, because it
//!    cannot know whether a task is still polled.
//!    - A task that is polled within [`TASK_GRACE`] after it was woken enters before the next
//!      writer that waits: tasks that are polled do not starve.
//!    - A task that is not polled delays one writer once.
//!    - A writer that only tries sends tasks away at once: they may be dead.
//!    - A change of `tasks` decides between a task that enters and a writer that sends it away.
//! 9. A task that enters changes its mark first and `tasks` second. A writer loads `tasks` first
//!    and the marks second. So the writer misses no task.
//! 10. A task joins `tasks` by a compare-exchange from the value that it loaded before it loaded
//!     `phase`. So after the tasks since *p* were sent away no task joins them, and no task takes
//!     the place of another.
//!
//! # Deaths
//!
//! | death of | leaves | consequence |
//! |---|---|---|
//! | a reader, waiting or inside | its mark | a writer proves the death, and clears the mark |
//! | a writer, before it raised `phase` | its ID in `owner` | the next writer, or a waiting reader, takes over |
//! | a writer, after it raised `phase` | its ID in `owner`; the waiting readers are inside | the next writer, or a waiting reader, takes over |
//! | a reader that took over | its ID in `owner` | the next writer, or a waiting reader, takes over |
//! | a process about to wake others | the waiters asleep | they look again after their period |
//! | a task that waits or may enter | a number in `tasks` | a writer sends it away: each such number costs at most [`TASK_GRACE`], once |
//!
//! A waiter here waits for a holder, which may die, so each sleep is bounded: see `protocol`.
//!
//! The tests in `model` check all of this against every interleaving, and show that each rule is
//! needed.

use std::time::Duration;

use crate::timing::{FIRST_SLEEP, LONGEST_SLEEP};

/// The steps of the algorithm. Each is indivisible and sequentially consistent, and a process may
/// die between any two.
pub(crate) trait RwLockMemory {
    /// Loads `owner`.
    fn owner(&self) -> u64;
    /// Changes `owner` from this value to this attachment if the owner is proven dead; returns
    /// whether it did.
    fn take_over(&self, owner: u64) -> bool;
    /// Releases `owner`, and wakes a writer that waits for that.
    fn free(&self);
    /// Loads `phase`.
    fn phase(&self) -> u32;
    /// Adds 1 to `phase`.
    fn end_phase(&self);
    /// Changes this attachment's mark by [`Mark::changed`]; false, without a change, where that
    /// returns `None`.
    fn remark(&self, change: MarkChange) -> bool;
    /// Loads the mark of a slot; `None` beyond the last.
    fn mark(&self, slot: usize) -> Option<Mark>;
    /// Whether the slot is this attachment's own.
    fn is_own(&self, slot: usize) -> bool;
    /// Whether the attachment that made this mark is proven gone; makes system calls only if it
    /// `may`.
    fn is_gone(&self, slot: usize, mark: Mark, may: bool) -> bool;
    /// Clears the mark of an attachment that is gone, if it still has this value.
    fn forget(&self, slot: usize, mark: Mark);
    /// Loads `tasks`.
    fn tasks(&self) -> Tasks;
    /// Changes `tasks` from `from` to `to` by compare-exchange.
    fn change_tasks(&self, from: Tasks, to: Tasks) -> bool;
    /// Stores 1 into `readers_wait`.
    fn announce_reader(&self);
    /// Stores 0 into `readers_wait`; returns whether it was 1.
    fn take_readers(&self) -> bool;
    /// Loads `turn`.
    fn turn(&self) -> u32;
    /// Adds 1 to `turn`.
    fn end_turn(&self);
    /// Wakes all readers that sleep on `turn`.
    fn wake_readers(&self);
    /// Stores 1 into `draining`.
    fn announce_drain(&self);
    /// Stores 0 into `draining`; returns whether it was 1. A load comes first, so that usually
    /// nothing is stored.
    fn take_drain(&self) -> bool;
    /// Wakes the writer that sleeps on `draining`.
    fn wake_writer(&self);
}

/// How a slot's threads use the lock: the low half of the slot's generation, how many hold, how
/// many wait, and since which phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mark(pub(crate) u64);

impl Mark {
    const WAITS: u32 = 2;
    const HOLDS: u32 = 17;
    const MOST: u64 = (1 << 15) - 1;

    /// The empty mark of a slot in this generation.
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

    /// Whether its waiting threads, if there are any, wait since this phase.
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

    /// Whether a writer must wait for it in this phase; `own` of its holds belong to that writer.
    fn keeps_out(self, phase: u32, own: u64) -> bool {
        self.holds() > own || self.waits() > 0 && !self.is_since(phase)
    }

    /// Whether another thread can hold or wait; a thread that waits can always change to holding.
    fn has_room(self) -> bool {
        self.holds() + self.waits() < Mark::MOST
    }

    /// The mark after this change; `None` where the change is not possible.
    pub(crate) fn changed(self, change: MarkChange) -> Option<Mark> {
        const HOLDER: u64 = 1 << Mark::HOLDS;
        const WAITER: u64 = 1 << Mark::WAITS;
        match change {
            MarkChange::Holds => self.has_room().then(|| Mark(self.0 + HOLDER)),
            MarkChange::HoldsNoMore => (self.holds() > 0).then(|| Mark(self.0 - HOLDER)),
            MarkChange::WaitsSince(phase) => {
                let joins = self.waits() == 0 || self.is_since(phase);
                let since = self.0 & !3 | u64::from(phase) & 3;
                (joins && self.has_room()).then_some(Mark(since + WAITER))
            }
            MarkChange::WaitsNoMore => (self.waits() > 0).then(|| Mark(self.0 - WAITER)),
            MarkChange::IsLetIn => (self.waits() > 0).then(|| Mark(self.0 - WAITER + HOLDER)),
        }
    }

    /// Whether no thread holds or waits.
    #[cfg(test)]
    pub(crate) fn is_empty(self) -> bool {
        self.holds() + self.waits() == 0
    }
}

/// A change of a mark by one thread of its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum MarkChange {
    Holds,
    HoldsNoMore,
    /// It waits since this phase.
    WaitsSince(u32),
    WaitsNoMore,
    /// It waited, and now holds.
    IsLetIn,
}

/// The tasks of all processes that wait to read, or may enter: how many (low half), and since which
/// phase they wait (high half).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tasks(pub(crate) u64);

impl Tasks {
    pub(crate) fn new(since: u32, count: u32) -> Tasks {
        Tasks(u64::from(since) << 32 | u64::from(count))
    }

    pub(crate) fn since(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn count(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    /// This value with one more task that waits since this phase; `None` while other tasks may
    /// enter.
    pub(crate) fn with(self, phase: u32) -> Option<Tasks> {
        let joins = self.count() == 0 || self.since() == phase;
        let count = self.count().checked_add(1).filter(|_| joins)?;
        Some(Tasks::new(phase, count))
    }

    /// This value without one task that waits since this phase; `None` if those tasks were sent
    /// away.
    fn without(self, since: u32) -> Option<Tasks> {
        let count = self.count().checked_sub(1)?;
        (self.since() == since).then(|| Tasks::new(since, count))
    }

    /// Whether the tasks may enter.
    fn may_come_in(self, phase: u32) -> bool {
        self.count() > 0 && self.since() != phase
    }
}

fn wake_drainer(steps: &impl RwLockMemory) {
    if steps.take_drain() {
        steps.wake_writer();
    }
}

/// Wakes the waiting readers, if there may be any.
pub(crate) fn wake_waiting(steps: &impl RwLockMemory) {
    if steps.take_readers() {
        steps.end_turn();
        steps.wake_readers();
    }
}

/// The result of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RwLockOutcome {
    Acquired,
    /// The reader is inside, and has taken over from this dead writer.
    TakenOver(u64),
    /// Sleep: a reader while `turn` has this value, a writer while `draining` is 1; at most this
    /// long. `None` for a reader that waits for a writer: the caller bounds the sleep, so that the
    /// liveness of the writer is checked from time to time.
    Sleep(u32, Option<Duration>),
}

/// The result of the first steps of a reader.
enum Begun {
    RwLockOutcome(RwLockOutcome),
    /// It waits; a task possibly without being counted.
    Waits,
    Again,
}

/// A reader that wants to enter: what it knows between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ReadAcquire {
    /// Whether it is a task. A task may never be polled again, so it enters only when it looks.
    is_task: bool,
    /// The phase since which its slot's mark, or `tasks`, says that it waits.
    since: Option<u32>,
    /// The writer on which it slept last.
    suspect: u64,
}

impl ReadAcquire {
    pub(crate) fn new(is_task: bool) -> ReadAcquire {
        ReadAcquire {
            is_task,
            since: None,
            suspect: 0,
        }
    }

    /// The phase since which a thread waits; no writer overtakes it.
    #[cfg(test)]
    pub(crate) fn thread_since(self) -> Option<u32> {
        self.since.filter(|_| !self.is_task)
    }

    /// The phase since which a task waits.
    #[cfg(test)]
    pub(crate) fn task_since(self) -> Option<u32> {
        self.since.filter(|_| self.is_task)
    }

    /// Looks once. `now`: this is the only look, so it checks the liveness of the writer at once.
    pub(crate) fn look(&mut self, steps: &impl RwLockMemory, now: bool) -> RwLockOutcome {
        loop {
            match self.since {
                None => match self.begin(steps) {
                    Begun::Waits => {}
                    Begun::Again => continue,
                    Begun::RwLockOutcome(found) => return found,
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
                let marked = steps.remark(MarkChange::Holds);
                self.give_up(steps);
                steps.free();
                wake_waiting(steps);
                if marked {
                    return RwLockOutcome::TakenOver(owner);
                }
                continue;
            }
            // A task that is not counted must look again whether it can be counted.
            let limit = self.since.is_none().then_some(LONGEST_SLEEP);
            return RwLockOutcome::Sleep(turn, limit);
        }
    }

    /// Enters, or makes a mark that it waits.
    fn begin(&mut self, steps: &impl RwLockMemory) -> Begun {
        let tasks = self.is_task.then(|| steps.tasks());
        let phase = steps.phase();
        if steps.owner() == 0 {
            if !steps.remark(MarkChange::Holds) {
                return Begun::RwLockOutcome(RwLockOutcome::Sleep(steps.turn(), Some(FIRST_SLEEP)));
            }
            if steps.owner() == 0 {
                return Begun::RwLockOutcome(RwLockOutcome::Acquired);
            }
            leave_reading(steps);
        }
        match tasks {
            None if steps.remark(MarkChange::WaitsSince(phase)) => {}
            // Another thread of this attachment was let in, and has not noticed yet.
            None => {
                return Begun::RwLockOutcome(RwLockOutcome::Sleep(steps.turn(), Some(FIRST_SLEEP)));
            }
            Some(tasks) => match tasks.with(phase) {
                Some(joined) if steps.change_tasks(tasks, joined) => {}
                Some(_) => return Begun::Again,
                // Other tasks may enter, and may no longer be polled.
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

    /// Enters after it was let in; `None` to start again.
    fn step_in(&mut self, steps: &impl RwLockMemory, since: u32) -> Option<RwLockOutcome> {
        if !self.is_task {
            self.since = None;
            steps.remark(MarkChange::IsLetIn);
            return Some(RwLockOutcome::Acquired);
        }
        if !steps.remark(MarkChange::Holds) {
            return Some(RwLockOutcome::Sleep(steps.turn(), Some(FIRST_SLEEP)));
        }
        self.since = None;
        if leave_tasks(steps, since) {
            return Some(RwLockOutcome::Acquired);
        }
        // A writer has sent this task away.
        leave_reading(steps);
        None
    }

    /// Takes its waiting mark back.
    pub(crate) fn give_up(&mut self, steps: &impl RwLockMemory) {
        let Some(since) = self.since.take() else {
            return;
        };
        if self.is_task {
            leave_tasks(steps, since);
        } else {
            steps.remark(MarkChange::WaitsNoMore);
        }
        wake_drainer(steps);
    }
}

/// Removes one task that waits since this phase from `tasks`; false if those tasks were sent away.
fn leave_tasks(steps: &impl RwLockMemory, since: u32) -> bool {
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

/// Leaves, for a reader that is inside.
pub(crate) fn leave_reading(steps: &impl RwLockMemory) {
    steps.remark(MarkChange::HoldsNoMore);
    wake_drainer(steps);
}

/// A writer that has `owner`, and waits for readers to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WriteAcquire {
    /// How many of its slot's holds belong to itself: 1 for a reader that becomes a writer.
    own: u64,
    slept: bool,
    period: Duration,
}

impl WriteAcquire {
    pub(crate) fn new(own: u64) -> WriteAcquire {
        WriteAcquire {
            own,
            slept: false,
            period: FIRST_SLEEP,
        }
    }

    /// Looks once. `now`: this is the only look, so it checks the liveness of readers at once.
    /// `is_late`: it has waited for [`TASK_GRACE`], or has no time left.
    pub(crate) fn look(
        &mut self,
        steps: &impl RwLockMemory,
        now: bool,
        is_late: bool,
    ) -> RwLockOutcome {
        let phase = steps.phase();
        steps.announce_drain();
        let tasks = steps.tasks();
        let mut kept_out = tasks.may_come_in(phase)
            && !(is_late && steps.change_tasks(tasks, Tasks::new(phase, 0)));
        let mut slot = 0;
        while let Some(mark) = steps.mark(slot) {
            let own = if steps.is_own(slot) { self.own } else { 0 };
            if mark.keeps_out(phase, own) {
                // A liveness check makes system calls: only a writer that has slept, or looks only
                // once, makes one.
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
                steps.remark(MarkChange::HoldsNoMore);
            }
            return RwLockOutcome::Acquired;
        }
        let period = self.period;
        self.period = LONGEST_SLEEP.min(period * 2);
        self.slept = true;
        RwLockOutcome::Sleep(1, Some(period))
    }

    /// This state without the length of its sleep.
    #[cfg(test)]
    pub(crate) fn timeless(self) -> WriteAcquire {
        let period = FIRST_SLEEP;
        WriteAcquire { period, ..self }
    }

    #[cfg(test)]
    pub(crate) fn has_slept(self) -> bool {
        self.slept
    }

    /// Whether it is inside as a reader while it drains.
    #[cfg(test)]
    pub(crate) fn is_reader(self) -> bool {
        self.own > 0
    }

    /// Returns the first mark that keeps this writer out, with its slot.
    pub(crate) fn kept_out_by(self, steps: &impl RwLockMemory) -> Option<(usize, Mark)> {
        let phase = steps.phase();
        let marks = (0..).map_while(|slot| Some((slot, steps.mark(slot)?)));
        let own = |slot| if steps.is_own(slot) { self.own } else { 0 };
        marks
            .into_iter()
            .find(|&(slot, mark)| mark.keeps_out(phase, own(slot)))
    }

    /// Releases `owner` without having been inside.
    pub(crate) fn give_up(steps: &impl RwLockMemory) {
        steps.take_drain();
        steps.free();
        wake_waiting(steps);
    }
}

/// Leaves, for the writer that is inside.
pub(crate) fn leave_writing(steps: &impl RwLockMemory) {
    steps.end_phase();
    steps.free();
    wake_waiting(steps);
}

/// Turns the writer that is inside into a reader that is inside. If its mark has no room, it stays
/// the writer, and this returns false.
pub(crate) fn downgrade(steps: &impl RwLockMemory) -> bool {
    let is_marked = steps.remark(MarkChange::Holds);
    if is_marked {
        leave_writing(steps);
    }
    is_marked
}
