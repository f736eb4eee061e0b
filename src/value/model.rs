//! `protocol` under a model of Rust's memory: the same code, on loom's atomics, in every
//! interleaving.
//!
//! Loom runs a few threads again and again, in every order of their steps that can make a
//! difference. It lets each load return every store that the memory model of C11 and Rust allows,
//! including stale ones.
//!
//! # What the tests show
//!
//! The values have two words. The scenarios are: a reader during two changes; a reader that reads
//! twice during one change; two readers during two changes; a reader that has, or has not, learned
//! of one of two changes; a reader and two writers, in any order; a reader, a writer that dies
//! before or after any of its stores, and another writer that makes two changes, in any order;
//! three writers of which one dies.
//!
//! - A read returns the value that was committed as the version with which the read began: no
//!   mixture, and nothing of an uncommitted change.
//! - It is not older than what this reader has read before, nor than what a writer has announced to
//!   it.
//! - A read fails only if the second change after its version was begun.
//! - A writer finds the last committed value, and gives each version the next number, also after a
//!   death.
//!
//! Each rule of the protocol is broken once, in the memory and not in the code, and the tests
//! detect this.
//!
//! # What the tests do not cover
//!
//! - The lock is loom's. After a death it is released when the thread of the dead process ends,
//!   because the proof of death comes after all its stores.
//! - Loom keeps the last seven stores to a word, more than the tests make. It does not let a load
//!   return a store that comes later in its run. That matters only to threads whose stores depend
//!   on their loads, and readers store nothing.
//! - Loom does not model speculation of compilers beyond the memory model, nor torn words: atomics
//!   are never torn.
//! - More than three preemptions of a thread are not explored with two readers, or with a reader
//!   and a death.
//! - Only the first few versions are used: the protocol depends only on their differences and
//!   lowest bits.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use loom::sync::atomic::{AtomicU64, fence};
use loom::thread::{self, JoinHandle};

use super::protocol::{self, CopiesMemory, CopiesReader, Word};

/// A rule of the protocol that the memory breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    NoReleaseFence,
    NoAcquireFence,
    /// The commit is relaxed.
    RelaxedCommit,
    /// The reader's first load is relaxed.
    RelaxedVersion,
    /// `writing` is stored after the copy.
    WritingLate,
    /// `version` is stored before the copy.
    CommitEarly,
    /// A reader accepts `writing` at *v + 2*.
    OneMore,
    /// A reader rejects `writing` at *v + 1*.
    OneLess,
    /// The next version is written into the copy that is the value.
    SameCopy,
}

/// A property that a test can find violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Property {
    Whole,
    /// The value belongs to the version with which the reader began.
    Committed,
    /// The value is no older than the version that the reader knows to be committed.
    Recent,
    /// A read does not fail without need.
    Granted,
    /// Writers continue from the last committed value.
    Successive,
}

/// A value has two equal words, which contain its version and its writer.
type Value = [u64; 2];

/// The writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    First = 1,
    Second,
}

/// The memory that the processes share.
struct Memory {
    fault: Fault,
    found: Arc<Mutex<Found>>,
    version: AtomicU64,
    writing: AtomicU64,
    copies: [[AtomicU64; 2]; 2],
    lock: loom::sync::Mutex<()>,
    /// A version that a writer announces as committed.
    told: AtomicU64,
    /// Never loaded: see [`Memory::show_race`].
    race: AtomicU64,
}

/// The initial version, which no writer has made.
const START: u64 = 1;

fn word_of(version: u64, writer: Option<Writer>) -> u64 {
    version * 10 + writer.map_or(0, |writer| writer as u64)
}

fn version_of(value: Value) -> u64 {
    value[0] / 10
}

impl Memory {
    fn copy(&self, version: u64) -> &[AtomicU64; 2] {
        &self.copies[usize::from(!version.is_multiple_of(2))]
    }

    fn requires(&self, law: Property, holds: bool) {
        if !holds {
            self.found().broken.insert(law);
        }
    }

