//! What the model is asked, and the mistakes that it has to find.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::acquire_held;
use super::program::{Mutation, Turn};
use super::world::{LockModel, Property};
use crate::deadline::Deadline;
use crate::lock::protocol::{Acquired, LockMemory};
use crate::model::search::{Broken, search};

const WAIT: &[Turn] = &[Turn::Wait];
const WAIT_2: &[Turn] = &[Turn::Wait; 2];
const WAIT_3: &[Turn] = &[Turn::Wait; 3];
const DEADLINE: &[Turn] = &[Turn::Deadline];
const TASK: &[Turn] = &[Turn::Task];
const ONCE: &[Turn] = &[Turn::Once];
const TWICE: &[Turn] = &[Turn::Twice];

/// Every law holds; where sleeps need not end by themselves, every run comes to its end, fair or
/// not.
#[track_caller]
fn keeps(lock: &LockModel) {
    match search(lock) {
        Ok(seen) => {
            println!("{seen}");
            assert!(lock.is_timed() || !seen.endless, "a run goes on for ever");
        }
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[track_caller]
fn breaks(lock: &LockModel, expected: Property) {
    match search(lock) {
        Ok(seen) => panic!("{expected:?} was to be found, in {seen}"),
        Err(Broken { law, way }) => assert_eq!(law, expected, "after\n{way}"),
    }
}

#[test]
fn two_threads_finish_in_every_interleaving() {
    keeps(&LockModel::new(&[WAIT; 2]));
    keeps(&LockModel::new(&[WAIT_3; 2]));
}

#[test]
fn three_threads_finish_in_every_interleaving() {
    keeps(&LockModel::new(&[WAIT; 3]));
    keeps(&LockModel::new(&[WAIT_2, WAIT_2, WAIT]));
}

#[test]
fn releases_that_are_fences_need_no_barrier() {
    keeps(&LockModel::new(&[WAIT_2; 2]).fenced());
    keeps(&LockModel::new(&[WAIT; 3]).fenced());
    keeps(&LockModel::new(&[WAIT; 3]).fenced().deaths(2));
}

#[test]
fn a_waiter_that_gives_up_leaves_no_other_asleep() {
    keeps(&LockModel::new(&[WAIT, WAIT, DEADLINE]));
    keeps(&LockModel::new(&[WAIT, DEADLINE, DEADLINE]));
    keeps(&LockModel::new(&[WAIT, WAIT, ONCE]));
    keeps(&LockModel::new(&[WAIT_2, DEADLINE, ONCE]));
    keeps(&LockModel::new(&[WAIT_2, WAIT, DEADLINE]));
}

#[test]
fn a_dropped_task_leaves_no_waiter_asleep() {
    keeps(&LockModel::new(&[WAIT, WAIT, TASK]));
    keeps(&LockModel::new(&[WAIT, TASK, TASK]));
    keeps(&LockModel::new(&[WAIT_2, DEADLINE, TASK]));
    keeps(&LockModel::new(&[WAIT, WAIT, TASK]).deaths(1));
}

#[test]
fn a_dead_owner_does_not_block_waiters() {
    keeps(&LockModel::new(&[WAIT; 2]).deaths(1));
    keeps(&LockModel::new(&[WAIT_3; 2]).deaths(2));
    keeps(&LockModel::new(&[WAIT; 3]).deaths(2));
    keeps(&LockModel::new(&[WAIT_2, WAIT, WAIT]).deaths(1));
}

#[test]
fn a_dead_owner_does_not_block_a_short_wait() {
    keeps(&LockModel::new(&[WAIT, DEADLINE, ONCE]).deaths(2));
    keeps(&LockModel::new(&[WAIT, WAIT, DEADLINE]).deaths(2));
}

#[test]
fn threads_of_one_process_die_together() {
    keeps(&LockModel::new(&[WAIT; 3]).held_by(&[1, 1, 2]).deaths(2));
    let threads = [WAIT, WAIT, WAIT_2];
    keeps(&LockModel::new(&threads).held_by(&[1, 1, 2]).deaths(1));
}

#[test]
fn the_stopped_are_not_robbed_and_block_only_as_holders() {
    keeps(&LockModel::new(&[WAIT_2; 2]).stops(1));
    keeps(&LockModel::new(&[WAIT; 3]).stops(1));
    keeps(&LockModel::new(&[WAIT; 3]).stops(1).deaths(1));
}

#[test]
fn acquiring_an_owned_lock_again_is_refused() {
    keeps(&LockModel::new(&[TWICE, TWICE, ONCE]));
    keeps(
        &LockModel::new(&[TWICE, WAIT, WAIT])
            .held_by(&[1, 1, 2])
            .deaths(1),
    );
}

#[test]
fn a_lost_wake_up_is_found() {
    for (mistake, threads) in [
        (Mutation::NoBarrier, [WAIT, WAIT].as_slice()),
        (Mutation::BarrierFirst, &[WAIT, WAIT]),
        (Mutation::NoSecondLook, &[WAIT, WAIT]),
        (Mutation::SleepAnyway, &[WAIT, WAIT]),
        (Mutation::LookThenFree, &[WAIT, WAIT]),
        (Mutation::WakeThenTake, &[WAIT, WAIT]),
        (Mutation::NoWake, &[WAIT, WAIT]),
        // One who acquires again just looks like one who never released.
        (Mutation::SleepOnOwner, &[WAIT_2, WAIT]),
        // It takes a second sleeper to be forgotten.
        (Mutation::NoNewAnnouncement, &[WAIT, WAIT, WAIT]),
        (Mutation::LeaveSilently, &[WAIT, WAIT, DEADLINE]),
        (Mutation::LeaveSilently, &[WAIT, WAIT, TASK]),
    ] {
        println!("{mistake:?}");
        breaks(&LockModel::with(threads, mistake), Property::Stuck);
    }
}

#[test]
fn a_sleeper_that_is_no_fence_is_found() {
    breaks(
        &LockModel::with(&[WAIT; 2], Mutation::NoBarrier).fenced(),
        Property::Stuck,
    );
}

#[test]
fn sleeps_that_never_end_are_found_when_somebody_dies() {
    breaks(
        &LockModel::new(&[WAIT; 2]).deaths(1).untimed(),
        Property::Stuck,
    );
}

#[test]
fn a_second_holder_is_found() {
    for (mistake, threads, deaths, law) in [
        (Mutation::AcquireByStore, 2, 0, Property::TwoHolders),
        (Mutation::NoProof, 2, 0, Property::Robbed),
        (Mutation::TakeFromAnyone, 3, 1, Property::Robbed),
        (Mutation::TakeOverByStore, 3, 1, Property::Robbed),
        (Mutation::FreeTwice, 1, 0, Property::FreedAnothers),
    ] {
        println!("{mistake:?}");
        let threads = &[WAIT; 3][..threads];
        breaks(&LockModel::with(threads, mistake).deaths(deaths), law);
    }
}

#[test]
fn a_lock_that_stays_held_is_found() {
    for (mistake, threads, deaths, law) in [
        (Mutation::NoFree, 1, 0, Property::LeftHeld),
        (Mutation::NeverProven, 2, 1, Property::AskedLate),
        (Mutation::NeverProvenAwake, 2, 1, Property::Starved),
        (Mutation::NoRecord, 2, 1, Property::NotTold),
        // The one that died came after another.
        (Mutation::StayAnyway, 3, 1, Property::AskedLate),
    ] {
        println!("{mistake:?}");
        let threads = &[WAIT; 3][..threads];
        breaks(&LockModel::with(threads, mistake).deaths(deaths), law);
    }
}

/// A lock that changes hands as it is told to while one waiter sleeps, and is free at the end.
struct Script<'a> {
    owners: &'a [u64],
    /// Whether the announcement stands after each sleep.
    announced: bool,
    asked: Cell<bool>,
    /// For each owner found: whether it was asked about, and how long the waiter slept on it.
    rounds: RefCell<Vec<(bool, Duration)>>,
}

impl Script<'_> {
    fn current(&self) -> u64 {
        let at = self.rounds.borrow().len();
        self.owners.get(at).copied().unwrap_or(0)
    }

    fn sleep(&self, limit: Duration) {
        self.rounds.borrow_mut().push((self.asked.take(), limit));
    }
}

