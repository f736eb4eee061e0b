//! The scenarios: what dies, and what a survivor must find.

use crate::words::{Words, ask_three_times};
use sharehold_sweep::{Outcome, Scenario, World};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;
use std::{fs, process, thread};

/// How many bytes [`fill`] writes.
pub(crate) const FILLED: usize = 16;
/// How often [`hot_loop`] goes round.
pub(crate) const ROUNDS: u64 = 5000;

fn words(world: &World) -> Words {
    Words::open(&world.path().join("words"))
}

fn expect(holds: bool, otherwise: &str) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// Two words that must be equal, stored one after the other: between the two instructions they are
/// not.
pub(crate) fn hole() -> Scenario {
    Scenario::new(
        "hole",
        |world| {
            let words = words(world);
            move || words.set_two(0, 1, 7)
        },
        |world, victim| {
            let words = words(world);
            victim.die()?;
            expect(words.get(0) == words.get(1), "the words differ")
        },
    )
}

/// The same, repaired: two words are written where no reader looks, then one store publishes their
/// place.
pub(crate) fn repaired() -> Scenario {
    Scenario::new(
        "repaired",
        |world| {
            let words = words(world);
            move || {
                words.set_two(2, 3, 7);
                words.set(8, 2);
            }
        },
        |world, victim| {
            let words = words(world);
            let death = victim.die()?;
            let place = usize::try_from(words.get(8))?;
            let value = words.get(place);
            expect(value == words.get(place + 1), "the words differ")?;
            expect(
                value == 7 || (value == 0 && !death.completed()),
                "the value is neither old nor new",
            )
        },
    )
}

/// Bytes filled one after the other by a single repeated instruction; notes how many each survivor
/// found.
pub(crate) fn fill(found: &Rc<RefCell<BTreeSet<usize>>>) -> Scenario {
    let found = Rc::clone(found);
    Scenario::new(
        "fill",
        |world| {
            let words = words(world);
            move || words.fill(FILLED)
        },
        move |world, victim| {
            let death = victim.die()?;
            let bytes = fs::read(world.path().join("words"))?;
            let filled = bytes.iter().take_while(|&&byte| byte == 1).count();
            found.borrow_mut().insert(filled);
            expect(
                bytes[filled..].iter().all(|&byte| byte == 0),
                "a byte behind is set",
            )?;
            expect(
                filled == FILLED || !death.completed(),
                "completed, and not all is set",
            )
        },
    )
}

/// Three system calls and no store.
pub(crate) fn system_calls() -> Scenario {
    Scenario::new(
        "system-calls",
        |_| ask_three_times,
        |_, victim| {
            victim.die()?;
            Ok(())
        },
    )
}

/// One word counted up in a loop, so that it tells how far the victim came; notes each point and
/// the count there.
pub(crate) fn hot_loop(found: &Rc<RefCell<Vec<(usize, u64)>>>) -> Scenario {
    let found = Rc::clone(found);
    Scenario::new(
        "hot-loop",
        |world| {
            let words = words(world);
            move || words.count(0, ROUNDS)
        },
        move |world, victim| {
            let death = victim.die()?;
            found
                .borrow_mut()
                .push((death.point(), words(world).get(0)));
            Ok(())
        },
    )
}

/// The survivor stands by before the operation, and looks while the dead one is still a zombie.
pub(crate) fn zombie() -> Scenario {
    Scenario::new(
        "zombie",
        |world| {
            let words = words(world);
            words.set(1, process::id().into());
            move || words.set(0, 7)
        },
        |world, victim| {
            let ready = victim.set_up()?;
            let words = words(world);
            expect(
                words.get(1) == u64::from(ready.pid()),
                "the set-up has not run",
            )?;
            expect(words.get(0) == 0, "the operation has begun")?;
            let zombie = ready.die_unreaped()?;
            let pid = zombie.death().pid();
            let status = format!("/proc/{pid}/status");
            expect(
                fs::read_to_string(&status)?.contains("State:\tZ"),
                "the dead process is no zombie",
            )?;
            zombie.reap()?;
            expect(
                fs::read_to_string(&status).is_err(),
                "the dead process is not reaped",
            )
        },
    )
}

/// Another process of the scenario finds what the victim wrote.
pub(crate) fn helper() -> Scenario {
    Scenario::new(
        "helper",
        |world| {
            let words = words(world);
            move || words.set(0, 7)
        },
        |world, victim| {
            let death = victim.die()?;
            let status = world.helper("reader").status()?;
            expect(
                status.success() || !death.completed(),
                "the helper does not find the value",
            )
        },
    )
    .helper("reader", |world| {
        expect(words(world).get(0) == 7, "no value")
    })
}

/// The operation starts a thread, which dies with the victim.
pub(crate) fn thread() -> Scenario {
    Scenario::new(
        "thread",
        |world| {
            let words = words(world);
            move || {
                let value = thread::spawn(|| 7).join().unwrap_or(0);
                words.set(0, value);
            }
        },
        |world, victim| {
            let death = victim.die()?;
            expect(
                words(world).get(0) == 7 || !death.completed(),
                "completed without a value",
            )
        },
    )
}

/// The operation gets a signal, which it ignores as every Rust program does.
pub(crate) fn signal() -> Scenario {
    Scenario::new(
        "signal",
        |world| {
            let words = words(world);
            let (reader, mut writer) = io::pipe().expect("a pipe can be made");
            drop(reader);
            move || {
                let refused = writer.write_all(b"text").is_err();
                words.set(0, refused.into());
            }
        },
        |world, victim| {
            let death = victim.die()?;
            expect(
                words(world).get(0) == 1 || !death.completed(),
                "the write was not refused",
            )
        },
    )
}

/// Takes another course in every run than in the first pass.
pub(crate) fn fickle() -> Scenario {
    let runs = Cell::new(0_u32);
    Scenario::new(
        "fickle",
        |world| {
            let words = words(world);
            let first = world.path().join("first").exists();
            move || {
                if first {
                    words.count(0, 600);
                } else {
                    words.fill(1200);
                }
            }
        },
        move |world, victim| {
            if runs.replace(runs.get() + 1) == 0 {
                fs::write(world.path().join("first"), "")?;
            }
            victim.die()?;
            Ok(())
        },
    )
}

/// The operation ends the process.
pub(crate) fn exits() -> Scenario {
    Scenario::new(
        "exits",
        |_| || process::exit(3),
        |_, victim| Ok(victim.die().map(drop)?),
    )
}

/// The operation never ends.
pub(crate) fn hangs() -> Scenario {
    Scenario::new(
        "hangs",
        |_| || thread::sleep(Duration::MAX),
        |_, victim| Ok(victim.die().map(drop)?),
    )
    .time_limit(Duration::from_secs(1))
}

/// The survivor forgets to let the victim die.
pub(crate) fn lives() -> Scenario {
    Scenario::new(
        "lives",
        |_| || (),
        |_, victim| Ok(victim.set_up().map(drop)?),
    )
}

/// The survivor panics at what it finds.
pub(crate) fn panics() -> Scenario {
    Scenario::new(
        "panics",
        |_| || (),
        |_, victim| {
            let death = victim.die()?;
            assert!(!death.completed(), "found by a panic");
            Ok(())
        },
    )
}

/// The survivor waits for ever. The limit is for its victim as well, which a busy machine starts
/// slowly.
pub(crate) fn survivor_hangs() -> Scenario {
    Scenario::new(
        "survivor-hangs",
        |_| || (),
        |_, victim| {
            victim.die()?;
            loop {
                thread::park();
            }
        },
    )
    .time_limit(Duration::from_secs(5))
}