    /// Called before each load of `version` by a reader and before each store to it.
    ///
    /// Loom tries a store before a load only if it is the last store before that load, and a writer
    /// loads `version` itself before it stores it. Loom tries two stores to one word that is never
    /// loaded in both orders, and these stores order nothing else.
    fn show_race(&self) {
        self.race.store(0, Ordering::Relaxed);
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().expect("nothing panics in it")
    }
}

/// A process: its stores reach the memory until it dies.
struct Process {
    memory: Arc<Memory>,
    /// The number of stores that the process makes before it dies.
    life: Cell<usize>,
    /// The store into `writing` that a faulty memory has delayed.
    late: Cell<Option<u64>>,
}

/// The stores of a change: `writing`, two words of the copy, `version`.
const STORES: usize = 4;

impl Process {
    fn new(memory: &Arc<Memory>) -> Process {
        Process::living_for(memory, usize::MAX)
    }

    fn living_for(memory: &Arc<Memory>, stores: usize) -> Process {
        Process {
            memory: Arc::clone(memory),
            life: Cell::new(stores),
            late: Cell::new(None),
        }
    }

    fn word(&self, word: Word) -> &AtomicU64 {
        match word {
            Word::Version => &self.memory.version,
            Word::Writing => &self.memory.writing,
        }
    }

    /// Stores, if the process is still alive.
    fn put(&self, word: &AtomicU64, value: u64, ordering: Ordering) {
        if let Some(left) = self.life.get().checked_sub(1) {
            self.life.set(left);
            if std::ptr::eq(word, &raw const self.memory.version) {
                self.memory.show_race();
            }
            word.store(value, ordering);
        }
    }

    fn load_copy(&self, version: u64) -> Value {
        self.memory
            .copy(version)
            .each_ref()
            .map(|word| word.load(Ordering::Relaxed))
    }

    /// Reads once. `known` is a version that the reader knows to be committed.
    fn read(&self, known: u64) -> Option<Value> {
        let mut begun_with = 0;
        self.memory.show_race();
        let read = protocol::try_read(self, |version| {
            begun_with = version;
            self.load_copy(version)
        });
        let memory = &self.memory;
        memory.requires(Property::Recent, begun_with >= known);
        memory
            .found()
            .read
            .insert(read.map(|value: Value| value[0]));
        let Some(value) = read else {
            // The store that made the read fail, or a later one.
            let begun = memory.writing.load(Ordering::Relaxed);
            memory.requires(Property::Granted, begun >= begun_with + 2);
            return None;
        };
        memory.requires(Property::Whole, value[0] == value[1]);
        memory.requires(Property::Committed, version_of(value) == begun_with);
        Some(value)
    }

    /// Makes a change that depends on the value. The caller has the lock.
    fn update(&self, writer: Writer) {
        let found = protocol::read_locked(self, |version| self.load_copy(version));
        self.memory.requires(Property::Whole, found[0] == found[1]);
        let made = self.set(writer);
        self.memory
            .requires(Property::Successive, made == version_of(found) + 1);
    }

    /// Makes a change, and returns the version that it made. The caller has the lock.
    fn set(&self, writer: Writer) -> u64 {
        let memory = &self.memory;
        let mut made = 0;
        protocol::commit(self, |version| {
            made = version;
            if memory.fault == Fault::CommitEarly {
                self.put(&memory.version, version, Ordering::Release);
            }
            let wrong = u64::from(memory.fault == Fault::SameCopy);
            for word in memory.copy(version + wrong) {
                self.put(word, word_of(version, Some(writer)), Ordering::Relaxed);
            }
        });
        made
    }
}

impl CopiesReader for Process {
    fn load(&self, word: Word, ordering: Ordering) -> u64 {
        let relaxed = self.memory.fault == Fault::RelaxedVersion;
        let ordering = if relaxed { Ordering::Relaxed } else { ordering };
        let value = self.word(word).load(ordering);
        match (self.memory.fault, word) {
            (Fault::OneMore, Word::Writing) => value - 1,
            (Fault::OneLess, Word::Writing) => value + 1,
            _ => value,
        }
    }

    fn fence(&self, ordering: Ordering) {
        match (self.memory.fault, ordering) {
            (Fault::NoReleaseFence, Ordering::Release)
            | (Fault::NoAcquireFence, Ordering::Acquire) => {}
            _ => fence(ordering),
        }
    }
}

