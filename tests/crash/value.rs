//! Deaths in changes of a typed value: it is the old one or the new one, whatever its size, and
//! nobody has to repair it.

use std::thread;

use sharehold::{DestroyMode, ErrorKind, Policy, Segment, Shared, UntypedShared};
use sharehold_sweep::{Outcome, Scenario, Victim, World};

use super::{LONG, key, nothing_left};

/// A value of `N` words that are all the same, so that a mixture shows.
type Uniform<const N: usize> = [u64; N];

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        set::<1>("set-8"),
        set::<8>("set-64"),
        set::<512>("set-4096"),
        // Every store of this many would take minutes: those to the head and the first words, and a
        // sample.
        set::<8192>("set-65536").watched(20 * 1024),
        update::<1>("update-8"),
        update::<8>("update-64"),
        update::<512>("update-4096"),
        update_any::<8>("update-any-64"),
        compare_exchange::<8>("compare-exchange-64"),
        first::<8>("first-value-64"),
        update_after_a_death(),
        set_while_another_waits(),
        wait_for_a_change(),
        migrate(),
    ]
}

/// The value of one word becomes one of two.
fn to_two_words(key: &str) -> sharehold::Result<Shared<[u64; 2]>> {
    Segment::options().migrate_shared(key, |old| {
        let first = old.bytes().first_chunk().copied().map(u64::from_ne_bytes);
        Ok([first.unwrap_or(0), 7])
    })
}

/// A victim migrates a value that the survivor uses and waits for.
fn migrate() -> Scenario {
    Scenario::new(
        "migrate",
        |world| {
            let key = key(world);
            move || to_two_words(&key)
        },
        |world, victim| {
            let key = key(world);
            let options = Segment::options().policy(Policy::Persistent);
            let old = options.create_shared(&key, &[1_u64])?;
            thread::scope(|scope| {
                let waits = scope.spawn(|| old.wait_while_timeout(LONG, |it| *it != [2]));
                let death = victim.die()?;
                let set = old.set(&[2]).map_err(|error| error.kind());
                let waited = waits.join().map_err(|_| "the waiter panicked")?;
                let waited = waited.map_err(|error| error.kind());
                let first = match (set, waited) {
                    (Ok(()), _) if death.completed() => {
                        return Err("nobody is told of a migration".into());
                    }
                    (Ok(()), Ok([2])) => {
                        // All of them have the old one, and it can be migrated still.
                        if Shared::<[u64; 1]>::attach(&key)?.get()? != [2] {
                            return Err("two segments have one key".into());
                        }
                        drop(to_two_words(&key)?);
                        2
                    }
                    (Err(ErrorKind::Migrated), Err(ErrorKind::Migrated)) => 1,
                    other => return Err(format!("not all are told the same: {other:?}").into()),
                };
                if old.set(&[3]).map_err(|error| error.kind()) != Err(ErrorKind::Migrated) {
                    return Err("a change was made that nobody will see".into());
                }
                if Shared::<[u64; 2]>::attach(&key)?.get()? != [first, 7] {
                    return Err("the new value is not made of the old one".into());
                }
                Ok::<(), Box<dyn std::error::Error>>(())
            })?;
            drop(old);
            Segment::destroy(&key, DestroyMode::Immediate)?;
            nothing_left(world)
        },
    )
}

fn set<const N: usize>(name: &str) -> Scenario {
    changing::<N>(name, |value| value.set(&[2; N]))
}

fn update<const N: usize>(name: &str) -> Scenario {
    changing::<N>(name, |value| {
        value.update(|it| it.iter_mut().for_each(|word| *word += 1))
    })
}

fn compare_exchange<const N: usize>(name: &str) -> Scenario {
    changing::<N>(name, |value| {
        let exchanged = value.compare_exchange(&[1; N], &[2; N])?;
        assert!(exchanged.is_ok(), "it was another value");
        Ok(())
    })
}

/// A victim changes the value from 1 to 2.
fn changing<const N: usize>(
    name: &str,
    change: impl Fn(&Shared<Uniform<N>>) -> sharehold::Result<()> + Copy + 'static,
) -> Scenario {
    Scenario::new(
        name,
        move |world| {
            let value = Shared::attach(&key(world)).expect("the survivor created it");
            move || change(&value)
        },
        old_or_new::<N>,
    )
}

/// A victim that does not have the type changes the value from 1 to 2.
fn update_any<const N: usize>(name: &str) -> Scenario {
    Scenario::new(
        name,
        move |world| {
            let value = UntypedShared::attach(&key(world)).expect("the survivor created it");
            move || {
                value.update(|bytes| {
                    for word in bytes.as_chunks_mut().0 {
                        *word = (u64::from_ne_bytes(*word) + 1).to_ne_bytes();
                    }
                })
            }
        },
        old_or_new::<N>,
    )
}

