//! Many waiters and many writers, some of which are killed: at the end every living waiter has seen
//! the last value.

use fastrand::Rng;
use sharehold::Shared;
use sharehold_testkit::{Child, Suite, Talk};
use std::time::Duration;

use super::KEY;

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(no_waiter_misses_the_last_change_despite_deaths)
        .role(changer)
        .role(waiter)
}

/// The value that ends it.
const LAST: u64 = u64::MAX;

/// Changes the value again and again.
fn changer(test: &mut Talk) {
    let shared = Shared::<u64>::attach(KEY).expect("it is there");
    test.say("ready");
    loop {
        let last = shared.update(|value| {
            if *value != LAST {
                *value += 1;
            }
            *value == LAST
        });
        if last.expect("it can be changed") {
            return;
        }
    }
}

/// Follows the value to its end.
fn waiter(test: &mut Talk) {
    let shared = Shared::<u64>::attach(KEY).expect("it is there");
    test.say("ready");
    let mut last = 0;
    for found in shared.watch_since(0) {
        let found = found.expect("it can wait");
        assert!(found.version > last, "each is newer than the one before");
        last = found.version;
        if found.value == LAST {
            test.say("seen");
            return;
        }
    }
}

fn start<F: Fn(&mut Talk)>(role: F) -> Child {
    let mut child = Child::of(role);
    child.hears("ready");
    child
}

fn no_waiter_misses_the_last_change_despite_deaths() {
    let mut dice = Rng::with_seed(7);
    for _ in 0..12 {
        let shared = Shared::create(KEY, &0_u64).expect("nothing has the key");
        let mut waiters: Vec<Child> = (0..4).map(|_| start(waiter)).collect();
        let mut changers: Vec<Child> = (0..2).map(|_| start(changer)).collect();
        for _ in 0..8 {
            std::thread::sleep(Duration::from_micros(dice.u64(100..3000)));
            let victims = if dice.bool() {
                &mut changers
            } else {
                &mut waiters
            };
            let victim = dice.usize(..victims.len());
            victims[victim].kill();
            victims[victim] = if victims.len() == 2 {
                start(changer)
            } else {
                start(waiter)
            };
        }
        // Killed, so that the last change is made by a process that recovers the lock, or finds it
        // free.
        for changer in &mut changers {
            changer.kill();
        }
        shared.set(&LAST).expect("it can be changed");
        for waiter in &mut waiters {
            waiter.hears("seen");
            waiter.ends_well();
        }
    }
}
