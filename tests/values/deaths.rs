//! A writer of a large value is killed at a random moment of its change, some hundreds of times:
//! the value is the old one or the new one, and the next one to change it can.

use std::hint::spin_loop;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use sharehold::Shared;
use sharehold_testkit::{Child, Suite, Talk};

use super::{Bytes, KEY, MEBIBYTE, Uniform, uniform, version_of, with_stack};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_death_in_set_leaves_the_old_or_the_new_value)
        .test(a_death_in_update_leaves_the_old_or_the_new_value)
        .role(setter)
        .role(updater)
}

/// How often a writer dies between locking and unlocking.
const DEATHS: u32 = 150;

type Large = Uniform<MEBIBYTE>;

fn a_death_in_set_leaves_the_old_or_the_new_value() {
    with_stack(|| die_in(|| Child::of(setter)));
}

fn a_death_in_update_leaves_the_old_or_the_new_value() {
    with_stack(|| die_in(|| Child::of(updater)));
}

/// Makes one change with `set`.
fn setter(test: &mut Talk) {
    change_once(test, |value, next| value.set(&uniform(next)));
}

/// Makes one change with `update`.
fn updater(test: &mut Talk) {
    change_once(test, |value, next| value.update(|it| it.fill(next)));
}

fn change_once(test: &mut Talk, change: fn(&Shared<Large>, u64) -> sharehold::Result<()>) {
    let (say, said) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            with_stack(|| {
                let (say, told) = (say, told);
                let value = Shared::<Large>::attach(KEY).expect("it is there");
                let next = version_of(&value.get().expect("it is whole")) + 1;
                say.send("ready").expect("it is heard");
                told.recv().expect("it is told");
                say.send("begins").expect("it is heard");
                change(&value, next).expect("it can be changed");
            });
        });
        test.say(said.recv().expect("it attaches"));
        test.hear();
        tell.send(()).expect("it listens");
        test.say(said.recv().expect("it begins"));
        test.wait_for_end();
    });
}

/// Where the deaths were.
#[derive(Debug, Default)]
struct Deaths {
    before: u32,
    between_lock_and_commit: u32,
    in_commit: u32,
    between_commit_and_unlock: u32,
    after: u32,
}

fn die_in(start: impl Fn() -> Child) {
    let value = Shared::<Large>::create(KEY, &uniform(1)).expect("nothing has the key");
    let read_only = Shared::<Large>::attach_read_only(KEY).expect("it is there");
    let bytes = Bytes::open();
    let mut dice = Rng::with_seed(5);
    let mut deaths = Deaths::default();
    // Follows the middle of the change, however quick the machine is.
    let mut middle = Duration::from_millis(1);
    let mut inside = 0;
    while inside < DEATHS {
        let old = bytes.version();
        let mut victim = start();
        victim.hears("ready");
        victim.tell("go");
        victim.hears("begins");
        let moment = Instant::now() + middle.mul_f64(0.5 + dice.f64());
        while Instant::now() < moment {
            spin_loop();
        }
        victim.kill();

        let committed = bytes.version() == old + 1;
        let found = version_of(&value.get().expect("it is whole"));
        assert_eq!(found, old + u64::from(committed));
        let seen = version_of(&read_only.get().expect("it is whole"));
        assert_eq!(seen, found);
        let locked = bytes.is_locked();
        let place = match (locked, committed, bytes.is_in_commit()) {
            (true, false, true) => &mut deaths.in_commit,
            (true, false, false) => &mut deaths.between_lock_and_commit,
            (true, true, _) => &mut deaths.between_commit_and_unlock,
            (false, false, _) => &mut deaths.before,
            (false, true, _) => &mut deaths.after,
        };
        *place += 1;
        middle = match (locked, committed) {
            (true, _) => middle,
            (false, true) => middle.mul_f64(0.95),
            (false, false) => middle.mul_f64(1.05),
        };
        inside += u32::from(locked);

        let before = value.update(|it| {
            let before = version_of(it);
            it.fill(before + 1);
            before
        });
        assert_eq!(before.expect("it can be changed"), found);
        let now = value.get().expect("it is whole");
        assert_eq!(version_of(&now), found + 1);
        assert!(!bytes.is_locked(), "nobody holds the lock any more");
    }
    println!("{deaths:?}");
    assert!(deaths.in_commit > 0, "{deaths:?}");
}
