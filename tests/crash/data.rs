//! Deaths in transactions and in their recovery: the data are old or new, and nobody has anything
//! to repair.

use sharehold::{Segment, Transaction};
use sharehold_sweep::{Death, Outcome, Scenario};

use super::{LONG, attach, create, usable_by_a_new_one};

/// Three places far apart, one of them not aligned.
const PLACES: [usize; 3] = [0, 1003, 4090];
const OLD: [u64; 3] = [1, 2, 3];
const NEW: [u64; 3] = [4, 5, 6];

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![transaction(), transaction_refused(), roll_back()]
}

fn transaction() -> Scenario {
    Scenario::new(
        "transaction",
        |world| {
            let segment = attach(world).expect("the survivor created it");
            move || segment.transaction(|tx| write(tx, NEW))
        },
        |world, victim| {
            let survivor = create(world, 5000)?;
            survivor.transaction(|tx| write(tx, OLD))?;
            let death = victim.die()?;
            check(&survivor, death)?;
            usable_by_a_new_one(world)
        },
    )
}

fn transaction_refused() -> Scenario {
    Scenario::new(
        "transaction-refused",
        |world| {
            let segment = attach(world).expect("the survivor created it");
            move || {
                let full = segment.transaction(|tx| {
                    write(tx, NEW)?;
                    tx.write(0, &[9; 1024])
                });
                assert!(full.is_err(), "the log is smaller than that");
            }
        },
        |world, victim| {
            let survivor = create(world, 5000)?;
            survivor.transaction(|tx| write(tx, OLD))?;
            victim.die()?;
            expect(&survivor, &[OLD])
        },
    )
}

fn roll_back() -> Scenario {
    Scenario::new(
        "roll-back",
        |world| {
            let segment = attach(world).expect("the survivor created it");
            move || segment.transaction(|_| Ok::<(), sharehold::Error>(()))
        },
        |world, victim| {
            let survivor = Segment::options()
                .size(5000)
                .slots(3)
                .log(1024)
                .create(&super::key(world))?;
            survivor.transaction(|tx| write(tx, OLD))?;
            let left = world.helper("writer").status()?;
            if left.success() {
                return Err("the helper did not die".into());
            }
            victim.die()?;
            expect(&survivor, &[OLD])?;
            usable_by_a_new_one(world)
        },
    )
    .helper("writer", |world| {
        let segment = attach(world)?;
        segment.transaction(|tx| {
            write(tx, NEW)?;
            write(tx, [7, 8, 9])?;
            std::process::abort()
        })
    })
}

fn write(tx: &mut Transaction<'_>, values: [u64; 3]) -> sharehold::Result<()> {
    for (place, value) in PLACES.into_iter().zip(values) {
        tx.write_at(place, &value)?;
    }
    Ok(())
}

fn check(survivor: &Segment, death: Death) -> Outcome {
    expect(
        survivor,
        if death.completed() {
            &[NEW]
        } else {
            &[OLD, NEW]
        },
    )
}

/// Checks that the lock is had, that there is nothing to repair, and that the values are one of the
/// given ones.
fn expect(survivor: &Segment, allowed: &[[u64; 3]]) -> Outcome {
    let bytes = survivor
        .lock_timeout(LONG)
        .map_err(sharehold::Error::from)?;
    let mut found = [0; 3];
    for (place, value) in PLACES.into_iter().zip(&mut found) {
        *value = bytes.read_at(place)?;
    }
    if allowed.contains(&found) {
        Ok(())
    } else {
        Err(format!("a mixture: {found:?}").into())
    }
}
