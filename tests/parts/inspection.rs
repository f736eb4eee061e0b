//! The holders and waiters of parts, and the recoveries from dead holders, as seen from outside.

use sharehold::{Deadlock, Inspection, LockState, PartInfo, PartState, Usage, deadlocks, inspect};
use sharehold_testkit::{Child, Suite, Talk};

use super::{KEY, LONG, attach, create};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(the_holders_of_a_part_are_named)
        .test(the_waiters_for_a_part_are_named)
        .test(a_certificate_names_the_part)
        .test(a_wait_cycle_is_named)
        .test(a_timed_out_waiter_learns_of_the_cycle)
        .role(user)
}

/// Takes what it is told to take, and keeps it.
fn user(test: &mut Talk) {
    let family = attach();
    test.say("attached");
    loop {
        match test.hear().as_str() {
            "mutex" => std::mem::forget(family.mutex.lock().expect("it comes free")),
            "mutex, with a limit" => {
                let soon = std::time::Duration::from_millis(200);
                match family.mutex.lock_timeout(soon) {
                    Ok(_) => panic!("somebody holds it"),
                    Err(error) => {
                        test.say(error);
                        continue;
                    }
                }
            }
            "read, with a limit" => {
                let soon = std::time::Duration::from_millis(200);
                test.say(
                    family
                        .inner
                        .rwlock
                        .read_timeout(soon)
                        .map(drop)
                        .unwrap_err(),
                );
                continue;
            }
            "read" => std::mem::forget(family.inner.rwlock.read().expect("it comes free")),
            "write" => std::mem::forget(family.inner.rwlock.write().expect("it comes free")),
            "take" => family.inner.permits.acquire().expect("it comes").forget(),
            "make" => drop(family.once.get_or_init(|| {
                test.say("makes");
                test.hear();
                [1; 16]
            })),
            "meet" => drop(family.inner.strict.wait_timeout(LONG)),
            _ => return,
        }
        test.say("has");
    }
}

fn using(what: &[&str]) -> Child {
    let mut child = Child::of(user);
    child.hears("attached");
    for order in what {
        child.tell(order);
        child.hears("has");
    }
    child
}

fn seen() -> Inspection {
    inspect(KEY).expect("it is there")
}

fn part(path: &str) -> PartInfo {
    let mut all = seen().parts.into_iter();
    all.find(|it| it.path == path).expect("there is one")
}

fn holder(lock: &LockState) -> u32 {
    match lock {
        LockState::Held(holder) => holder.attachment.as_ref().expect("it is remembered").pid,
        other => panic!("it is held, not {other:?}"),
    }
}

fn pids(shares: &[Usage]) -> Vec<(u32, u32)> {
    let shares = shares.iter();
    shares.map(|it| (it.attachment.pid, it.count)).collect()
}

fn the_holders_of_a_part_are_named() {
    let family = create();
    let paths: Vec<_> = seen().parts.into_iter().map(|it| it.path).collect();
    let inner = ["rwlock", "permits", "manual", "auto", "strict", "lenient"];
    let inner = inner.map(|name| format!("inner.{name}"));
    let expected: Vec<String> = ["mutex".to_owned()]
        .into_iter()
        .chain(inner)
        .chain(["once".to_owned()])
        .collect();
    assert_eq!(paths, expected);
    assert!(seen().parts.iter().all(|it| it.waiters.is_empty()));

    let child = using(&["mutex", "read", "read", "take"]);
    let PartState::Mutex(mutex) = part("mutex").state else {
        panic!("it is a mutex");
    };
    assert_eq!(holder(&mutex.lock), child.pid());
    let PartState::RwLock(rwlock) = part("inner.rwlock").state else {
        panic!("it is a read-write lock");
    };
    assert_eq!(
        (rwlock.writer, pids(&rwlock.readers)),
        (LockState::Free, vec![(child.pid(), 2)])
    );
    let own = family.inner.permits.acquire().expect("there are two");
    let PartState::Semaphore(semaphore) = part("inner.permits").state else {
        panic!("it is a semaphore");
    };
    let expected = [(std::process::id(), 1), (child.pid(), 1)];
    assert_eq!(
        (semaphore.permits, pids(&semaphore.holders).as_slice()),
        (2, expected.as_slice())
    );
    drop(own);

    family.inner.manual.set().expect("it is no fork");
    for (path, is_set) in [("inner.manual", true), ("inner.auto", false)] {
        let PartState::Event(event) = part(path).state else {
            panic!("it is an event");
        };
        assert_eq!(event.is_set, is_set, "{path}");
    }
    let mut meets = using(&[]);
    meets.tell("meet");
    meets.waits_for_memory();
    let PartState::Barrier(barrier) = part("inner.strict").state else {
        panic!("it is a barrier");
    };
    assert_eq!(
        (barrier.participants, pids(&barrier.arrived)),
        (3, vec![(meets.pid(), 1)])
    );
    meets.kill();

    let mut makes = using(&[]);
    makes.tell("make");
    makes.hears("makes");
    let once = || match part("once").state {
        PartState::OnceLock(once) => once,
        other => panic!("it is a once, not {other:?}"),
    };
    let making = once();
    assert_eq!((holder(&making.lock), making.is_made), (makes.pid(), false));
    makes.tell("on");
    makes.hears("has");
    let made = once();
    assert_eq!((made.lock, made.is_made), (LockState::Free, true));
}

