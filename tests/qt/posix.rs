//! The POSIX family, with the newest Qt, which is the only one here that has it; and its limits.

use std::path::Path;
use std::time::Duration;

use sharehold::qt::{ErrorKind, KeyType, NativeIpcKey, Options, SharedMemory};

use crate::world::{Kind, Peer, World, hex, until, world_tests};

fn posix(key: &str) -> SharedMemory {
    Options::new().key_type(KeyType::Posix).shared_memory(key)
}

/// A program of the newest Qt with an object `m` for the same memory.
fn peer(world: &World, memory: &SharedMemory) -> Peer {
    let mut peer = world.peer(Kind::NewestPySide);
    peer.tell(&format!(
        "native m {} printed",
        hex(memory.native_key().to_string())
    ));
    peer
}

/// Removes what POSIX leaves for good.
fn clean(mut memory: SharedMemory) {
    drop(memory.lock().unwrap());
    let _ = memory.detach();
    assert!(memory.remove_stale().unwrap());
}

world_tests! {
    /// Creating, attaching, data, size and exclusion, both ways, by text key and by native key.
    fn both_ways(world) {
        for make in [posix as fn(&str) -> SharedMemory, |key| {
            Options::new().native_memory(NativeIpcKey::new(format!("/{key}"), KeyType::Posix))
        }] {
            let mut memory = make(&world.key("ours"));
            memory.create(4097).unwrap();
            let mut qt = peer(world, &memory);
            qt.tell("attach m");
            assert_eq!(qt.tell("size m"), "4097");
            let mut guard = memory.lock().unwrap();
            guard.write(4090, b"the end").unwrap();
            qt.order("lock m");
            assert!(qt.is_silent());
            guard.unlock().unwrap();
            qt.answer().unwrap();
            assert!(memory.try_lock().unwrap().is_none());
            assert!(memory.lock_timeout(Duration::from_millis(20)).unwrap().is_none());
            assert_eq!(qt.tell("read m 4090 7"), hex("the end"));
            qt.tell("unlock m");
            qt.tell("detach m");
            drop(qt);
            clean(memory);

            let mut memory = make(&world.key("theirs"));
            assert_eq!(memory.attach().unwrap_err().kind(), ErrorKind::NotFound);
            let mut qt = peer(world, &memory);
            qt.tell("create m 100");
            qt.tell(&format!("write m 1 {}", hex("from Qt")));
            assert_eq!(memory.create(1).unwrap_err().kind(), ErrorKind::AlreadyExists);
            memory.attach().unwrap();
            assert_eq!(memory.size(), 100);
            assert_eq!(&memory.lock().unwrap().read_at::<[u8; 7]>(1).unwrap(), b"from Qt");
            assert_eq!(memory.status().unwrap().unwrap().attachments, None);
            drop(qt);
            clean(memory);
        }
    }

    /// A dead holder's lock stays taken. That nobody else has it open proves the death; then it can
    /// be given back.
    fn a_killed_holder(world) {
        let mut memory = posix(&world.key("holder"));
        memory.create(8).unwrap();
        let mut qt = peer(world, &memory);
        qt.tell("attach m");
        qt.tell("lock m");
        assert_eq!(memory.recover_lock().unwrap_err().kind(), ErrorKind::LockError, "it may live");
        qt.kill();
        assert!(memory.lock_timeout(Duration::from_millis(20)).unwrap().is_none(), "the kernel does not give it back");
        assert!(memory.recover_lock().unwrap());
        assert!(!memory.recover_lock().unwrap());
        memory.lock().unwrap().unlock().unwrap();
        clean(memory);
    }

    /// What stays after the last one is out, and after a death, is found to be stale, and removed
    /// on request.
    fn files_stay(world) {
        let memory = posix(&world.key("stays"));
        let file = Path::new("/dev/shm").join(&memory.native_key().native_key()[1..]);
        let mut qt = peer(world, &memory);
        qt.tell("create m 64");
        qt.tell("detach m");
        drop(qt);
        assert!(file.exists());
        let mut qt = peer(world, &memory);
        qt.tell("attach m");
        let mut memory = memory;
        assert_eq!(memory.remove_stale().unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(memory.replace_stale(8).unwrap_err().kind(), ErrorKind::AlreadyExists);
        qt.kill();
        memory.replace_stale(8).unwrap();
        assert_eq!(memory.size(), 8);
        clean(memory);
        assert!(!file.exists());
    }

    /// Memory, and semaphores that are the lock of none, are found by their names; whether anybody
    /// has them is proven.
    fn what_is_left(world) {
        let family = || Options::new().key_type(KeyType::Posix);
        let [used, left, counted] = ["used", "left", "counted"].map(|part| world.key(part));
        let mut programs = [&used, &left].map(|key| {
            let mut qt = peer(world, &posix(key));
            qt.tell("create m 64");
            qt
        });
        programs[1].kill();
        let mut semaphore = family().semaphore(&counted, 1);
        drop(semaphore.acquire().unwrap());

        let names = |found: Vec<NativeIpcKey>| {
            let names = found.into_iter().map(|key| key.native_key().to_owned());
            names.collect::<Vec<String>>()
        };
        let memory = || family().all_memory().unwrap();
        let found = names(memory().iter().map(|it| it.native_key().clone()).collect());
        for key in [&used, &left] {
            assert!(found.contains(&posix(key).native_key().native_key().to_owned()), "{found:?}");
        }
        let attached = |key| posix(key).status().unwrap().unwrap().attachments;
        assert_eq!((attached(&used), attached(&left)), (None, Some(0)));

        let found = family().all_semaphores().unwrap();
        let found = names(found.iter().map(|it| it.native_key().clone()).collect());
        assert!(found.contains(&semaphore.native_key().native_key().to_owned()), "{found:?}");
        for key in [&used, &left] {
            let lock = NativeIpcKey::for_semaphore(key, KeyType::Posix, "");
            assert!(!found.contains(&lock.native_key().to_owned()), "{found:?}");
        }
        let mut other = family().semaphore(&counted, 1);
        assert!(!other.is_stale().unwrap() && !other.remove_stale().unwrap(), "somebody has it");
        drop(semaphore);
        assert!(other.is_stale().unwrap() && other.remove_stale().unwrap());
        assert!(!other.is_stale().unwrap() && !other.remove_stale().unwrap(), "it is gone");

        clean(posix(&left));
        drop(programs);
        clean(posix(&used));
        let windows = Options::new().key_type(KeyType::Windows);
        assert_eq!(windows.all_memory().unwrap_err().kind(), ErrorKind::KeyError);
    }

    /// A lock that was lost with its holder does not keep memory that nobody has from being removed
    /// or replaced.
    fn memory_with_a_lost_lock(world) {
        let key = world.key("lost");
        let leave_behind = || {
            let mut qt = peer(world, &posix(&key));
            qt.tell("create m 64");
            qt.tell("lock m");
            qt
        };
        let impatient = || {
            let options = Options::new().key_type(KeyType::Posix);
            options.patience(Duration::from_millis(20)).shared_memory(&key)
        };
        let mut qt = leave_behind();
        assert_eq!(impatient().remove_stale().unwrap_err().kind(), ErrorKind::LockError, "it may live");
        qt.kill();
        assert!(impatient().remove_stale().unwrap());
        leave_behind().kill();
        let mut memory = impatient();
        memory.replace_stale(8).unwrap();
        assert_eq!(memory.size(), 8);
        clean(memory);
    }

    /// Qt's `create` makes another semaphore under the same name: ours, once inside, goes over to
    /// it.
    fn a_replaced_semaphore(world) {
        let mut memory = posix(&world.key("replaced"));
        memory.create(8).unwrap();
        let guard = memory.lock().unwrap();
        let mut qt = peer(world, &guard);
        assert_eq!(qt.fails("create m 8"), 4, "AlreadyExists");
        assert_eq!(guard.unlock().unwrap_err().kind(), ErrorKind::LockError);
        qt.tell("attach m");
        qt.tell("lock m");
        assert!(memory.try_lock().unwrap().is_none());
        qt.tell("unlock m");
        drop(memory.lock().unwrap());
        qt.tell("detach m");
        drop(qt);
        clean(memory);
    }

    /// A holder that dies with a semaphore whose name is gone is waited for no longer than until
    /// nobody else has it.
    fn a_nameless_semaphore_of_the_dead(world) {
        let mut memory = posix(&world.key("nameless"));
        memory.create(8).unwrap();
        memory.lock().unwrap().unlock().unwrap();
        let mut qt = peer(world, &memory);
        qt.tell("attach m");
        qt.tell("lock m");
        let semaphore = NativeIpcKey::for_semaphore(memory.key().unwrap(), KeyType::Posix, "");
        let file = format!("/dev/shm/sem.{}", &semaphore.native_key()[1..]);
        std::fs::remove_file(file).unwrap();
        assert!(memory.try_lock().unwrap().is_none(), "it may live");
        qt.kill();
        memory.lock().unwrap().unlock().unwrap();
        clean(memory);
    }

    /// A file of another user, of no size, or cut under our feet is an error.
    fn bad_files(world) {
        let mut memory = posix(&world.key("bad"));
        let file = Path::new("/dev/shm").join(&memory.native_key().native_key()[1..]);
        let mode = |mode| {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        std::fs::write(&file, "").unwrap();
        mode(0o666);
        assert_eq!(memory.attach().unwrap_err().kind(), ErrorKind::PermissionDenied);
        mode(0o600);
        assert_eq!(memory.attach().unwrap_err().kind(), ErrorKind::InvalidSize);
        assert!(memory.remove_stale().unwrap());

        memory.create(8192).unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_len(1).unwrap();
        assert_eq!(memory.lock().unwrap_err().kind(), ErrorKind::InvalidSize);
        memory.detach().unwrap();
        assert!(memory.remove_stale().unwrap());

        // More than there is leaves nothing behind; Qt leaves a file.
        let error = memory.create(1 << 46).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfResources, "{error}");
        assert!(!file.exists());
    }

    /// Names that no object can have.
    fn bad_names(_world) {
        let long = format!("/{}", "x".repeat(252));
        for name in ["no-slash", "/", "/.", "/..", "/a/b", "/a\0b", &long] {
            let mut memory = Options::new().native_memory(NativeIpcKey::new(name, KeyType::Posix));
            assert_eq!(memory.create(8).unwrap_err().kind(), ErrorKind::KeyError, "{name}");
        }
        let mut memory = posix(&"x".repeat(197));
        assert_eq!(memory.create(8).unwrap_err().kind(), ErrorKind::KeyError);
        let mut memory = posix(&"x".repeat(190));
        memory.create(8).unwrap();
        until("it is there", || memory.status().unwrap().is_some());
        clean(memory);
    }
}
