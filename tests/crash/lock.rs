//! Deaths with and around the lock: it comes free, the right one is said to have died, and what was
//! written is reported.

use std::thread;
use std::time::Duration;

use sharehold::{LockError, Segment};
use sharehold_sweep::{Outcome, Scenario};

use super::{LONG, attach, create, lock_after, usable_by_a_new_one};

const OLD: [u64; 2] = [1, 2];
const NEW: [u64; 2] = [3, 4];

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        lock_write_unlock(),
        try_lock_unlock(),
        wait_in_vain(),
        unlock_while_another_waits(),
        take_over(),
    ]
}

fn lock_write_unlock() -> Scenario {
    Scenario::new(
        "lock-write-unlock",
        |world| {
            let segment = attach(world).expect("the survivor created it");
            move || write(&segment)
        },
        |world, victim| {
            let survivor = create(world, 100)?;
            survivor
                .lock()
                .map_err(sharehold::Error::from)?
                .write_at(0, &OLD)?;
            let death = victim.die()?;
            let (bytes, abandoned) = lock_after(&survivor, death)?;
            let found: [u64; 2] = bytes.read_at(0)?;
            let whole = if death.completed() {
                found == NEW
            } else {
                found == OLD || found == NEW
            };
            if !whole && !abandoned {
                return Err(format!("half a write, {found:?}, and nobody is told").into());
            }
            drop(bytes);
            usable_by_a_new_one(world)
        },
    )
}

fn try_lock_unlock() -> Scenario {
    Scenario::new(
        "try-lock-unlock",
        |world| {
            let segment = attach(world).expect("the survivor created it");
            move || drop(segment.try_lock().expect("nobody holds it"))
        },
        |world, victim| {
            let survivor = create(world, 100)?;
            let death = victim.die()?;
            drop(lock_after(&survivor, death)?);
            usable_by_a_new_one(world)
        },
    )
}

fn wait_in_vain() -> Scenario {
    Scenario::new(
        "wait-in-vain",
        |world| {
            let segment = attach(world).expect("the survivor created it");
            let soon = Duration::from_millis(1);
            move || assert!(segment.lock_timeout(soon).is_err(), "the survivor holds it")
        },
        |world, victim| {
            let survivor = create(world, 100)?;
            let guard = survivor.lock().map_err(sharehold::Error::from)?;
            victim.die()?;
            drop(guard);
            usable_by_a_new_one(world)
        },
    )
}

fn unlock_while_another_waits() -> Scenario {
    Scenario::new(
        "unlock-while-another-waits",
        |world| {
            let segment: &'static Segment = Box::leak(Box::new(attach(world).expect("created")));
            let guard = segment.lock().expect("nobody holds it");
            move || drop(guard)
        },
        |world, victim| {
            let survivor = create(world, 100)?;
            let ready = victim.set_up()?;
            thread::scope(|scope| -> Outcome {
                let waiter = scope.spawn(|| match survivor.lock_timeout(LONG) {
                    Ok(_) => Ok(()),
                    Err(LockError::Abandoned(found)) => {
                        drop(found.mark_consistent());
                        Ok(())
                    }
                    Err(error) => Err(error.to_string()),
                });
                ready.die()?;
                waiter.join().map_err(|_| "the waiter panicked")??;
                Ok(())
            })?;
            usable_by_a_new_one(world)
        },
    )
}

fn take_over() -> Scenario {
    Scenario::new(
        "take-over",
        |world| {
            let segment = attach(world).expect("the survivor created it");
            move || take(&segment)
        },
        |world, victim| {
            let survivor = Segment::options()
                .size(100)
                .slots(3)
                .create(&super::key(world))?;
            let left = world.helper("holder").status()?;
            if left.success() {
                return Err("the helper did not die".into());
            }
            let ready = victim.set_up()?;
            let death = ready.die()?;
            let guard = match survivor.lock_timeout(LONG) {
                // Only the victim can have vouched for the data.
                Ok(guard) => guard,
                Err(LockError::Abandoned(found)) if !death.completed() => found.mark_consistent(),
                Err(error) => return Err(format!("the lock was not had: {error}").into()),
            };
            drop(guard);
            usable_by_a_new_one(world)
        },
    )
    .helper("holder", |world| {
        let segment = attach(world)?;
        let _guard = segment.lock().map_err(sharehold::Error::from)?;
        std::process::abort()
    })
}

fn write(segment: &Segment) -> sharehold::Result<()> {
    let mut bytes = segment.lock()?;
    bytes.write_at(0, &NEW)
}

fn take(segment: &Segment) {
    match segment.lock() {
        Err(LockError::Abandoned(found)) => drop(found.mark_consistent()),
        other => panic!("the dead holder is not reported: {other:?}"),
    }
}
