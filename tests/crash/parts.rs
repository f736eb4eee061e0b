//! Deaths in and around the parts of a segment: a living process gets in, finds old or new values,
//! and gets back what the dead process had.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sharehold::{
    Attachment, Barrier, BarrierOptions, DeathPolicy, ErrorKind, Event, Mutex, OnceLock, Part,
    ResetMode, RwLock, Segment, Semaphore, UntypedGuarded, UntypedParts,
};
use sharehold_sweep::{Death, Outcome, Scenario, World};

use super::value::sleeps;
use super::{LONG, key};

pub(super) type Value = [u64; 8];

const OLD: Value = [1; 8];
pub(super) const NEW: Value = [2; 8];

#[derive(Part)]
pub(super) struct Parts {
    pub(super) mutex: Mutex<Value>,
    pub(super) rwlock: RwLock<Value>,
    pub(super) permits: Semaphore,
    pub(super) manual: Event,
    pub(super) auto: Event,
    pub(super) once: OnceLock<Value>,
    pub(super) strict: Barrier,
    pub(super) lenient: Barrier,
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        create(),
        mutex_change(),
        mutex_change_beside_a_waiter(),
        untyped_change("mutex-change-untyped", "mutex", |parts| parts.mutex.get()),
        untyped_change("rwlock-write-untyped", "rwlock", |parts| parts.rwlock.get()),
        untyped_change("once-init-untyped", "once", |parts| {
            Ok(parts.once.get()?.unwrap_or(OLD))
        }),
        rwlock_read(),
        rwlock_write(),
        rwlock_write_beside_a_reader(),
        rwlock_upgrade_downgrade(),
        semaphore_acquire_release(),
        semaphore_release_beside_a_waiter(),
        event_set_beside_a_waiter("event-set-beside-a-waiter", |parts| &parts.manual),
        event_set_beside_a_waiter("event-auto-set-beside-a-waiter", |parts| &parts.auto),
        event_take(),
        once_init(),
        barrier_meet("barrier-meet-strict", |parts| &parts.strict),
        barrier_meet("barrier-meet-lenient", |parts| &parts.lenient),
        barrier_bury(),
    ]
}

fn first() -> PartsInit {
    let meeting = |death_policy| BarrierOptions {
        participants: 2,
        death_policy,
    };
    PartsInit {
        mutex: OLD,
        rwlock: OLD,
        permits: 2,
        manual: ResetMode::Manual,
        auto: ResetMode::Auto,
        once: (),
        strict: meeting(DeathPolicy::BreakRound),
        lenient: meeting(DeathPolicy::RemoveParticipant),
    }
}

/// Two slots more than are used at once are missed if a death does not give its own back.
pub(super) fn survivor(world: &World) -> sharehold::Result<Parts> {
    Segment::options()
        .slots(3)
        .create_part(&key(world), first())
}

pub(super) fn victim(world: &World) -> &'static Parts {
    let parts = Parts::attach(&key(world)).expect("the survivor created it");
    Box::leak(Box::new(parts))
}

/// A scenario of a victim that does something with its parts, and a survivor that then finds them
/// in order.
pub(super) fn doing(
    name: &str,
    deed: fn(&Parts) -> sharehold::Result<()>,
    check: fn(&Parts, Death) -> Outcome,
) -> Scenario {
    Scenario::new(
        name,
        move |world| {
            let parts = victim(world);
            move || deed(parts).expect("nothing is in its way")
        },
        move |world, victim| {
            let survivor = survivor(world)?;
            let death = victim.die()?;
            check(&survivor, death)?;
            usable(&survivor)
        },
    )
}

