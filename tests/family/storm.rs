//! Many use all parts at once, and are stopped and killed at random moments.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use sharehold_testkit::raw::lock_byte;
use sharehold_testkit::{Child, Suite, Talk};

use super::{Family, LONG, attach, create, whole};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(no_law_is_broken_while_users_are_stopped_and_killed)
        .role(user)
}

const TIME: Duration = Duration::from_secs(12);
const USERS: usize = 5;
/// How many deaths there are at least, however slow the machine is.
const ENOUGH: u32 = 100;

/// Uses the parts until it is killed, or a few times. A law that is broken ends it.
fn user(test: &mut Talk) {
    let family = attach();
    let seats = test.argument(0);
    let mut dice = Rng::with_seed(std::process::id().into());
    test.say("uses");
    loop {
        for _ in 0..20 {
            use_once(&family, &seats, &mut dice);
        }
        if test.argument(1) == "ends" {
            test.say("done");
            return;
        }
    }
}

fn use_once(family: &Family, seats: &str, dice: &mut Rng) {
    match dice.u32(..5) {
        0 => {
            let mut guard = family.mutex.lock_timeout(LONG).expect("it comes free");
            let next = whole(&guard) + 1;
            *guard = [next; 16];
        }
        1 => {
            let guard = family
                .inner
                .rwlock
                .read_timeout(LONG)
                .expect("it comes free");
            let seen = whole(&guard);
            thread::yield_now();
            let now = family.inner.rwlock.get().expect("it is whole");
            assert_eq!(whole(&now), seen, "it changed while somebody read");
        }
        2 => {
            let mut guard = family
                .inner
                .rwlock
                .write_timeout(LONG)
                .expect("it comes free");
            let next = whole(&guard) + 1;
            *guard = [next; 16];
            thread::yield_now();
            let now = family.inner.rwlock.get().expect("it is whole");
            assert_eq!(whole(&now), next - 1, "another one wrote");
        }
        3 => {
            let reader = family
                .inner
                .rwlock
                .read_timeout(LONG)
                .expect("it comes free");
            if let Ok(mut writer) = reader.upgrade() {
                let next = whole(&writer) + 1;
                *writer = [next; 16];
                let reader = writer.downgrade().expect("there is room");
                assert_eq!(whole(&reader), next);
                let now = family.inner.rwlock.get().expect("it is whole");
                assert_eq!(whole(&now), next, "it changed while somebody read");
            }
        }
        _ => {
            let permit = family.inner.permits.acquire_timeout(LONG);
            let permit = permit.expect("it comes back");
            sit(seats);
            drop(permit);
        }
    }
}

/// Takes one of two seats, which the kernel gives to one at a time: who has a permit finds one free.
fn sit(seats: &str) {
    let start = Instant::now();
    loop {
        for seat in 0..2 {
            let file = File::options()
                .write(true)
                .open(seats)
                .expect("it is there");
            if lock_byte(&file, seat, true) {
                thread::yield_now();
                return;
            }
        }
        // Of one who has died the permit may be back before the seat.
        assert!(
            start.elapsed() < LONG,
            "more are seated than there are permits"
        );
    }
}

fn no_law_is_broken_while_users_are_stopped_and_killed() {
    let family = create();
    let seats = tempfile::NamedTempFile::new().expect("there is room");
    let path = seats.path().display().to_string();
    let start = |how: &str| {
        let mut child = Child::with(user, [path.as_str(), how]);
        child.hears("uses");
        child
    };
    let mut users: [Child; USERS] = std::array::from_fn(|_| start("goes on"));
    let mut dice = Rng::with_seed(7);
    let mut deaths = 0;
    let end = Instant::now() + TIME;
    while Instant::now() < end || deaths < ENOUGH {
        thread::sleep(Duration::from_micros(dice.u64(..4000)));
        let chosen = dice.usize(..USERS);
        if dice.bool() {
            users[chosen].stop();
            thread::sleep(Duration::from_micros(dice.u64(..4000)));
            users[chosen].resume();
        } else {
            // Dead of this, and of nothing that it found.
            users[chosen].kill();
            deaths += 1;
            users[chosen] = start("goes on");
        }
        whole(&family.mutex.get().expect("it is whole"));
        whole(&family.inner.rwlock.get().expect("it is whole"));
    }
    for user in &mut users {
        user.kill();
    }
    // Whoever comes now has everything, and nothing is in its way.
    let mut last = start("ends");
    last.hears("done");
    last.ends_well();
    drop(family.mutex.lock_timeout(LONG).expect("it comes free"));
    drop(
        family
            .inner
            .rwlock
            .write_timeout(LONG)
            .expect("it comes free"),
    );
    drop(
        family
            .inner
            .permits
            .acquire_many_timeout(2, LONG)
            .expect("all come back"),
    );
    let attached = family.mutex.segment().attachments().expect("it is no fork");
    assert_eq!(attached.len(), 1);
    println!("{deaths} deaths");
}
