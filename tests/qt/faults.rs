//! The faults of Qt's protocol: what Qt does, and what this library does in Qt's place.
//!
//! Each test plays one scene twice. `free` is how many could enter the lock: 1 or, while it is
//! held, 0.

use std::path::PathBuf;
use std::time::Duration;

use sharehold::qt::{
    ErrorKind, KeyType, LockStatus, NativeIpcKey, Options, SharedMemory, SystemSemaphore,
};

use crate::world::{Kind, Peer, World, hex, until_waiting, world_tests};

fn lock_of(key: &str) -> Option<LockStatus> {
    SystemSemaphore::new(key, 1).status().unwrap()
}

fn free(key: &str) -> u32 {
    lock_of(key).expect("there is a lock").free
}

/// A peer with an object `m` that created, or attached.
fn creator(world: &World, kind: Kind, key: &str) -> Peer {
    let mut peer = world.peer(kind);
    peer.open(key);
    peer.tell("create m 64");
    peer
}

fn attached(world: &World, kind: Kind, key: &str) -> Peer {
    let mut peer = world.peer(kind);
    peer.open(key);
    peer.tell("attach m");
    peer
}

fn key_file(key: &str) -> PathBuf {
    SharedMemory::new(key).native_key().native_key().into()
}

fn lock_file(key: &str) -> PathBuf {
    SystemSemaphore::new(key, 1)
        .native_key()
        .native_key()
        .into()
}

fn impatient(key: &str) -> SharedMemory {
    Options::new()
        .patience(Duration::from_millis(100))
        .shared_memory(key)
}