impl CopiesMemory for Process {
    fn store(&self, word: Word, value: u64, ordering: Ordering) {
        if let Some(late) = self.late.take() {
            self.put(&self.memory.writing, late, Ordering::Relaxed);
        }
        match (self.memory.fault, word) {
            (Fault::WritingLate, Word::Writing) => self.late.set(Some(value)),
            (Fault::RelaxedCommit, _) => self.put(self.word(word), value, Ordering::Relaxed),
            _ => self.put(self.word(word), value, ordering),
        }
    }

    fn commit(&self, version: u64) {
        self.store(Word::Version, version, Ordering::Release);
    }
}

/// Starts a process on a thread of its own.
fn start(memory: &Arc<Memory>, run: impl FnOnce(&Process) + 'static) -> JoinHandle<()> {
    let process = Process::new(memory);
    thread::spawn(move || run(&process))
}

fn start_reader(memory: &Arc<Memory>, times: usize) -> JoinHandle<()> {
    start(memory, move |process| {
        let mut known = START;
        for _ in 0..times {
            known = process.read(known).map_or(known, version_of);
        }
    })
}

fn end(thread: JoinHandle<()>) {
    thread.join().expect("it does not panic");
}

/// The findings of all interleavings together.
#[derive(Debug, Default)]
struct Found {
    broken: BTreeSet<Property>,
    /// The results of reads: the word of a value, or `None` for a failed read.
    read: BTreeSet<Option<u64>>,
}

/// Runs a scenario in every interleaving.
fn explore(fault: Fault, world: impl Fn(&Arc<Memory>) + Send + Sync + 'static) -> Found {
    explore_within(None, fault, world)
}

/// As [`explore`], with at most `preemptions` preemptions of one thread by another: exploring all
/// of them can take minutes.
fn explore_within(
    preemptions: Option<usize>,
    fault: Fault,
    world: impl Fn(&Arc<Memory>) + Send + Sync + 'static,
) -> Found {
    let found = Arc::new(Mutex::new(Found::default()));
    let shared = Arc::clone(&found);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(move || {
        let words = |value| [AtomicU64::new(value), AtomicU64::new(value)];
        world(&Arc::new(Memory {
            fault,
            found: Arc::clone(&shared),
            version: AtomicU64::new(START),
            writing: AtomicU64::new(START),
            copies: [words(0), words(word_of(START, None))],
            lock: loom::sync::Mutex::new(()),
            told: AtomicU64::new(START),
            race: AtomicU64::new(0),
        }));
    });
    std::mem::take(&mut *found.lock().expect("nothing panics in it"))
}

/// Asserts that no property is broken and that readers can get exactly these results. With fewer
/// results, the scenario would cover less than intended.
#[track_caller]
fn assert_sound(found: &Found, read: &[Option<u64>]) {
    assert!(found.broken.is_empty(), "{found:?}");
    assert_eq!(found.read, read.iter().copied().collect());
}

/// The results of reads.
const INITIAL: Option<u64> = Some(10);
const REFUSED: Option<u64> = None;

#[expect(
    clippy::unnecessary_wraps,
    reason = "what a reader may get, as `REFUSED` is"
)]
fn by_first(changes: u64) -> Option<u64> {
    Some(word_of(START + changes, Some(Writer::First)))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what a reader may get, as `REFUSED` is"
)]
fn by_second(changes: u64) -> Option<u64> {
    Some(word_of(START + changes, Some(Writer::Second)))
}

fn two_changes_beside_a_reader(memory: &Arc<Memory>) {
    let reader = start_reader(memory, 1);
    let writer = Process::new(memory);
    writer.set(Writer::First);
    writer.set(Writer::First);
    end(reader);
}

#[test]
fn a_reader_gets_what_was_committed() {
    let found = explore(Fault::None, two_changes_beside_a_reader);
    assert_sound(&found, &[REFUSED, INITIAL, by_first(1), by_first(2)]);
}