/// The same beside a thread of the survivor that waits already.
fn beside<R: Send + 'static>(
    name: &str,
    prepare: impl Fn(&'static Parts) -> Box<dyn FnOnce()> + 'static,
    wait: impl Fn(&Parts) -> sharehold::Result<R> + Send + Sync + Copy + 'static,
    check: impl Fn(&Parts, Death, &mut dyn FnMut() -> Result<R, String>) -> Outcome + 'static,
) -> Scenario {
    Scenario::new(
        name,
        move |world| prepare(victim(world)),
        move |world, victim| {
            let survivor = survivor(world)?;
            let ready = victim.set_up()?;
            thread::scope(|scope| -> Outcome {
                let (say, said) = mpsc::channel();
                let parts = &survivor;
                let waiter = scope.spawn(move || {
                    let own = std::fs::read_link("/proc/thread-self").unwrap_or_default();
                    let _ = say.send(own);
                    wait(parts)
                });
                sleeps(&said.recv()?);
                let death = ready.die()?;
                let mut waiter = Some(waiter);
                check(&survivor, death, &mut || {
                    let waiter = waiter.take().ok_or("it was asked already")?;
                    let end = waiter.join().map_err(|_| "the waiter panicked")?;
                    end.map_err(|error| format!("the waiter was left behind: {error}"))
                })
            })?;
            usable(&survivor)
        },
    )
}

/// Checks that everything can be used as if nothing had happened, by this process and by one that
/// comes now.
pub(super) fn usable(parts: &Parts) -> Outcome {
    let other = Parts::attach(parts.mutex.segment().key())?;
    for parts in [parts, &other] {
        *parts.mutex.lock_timeout(LONG)? = [8; 8];
        *parts.rwlock.write_timeout(LONG)? = [9; 8];
        if parts.mutex.get()? != [8; 8] || *parts.rwlock.read_timeout(LONG)? != [9; 8] {
            return Err("a change did not change it".into());
        }
        drop(parts.permits.acquire_many_timeout(2, LONG)?);
        parts.once.get_or_init(|| NEW)?;
        for event in [&parts.manual, &parts.auto] {
            event.set()?;
            event.wait_timeout(LONG)?;
            event.reset()?;
        }
    }
    drop(other);
    let attached = parts.mutex.segment().attachments()?.len();
    if attached != 1 {
        return Err(format!("{attached} are attached").into());
    }
    Ok(())
}

pub(super) fn old_or_new(found: Value, death: Death) -> Outcome {
    let allowed: &[Value] = if death.completed() {
        &[NEW]
    } else {
        &[OLD, NEW]
    };
    if allowed.contains(&found) {
        Ok(())
    } else {
        Err(format!("a mixture, or too old: {found:?}").into())
    }
}

fn is_culprit(found: Option<&Attachment>, death: Death) -> Outcome {
    match found {
        Some(dead) if dead.pid != death.pid() => {
            Err(format!("the wrong one is said to have died: {dead:?}").into())
        }
        _ => Ok(()),
    }
}

fn create() -> Scenario {
    Scenario::new(
        "create-parts",
        |world| {
            let key = key(world);
            let options = Segment::options().policy(sharehold::Policy::Persistent);
            move || options.create_part::<Parts>(&key, first())
        },
        |world, victim| {
            let death = victim.die()?;
            let key = key(world);
            if Segment::exists(&key)? {
                let parts = Parts::attach(&key)?;
                if parts.mutex.get()? != OLD || parts.once.get()?.is_some() {
                    return Err("what they begin with is not there".into());
                }
                usable(&parts)?;
                Segment::destroy(&key, sharehold::DestroyMode::Immediate)?;
            } else if death.completed() {
                return Err("created parts are not there".into());
            }
            super::nothing_left(world)
        },
    )
}

fn mutex_change() -> Scenario {
    doing(
        "mutex-change",
        |parts| {
            *parts.mutex.lock()? = NEW;
            Ok(())
        },
        |parts, death| {
            old_or_new(parts.mutex.get()?, death)?;
            let guard = parts.mutex.lock_timeout(LONG)?;
            is_culprit(guard.recovered_from(), death)?;
            old_or_new(*guard, death)
        },
    )
}

