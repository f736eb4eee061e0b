//! Each test that upstream has for `QSharedMemory`, by its name; where there is no counterpart, a
//! line says why not.
//!
//! As upstream's, they run once for each family of objects that Qt programs can use here.
//!
//! - `changeKeyType`, and setting keys in `nativeKey`, `key` and `legacyKey`: a handle has one key
//!   for its life; a new handle takes another, and dropping the old one detaches, which
//!   `remove_while_attached` shows.
//! - `attachTooMuch`: disabled upstream.
//! - `simpleProcessProducerConsumer`: skipped upstream as unstable; it runs here, with the family
//!   that all Qt programs have.

use std::collections::HashSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sharehold::qt::{ErrorKind, KeyType, NativeIpcKey, Options, SharedMemory};

use crate::world::{Kind, World, until, world_tests};

/// The size of what upstream's tests start with.
const SIZE: usize = 1024;

/// System V with the letter Q, with the letter T, and POSIX, by Qt's numbers.
const FAMILIES: [u16; 3] = [0x51, 0x54, 0x100];

/// A family of objects, and the handles for it.
#[derive(Debug, Clone, Copy)]
struct Family(KeyType);

impl Family {
    fn options(self) -> Options {
        Options::new().key_type(self.0)
    }

    fn handle(self, key: &str) -> SharedMemory {
        self.options().shared_memory(key)
    }

    fn existing(self, key: &str) -> SharedMemory {
        let mut memory = self.handle(key);
        memory.create(SIZE).unwrap();
        memory
    }

    fn reader(self, key: &str) -> SharedMemory {
        self.options().read_only(true).shared_memory(key)
    }

    fn is_posix(self) -> bool {
        self.0 == KeyType::Posix
    }

    /// Removes what POSIX leaves for good, as upstream's tests do; System V leaves nothing.
    fn remove_left(self, key: &str) {
        assert_eq!(self.handle(key).remove_stale().unwrap(), self.is_posix());
    }

    /// Leaves room for four pieces of 32 MiB; the namespaces are the test's, and so are their
    /// limits.
    fn limit_to_four(self) {
        if self.is_posix() {
            resize_memory_files("159m");
        } else {
            std::fs::write("/proc/sys/kernel/shmmni", "4").unwrap();
        }
    }

    fn end_limit(self) {
        if self.is_posix() {
            resize_memory_files("50%");
        } else {
            std::fs::write("/proc/sys/kernel/shmmni", "4096").unwrap();
        }
    }

    /// Removes what the test left with POSIX.
    fn clear(self, world: &World) {
        if self.is_posix() {
            for key in world.keys() {
                self.handle(&key).remove_stale().unwrap();
                self.options().semaphore(&key, 1).remove_stale().unwrap();
            }
        }
    }
}

fn resize_memory_files(size: &str) {
    let mut mount = Command::new("mount");
    mount.args(["-o", &format!("remount,size={size}"), "/dev/shm"]);
    assert!(mount.status().unwrap().success());
}

