//! Programs that are killed while they hold, attach, or make.

use std::time::Duration;

use sharehold::qt::{ErrorKind, Options, SharedMemory, SystemSemaphore};

use crate::world::{Kind, World, hex, until_waiting, world_tests};

world_tests! {
    /// A killed holder of any kind: the lock goes to the waiter, of any kind.
    fn a_killed_holder(world) {
        for dying in Kind::ALL {
            for heir in Kind::ALL {
                let key = world.key("holder");
                let mut keeper = SharedMemory::new(&key);
                keeper.create(64).unwrap();
                let [mut first, mut second] = [dying, heir].map(|kind| world.peer(kind));
                first.open(&key);
                second.open(&key);
                first.tell("attach m");
                second.tell("attach m");
                first.tell("lock m");
                let pid = first.tell("pid -").parse().unwrap();
                assert_eq!(keeper.status().unwrap().unwrap().lock.unwrap().holder, Some(pid));
                second.order("lock m");
                until_waiting(&key, 1);
                first.kill();
                assert_eq!(second.answer().unwrap(), "ok", "{dying:?} dies, {heir:?} inherits");
                second.tell(&format!("write m 0 {}", hex("heir")));
                second.tell("unlock m");
                let mut bytes = [0; 4];
                keeper.lock().unwrap().read(0, &mut bytes).unwrap();
                assert_eq!(&bytes, b"heir");
            }
        }
    }

    /// The only user is killed: the segment is stale, with its data; ours finds, replaces and
    /// removes it.
    fn a_killed_only_user(world) {
        for dying in Kind::ALL {
            let key = world.key("only");
            let leave_behind = || {
                let mut peer = world.peer(dying);
                peer.open(&key);
                peer.tell("create m 64");
                peer.tell(&format!("write m 8 {}", hex("kept")));
                peer.tell("lock m");
                peer.kill();
            };
            leave_behind();
            let mut memory = SharedMemory::new(&key);
            assert!(memory.is_stale().unwrap());
            let error = memory.create(128).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            assert!(error.to_string().contains("replace_stale"), "{error}");

            memory.attach().unwrap();
            assert!(memory.was_stale());
            assert!(!memory.is_stale().unwrap(), "it is ours now");
            assert_eq!(&memory.lock().unwrap().read_at::<[u8; 4]>(8).unwrap(), b"kept");
            memory.detach().unwrap();
            assert_eq!(memory.status().unwrap(), None, "the last one out removes it");

            leave_behind();
            memory.replace_stale(128).unwrap();
            assert!(!memory.was_stale());
            assert_eq!(memory.size(), 128);
            assert_eq!(memory.lock().unwrap().read_at::<[u8; 4]>(8).unwrap(), [0; 4]);
            let mut other = SharedMemory::new(&key);
            assert_eq!(other.replace_stale(1).unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert_eq!(other.remove_stale().unwrap_err().kind(), ErrorKind::AlreadyExists);
            memory.detach().unwrap();

            leave_behind();
            assert!(memory.remove_stale().unwrap());
            assert!(!memory.remove_stale().unwrap());
            assert!(!memory.is_stale().unwrap());
        }
    }

    /// A maker of ours that is killed between making its semaphore and giving it a value is healed
    /// at once; one of Qt's is reported, because a living one could be about to give the value.
    fn a_maker_killed_before_its_semaphore_had_a_value(world) {
        for (mode, healed) in [("700", true), ("600", false)] {
            let key = world.key("maker");
            unfinished_semaphore(world, &key, mode);
            let mut memory = Options::new().patience(Duration::from_millis(50)).shared_memory(&key);
            match memory.create(8) {
                Ok(()) => assert!(healed),
                Err(error) => {
                    assert!(!healed, "{error}");
                    assert_eq!(error.kind(), ErrorKind::LockError);
                    assert!(error.to_string().contains("SystemSemaphore::remove"), "{error}");
                    assert!(SystemSemaphore::new(&key, 1).remove().unwrap());
                    memory.create(8).unwrap();
                }
            }
        }
    }

    /// A maker that is killed after its key files leaves nothing that matters.
    fn a_maker_killed_after_its_key_file(world) {
        let key = world.key("file");
        let mut memory = SharedMemory::new(&key);
        std::fs::write(memory.native_key().native_key(), "").unwrap();
        assert_eq!(memory.attach().unwrap_err().kind(), ErrorKind::NotFound);
        memory.create(8).unwrap();
    }
}

/// What is left of a program that made the semaphore of a key, and no more.
fn unfinished_semaphore(world: &World, key: &str, mode: &str) {
    let semaphore = SystemSemaphore::new(key, 1);
    let file = semaphore.native_key().native_key();
    std::fs::write(file, "").unwrap();
    world
        .peer(Kind::Qt6)
        .tell(&format!("foreign sem {file} 0 {mode}"));
}