/// By a program that does not have the type.
fn untyped_change(
    name: &str,
    path: &'static str,
    get: fn(&Parts) -> sharehold::Result<Value>,
) -> Scenario {
    Scenario::new(
        name,
        move |world| {
            let parts = UntypedParts::attach(&key(world)).expect("the survivor created it");
            let guarded = parts.guarded(path).expect("it guards a value");
            let guarded: &UntypedGuarded = Box::leak(Box::new(guarded));
            move || {
                let change = |bytes: &mut [u8]| {
                    for (to, word) in bytes.chunks_mut(size_of::<u64>()).zip(NEW) {
                        to.copy_from_slice(&word.to_ne_bytes());
                    }
                };
                guarded.update(change).expect("nothing is in its way");
            }
        },
        move |world, victim| {
            let survivor = survivor(world)?;
            let death = victim.die()?;
            old_or_new(get(&survivor)?, death)?;
            usable(&survivor)
        },
    )
}

fn mutex_change_beside_a_waiter() -> Scenario {
    beside(
        "mutex-change-beside-a-waiter",
        |parts| {
            let mut guard = parts.mutex.lock().expect("nobody holds it");
            Box::new(move || {
                *guard = NEW;
                drop(guard);
            })
        },
        |parts| Ok(*parts.mutex.lock_timeout(LONG)?),
        |_, death, waiter| old_or_new(waiter()?, death),
    )
}

fn rwlock_read() -> Scenario {
    doing(
        "rwlock-read",
        |parts| parts.rwlock.read().map(drop),
        |parts, _| {
            drop(parts.rwlock.write_timeout(LONG)?);
            Ok(())
        },
    )
}

fn rwlock_write() -> Scenario {
    doing(
        "rwlock-write",
        |parts| {
            *parts.rwlock.write()? = NEW;
            Ok(())
        },
        |parts, death| {
            old_or_new(parts.rwlock.get()?, death)?;
            let guard = parts.rwlock.read_timeout(LONG)?;
            is_culprit(guard.recovered_from(), death)?;
            old_or_new(*guard, death)
        },
    )
}

fn rwlock_write_beside_a_reader() -> Scenario {
    beside(
        "rwlock-write-beside-a-reader",
        |parts| {
            let mut guard = parts.rwlock.write().expect("nobody is inside");
            Box::new(move || {
                *guard = NEW;
                drop(guard);
            })
        },
        |parts| Ok(*parts.rwlock.read_timeout(LONG)?),
        |_, death, waiter| old_or_new(waiter()?, death),
    )
}

fn rwlock_upgrade_downgrade() -> Scenario {
    doing(
        "rwlock-upgrade-downgrade",
        |parts| {
            let reader = parts.rwlock.read()?;
            let mut writer = reader.upgrade()?;
            *writer = NEW;
            drop(writer.downgrade()?);
            Ok(())
        },
        |parts, death| {
            let guard = parts.rwlock.write_timeout(LONG)?;
            is_culprit(guard.recovered_from(), death)?;
            old_or_new(*guard, death)
        },
    )
}

fn semaphore_acquire_release() -> Scenario {
    doing(
        "semaphore-acquire-release",
        |parts| parts.permits.acquire_many(2).map(drop),
        |parts, _| {
            drop(parts.permits.acquire_many_timeout(2, LONG)?);
            match parts.permits.available()? {
                2 => Ok(()),
                other => Err(format!("{other} of 2 permits are there").into()),
            }
        },
    )
}

fn semaphore_release_beside_a_waiter() -> Scenario {
    beside(
        "semaphore-release-beside-a-waiter",
        |parts| {
            let permit = parts.permits.acquire_many(2).expect("nobody has any");
            Box::new(move || drop(permit))
        },
        |parts| parts.permits.acquire_many_timeout(2, LONG).map(drop),
        |_, _, waiter| Ok(waiter()?),
    )
}