/// Tests that run once for each family.
macro_rules! family_tests {
    ($($(#[$doc:meta])* fn $name:ident($world:ident, $family:ident) $body:block)+) => {
        world_tests! {$(
            $(#[$doc])*
            fn $name(world) {
                for number in FAMILIES {
                    let family = Family(KeyType::from_number(number).unwrap());
                    eprintln!("{family:?}");
                    let test = |$world: &World, $family: Family| $body;
                    test(world, family);
                    family.clear(world);
                }
            }
        )+}
    };
}

fn kind<T: std::fmt::Debug>(result: sharehold::qt::Result<T>) -> ErrorKind {
    let error = result.unwrap_err();
    assert!(!error.to_string().is_empty());
    error.kind()
}

family_tests! {
    fn constructor(_world, family) {
        let memory = family.handle("");
        assert!(!memory.is_attached());
        assert_eq!(memory.as_ptr(), None);
        assert!(memory.native_key().is_empty());
        assert_eq!(memory.size(), 0);
        assert_eq!(memory.key(), None);
    }

    fn native_key(_world, family) {
        for key in ["", "one", "two", "three", "o/e", "t/o", "|x"] {
            let mut memory = family.handle(key);
            assert_eq!(memory.native_key().is_empty(), key.is_empty());
            assert!(!memory.is_attached());
            assert!(memory.detach().is_err());
            let native = NativeIpcKey::new(key, family.0);
            let memory = Options::new().native_memory(native.clone());
            assert_eq!(*memory.native_key(), native);
            assert_eq!(memory.key(), None);
        }
    }

    fn legacy_key(_world, family) {
        for key in ["one", "two", "three", "o/e", "t/o", "|x"] {
            let memory = family.handle(key);
            assert_eq!(memory.key(), Some(key));
            let printed = memory.native_key().to_string();
            assert_eq!(printed.parse::<NativeIpcKey>().unwrap(), *memory.native_key());
        }
    }

    fn create_null_key(_world, family) {
        let mut memory = family.handle("");
        assert_eq!(kind(memory.create(SIZE)), ErrorKind::KeyError);
        assert_eq!(memory.as_ptr(), None);
    }

    /// Sizes below zero cannot be written.
    fn create_size_zero(world, family) {
        assert_eq!(kind(family.handle(&world.key("zero")).create(0)), ErrorKind::InvalidSize);
    }

    fn create_1024(world, family) {
        let memory = family.existing(&world.key("create"));
        assert!(memory.as_ptr().is_some());
        assert_eq!(memory.size(), SIZE);
    }

    fn create_existing(world, family) {
        let key = world.key("existing");
        let mut memory = family.existing(&key);
        assert_eq!(kind(family.handle(&key).create(SIZE)), ErrorKind::AlreadyExists);
        assert_eq!(kind(memory.create(SIZE)), ErrorKind::AlreadyExists);
        assert!(memory.is_attached());
    }

    fn attach_null_key(_world, family) {
        assert_eq!(kind(family.handle("").attach()), ErrorKind::KeyError);
    }

    fn attach_unknown_key(world, family) {
        let mut memory = family.handle(&world.key("unknown"));
        assert_eq!(kind(memory.attach()), ErrorKind::NotFound);
        assert_eq!((memory.as_ptr(), memory.size()), (None, 0));
        assert_eq!(kind(memory.detach()), ErrorKind::NotFound);
    }

    fn attach_existing(world, family) {
        let key = world.key("attach");
        let _existing = family.existing(&key);
        let mut memory = family.handle(&key);
        for _ in 0..2 {
            memory.attach().unwrap();
            assert_eq!(kind(memory.attach()), ErrorKind::AlreadyExists);
            memory.detach().unwrap();
            assert_eq!((memory.as_ptr(), memory.size()), (None, 0));
        }
    }

    /// The lock needs no memory here; a second one by the same handle cannot be written while the
    /// first one lives.
    fn lock(world, family) {
        assert_eq!(kind(family.handle("").lock()), ErrorKind::KeyError);
        let key = world.key("lock");
        let mut memory = family.handle(&key);
        memory.lock().unwrap().unlock().unwrap();
        memory.create(SIZE).unwrap();
        let guard = memory.lock().unwrap();
        assert!(family.handle(&key).try_lock().unwrap().is_none());
        // A guard that is leaked leaves the handle holding, and dropping the handle gives back.
        std::mem::forget(guard);
        assert!(memory.holds_lock());
        memory.lock().unwrap().write(0, b"again").unwrap();
        assert!(!memory.holds_lock());
        std::mem::forget(memory.lock().unwrap());
        let impatient = family.options().patience(Duration::from_millis(20));
        let mut other = impatient.shared_memory(&key);
        assert_eq!(kind(other.attach()), ErrorKind::LockError);
        drop(memory);
        family.remove_left(&key);
        other.create(SIZE).unwrap();
    }

    fn remove_while_attached(world, family) {
        let key = world.key("remove");
        let first = family.existing(&key);
        let mut second = family.handle(&key);
        second.attach().unwrap();
        drop(first);
        second.lock().unwrap().write_at(0, &1_u8).unwrap();
        drop(second);
        family.remove_left(&key);
        assert_eq!(kind(family.handle(&key).attach()), ErrorKind::NotFound);
    }

    fn empty_memory(world, family) {
        let mut memory = family.reader(&world.key("empty"));
        memory.create(SIZE).unwrap();
        assert_eq!(memory.lock().unwrap().read_at::<[u8; SIZE]>(0).unwrap(), [0; SIZE]);
    }

    /// Upstream's helper crashes; here it is an error.
    fn read_only(world, family) {
        let mut memory = family.reader(&world.key("readonly"));
        memory.create(SIZE).unwrap();
        assert_eq!(kind(memory.lock().unwrap().write(0, b"x")), ErrorKind::PermissionDenied);
    }

    fn use_too_much_memory(world, family) {
        let mut memory = family.handle(&world.key("huge"));
        for size in [1 << 47, usize::MAX / 2, usize::MAX] {
            let refused = kind(memory.create(size));
            assert!(matches!(refused, ErrorKind::OutOfResources | ErrorKind::InvalidSize), "{refused:?}");
            assert!(!memory.is_attached());
            assert_eq!((memory.as_ptr(), memory.size()), (None, 0));
            assert_eq!(kind(memory.attach()), ErrorKind::NotFound);
        }
        if world.private {
            family.limit_to_four();
            let mut taken = Vec::new();
            let refused = loop {
                let mut memory = family.handle(&world.key("many"));
                match memory.create(32 << 20) {
                    Ok(()) => taken.push(memory),
                    Err(error) => break error.kind(),
                }
            };
            assert_eq!((refused, taken.len()), (ErrorKind::OutOfResources, 4));
            family.end_limit();
        }
        memory.create(SIZE).unwrap();
    }

    fn simple_producer_consumer_read_only(world, family) {
        producer_consumer(family, &world.key("producer"), Family::reader);
    }

    fn simple_producer_consumer_read_write(world, family) {
        producer_consumer(family, &world.key("producer"), Family::handle);
    }

    fn simple_double_producer_consumer(world, family) {
        let key = world.key("double");
        let mut producer = family.existing(&key);
        producer.detach().unwrap();
        family.remove_left(&key);
        producer.create(SIZE).unwrap();
        family.handle(&key).attach().unwrap();
    }

    fn simple_threaded_producer_consumer(world, family) {
        for consumers in [1, 5] {
            let key = world.key("threads");
            let (attached, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
            thread::scope(|scope| {
                for _ in 0..consumers {
                    scope.spawn(|| consume(family, &key, &attached, &stop));
                }
                produce(family, &key, consumers, &attached);
                stop.store(true, Ordering::Relaxed);
            });
        }
    }

    fn unique_key(_world, family) {
        let keys = ["", "key", "key1", "ke1y", "key2", "No\u{eb}l", "Nol"];
        let native = |key: &&str| family.handle(key).native_key().native_key().to_owned();
        assert_eq!(keys.iter().map(native).collect::<HashSet<_>>().len(), keys.len());
        assert!(keys.iter().all(|key| native(key) == native(key)));
    }

    fn create_with_same_key(world, family) {
        let key = world.key("same");
        let _owner = family.existing(&key);
        for _ in 0..2 {
            let mut memory = family.handle(&key);
            assert_eq!(kind(memory.create(SIZE)), ErrorKind::AlreadyExists);
            memory.attach().unwrap();
        }
    }
}

world_tests! {
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

    /// Upstream's table of what System V projects work: beyond 127 Qt fails with whatever error
    /// came last.
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

fn producer_consumer(family: Family, key: &str, consumer: fn(Family, &str) -> SharedMemory) {
    let mut producer = family.existing(key);
    let mut consumer = consumer(family, key);
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

/// Fills the memory five times for each consumer, each time after a consumer took the last filling.
///
/// It begins when all consumers have attached: a fast one could take every filling, and a slow one
/// would find nothing to attach to.
fn produce(family: Family, key: &str, consumers: usize, attached: &AtomicUsize) {
    let mut producer = family.existing(key);
    until("all consumers have attached", || {
        attached.load(Ordering::Relaxed) == consumers
    });
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

fn consume(family: Family, key: &str, attached: &AtomicUsize, stop: &AtomicBool) {
    let mut consumer = family.handle(key);
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
    attached.fetch_add(1, Ordering::Relaxed);
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
