//! Deaths in create, attach, grow, detach and destroy: the segment is there whole or not at all,
//! and nothing is left over.

use sharehold::{DestroyMode, Policy, Segment};
use sharehold_sweep::{Outcome, Scenario, World};

use super::{
    attach as attach_to, create as create_in, key, lock_after, nothing_left, usable_by_a_new_one,
};

const FIRST: [u8; 100] = [7; 100];

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        create(),
        create_persistent(),
        create_over_stale(),
        attach(),
        attach_read_only(),
        detach(),
        detach_last(),
        detach_last_reader(),
        grow(),
        destroy(),
    ]
}

fn create() -> Scenario {
    Scenario::new(
        "create",
        |world| {
            let key = key(world);
            move || Segment::options().size(100).create(&key)
        },
        |world, victim| {
            victim.die()?;
            nothing_left(world)
        },
    )
}

fn create_persistent() -> Scenario {
    Scenario::new(
        "create-persistent",
        |world| {
            let key = key(world);
            let options = Segment::options().size(100).policy(Policy::Persistent);
            move || options.create_with(&key, |bytes| bytes.write(0, &FIRST))
        },
        |world, victim| {
            let death = victim.die()?;
            let key = key(world);
            if Segment::exists(&key)? {
                let segment = attach_to(world)?;
                let (bytes, _) = lock_after(&segment, death)?;
                if bytes.read_at::<[u8; 100]>(0)? != FIRST {
                    return Err("a half-made segment is visible".into());
                }
                drop(bytes);
                drop(segment);
                Segment::destroy(&key, DestroyMode::Immediate)?;
            } else if death.completed() {
                return Err("a created segment is not there".into());
            }
            nothing_left(world)
        },
    )
}

fn create_over_stale() -> Scenario {
    Scenario::new(
        "create-over-stale",
        |world| {
            let key = key(world);
            move || Segment::create(&key, 100)
        },
        |world, victim| {
            let ready = victim.set_up()?;
            let left = world.helper("leaver").status()?;
            if left.success() {
                return Err("the helper did not die".into());
            }
            ready.die()?;
            nothing_left(world)
        },
    )
    .helper("leaver", |world| {
        let _segment = create_in(world, 100)?;
        std::process::abort()
    })
}

fn attach() -> Scenario {
    Scenario::new(
        "attach",
        |world| {
            let key = key(world);
            move || Segment::attach(&key)
        },
        |world, victim| {
            let survivor = create_in(world, 100)?;
            victim.die()?;
            alone(world, survivor)
        },
    )
}

fn attach_read_only() -> Scenario {
    Scenario::new(
        "attach-read-only",
        |world| {
            let key = key(world);
            move || Segment::attach_read_only(&key)
        },
        |world, victim| {
            let survivor = create_in(world, 100)?;
            victim.die()?;
            alone(world, survivor)
        },
    )
}

fn detach() -> Scenario {
    Scenario::new(
        "detach",
        |world| {
            let segment = attach_to(world).expect("the survivor created it");
            move || segment.detach()
        },
        |world, victim| {
            let survivor = create_in(world, 100)?;
            victim.die()?;
            alone(world, survivor)
        },
    )
}

fn detach_last() -> Scenario {
    Scenario::new(
        "detach-last",
        |world| {
            let segment = create_in(world, 100).expect("the key is free");
            move || segment.detach()
        },
        |world, victim| {
            victim.die()?;
            nothing_left(world)
        },
    )
}

fn detach_last_reader() -> Scenario {
    Scenario::new(
        "detach-last-reader",
        |world| {
            let segment = Segment::attach_read_only(&key(world)).expect("the survivor created it");
            move || drop(segment)
        },
        |world, victim| {
            let survivor = create_in(world, 100)?;
            let ready = victim.set_up()?;
            survivor.detach()?;
            ready.die()?;
            nothing_left(world)
        },
    )
}

fn grow() -> Scenario {
    Scenario::new(
        "grow",
        |world| {
            let segment = attach_to(world).expect("the survivor created it");
            move || segment.grow(100_000)
        },
        |world, victim| {
            let survivor = create_in(world, 100)?;
            let death = victim.die()?;
            let size = survivor.size();
            if size != 100_000 && (size != 100 || death.completed()) {
                return Err(format!("the size is {size}").into());
            }
            let (mut bytes, _) = lock_after(&survivor, death)?;
            bytes.fill(0..size, 1)?;
            Ok(())
        },
    )
}

fn destroy() -> Scenario {
    Scenario::new(
        "destroy",
        |world| {
            let key = key(world);
            move || Segment::destroy(&key, DestroyMode::Immediate)
        },
        |world, victim| {
            let survivor = create_in(world, 100)?;
            let death = victim.die()?;
            drop(lock_after(&survivor, death)?);
            if Segment::exists(&key(world))? {
                if death.completed() {
                    return Err("a destroyed segment is still there".into());
                }
                usable_by_a_new_one(world)?;
                survivor.detach()?;
            }
            nothing_left(world)
        },
    )
}

/// Checks that the survivor is the only one attached, that a new one can come and go, and that its
/// own end is the segment's.
fn alone(world: &World, survivor: Segment) -> Outcome {
    if survivor.attachments()?.len() != 1 {
        return Err("a dead one counts as attached".into());
    }
    usable_by_a_new_one(world)?;
    survivor.detach()?;
    nothing_left(world)
}
