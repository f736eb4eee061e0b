//! What the model is asked, and the mistakes that it has to find.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::super::protocol::{self, Acquired, Steps, Until};
use super::program::{Mistake, Turn};
use super::search::{Broken, search};
use super::world::{Law, Lock};

const WAIT: &[Turn] = &[Turn::Wait];
const WAIT_2: &[Turn] = &[Turn::Wait; 2];
const WAIT_3: &[Turn] = &[Turn::Wait; 3];
const DEADLINE: &[Turn] = &[Turn::Deadline];
const TASK: &[Turn] = &[Turn::Task];
const ONCE: &[Turn] = &[Turn::Once];
const TWICE: &[Turn] = &[Turn::Twice];

/// Every law holds; where sleeps need not end by themselves, every run comes to its end, fair or not.
#[track_caller]
fn keeps(lock: &Lock) {
    match search(lock) {
        Ok(seen) => {
            println!("{seen}");
            assert!(lock.is_timed() || !seen.endless, "a run goes on for ever");
        }
        Err(Broken { law, way }) => panic!("{law:?} after\n{way}"),
    }
}

#[track_caller]
fn breaks(lock: &Lock, expected: Law) {
    match search(lock) {
        Ok(seen) => panic!("{expected:?} was to be found, in {seen}"),
        Err(Broken { law, way }) => assert_eq!(law, expected, "after\n{way}"),
    }
}

#[test]
fn two_threads_finish_in_every_interleaving() {
    keeps(&Lock::new(&[WAIT; 2]));
    keeps(&Lock::new(&[WAIT_3; 2]));
}

#[test]
fn three_threads_finish_in_every_interleaving() {
    keeps(&Lock::new(&[WAIT; 3]));
    keeps(&Lock::new(&[WAIT_2, WAIT_2, WAIT]));
}

#[test]
fn releases_that_are_fences_need_no_barrier() {
    keeps(&Lock::new(&[WAIT_2; 2]).fenced());
    keeps(&Lock::new(&[WAIT; 3]).fenced());
    keeps(&Lock::new(&[WAIT; 3]).fenced().deaths(2));
}

#[test]
fn a_waiter_that_gives_up_leaves_no_other_asleep() {
    keeps(&Lock::new(&[WAIT, WAIT, DEADLINE]));
    keeps(&Lock::new(&[WAIT, DEADLINE, DEADLINE]));
    keeps(&Lock::new(&[WAIT, WAIT, ONCE]));
    keeps(&Lock::new(&[WAIT_2, DEADLINE, ONCE]));
    keeps(&Lock::new(&[WAIT_2, WAIT, DEADLINE]));
}

#[test]
fn a_dropped_task_leaves_no_waiter_asleep() {
    keeps(&Lock::new(&[WAIT, WAIT, TASK]));
    keeps(&Lock::new(&[WAIT, TASK, TASK]));
    keeps(&Lock::new(&[WAIT_2, DEADLINE, TASK]));
    keeps(&Lock::new(&[WAIT, WAIT, TASK]).deaths(1));
}

#[test]
fn a_dead_owner_does_not_block_waiters() {
    keeps(&Lock::new(&[WAIT; 2]).deaths(1));
    keeps(&Lock::new(&[WAIT_3; 2]).deaths(2));
    keeps(&Lock::new(&[WAIT; 3]).deaths(2));
    keeps(&Lock::new(&[WAIT_2, WAIT, WAIT]).deaths(1));
}

#[test]
fn a_dead_owner_does_not_block_a_short_wait() {
    keeps(&Lock::new(&[WAIT, DEADLINE, ONCE]).deaths(2));
    keeps(&Lock::new(&[WAIT, WAIT, DEADLINE]).deaths(2));
}

#[test]
fn threads_of_one_process_die_together() {
    keeps(&Lock::new(&[WAIT; 3]).held_by(&[1, 1, 2]).deaths(2));
    let threads = [WAIT, WAIT, WAIT_2];
    keeps(&Lock::new(&threads).held_by(&[1, 1, 2]).deaths(1));
}

