//! Each test that upstream has for `QSharedMemory`, by its name; where there is no counterpart, a line says why not.
//!
//! - `changeKeyType`, and setting keys in `nativeKey`, `key` and `legacyKey`: a handle has one key for its life; a new handle
//!   takes another, and dropping the old one detaches, which `remove_while_attached` shows.
//! - `attachTooMuch`: disabled upstream.
//! - `simpleProcessProducerConsumer`: skipped upstream as unstable; it runs here.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sharehold::qt::{ErrorKind, KeyType, NativeIpcKey, Options, SharedMemory};

use crate::world::{Kind, until, world_tests};

/// The size of what upstream's tests start with.
const SIZE: usize = 1024;

fn existing(key: &str) -> SharedMemory {
    let mut memory = SharedMemory::new(key);
    memory.create(SIZE).unwrap();
    memory
}

fn read_only(key: &str) -> SharedMemory {
    Options::new().read_only(true).shared_memory(key)
}

fn kind<T: std::fmt::Debug>(result: sharehold::qt::Result<T>) -> ErrorKind {
    let error = result.unwrap_err();
    assert!(!error.to_string().is_empty());
    error.kind()
}

world_tests! {
    fn constructor(_world) {
        let memory = SharedMemory::new("");
        assert!(!memory.is_attached());
        assert_eq!(memory.as_ptr(), None);
        assert!(memory.native_key().is_empty());
        assert_eq!(memory.size(), 0);
        assert_eq!(memory.key(), None);
    }

    fn native_key(_world) {
        for key in ["", "one", "two", "three", "o/e", "t/o", "|x"] {
            let mut memory = SharedMemory::new(key);
            assert_eq!(memory.native_key().is_empty(), key.is_empty());
            assert!(!memory.is_attached());
            assert!(memory.detach().is_err());
            let native = NativeIpcKey::new(key, KeyType::SYSTEM_V);
            let memory = Options::new().native_memory(native.clone());
            assert_eq!(*memory.native_key(), native);
            assert_eq!(memory.key(), None);
        }
    }

    fn legacy_key(_world) {
        for key in ["one", "two", "three", "o/e", "t/o", "|x"] {
            let memory = SharedMemory::new(key);
            assert_eq!(memory.key(), Some(key));
            let printed = memory.native_key().to_string();
            assert_eq!(printed.parse::<NativeIpcKey>().unwrap(), *memory.native_key());
        }
    }

    fn create_null_key(_world) {
        let mut memory = SharedMemory::new("");
        assert_eq!(kind(memory.create(SIZE)), ErrorKind::KeyError);
        assert_eq!(memory.as_ptr(), None);
    }

    /// Sizes below zero cannot be written.
    fn create_size_zero(world) {
        assert_eq!(kind(SharedMemory::new(&world.key("zero")).create(0)), ErrorKind::InvalidSize);
    }

    fn create_1024(world) {
        let memory = existing(&world.key("create"));
        assert!(memory.as_ptr().is_some());
        assert_eq!(memory.size(), SIZE);
    }

    fn create_existing(world) {
        let key = world.key("existing");
        let mut memory = existing(&key);
        assert_eq!(kind(SharedMemory::new(&key).create(SIZE)), ErrorKind::AlreadyExists);
        assert_eq!(kind(memory.create(SIZE)), ErrorKind::AlreadyExists);
        assert!(memory.is_attached());
    }

    fn attach_null_key(_world) {
        assert_eq!(kind(SharedMemory::new("").attach()), ErrorKind::KeyError);
    }

    fn attach_unknown_key(world) {
        let mut memory = SharedMemory::new(&world.key("unknown"));
        assert_eq!(kind(memory.attach()), ErrorKind::NotFound);
        assert_eq!((memory.as_ptr(), memory.size()), (None, 0));
        assert_eq!(kind(memory.detach()), ErrorKind::NotFound);
    }

    fn attach_existing(world) {
        let key = world.key("attach");
        let _existing = existing(&key);
        let mut memory = SharedMemory::new(&key);
        for _ in 0..2 {
            memory.attach().unwrap();
            assert_eq!(kind(memory.attach()), ErrorKind::AlreadyExists);
            memory.detach().unwrap();
            assert_eq!((memory.as_ptr(), memory.size()), (None, 0));
        }
    }

    /// The lock needs no memory here; a second one by the same handle cannot be written while the first one lives.
    fn lock(world) {
        assert_eq!(kind(SharedMemory::new("").lock()), ErrorKind::KeyError);
        let key = world.key("lock");
        let mut memory = SharedMemory::new(&key);
        memory.lock().unwrap().unlock().unwrap();
        memory.create(SIZE).unwrap();
        let guard = memory.lock().unwrap();
        assert!(SharedMemory::new(&key).try_lock().unwrap().is_none());
        // A guard that is leaked leaves the handle holding, and dropping the handle gives back.
        std::mem::forget(guard);
        assert!(memory.holds_lock());
        memory.lock().unwrap().write(0, b"again").unwrap();
        assert!(!memory.holds_lock());
        std::mem::forget(memory.lock().unwrap());
        let impatient = Options::new().patience(std::time::Duration::from_millis(20));
        let mut other = impatient.shared_memory(&key);
        assert_eq!(kind(other.attach()), ErrorKind::LockError);
        drop(memory);
        other.create(SIZE).unwrap();
    }

    fn remove_while_attached(world) {
        let key = world.key("remove");
        let first = existing(&key);
        let mut second = SharedMemory::new(&key);
        second.attach().unwrap();
        drop(first);
        second.lock().unwrap().write_at(0, &1_u8).unwrap();
        drop(second);
        assert_eq!(kind(SharedMemory::new(&key).attach()), ErrorKind::NotFound);
    }

    fn empty_memory(world) {
        let mut memory = read_only(&world.key("empty"));
        memory.create(SIZE).unwrap();
        assert_eq!(memory.lock().unwrap().read_at::<[u8; SIZE]>(0).unwrap(), [0; SIZE]);
    }

    /// Upstream's helper crashes; here it is an error.
    fn read_only_memory(world) {
        let mut memory = read_only(&world.key("readonly"));
        memory.create(SIZE).unwrap();
        assert_eq!(kind(memory.lock().unwrap().write(0, b"x")), ErrorKind::PermissionDenied);
    }

    fn use_too_much_memory(world) {
        let mut memory = SharedMemory::new(&world.key("huge"));
        for size in [1 << 47, usize::MAX / 2, usize::MAX] {
            let refused = kind(memory.create(size));
            assert!(matches!(refused, ErrorKind::OutOfResources | ErrorKind::InvalidSize), "{refused:?}");
            assert!(!memory.is_attached());
            assert_eq!((memory.as_ptr(), memory.size()), (None, 0));
            assert_eq!(kind(memory.attach()), ErrorKind::NotFound);
        }
        if world.private {
            // The namespace is this test's, and so is its limit.
            std::fs::write("/proc/sys/kernel/shmmni", "4").unwrap();
            let mut taken = Vec::new();
            let refused = loop {
                let mut memory = SharedMemory::new(&world.key("many"));
                match memory.create(32 << 20) {
                    Ok(()) => taken.push(memory),
                    Err(error) => break error.kind(),
                }
            };
            assert_eq!((refused, taken.len()), (ErrorKind::OutOfResources, 4));
        }
        memory.create(SIZE).unwrap();
    }

    fn simple_producer_consumer_read_only(world) {
        producer_consumer(&world.key("producer"), read_only);
    }

    fn simple_producer_consumer_read_write(world) {
        producer_consumer(&world.key("producer"), SharedMemory::new);
    }

    fn simple_double_producer_consumer(world) {
        let key = world.key("double");
        let mut producer = existing(&key);
        producer.detach().unwrap();
        producer.create(SIZE).unwrap();
        SharedMemory::new(&key).attach().unwrap();
    }

    fn simple_threaded_producer_consumer(world) {
        for consumers in [1, 5] {
            let key = world.key("threads");
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                for _ in 0..consumers {
                    scope.spawn(|| consume(&key, &stop));
                }
                produce(&key, consumers);
                stop.store(true, Ordering::Relaxed);
            });
        }
    }

    fn simple_process_producer_consumer(world) {
        for (number, each) in [(1, 4_000), (5, 800)] {
            for creator in Kind::ALL {
                let key = world.key("processes");
                let mut producer = world.peer(creator);
                producer.open(&key);
                producer.tell("create m 1024");
                // Counting is Qt's business in C++ only.
                let kinds = [Kind::Ours, Kind::Qt5, Kind::Qt6].into_iter().cycle().take(number);
                let mut consumers: Vec<_> = kinds.map(|kind| world.peer(kind)).collect();
                for consumer in &mut consumers {
                    consumer.open(&key);
                    consumer.tell("attach m");
                    consumer.order(&format!("count m {each}"));
                }
                for consumer in &mut consumers {
                    consumer.answer().unwrap();
                }
                let mut memory = SharedMemory::new(&key);
                memory.attach().unwrap();
                assert_eq!(memory.lock().unwrap().read_at::<i32>(0).unwrap(), 4_000);
                drop(consumers);
                drop(producer);
            }
        }
    }

    fn unique_key(_world) {
        let keys = ["", "key", "key1", "ke1y", "key2", "No\u{eb}l", "Nol"];
        let native = |key: &&str| SharedMemory::new(key).native_key().native_key().to_owned();
        assert_eq!(keys.iter().map(native).collect::<HashSet<_>>().len(), keys.len());
        assert!(keys.iter().all(|key| native(key) == native(key)));
    }

    fn create_with_same_key(world) {
        let key = world.key("same");
        let _owner = existing(&key);
        for _ in 0..2 {
            let mut memory = SharedMemory::new(&key);
            assert_eq!(kind(memory.create(SIZE)), ErrorKind::AlreadyExists);
            memory.attach().unwrap();
        }
    }

    /// Upstream's table of what System V projects work: beyond 127 Qt fails with whatever error came last.
    fn projects(world) {
        for number in [1, 84, 127, 128, 255] {
            let key_type = KeyType::from_number(number).unwrap();
            let path = world.directory().join("project").to_str().unwrap().to_owned();
            let mut memory = Options::new().native_memory(NativeIpcKey::new(path, key_type));
            match memory.create(SIZE) {
                Ok(()) => assert!(number <= 127),
                Err(error) => assert_eq!((number > 127, error.kind()), (true, ErrorKind::KeyError)),
            }
        }
        let windows = NativeIpcKey::new("name", KeyType::Windows);
        assert_eq!(kind(Options::new().native_memory(windows).create(SIZE)), ErrorKind::KeyError);
    }

    /// Not upstream's, but on its side: the errors of Qt for keys whose files cannot be.
    fn unusable_directories(world) {
        let long = "x".repeat(198);
        assert_eq!(kind(SharedMemory::new(&long).create(SIZE)), ErrorKind::KeyError);
        assert_eq!(kind(SharedMemory::new(&long).attach()), ErrorKind::KeyError);
        let missing = world.directory().join("missing");
        let mut memory = Options::new().temp_dir(missing).shared_memory("key");
        assert_eq!(kind(memory.create(SIZE)), ErrorKind::KeyError);
        assert_eq!(kind(memory.attach()), ErrorKind::NotFound);
        let mut longest = SharedMemory::new(&"x".repeat(197));
        longest.create(SIZE).unwrap();
    }
}

