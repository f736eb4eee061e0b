//! What the children of most tests do: attach, and then what they are told.

use std::time::Duration;

use sharehold::{ErrorKind, LockError, Segment};
use sharehold_testkit::{Child, Suite, Talk};

pub(crate) fn suite() -> Suite {
    Suite::new().role(peer)
}

/// Longer than anything here takes on any machine; a promise of milliseconds is measured elsewhere.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// The key of the one segment that most tests need.
pub(crate) const KEY: &str = "com.example.tested";

/// Creates the tests' segment.
pub(crate) fn created() -> Segment {
    Segment::create(KEY, 4096).expect("nothing has the key yet")
}

/// Tells what kind of error it is, or that it is none.
pub(crate) fn kind<T>(result: sharehold::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

/// Starts a peer that has attached to the tests' segment.
pub(crate) fn attached() -> Child {
    attached_to(KEY)
}

/// Starts a peer that has attached to the segment with this key.
pub(crate) fn attached_to(key: &str) -> Child {
    let mut child = Child::with(peer, [key]);
    child.hears("attached");
    child
}

/// Starts a peer that has attached and holds the lock.
pub(crate) fn holding() -> Child {
    let mut child = attached();
    child.tell("lock");
    child.hears("locked");
    child
}

/// Says whether the segment's lock is to be had, and in which condition.
pub(crate) fn describe<T>(locked: Result<T, LockError<'_>>) -> String {
    match locked {
        Ok(_) => "locked".to_owned(),
        Err(error) => format!("{:?}: {error}", error.kind()),
    }
}

/// Attaches, and does what it is told until nothing more is said; then it detaches.
pub(crate) fn peer(test: &mut Talk) {
    let segment = match Segment::attach(&test.argument(0)) {
        Ok(segment) => segment,
        Err(error) => return test.say(error),
    };
    test.say("attached");
    let mut guard = None;
    loop {
        let line = test.hear();
        let (order, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let number = || argument.parse::<u64>().expect("a number");
        match order {
            "" => break,
            "lock" => match segment.lock() {
                Ok(got) => {
                    guard = Some(got);
                    test.say("locked");
                }
                Err(error) => test.say(describe::<()>(Err(error))),
            },
            "recover" => match segment.lock() {
                Err(LockError::Abandoned(found)) => {
                    let report = found.to_string();
                    guard = Some(found.mark_consistent());
                    test.say(report);
                }
                other => test.say(describe(other)),
            },
            "unlock" => {
                guard = None;
                test.say("unlocked");
            }
            "pass" => test.say(describe(segment.lock())),
            "wait" => test.say(describe(
                segment.lock_timeout(Duration::from_millis(number())),
            )),
            "try" => test.say(describe(segment.try_lock())),
            "slot" => {
                let mut all = segment.attachments().expect("it is attached").into_iter();
                let own = all.find(|it| it.pid == std::process::id() && it.slot.is_some());
                test.say(own.and_then(|it| it.slot).expect("it has a slot"));
            }
            "attachments" => test.say(segment.attachments().expect("it is attached").len()),
            "write" => {
                let bytes = guard.as_mut().expect("it holds the lock");
                bytes.write_at(0, &number()).expect("there is room");
                test.say("written");
            }
            "read" => {
                let bytes = guard.as_ref().expect("it holds the lock");
                test.say(bytes.read_at::<u64>(0).expect("there is room"));
            }
            "size" => test.say(segment.size()),
            "grow" => {
                let size = argument.parse().expect("a number");
                test.say(
                    kind(segment.grow(size)).map_or("grown".to_owned(), |it| format!("{it:?}")),
                );
            }
            other => panic!("no such order: {other}"),
        }
    }
    drop(guard);
    segment.detach().expect("it can leave");
}
