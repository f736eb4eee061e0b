//! Counting semaphores, with `QSystemSemaphore`.

use std::time::Duration;

use sharehold::qt::{ErrorKind, SharedMemory, SystemSemaphore};

use crate::world::{Kind, hex, until, world_tests};

world_tests! {
    /// Permits go both ways, and one that a dead process took comes back.
    fn permits_both_ways(world) {
        for kind in Kind::QT {
            let key = world.key("permits");
            let mut ours = SystemSemaphore::new(&key, 2);
            let first = ours.acquire().unwrap();
            let mut qt = world.peer(kind);
            qt.tell(&format!("semaphore s {} 7 open", hex(&key)));
            qt.tell("acquire s");
            qt.order("acquire s");
            let looker = SystemSemaphore::new(&key, 2);
            until("Qt waits", || looker.status().unwrap().unwrap().waiters == Some(1));
            assert!(qt.is_silent(), "there were two");
            drop(first);
            qt.answer().unwrap();
            assert!(ours.try_acquire().unwrap().is_none());
            assert!(ours.acquire_timeout(Duration::from_millis(5)).unwrap().is_none());
            qt.tell("release s");
            drop(ours.acquire().unwrap());
            qt.kill();
            assert_eq!(looker.status().unwrap().unwrap().free, 2, "{kind:?}");
            // The system does not list the users of a set, so no process removes it as stale.
            assert!(!ours.is_stale().unwrap() && !ours.remove_stale().unwrap());
            assert!(ours.remove().unwrap());
            assert!(!ours.remove().unwrap());
        }
    }

    /// A permit can be handed over: taken here, given back there.
    fn handed_over(world) {
        let key = world.key("over");
        let mut ours = SystemSemaphore::new(&key, 1);
        ours.acquire().unwrap().forget();
        let mut qt = world.peer(Kind::Qt6);
        qt.tell(&format!("semaphore s {} 1 open", hex(&key)));
        qt.order("acquire s");
        let looker = SystemSemaphore::new(&key, 1);
        until("Qt waits", || looker.status().unwrap().unwrap().waiters == Some(1));
        ours.release(1).unwrap();
        qt.answer().unwrap();
        qt.tell("release s");
        ours.remove().unwrap();
    }

    /// The lock of a memory is the semaphore with its key.
    fn the_lock_is_a_semaphore(world) {
        let key = world.key("lock");
        let mut memory = SharedMemory::new(&key);
        memory.create(8).unwrap();
        let guard = memory.lock().unwrap();
        let mut semaphore = SystemSemaphore::new(&key, 1);
        assert!(semaphore.try_acquire().unwrap().is_none());
        drop(guard);
        let permit = semaphore.try_acquire().unwrap().unwrap();
        assert!(memory.try_lock().unwrap().is_none());
        drop(permit);
    }

    /// When Qt, having made it, removes it, the next one to ask makes it again.
    fn removed_by_its_maker(world) {
        let key = world.key("removed");
        let mut qt = world.peer(Kind::Qt5);
        qt.tell(&format!("semaphore s {} 1 open", hex(&key)));
        let mut ours = SystemSemaphore::new(&key, 1);
        drop(ours.acquire().unwrap());
        qt.tell("delete s");
        assert_eq!(ours.status().unwrap(), None);
        drop(ours.acquire().unwrap());
        assert!(ours.remove().unwrap());
        assert_eq!(SystemSemaphore::new("", 1).acquire().unwrap_err().kind(), ErrorKind::KeyError);
    }
}