fn producer_consumer(key: &str, consumer: fn(&str) -> SharedMemory) {
    let mut producer = existing(key);
    let mut consumer = consumer(key);
    consumer.attach().unwrap();
    assert_ne!(producer.as_ptr(), consumer.as_ptr());
    for offset in 0..SIZE {
        let byte = u8::try_from(offset % 251).unwrap();
        producer.lock().unwrap().write_at(offset, &byte).unwrap();
        assert_eq!(
            consumer.lock().unwrap().read_at::<u8>(offset).unwrap(),
            byte
        );
    }
    let mut all = [0; SIZE];
    for offset in 0..9 {
        for length in 0..20 {
            let bytes = &mut all[..length];
            consumer.lock().unwrap().read(offset, bytes).unwrap();
            let written = (offset..offset + length).map(|at| u8::try_from(at % 251).unwrap());
            assert!(bytes.iter().copied().eq(written));
        }
    }
    let guard = consumer.lock().unwrap();
    assert_eq!(kind(guard.read(SIZE, &mut [0])), ErrorKind::InvalidSize);
    assert_eq!(
        kind(guard.read(usize::MAX, &mut [0; 2])),
        ErrorKind::InvalidSize
    );
    guard.read(SIZE, &mut []).unwrap();
}

/// Fills the memory once for every consumer and more, each time when the last filling was taken.
fn produce(key: &str, consumers: usize) {
    let mut producer = existing(key);
    for _ in 0..consumers * 5 {
        until("the last filling is taken", || {
            let mut guard = producer.lock().unwrap();
            let free = guard.read_at::<u8>(0).unwrap() == 0;
            if free {
                guard.write(0, &[b'Q'; SIZE]).unwrap();
            }
            free
        });
    }
    until("the last filling is taken", || {
        producer.lock().unwrap().read_at::<u8>(0).unwrap() == 0
    });
}

fn consume(key: &str, stop: &AtomicBool) {
    let mut consumer = SharedMemory::new(key);
    until("the producer is there", || match consumer.attach() {
        Ok(()) => true,
        Err(error) => {
            assert!(
                matches!(error.kind(), ErrorKind::NotFound | ErrorKind::KeyError),
                "{error}"
            );
            false
        }
    });
    while !stop.load(Ordering::Relaxed) {
        let mut guard = consumer.lock().unwrap();
        let bytes: [u8; SIZE] = guard.read_at(0).unwrap();
        if bytes[0] != 0 {
            assert_eq!(bytes, [b'Q'; SIZE]);
            guard.write(0, &[0; SIZE]).unwrap();
        }
        drop(guard);
        thread::yield_now();
    }
}