fn the_waiters_for_a_part_are_named() {
    let family = create();
    let waits_for = |path: &str, order: &str| {
        let mut child = using(&[]);
        child.tell(order);
        child.waits_for_memory();
        let waiters = part(path).waiters;
        let pids: Vec<_> = waiters.iter().map(|it| it.attachment.pid).collect();
        assert_eq!(pids, [child.pid()], "{path}");
        let thread = waiters[0].thread;
        // Several may have permits, so no report says that one thread waits for another.
        let known = (path != "inner.permits").then(|| child.pid());
        assert_eq!(thread, known, "{path}");
        child
    };
    let guard = family.mutex.lock().expect("it is free");
    waits_for("mutex", "mutex").kill();
    drop(guard);
    let guard = family.inner.rwlock.write().expect("it is free");
    waits_for("inner.rwlock", "read").kill();
    waits_for("inner.rwlock", "write").kill();
    drop(guard);
    let guard = family.inner.rwlock.read().expect("it is free");
    waits_for("inner.rwlock", "write").kill();
    drop(guard);
    let all = family.inner.permits.acquire_many(2);
    waits_for("inner.permits", "take").kill();
    drop(all.expect("nobody has any"));
    assert_eq!(part("inner.permits").waiters, []);
}

fn a_certificate_names_the_part() {
    let family = create();
    let mut mutex = using(&["mutex"]);
    mutex.kill();
    drop(family.mutex.lock().expect("it comes free"));
    let mut writer = using(&["write"]);
    writer.kill();
    drop(family.inner.rwlock.read().expect("it comes free"));
    let told: Vec<_> = seen()
        .recoveries
        .into_iter()
        .map(|it| (it.number, it.part, it.dead.map(|it| it.pid)))
        .collect();
    let path = |path: &str| Some(path.to_owned());
    let expected = [
        (2, path("inner.rwlock"), Some(writer.pid())),
        (1, path("mutex"), Some(mutex.pid())),
    ];
    assert_eq!(told, expected);
}

fn a_wait_cycle_is_named() {
    let family = create();
    let mut first = using(&["mutex"]);
    let mut second = using(&["write"]);
    first.tell("write");
    first.waits_for_memory();
    assert_eq!(deadlocks().expect("one may look"), []);
    second.tell("mutex");
    second.waits_for_memory();
    let found = deadlocks().expect("one may look");
    let [Deadlock { waits, .. }] = found.as_slice() else {
        panic!("there is one: {found:?}");
    };
    let mut told: Vec<_> = waits
        .iter()
        .map(|it| (it.waiter.pid, it.part.as_deref(), it.holder.pid))
        .collect();
    told.sort_unstable_by_key(|it| it.0 != first.pid());
    let expected = [
        (first.pid(), Some("inner.rwlock"), second.pid()),
        (second.pid(), Some("mutex"), first.pid()),
    ];
    assert_eq!(told, expected);
    first.kill();
    second.hears("has");
    assert_eq!(deadlocks().expect("one may look"), []);
    second.ends_well();
    drop(family);
}

fn a_timed_out_waiter_learns_of_the_cycle() {
    let _family = create();
    let mut first = using(&["mutex"]);
    let mut second = using(&["write"]);
    let alone = second.ask("mutex, with a limit");
    assert!(!alone.contains("each other"), "{alone}");
    first.tell("write");
    first.waits_for_memory();
    let error = second.ask("mutex, with a limit");
    let expected = format!("pid {} (", first.pid());
    assert!(error.contains(&expected), "{error}");
    let expected = "waits for `inner.rwlock`, held by this thread: they wait for each other";
    assert!(error.contains(expected), "{error}");
    drop((first, second));

    let mut first = using(&["write"]);
    let mut second = using(&["mutex"]);
    first.tell("mutex");
    first.waits_for_memory();
    let error = second.ask("read, with a limit");
    let expected = "waits for `mutex`, held by this thread: they wait for each other";
    assert!(error.contains(expected), "{error}");
}
