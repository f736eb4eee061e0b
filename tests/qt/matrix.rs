//! Every kind of program makes memory, and every kind attaches to it.

use sharehold::qt::{SharedMemory, SystemSemaphore};

use crate::world::{Kind, Peer, World, hex, until_waiting, world_tests};

world_tests! {
    /// Attaching, data both ways, size, exclusion both ways, removal by the last one out.
    fn every_creator_with_every_attacher(world) {
        for creator in Kind::ALL {
            for attacher in Kind::ALL {
                pair(world, creator, attacher);
            }
        }
    }

    /// A million, counted by two Rust and two Qt workers.
    fn mixed_count(world) {
        const EACH: usize = 250_000;
        let key = world.key("count");
        let mut memory = SharedMemory::new(&key);
        memory.create(16).unwrap();
        let mut workers = [Kind::Ours, Kind::Qt5, Kind::Ours, Kind::Qt6].map(|kind| world.peer(kind));
        for worker in &mut workers {
            worker.open(&key);
            worker.tell("attach m");
        }
        for worker in &mut workers {
            worker.order(&format!("count m {EACH}"));
        }
        for worker in &mut workers {
            worker.answer().unwrap();
            worker.tell("detach m");
        }
        assert_eq!(memory.lock().unwrap().read_at::<i32>(0).unwrap(), 1_000_000);
    }
}

const SIZE: &str = "4097";

fn pair(world: &World, creator: Kind, attacher: Kind) {
    eprintln!("{creator:?} creates, {attacher:?} attaches");
    let key = world.key("pair");
    let mut first = world.peer(creator);
    let mut second = world.peer(attacher);
    first.open(&key);
    // With an object of its own: one of Qt 5 that looked too early later breaks the lock of the
    // others.
    second.open(&key);
    assert_eq!(second.fails("attach m"), 5, "NotFound");
    second.tell("delete m");
    second.open(&key);

    first.tell(&format!("create m {SIZE}"));
    if attacher == Kind::Ours {
        // From Qt, the question alone breaks the lock.
        assert_eq!(second.fails("create m 10"), 4, "AlreadyExists");
    }
    second.tell("attach m");
    assert_eq!(first.tell("size m"), SIZE);
    assert_eq!(second.tell("size m"), SIZE);
    assert_eq!(first.tell("nativekey m"), second.tell("nativekey m"));

    assert_eq!(
        second.tell("read m 0 4097"),
        "00".repeat(4097),
        "new memory is zero"
    );
    first.tell(&format!("write m 3 {}", hex("from the first")));
    assert_eq!(second.tell("read m 3 14"), hex("from the first"));
    second.tell(&format!("write m 4090 {}", hex("the end")));
    assert_eq!(first.tell("read m 4090 7"), hex("the end"));

    excludes(&key, &mut first, &mut second);
    excludes(&key, &mut second, &mut first);

    first.tell("detach m");
    assert_eq!(first.tell("size m"), "0");
    let looker = SharedMemory::new(&key);
    assert_eq!(looker.status().unwrap().unwrap().attachments, Some(1));
    second.tell("detach m");
    assert_eq!(
        looker.status().unwrap(),
        None,
        "the last one out removes the segment"
    );
    assert!(!std::path::Path::new(looker.native_key().native_key()).exists());

    drop((first, second));
    // Qt leaves a semaphore that it did not make.
    let mut semaphore = SystemSemaphore::new(&key, 1);
    if attacher == Kind::Ours || creator != Kind::Ours {
        assert_eq!(semaphore.status().unwrap(), None, "and the lock");
    }
    semaphore.remove().unwrap();
}

/// While one holds the lock, the other waits for it, and gets it afterwards.
fn excludes(key: &str, holder: &mut Peer, waiter: &mut Peer) {
    holder.tell("lock m");
    waiter.order("lock m");
    until_waiting(key, 1);
    assert!(waiter.is_silent(), "the lock excludes");
    holder.tell("unlock m");
    assert_eq!(waiter.answer().unwrap(), "ok");
    waiter.tell("unlock m");
}
