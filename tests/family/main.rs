//! Parts of a segment among real processes that are stopped and killed: what the dead held comes back, what the living hold stays
//! theirs, and no law is broken meanwhile.

mod deaths;
mod laws;
mod seen;
mod tasks;
mod uses;
mod ways;

use std::process::ExitCode;
use std::time::Duration;

use sharehold::{Barrier, Event, Meeting, Mutex, OnDeath, Once, Part, Reset, RwLock, Semaphore};

fn main() -> ExitCode {
    sharehold_testkit::main([
        deaths::suite(),
        seen::suite(),
        tasks::suite(),
        uses::suite(),
        ways::suite(),
    ])
}

const KEY: &str = "com.example.family";

/// Far more than anything here takes: a hang is a finding, a slow machine is not.
const LONG: Duration = Duration::from_secs(30);
/// Long enough for those who would do what they must not to do it.
const SHORT: Duration = Duration::from_millis(50);

/// A value of words that are all the same, so that a mixture shows.
type Value = [u64; 16];

#[derive(Part)]
struct Family {
    mutex: Mutex<Value>,
    inner: Inner,
    once: Once<Value>,
}

#[derive(Part)]
struct Inner {
    rwlock: RwLock<Value>,
    permits: Semaphore,
    manual: Event,
    auto: Event,
    strict: Barrier,
    lenient: Barrier,
}

fn create() -> Family {
    let meeting = |on_death| Meeting {
        participants: 3,
        on_death,
    };
    let first = FamilyFirst {
        mutex: [0; 16],
        inner: InnerFirst {
            rwlock: [0; 16],
            permits: 2,
            manual: Reset::Manual,
            auto: Reset::Auto,
            strict: meeting(OnDeath::Break),
            lenient: meeting(OnDeath::LeaveOut),
        },
        once: (),
    };
    Family::create(KEY, first).expect("nothing has the key")
}

fn attach() -> Family {
    Family::attach(KEY).expect("it is there")
}

/// What all words of a value are.
#[track_caller]
fn whole(value: &Value) -> u64 {
    let other = value.iter().find(|word| **word != value[0]);
    assert_eq!(other, None, "a mixture: {value:?}");
    value[0]
}