fn event_set_beside_a_waiter(
    name: &str,
    which: impl Fn(&Parts) -> &Event + Send + Sync + Copy + 'static,
) -> Scenario {
    beside(
        name,
        move |parts| Box::new(move || which(parts).set().expect("it is no fork")),
        // Without a limit, because a waiter looks once more at the end of a limit. A waiter that is
        // left asleep then shows as a hang.
        move |parts| which(parts).wait(),
        move |parts, death, waiter| {
            if !death.completed() {
                // Where the dead one has set it, the waiter may have taken it by now.
                which(parts).set()?;
            }
            waiter()?;
            Ok(which(parts).reset()?)
        },
    )
    .time_limit(LONG)
}

/// A victim takes an event, or waits for it; the survivor sets it after that.
fn event_take() -> Scenario {
    doing(
        "event-take",
        |parts| {
            parts.auto.set()?;
            parts.auto.wait()?;
            // It sleeps, and gives up.
            let waited = parts.auto.wait_timeout(Duration::from_millis(1));
            assert!(waited.is_err(), "it was taken");
            Ok(())
        },
        |parts, death| {
            if death.completed() && parts.auto.is_set()? {
                return Err("it was taken and is still set".into());
            }
            parts.auto.set()?;
            parts.auto.wait_timeout(LONG)?;
            Ok(())
        },
    )
}

fn once_init() -> Scenario {
    doing(
        "once-init",
        |parts| parts.once.get_or_init(|| NEW).map(drop),
        |parts, death| {
            let found = parts.once.get()?;
            if death.completed() && found != Some(NEW) {
                return Err(format!("it was made, and is {found:?}").into());
            }
            let made = parts.once.get_or_init(|| [7; 8])?;
            match found {
                Some(found) if found != made => Err("it was made twice".into()),
                _ if made == NEW || made == [7; 8] => Ok(()),
                _ => Err(format!("a mixture: {made:?}").into()),
            }
        },
    )
}

/// The victim arrives where the survivor waits already.
fn barrier_meet(
    name: &str,
    which: impl Fn(&Parts) -> &Barrier + Send + Sync + Copy + 'static,
) -> Scenario {
    beside(
        name,
        move |parts| {
            Box::new(move || {
                which(parts).wait().expect("the other one lives");
            })
        },
        move |parts| meets(which(parts)),
        move |parts, death, waiter| after_a_meeting(which(parts), death, waiter),
    )
}

/// What came of waiting: met, or broken.
fn meets(barrier: &Barrier) -> sharehold::Result<bool> {
    match barrier.wait_timeout(LONG) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Broken => Ok(false),
        Err(error) => Err(error),
    }
}

fn after_a_meeting(
    barrier: &Barrier,
    death: Death,
    waiter: &mut dyn FnMut() -> Result<bool, String>,
) -> Outcome {
    if death.completed() {
        return if waiter()? {
            Ok(())
        } else {
            Err("it arrived, and was not met".into())
        };
    }
    // One that died before it arrived is known to nobody: this one comes in its place, unless the
    // round is over.
    match barrier.wait_timeout(Duration::from_millis(100)) {
        Err(error) if !matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Broken) => {
            return Err(error.into());
        }
        _ => {}
    }
    waiter()?;
    Ok(())
}

/// The victim finds a dead participant, and leaves it out.
fn barrier_bury() -> Scenario {
    Scenario::new(
        "barrier-leave-out",
        |world| {
            let parts = victim(world);
            move || parts.lenient.wait().expect("the other one is dead")
        },
        |world, victim| {
            let survivor = survivor(world)?;
            if world.helper("participant").status()?.success() {
                return Err("the helper did not die".into());
            }
            victim.die()?;
            // One is left out and this one comes, or both are.
            if !meets(&survivor.lenient)? {
                return Err("it is broken".into());
            }
            usable(&survivor)
        },
    )
    .helper("participant", |world| {
        let parts = Parts::attach(&key(world))?;
        // It takes part, and dies while it waits.
        thread::scope(|scope| {
            let (say, said) = mpsc::channel();
            let parts = &parts;
            scope.spawn(move || {
                let own = std::fs::read_link("/proc/thread-self").unwrap_or_default();
                let _ = say.send(own);
                parts.lenient.wait()
            });
            sleeps(&said.recv()?);
            std::process::abort()
        })
    })
}