fn old_or_new<const N: usize>(world: &World, victim: Victim<'_>) -> Outcome {
    let survivor = Shared::create(&key(world), &[1; N])?;
    let reader = Shared::<Uniform<N>>::attach_read_only(&key(world))?;
    let death = victim.die()?;
    let found = survivor.get()?;
    if reader.get()? != found {
        return Err("two readers see two values".into());
    }
    let allowed: &[u64] = if death.completed() { &[2] } else { &[1, 2] };
    if !allowed.iter().any(|&word| found == [word; N]) {
        return Err(format!("a mixture: {found:?}").into());
    }
    changeable(&survivor)
}

/// Checks that the value can be changed as if nothing had happened.
fn changeable<const N: usize>(value: &Shared<Uniform<N>>) -> Outcome {
    value.update(|it| *it = [9; N])?;
    if value.get()? != [9; N] {
        return Err("a change did not change it".into());
    }
    Ok(())
}

/// No process sees the segment before it has its initial value.
fn first<const N: usize>(name: &str) -> Scenario {
    Scenario::new(
        name,
        |world| {
            let key = key(world);
            let options = Segment::options().policy(Policy::Persistent);
            move || options.create_shared(&key, &[1_u64; N])
        },
        |world: &World, victim: Victim<'_>| {
            let death = victim.die()?;
            let key = key(world);
            if Segment::exists(&key)? {
                let value = Shared::<Uniform<N>>::attach(&key)?;
                if value.get()? != [1; N] {
                    return Err("the first value is not there".into());
                }
                changeable(&value)?;
                Segment::destroy(&key, DestroyMode::Immediate)?;
            } else if death.completed() {
                return Err("a created value is not there".into());
            }
            nothing_left(world)
        },
    )
}

/// A victim makes a change after another one died in the middle of one.
fn update_after_a_death() -> Scenario {
    changing_after_a_death("update-after-a-death").helper("changer", |world| {
        let value: Shared<Uniform<8>> = Shared::attach(&key(world))?;
        value.update(|it| {
            it[0] = 7;
            std::process::abort()
        })?;
        Ok(())
    })
}

fn changing_after_a_death(name: &str) -> Scenario {
    Scenario::new(
        name,
        |world| {
            let value: Shared<Uniform<8>> = Shared::attach(&key(world)).expect("created");
            move || value.set(&[2; 8])
        },
        |world, victim| {
            let survivor = Shared::create(&key(world), &[1; 8])?;
            if world.helper("changer").status()?.success() {
                return Err("the helper did not die".into());
            }
            let death = victim.die()?;
            let found = survivor.get()?;
            if found != [2; 8] && (found != [1; 8] || death.completed()) {
                return Err(format!("a mixture: {found:?}").into());
            }
            changeable(&survivor)
        },
    )
}

/// A victim changes the value while the survivor sleeps until it is changed.
fn set_while_another_waits() -> Scenario {
    Scenario::new(
        "set-while-another-waits",
        |world| {
            let value: Shared<Uniform<8>> = Shared::attach(&key(world)).expect("created");
            move || value.set(&[2; 8])
        },
        |world, victim| {
            let survivor = Shared::create(&key(world), &[1; 8])?;
            let ready = victim.set_up()?;
            thread::scope(|scope| -> Outcome {
                let (say, said) = std::sync::mpsc::channel();
                let survivor = &survivor;
                let waiter = scope.spawn(move || {
                    let own = std::fs::read_link("/proc/thread-self").unwrap_or_default();
                    let _ = say.send(own);
                    // Without a limit, because a waiter looks once more at the end of a limit. A
                    // waiter that is left asleep then shows as a hang.
                    survivor.wait_while(|it| *it == [1; 8])
                });
                let thread = said.recv()?;
                sleeps(&thread);
                ready.die()?;
                let found = survivor.get()?;
                if found == [1; 8] {
                    // The dead one did not change it. Nobody else wakes the waiter.
                    survivor.set(&[2; 8])?;
                }
                match waiter.join().map_err(|_| "the waiter panicked")? {
                    Ok(seen) if seen == [2; 8] => Ok(()),
                    Ok(seen) => Err(format!("a mixture: {seen:?}").into()),
                    Err(error) => Err(format!("the change was missed: {error}").into()),
                }
            })?;
            changeable(&survivor)
        },
    )
    .time_limit(LONG)
}

/// Waits until a thread of this process sleeps on a word of memory.
pub(super) fn sleeps(thread: &std::path::Path) {
    let call = std::path::Path::new("/proc").join(thread).join("syscall");
    let futex = format!("{} ", libc::SYS_futex);
    while !std::fs::read_to_string(&call).is_ok_and(|call| call.starts_with(&futex)) {
        thread::yield_now();
    }
}

/// A victim waits for a change that the survivor makes after its death.
fn wait_for_a_change() -> Scenario {
    Scenario::new(
        "wait-for-a-change",
        |world| {
            let value: Shared<Uniform<8>> = Shared::attach(&key(world)).expect("created");
            move || {
                let limit = std::time::Duration::from_millis(1);
                value.wait_while_timeout(limit, |it| *it == [1; 8]).is_err()
            }
        },
        |world, victim| {
            let survivor = Shared::create(&key(world), &[1; 8])?;
            victim.die()?;
            if survivor.get()? != [1; 8] {
                return Err("a waiter changed the value".into());
            }
            changeable(&survivor)
        },
    )
}