world_tests! {
    /// F1. A process calls create while another one holds the lock.
    fn f1_create_resets_the_lock(world) {
        for other in Kind::QT {
            let key = world.key("f1");
            let mut holder = creator(world, Kind::Qt6, &key);
            let mut third = attached(world, Kind::Qt5, &key);
            holder.tell("lock m");

            // Ours waits, is refused, and changes nothing.
            assert_eq!(impatient(&key).create(8).unwrap_err().kind(), ErrorKind::LockError);
            assert_eq!(free(&key), 0);

            // Qt does not wait, and lets a third one in.
            let mut prober = world.peer(other);
            prober.open(&key);
            assert_eq!(prober.fails("create m 8"), 4, "AlreadyExists");
            assert_eq!(free(&key), 1, "{other:?}");
            third.tell("lock m");
            assert_eq!(free(&key), 0);
            holder.tell("unlock m");
            assert_eq!(free(&key), 1, "the third is inside, and another one may follow");
        }
    }

    /// F1, the other half: when Qt resets the lock that ours holds, ours is told, and does not give
    /// back what is not there.
    fn f1_a_reset_lock_is_noticed(world) {
        let key = world.key("f1");
        let mut memory = SharedMemory::new(&key);
        memory.create(64).unwrap();
        let guard = memory.lock().unwrap();
        let mut prober = world.peer(Kind::Qt5);
        prober.open(&key);
        assert_eq!(prober.fails("create m 8"), 4, "AlreadyExists");
        assert_eq!(free(&key), 1);
        assert_eq!(guard.unlock().unwrap_err().kind(), ErrorKind::LockError);
        assert_eq!(free(&key), 1, "a holder from Qt would have made it 2");

        let guard = memory.lock().unwrap();
        prober.tell("delete m");
        drop(guard);
        memory.lock().unwrap().unlock().unwrap();
    }

    /// F2. The creator of the lock leaves while another process holds it.
    fn f2_the_lock_leaves_with_its_maker(world) {
        for maker in Kind::ALL {
            let key = world.key("f2");
            let mut first = creator(world, maker, &key);
            let mut holder = attached(world, Kind::Qt6, &key);
            holder.tell("lock m");
            if maker == Kind::Ours {
                first.tell("delete m");
                assert_eq!(free(&key), 0, "it stays, and stays held");
                let mut third = SharedMemory::new(&key);
                assert!(third.try_lock().unwrap().is_none());
                holder.tell("unlock m");
                holder.tell("detach m");
                forget_lock(&key);
            } else {
                // Qt waits for the lock to detach; it is the destructor that removes it, so it has
                // detached before.
                holder.tell("unlock m");
                first.tell("detach m");
                holder.tell("lock m");
                first.tell("delete m");
                assert_eq!(lock_of(&key), None, "{maker:?} removes it");
                let mut third = attached(world, Kind::Qt5, &key);
                third.tell("lock m");
            }
        }
    }

    /// F2, the other half: when Qt removes the lock that ours holds, ours is told, and goes on with
    /// the new one.
    fn f2_a_removed_lock_is_noticed(world) {
        let key = world.key("f2");
        let mut first = creator(world, Kind::Qt5, &key);
        let mut memory = SharedMemory::new(&key);
        memory.attach().unwrap();
        first.tell("detach m");
        let guard = memory.lock().unwrap();
        first.tell("delete m");
        assert_eq!(lock_of(&key), None);
        assert_eq!(guard.unlock().unwrap_err().kind(), ErrorKind::LockError);

        let guard = memory.lock().unwrap();
        let mut newcomer = world.peer(Kind::Qt6);
        newcomer.open(&key);
        newcomer.order("attach m");
        until_waiting(&key, 1);
        guard.unlock().unwrap();
        newcomer.answer().unwrap();
    }

    /// F3. "Is it running?": somebody creates, fails, and goes.
    fn f3_a_failed_create_removes_the_lock(world) {
        for prober in Kind::ALL {
            let key = world.key("f3");
            let mut user = creator(world, Kind::Qt6, &key);
            let before = lock_of(&key);
            let mut probe = world.peer(prober);
            probe.open(&key);
            assert_eq!(probe.fails("create m 8"), 4, "AlreadyExists");
            probe.tell("delete m");
            if prober == Kind::Ours {
                assert_eq!(lock_of(&key).map(|lock| lock.free), before.map(|lock| lock.free));
                assert!(lock_file(&key).exists());
            } else {
                assert_eq!(lock_of(&key), None, "{prober:?} removes it");
            }
            user.tell("detach m");
        }
    }

    /// F4. With a native key of System V, memory and lock share a key file, and Qt removes it under
    /// the others.
    fn f4_the_key_file_leaves_with_the_creator(world) {
        for maker in [Kind::NewestPySide, Kind::Ours] {
            let path = world.directory().join("native").to_str().unwrap().to_owned();
            let key = NativeIpcKey::new(&path, KeyType::SYSTEM_V);
            let make = format!("native m {} printed", hex(key.to_string()));
            let mut first = world.peer(maker);
            first.tell(&make);
            first.tell("create m 64");
            let mut second = world.peer(Kind::NewestPySide);
            second.tell(&make);
            second.tell("attach m");
            first.tell("detach m");
            first.tell("delete m");

            let mut third = Options::new().native_memory(key);
            if maker == Kind::Ours {
                third.attach().unwrap();
                assert_eq!(third.size(), 64);
            } else {
                assert!(!std::path::Path::new(&path).exists());
                assert_eq!(third.attach().unwrap_err().kind(), ErrorKind::NotFound);
            }
            second.tell("detach m");
        }
    }

    /// F5. A cleaner removes the memory's key file; the first one to leave takes the second
    /// segment's file along.
    fn f5_the_key_file_of_another_segment(world) {
        for leaving in Kind::ALL {
            let key = world.key("f5");
            let mut first = creator(world, leaving, &key);
            std::fs::remove_file(key_file(&key)).unwrap();
            // Ours, because Qt's create() would also reset the lock.
            let mut second = SharedMemory::new(&key);
            second.create(32).unwrap();
            first.tell("detach m");
            let mut third = SharedMemory::new(&key);
            if leaving == Kind::Ours {
                third.attach().unwrap();
                assert_eq!(third.size(), 32);
            } else {
                assert_eq!(third.attach().unwrap_err().kind(), ErrorKind::NotFound, "{leaving:?}");
            }
            // Ours removes its segment also when the name is lost.
            drop((third, second, first));
            forget_lock(&key);
        }
    }

    /// F6. A cleaner removes the lock's key file while the lock is held.
    fn f6_the_key_file_of_a_held_lock(world) {
        let key = world.key("f6");
        let mut holder = creator(world, Kind::Qt6, &key);
        let mut ours = SharedMemory::new(&key);
        ours.attach().unwrap();
        let mut qt = attached(world, Kind::Qt5, &key);
        holder.tell("lock m");
        std::fs::remove_file(lock_file(&key)).unwrap();

        // A newcomer of Qt makes another lock and enters.
        let mut newcomer = attached(world, Kind::OldPySide, &key);
        newcomer.tell("lock m");
        newcomer.tell("unlock m");

        // Ours knows the old lock and waits for it; once inside, it holds the new one as well.
        assert!(ours.try_lock().unwrap().is_none());
        holder.tell("unlock m");
        let guard = ours.lock().unwrap();
        newcomer.order("lock m");
        until_waiting(&key, 1);
        qt.order("lock m");
        assert!(newcomer.is_silent(), "those who find the new lock are kept out");
        qt.until_it_waits();
        assert!(qt.is_silent(), "those who know the old lock are kept out");
        guard.unlock().unwrap();
        newcomer.answer().unwrap();
        qt.answer().unwrap();
    }

    /// F6, the other half: a holder of ours is told that a newcomer may have been inside.
    fn f6_a_lost_key_file_is_noticed(world) {
        let key = world.key("f6");
        let mut memory = SharedMemory::new(&key);
        memory.create(8).unwrap();
        let guard = memory.lock().unwrap();
        std::fs::remove_file(lock_file(&key)).unwrap();
        assert_eq!(guard.unlock().unwrap_err().kind(), ErrorKind::LockError);
        memory.lock().unwrap().unlock().unwrap();
        assert!(lock_file(&key).exists());
    }

    /// F7. Two key files whose inodes have the same low 16 bits are one key to the kernel.
    fn f7_two_keys_one_segment(world) {
        let (one, two) = (world.key("one"), world.key("two"));
        let mut first = creator(world, Kind::Qt5, &one);
        first.tell(&format!("write m 0 {}", hex("program one")));
        let inode = inode_of(&key_file(&one));
        approach(world, inode, 0);
        std::fs::write(key_file(&two), "").unwrap();
        assert_eq!(inode_of(&key_file(&two)) & 0xffff, inode & 0xffff);

        // Qt reads another program's data.
        let mut second = world.peer(Kind::Qt6);
        second.open(&two);
        assert_eq!(second.fails("create m 64"), 4, "AlreadyExists");
        second.tell("attach m");
        assert_eq!(second.tell("read m 0 11"), hex("program one"));
        second.tell("delete m");

        // Ours sees both files, and refuses.
        for refused in [SharedMemory::new(&two).attach(), SharedMemory::new(&two).create(64)] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyError);
            assert!(error.to_string().contains(key_file(&one).file_name().unwrap().to_str().unwrap()), "{error}");
        }

        // Where ours makes the file, it is none of such a pair.
        std::fs::remove_file(key_file(&two)).unwrap();
        for before in 1..=4 {
            approach(world, inode, before);
            let mut memory = SharedMemory::new(&two);
            memory.create(64).unwrap();
            assert_ne!(inode_of(&key_file(&two)) & 0xffff, inode & 0xffff);
            assert_eq!(memory.lock().unwrap().read_at::<[u8; 11]>(0).unwrap(), [0; 11]);
            let mut peer = attached(world, Kind::Qt6, &two);
            peer.tell("detach m");
        }
    }

    /// F8. Objects that belong to others, or that others may change.
    fn f8_foreign_objects(world) {
        let key = world.key("f8");
        let mut maker = world.peer(Kind::Qt6);
        for (object, path) in [("shm", key_file(&key)), ("sem", lock_file(&key))] {
            std::fs::write(&path, "").unwrap();
            maker.tell(&format!("foreign {object} {} 64 666", path.display()));
        }
        // Qt takes part.
        let mut qt = attached(world, Kind::Qt5, &key);
        // Ours refuses, unless told otherwise.
        refuses_unless_told(&key);
        qt.tell("detach m");
        drop(qt);
        Options::new().allow_others(true).semaphore(&key, 1).remove().unwrap();

        let key = world.key("f8");
        let mut nobody = world.peer_of_nobody(Kind::Qt6);
        nobody.open(&key);
        nobody.tell("create m 64");
        let mut qt = attached(world, Kind::Qt5, &key);
        refuses_unless_told(&key);
        qt.tell("detach m");
        nobody.tell("detach m");
        drop(nobody);

        // A directory or a link in the place of a key file is not used at all.
        let key = world.key("f8");
        std::os::unix::fs::symlink("/etc/passwd", key_file(&key)).unwrap();
        assert_eq!(SharedMemory::new(&key).create(8).unwrap_err().kind(), ErrorKind::KeyError);
        std::fs::remove_file(key_file(&key)).unwrap();
        SystemSemaphore::new(&key, 1).remove().unwrap();
    }

    /// F9. A process keeps the lock, and others want to end.
    fn f9_leaving_waits_for_the_lock(world) {
        let key = world.key("f9");
        let mut holder = creator(world, Kind::Qt6, &key);
        let mut ours = attached(world, Kind::Ours, &key);
        let mut qt = attached(world, Kind::Qt5, &key);
        holder.tell("lock m");
        ours.tell("delete m");
        qt.order("delete m");
        until_waiting(&key, 1);
        assert!(qt.is_silent(), "Qt does not end");
        holder.tell("unlock m");
        qt.answer().unwrap();

        // Also for the last process, which leaves the segment to later ones.
        let mut memory = impatient(&key);
        memory.attach().unwrap();
        holder.tell("detach m");
        let mut sitting = SystemSemaphore::new(&key, 1);
        let permit = sitting.acquire().unwrap();
        assert_eq!(memory.detach().unwrap_err().kind(), ErrorKind::LockError);
        memory.attach().unwrap_err();
        drop(permit);
        memory.attach().unwrap();
        assert!(memory.was_stale());
        drop(memory);
        assert_eq!(SharedMemory::new(&key).status().unwrap(), None);
    }
}

fn refuses_unless_told(key: &str) {
    let error = SharedMemory::new(key).attach().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("allow_others"), "{error}");
    assert_eq!(
        SharedMemory::new(key).lock().unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    let mut told = Options::new().allow_others(true).shared_memory(key);
    told.attach().unwrap();
    assert_eq!(told.lock().unwrap().size(), 64);
}

fn inode_of(path: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().ino()
}

/// Uses up inode numbers until the next file gets the one `before` before the target, as far as the
/// low 16 bits go.
fn approach(world: &World, target: u64, before: u64) {
    let file = world.directory().join("filler");
    loop {
        std::fs::write(&file, "").unwrap();
        let inode = inode_of(&file);
        std::fs::remove_file(&file).unwrap();
        if (inode + 1 + before) & 0xffff == target & 0xffff {
            return;
        }
    }
}

/// Removes a lock that the last one out did not make, and therefore left, if that was Qt.
fn forget_lock(key: &str) {
    SystemSemaphore::new(key, 1).remove().unwrap();
}
