//! Deaths of waiters for parts: waiters that give up, dropped waits, and tasks.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sharehold::ErrorKind;
use sharehold_sweep::{Death, Outcome, Scenario};

use super::LONG;
use super::parts::{NEW, Parts, doing, old_or_new, survivor, usable, victim};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        waits_in_vain(),
        waits_dropped(),
        doing("tasks-in-turn", tasks_in_turn, whole),
    ]
}

fn waits_in_vain() -> Scenario {
    Scenario::new(
        "waits-in-vain",
        |world| {
            let parts = victim(world);
            move || {
                let soon = Duration::from_millis(1);
                let ended = [
                    parts.mutex.lock_timeout(soon).is_ok(),
                    parts.rwlock.read_timeout(soon).is_ok(),
                    parts.rwlock.write_timeout(soon).is_ok(),
                    parts.permits.acquire_timeout(soon).is_ok(),
                    parts.manual.wait_timeout(soon).is_ok(),
                    parts.once.wait_timeout(soon).is_ok(),
                    parts.strict.wait_timeout(soon).is_ok(),
                ];
                assert_eq!(ended, [false; 7], "the survivor has everything");
            }
        },
        |world, victim| {
            let survivor = survivor(world)?;
            let guard = survivor.mutex.lock()?;
            let writer = survivor.rwlock.write()?;
            let permits = survivor.permits.acquire_many(2)?;
            victim.set_up()?.die()?;
            drop((guard, writer, permits));
            usable(&survivor)
        },
    )
}

/// A task that waits for everything is dropped.
fn waits_dropped() -> Scenario {
    Scenario::new(
        "waits-dropped",
        |world| {
            let parts = victim(world);
            let mut waits: Vec<Pin<Box<dyn Future<Output = ()>>>> = vec![
                Box::pin(async { drop(parts.mutex.lock_async().await) }),
                Box::pin(async { drop(parts.rwlock.write_async().await) }),
                Box::pin(async { drop(parts.permits.acquire_async().await) }),
                Box::pin(async { drop(parts.auto.wait_async().await) }),
                Box::pin(async { drop(parts.strict.wait_async().await) }),
            ];
            let mut context = Context::from_waker(Waker::noop());
            let ended = waits.iter_mut().map(|it| it.as_mut().poll(&mut context));
            let ended = ended.filter(Poll::is_ready).count();
            assert_eq!(ended, 0, "the survivor has everything");
            move || drop(waits)
        },
        |world, victim| {
            let survivor = survivor(world)?;
            let guard = survivor.mutex.lock()?;
            let reader = survivor.rwlock.read()?;
            let permits = survivor.permits.acquire_many(2)?;
            victim.set_up()?.die()?;
            // A waiter to write lets readers in, and an arrival is withdrawn or counts as dead.
            drop(survivor.rwlock.read_timeout(LONG)?);
            let met = survivor.strict.wait_timeout(Duration::from_millis(1));
            let kind = met.map(|it| it.is_leader()).map_err(|error| error.kind());
            if ![Err(ErrorKind::Timeout), Err(ErrorKind::Broken), Ok(true)].contains(&kind) {
                return Err(format!("at the barrier: {kind:?}").into());
            }
            drop((guard, reader, permits));
            usable(&survivor)
        },
    )
}

/// Does as a task what nobody is in the way of.
fn tasks_in_turn(parts: &Parts) -> sharehold::Result<()> {
    pollster::block_on(async {
        *parts.mutex.lock_async().await? = NEW;
        let reader = parts.rwlock.read_async().await?;
        *reader.upgrade_async().await? = NEW;
        *parts.rwlock.write_async().await? = NEW;
        drop(parts.permits.acquire_many_async(2).await?);
        parts.auto.set()?;
        parts.auto.wait_async().await?;
        parts.once.get_or_init_async(async || NEW).await?;
        Ok(())
    })
}

fn whole(survivor: &Parts, death: Death) -> Outcome {
    old_or_new(survivor.mutex.get()?, death)?;
    old_or_new(survivor.rwlock.get()?, death)?;
    match survivor.once.get()? {
        Some(NEW) => Ok(()),
        None if !death.completed() => Ok(()),
        other => Err(format!("made is {other:?}").into()),
    }
}