impl LockMemory for Script<'_> {
    fn try_acquire(&self) -> Result<(), u64> {
        match self.current() {
            0 => Ok(()),
            owner => Err(owner),
        }
    }

    fn owner(&self) -> u64 {
        self.current()
    }

    fn is_announced(&self) -> bool {
        self.announced
    }

    fn is_gone(&self, _owner: u64) -> bool {
        self.asked.set(true);
        false
    }

    fn try_take_over(&self, _dead: u64) -> bool {
        false
    }

    fn is_own(&self, _owner: u64) -> bool {
        false
    }

    fn checks_often(&self) -> bool {
        true
    }

    fn is_awaited(&self) -> bool {
        false
    }

    fn take_announcement(&self) -> bool {
        false
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn free(&self) {}
    fn announce(&self) {}
    fn barrier(&self) {}
    fn wake(&self) {}
    fn relax(&self, _pauses: u32) {}
}

/// Whatever owners there were before, and though nobody is woken. One millisecond of the ten is for
/// waking up and asking.
#[test]
fn a_dead_holder_is_asked_about_within_ten_milliseconds() {
    const LENGTH: u32 = 10;
    const LIMIT: Duration = Duration::from_millis(9);
    for choice in 0..2_u32 << LENGTH {
        let owners: Vec<u64> = (0..LENGTH)
            .map(|bit| 1 + u64::from(choice >> bit & 1))
            .collect();
        let script = Script {
            owners: &owners,
            announced: choice >> LENGTH == 1,
            asked: Cell::new(false),
            rounds: RefCell::default(),
        };
        let acquired = acquire_held(&script, Deadline::Never, |limit| script.sleep(limit));
        assert_eq!(acquired, Ok(Acquired::Free));
        let rounds = script.rounds.into_inner();
        assert_eq!(rounds.len(), owners.len());
        for at in 1..rounds.len() {
            // The owner found now may have died when the sleep before this round began.
            let mut late = rounds[at - 1].1;
            let (asked, slept) = rounds[at];
            if !asked {
                late += slept;
                let next = owners.get(at + 1);
                if next == Some(&owners[at]) {
                    assert!(rounds[at + 1].0, "{owners:?}: not asked at {}", at + 1);
                }
            }
            assert!(late <= LIMIT, "{owners:?}: {late:?} at {at}");
        }
    }
}