#[test]
fn a_reader_gets_nothing_older_than_before() {
    let found = explore(Fault::None, |memory| {
        let reader = start_reader(memory, 2);
        Process::new(memory).set(Writer::First);
        end(reader);
    });
    assert_sound(&found, &[INITIAL, by_first(1)]);
}

#[test]
fn two_readers_get_what_was_committed() {
    let found = explore_within(Some(3), Fault::None, |memory| {
        let readers = [start_reader(memory, 1), start_reader(memory, 1)];
        let writer = Process::new(memory);
        writer.set(Writer::First);
        writer.set(Writer::First);
        readers.into_iter().for_each(end);
    });
    assert_sound(&found, &[REFUSED, INITIAL, by_first(1), by_first(2)]);
}

#[test]
fn a_reader_that_learned_of_a_commit_gets_nothing_older() {
    let found = explore(Fault::None, |memory| {
        let reader = start(memory, |process| {
            let known = process.memory.told.load(Ordering::Acquire);
            process.read(known);
        });
        let writer = Process::new(memory);
        writer.set(Writer::First);
        memory.told.store(START + 1, Ordering::Release);
        writer.set(Writer::First);
        end(reader);
    });
    assert_sound(&found, &[REFUSED, INITIAL, by_first(1), by_first(2)]);
}

#[test]
fn two_writers_take_turns() {
    let found = explore(Fault::None, |memory| {
        let reader = start_reader(memory, 1);
        let other = start(memory, |process| {
            let _hold = process.memory.lock.lock();
            process.set(Writer::Second);
        });
        let writer = Process::new(memory);
        let guard = memory.lock.lock();
        writer.set(Writer::First);
        drop(guard);
        end(other);
        end(reader);
    });
    let first = [by_first(1), by_second(2)];
    let second = [by_second(1), by_first(2)];
    assert_sound(&found, &[&[REFUSED, INITIAL][..], &first, &second].concat());
}

#[test]
fn a_writer_that_dies_leaves_the_old_value_or_the_new_one() {
    for life in 0..=STORES {
        let found = explore_within(Some(3), Fault::None, move |memory| {
            let reader = start_reader(memory, 1);
            let dying = Process::living_for(memory, life);
            let dying = thread::spawn(move || {
                // Released at the end of the thread, which stands for the proof of death.
                let _hold = dying.memory.lock.lock();
                dying.set(Writer::First);
            });
            let writer = Process::new(memory);
            let guard = memory.lock.lock();
            writer.set(Writer::Second);
            writer.set(Writer::Second);
            drop(guard);
            end(dying);
            end(reader);
        });
        let mut read = vec![REFUSED, INITIAL, by_second(1), by_second(2)];
        if life == STORES {
            read.extend([by_first(1), by_second(3), by_first(3)]);
        }
        assert_sound(&found, &read);
    }
}

#[test]
fn writers_go_on_from_the_last_committed_value() {
    for life in 0..=STORES {
        let found = explore(Fault::None, move |memory| {
            let dying = Process::living_for(memory, life);
            let dying = thread::spawn(move || {
                let _hold = dying.memory.lock.lock();
                dying.update(Writer::First);
            });
            let other = start(memory, |process| {
                let _hold = process.memory.lock.lock();
                process.update(Writer::Second);
            });
            let writer = Process::new(memory);
            let guard = memory.lock.lock();
            writer.update(Writer::Second);
            drop(guard);
            end(dying);
            end(other);
            writer.read(START + 2 + u64::from(life == STORES));
        });
        assert!(found.broken.is_empty(), "{found:?}");
    }
}

#[test]
fn each_rule_is_needed() {
    for (fault, law) in [
        (Fault::NoReleaseFence, Property::Whole),
        (Fault::NoAcquireFence, Property::Whole),
        (Fault::RelaxedCommit, Property::Whole),
        (Fault::RelaxedVersion, Property::Whole),
        (Fault::WritingLate, Property::Whole),
        (Fault::CommitEarly, Property::Whole),
        (Fault::OneMore, Property::Whole),
        (Fault::OneLess, Property::Granted),
        (Fault::SameCopy, Property::Whole),
    ] {
        let found = explore(fault, two_changes_beside_a_reader);
        assert!(found.broken.contains(&law), "{fault:?}: {found:?}");
    }
}