#[test]
fn the_stopped_are_not_robbed_and_block_only_as_holders() {
    keeps(&Lock::new(&[WAIT_2; 2]).stops(1));
    keeps(&Lock::new(&[WAIT; 3]).stops(1));
    keeps(&Lock::new(&[WAIT; 3]).stops(1).deaths(1));
}

#[test]
fn acquiring_an_owned_lock_again_is_refused() {
    keeps(&Lock::new(&[TWICE, TWICE, ONCE]));
    keeps(
        &Lock::new(&[TWICE, WAIT, WAIT])
            .held_by(&[1, 1, 2])
            .deaths(1),
    );
}

#[test]
fn a_lost_wake_up_is_found() {
    for (mistake, threads) in [
        (Mistake::NoBarrier, [WAIT, WAIT].as_slice()),
        (Mistake::BarrierFirst, &[WAIT, WAIT]),
        (Mistake::NoSecondLook, &[WAIT, WAIT]),
        (Mistake::SleepAnyway, &[WAIT, WAIT]),
        (Mistake::LookThenFree, &[WAIT, WAIT]),
        (Mistake::WakeThenTake, &[WAIT, WAIT]),
        (Mistake::NoWake, &[WAIT, WAIT]),
        // One who acquires again just looks like one who never released.
        (Mistake::SleepOnOwner, &[WAIT_2, WAIT]),
        // It takes a second sleeper to be forgotten.
        (Mistake::NoNewAnnouncement, &[WAIT, WAIT, WAIT]),
        (Mistake::LeaveSilently, &[WAIT, WAIT, DEADLINE]),
        (Mistake::LeaveSilently, &[WAIT, WAIT, TASK]),
    ] {
        println!("{mistake:?}");
        breaks(&Lock::with(threads, mistake), Law::Stuck);
    }
}

#[test]
fn a_sleeper_that_is_no_fence_is_found() {
    breaks(
        &Lock::with(&[WAIT; 2], Mistake::NoBarrier).fenced(),
        Law::Stuck,
    );
}

#[test]
fn sleeps_that_never_end_are_found_when_somebody_dies() {
    breaks(&Lock::new(&[WAIT; 2]).deaths(1).untimed(), Law::Stuck);
}

#[test]
fn a_second_holder_is_found() {
    for (mistake, threads, deaths, law) in [
        (Mistake::AcquireByStore, 2, 0, Law::TwoHolders),
        (Mistake::NoProof, 2, 0, Law::Robbed),
        (Mistake::TakeFromAnyone, 3, 1, Law::Robbed),
        (Mistake::TakeOverByStore, 3, 1, Law::Robbed),
        (Mistake::FreeTwice, 1, 0, Law::FreedAnothers),
    ] {
        println!("{mistake:?}");
        let threads = &[WAIT; 3][..threads];
        breaks(&Lock::with(threads, mistake).deaths(deaths), law);
    }
}

#[test]
fn a_lock_that_stays_held_is_found() {
    for (mistake, threads, deaths, law) in [
        (Mistake::NoFree, 1, 0, Law::LeftHeld),
        (Mistake::NeverProven, 2, 1, Law::AskedLate),
        (Mistake::NeverProvenAwake, 2, 1, Law::Starved),
        (Mistake::NoRecord, 2, 1, Law::NotTold),
        // The one that died came after another.
        (Mistake::StayAnyway, 3, 1, Law::AskedLate),
    ] {
        println!("{mistake:?}");
        let threads = &[WAIT; 3][..threads];
        breaks(&Lock::with(threads, mistake).deaths(deaths), law);
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
}

impl Steps for Script<'_> {
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

    fn sleep(&self, limit: Duration) {
        self.rounds.borrow_mut().push((self.asked.take(), limit));
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

    fn asks_often(&self) -> bool {
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

/// Whatever owners there were before, and though nobody is woken. One millisecond of the ten is for waking up and asking.
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
        let acquired = protocol::acquire(&script, Until::Acquired);
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
