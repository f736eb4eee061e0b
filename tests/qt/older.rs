//! The manner of `QtSharedMemory`: memory that stays until it is destroyed, and a lock that comes
//! before it.

use std::thread;

use sharehold::qt::{Destroy, ErrorKind, Opened, QtSharedMemory, SharedMemory, SystemSemaphore};

use crate::world::{Kind, hex, world_tests};

world_tests! {
    /// The counting program of the Qt Solutions: its steps in its order, with threads for its
    /// workers.
    fn the_counting_program(world) {
        const EACH: i32 = 5_000;
        let key = world.key("threadcounter");
        let mut leftover = SharedMemory::new(&key);
        leftover.create(4).unwrap();
        let mut memory = QtSharedMemory::new(&key);
        if memory.exists().unwrap() {
            assert!(memory.destroy(Destroy::ForceNoWait).unwrap());
        }
        drop(leftover);

        memory.create(16).unwrap();
        assert!(!memory.is_attached());
        assert_eq!(memory.num_attachments().unwrap(), Some(0));
        assert_eq!(memory.size().unwrap(), 16);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let key = key.clone();
                thread::spawn(move || {
                    let mut memory = QtSharedMemory::new(&key);
                    memory.attach().unwrap();
                    for _ in 0..EACH {
                        let mut locked = memory.lock().unwrap();
                        let value: i32 = locked.read_at(0).unwrap();
                        locked.write_at(0, &(value + 1)).unwrap();
                    }
                    memory.detach().unwrap();
                })
            })
            .collect();
        loop {
            let mut locked = memory.lock().unwrap();
            locked.attach().unwrap();
            let value: i32 = locked.read_at(0).unwrap();
            locked.detach().unwrap();
            drop(locked);
            if value == 4 * EACH {
                break;
            }
            thread::yield_now();
        }
        for worker in workers {
            worker.join().unwrap();
        }
        assert!(memory.exists().unwrap(), "it stays without users");
        assert!(memory.destroy(Destroy::Wait).unwrap());
        assert!(!memory.exists().unwrap());
        assert_eq!(memory.handle().unwrap(), None);
        assert!(!memory.destroy(Destroy::NoWait).unwrap());
    }

    /// What the modes do while a Qt program is attached, and that waiting ends when it leaves.
    fn destroying(world) {
        let key = world.key("destroy");
        let mut memory = QtSharedMemory::new(&key);
        memory.create(16).unwrap();
        let mut qt = world.peer(Kind::Qt6);
        qt.open(&key);
        qt.tell("attach m");
        assert_eq!(memory.num_attachments().unwrap(), Some(1));
        assert_eq!(memory.destroy(Destroy::NoWait).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(memory.lock().unwrap().destroy(Destroy::Wait).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let waiting = thread::spawn(move || memory.destroy(Destroy::Wait).map(|_| memory));
        qt.tell(&format!("write m 0 {}", hex("still here")));
        assert_eq!(qt.tell("read m 0 10"), hex("still here"));
        qt.tell("detach m");
        let mut memory = waiting.join().unwrap().unwrap();

        memory.create(16).unwrap();
        qt.tell("attach m");
        qt.tell(&format!("write m 0 {}", hex("old")));
        assert!(memory.destroy(Destroy::ForceNoWait).unwrap());
        memory.create(32).unwrap();
        assert_eq!(qt.tell("read m 0 3"), hex("old"), "it keeps its memory");
        let mut locked = memory.lock().unwrap();
        locked.attach().unwrap();
        assert_eq!(locked.read_at::<[u8; 3]>(0).unwrap(), [0; 3]);
        drop(locked);
        memory.detach().unwrap();
        assert!(memory.exists().unwrap());
        qt.tell("detach m");
        drop(qt);
        memory.destroy(Destroy::Wait).unwrap();
        SystemSemaphore::new(&key, 1).remove().unwrap();
    }

    /// The lock needs no memory, and what was made under it is whole before others see it.
    fn locking_first(world) {
        let key = world.key("first");
        let mut memory = SharedMemory::new(&key);
        let mut guard = memory.lock().unwrap();
        assert!(guard.holds_lock());
        assert_eq!(guard.read(0, &mut [0]).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(guard.open_or_create(8).unwrap(), Opened::Created);
        let mut qt = world.peer(Kind::Qt5);
        qt.open(&key);
        qt.order("attach m");
        crate::world::until_waiting(&key, 1);
        guard.write_at(0, b"complete").unwrap();
        guard.unlock().unwrap();
        qt.answer().unwrap();
        assert_eq!(qt.tell("read m 0 8"), hex("complete"));

        // A lock without memory leaves nothing.
        let mut other = QtSharedMemory::new(&world.key("nothing"));
        drop(other.lock().unwrap());
    }
}
