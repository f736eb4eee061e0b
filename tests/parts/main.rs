//! Parts of a segment among real processes that are stopped and killed: what the dead held comes
//! back, what the living hold stays theirs, and no law is broken meanwhile.

mod deaths;
mod inspection;
mod laws;
mod runners;
mod tasks;
mod uses;

use std::process::ExitCode;
use std::time::Duration;

use sharehold::{
    Barrier, BarrierOptions, DeathPolicy, Event, Mutex, OnceLock, Part, ResetMode, RwLock,
    Semaphore,
};

fn main() -> ExitCode {
    sharehold_testkit::main([
        deaths::suite(),
        inspection::suite(),
        tasks::suite(),
        uses::suite(),
        runners::suite(),
    ])
}

const KEY: &str = "com.example.family";

/// Far more than anything here takes: a hang is a finding, a slow machine is not.
const LONG: Duration = Duration::from_secs(30);
/// Long enough for a process that breaks a rule to be seen doing so.
const SHORT: Duration = Duration::from_millis(50);

/// A value of words that are all the same, so that a mixture shows.
type Value = [u64; 16];

#[derive(Part)]
struct Family {
    mutex: Mutex<Value>,
    inner: Inner,
    once: OnceLock<Value>,
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
    let meeting = |death_policy| BarrierOptions {
        participants: 3,
        death_policy,
    };
    let first = FamilyInit {
        mutex: [0; 16],
        inner: InnerInit {
            rwlock: [0; 16],
            permits: 2,
            manual: ResetMode::Manual,
            auto: ResetMode::Auto,
            strict: meeting(DeathPolicy::BreakRound),
            lenient: meeting(DeathPolicy::RemoveParticipant),
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
