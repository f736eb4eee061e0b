//! One writes, others read, and all of them are stopped and killed at random moments: no reader
//! sees a mixture, and no reader waits for a process that does not go on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use sharehold::{ErrorKind, ReadOnlyShared, Shared};
use sharehold_testkit::{Child, Suite, Talk};

use super::{Bytes, KEY, MEBIBYTE, Uniform, uniform, version_of, with_stack};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(values_of_64_bytes_are_never_torn)
        .test(values_of_4096_bytes_are_never_torn)
        .test(values_of_a_mebibyte_are_never_torn)
        .role(writer::<8>)
        .role(writer::<512>)
        .role(writer::<MEBIBYTE>)
        .role(reader::<8>)
        .role(reader::<512>)
        .role(reader::<MEBIBYTE>)
        .role(read_only_reader::<8>)
        .role(read_only_reader::<512>)
        .role(read_only_reader::<MEBIBYTE>)
}

/// For each of the three sizes.
const TIME: Duration = Duration::from_secs(6);
/// How often, at least, the writer is stopped, and how often killed, in the middle of a commit.
const ENOUGH: u32 = 5;
const READERS: usize = 4;

fn values_of_64_bytes_are_never_torn() {
    with_stack(storm::<8>);
}

fn values_of_4096_bytes_are_never_torn() {
    with_stack(storm::<512>);
}

fn values_of_a_mebibyte_are_never_torn() {
    with_stack(storm::<MEBIBYTE>);
}

/// Makes version after version until it is killed.
fn writer<const N: usize>(test: &mut Talk) {
    let (has_written, written) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| with_stack(|| write::<N>(&has_written)));
        written.recv().expect("it writes");
        test.say("writes");
    });
}

fn write<const N: usize>(has_written: &mpsc::Sender<()>) {
    let value = Shared::<Uniform<N>>::attach(KEY).expect("it is there");
    let first = value.version().expect("it is no fork") + 1;
    for next in first.. {
        let changed = match next % 2 {
            0 => value.set(&uniform(next)),
            _ => value.update(|it| {
                assert_eq!(version_of(it), next - 1);
                it.fill(next);
            }),
        };
        changed.expect("it can be changed");
        if next == first {
            has_written.send(()).expect("it is waited for");
        }
    }
}

/// Reads for ever, and tells how often it has read.
fn reader<const N: usize>(test: &mut Talk) {
    reads(test, |eye| {
        let value = Shared::<Uniform<N>>::attach(KEY).expect("it is there");
        eye.look(|| value.version(), || value.get());
    });
}

fn read_only_reader<const N: usize>(test: &mut Talk) {
    reads(test, |eye| {
        let value = Shared::<Uniform<N>>::attach_read_only(KEY).expect("it is there");
        eye.look(|| value.version(), || value.get());
    });
}

fn reads(test: &mut Talk, read: impl FnOnce(&Eye) + Send) {
    let eye = Eye::default();
    thread::scope(|scope| {
        let reading = scope.spawn(|| with_stack(|| read(&eye)));
        loop {
            let count = match test.hear().as_str() {
                "read" => &eye.read,
                "refused" => &eye.refused,
                _ => break,
            };
            assert!(!reading.is_finished(), "it does not read any more");
            test.say(count.load(Ordering::Relaxed));
        }
        eye.ends.store(true, Ordering::Relaxed);
    });
}

/// What reads, and how far it has come.
#[derive(Default)]
struct Eye {
    read: AtomicU64,
    /// How often it found no moment at which the value was not being changed.
    refused: AtomicU64,
    ends: AtomicBool,
}

impl Eye {
    fn look<const N: usize>(
        &self,
        version: impl Fn() -> sharehold::Result<u64>,
        get: impl Fn() -> sharehold::Result<Uniform<N>>,
    ) {
        let mut last = 0;
        while !self.ends.load(Ordering::Relaxed) {
            let before = version().expect("it is no fork");
            match get() {
                Ok(value) => {
                    let got = version_of(&value);
                    let after = version().expect("it is no fork");
                    assert!(last <= got, "{got} after {last}");
                    assert!((before..=after).contains(&got), "{before} {got} {after}");
                    last = got;
                    self.read.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

fn start_writer<const N: usize>() -> Child {
    let mut writer = Child::of(writer::<N>);
    writer.hears("writes");
    writer
}

fn start_reader<const N: usize>(number: usize) -> Child {
    if number.is_multiple_of(2) {
        Child::of(reader::<N>)
    } else {
        Child::of(read_only_reader::<N>)
    }
}

fn count(reader: &mut Child, what: &str) -> u64 {
    let count = reader.ask(what);
    count.parse().expect("it is a number")
}

/// What happened to the writer, how often; the second number is of those in a commit.
#[derive(Debug, Default)]
struct Blows {
    stops: [u32; 2],
    kills: [u32; 2],
}

/// What readers got.
#[derive(Debug, Default)]
struct Seen {
    snapshots: u64,
    /// Of them, while the writer was stopped, at least.
    beside_a_stopped_writer: u64,
    refused: u64,
}

impl Seen {
    fn add(&mut self, reader: &mut Child) {
        self.snapshots += count(reader, "read");
        self.refused += count(reader, "refused");
    }
}

/// The value is what the segment says is committed, for the test itself.
fn check<const N: usize>(
    value: &Shared<Uniform<N>>,
    read_only: &ReadOnlyShared<Uniform<N>>,
    bytes: &Bytes,
) {
    let version = bytes.version();
    assert_eq!(version_of(&value.get().expect("it is whole")), version);
    assert_eq!(version_of(&read_only.get().expect("it is whole")), version);
}

fn storm<const N: usize>() {
    let value = Shared::create(KEY, &uniform::<N>(1)).expect("nothing has the key");
    let read_only = Shared::attach_read_only(KEY).expect("it is there");
    let bytes = Bytes::open();
    let mut readers: [Child; READERS] = std::array::from_fn(start_reader::<N>);
    let mut writer = start_writer::<N>();
    let mut dice = Rng::with_seed(N as u64);
    let mut blows = Blows::default();
    let mut seen = Seen::default();
    let end = Instant::now() + TIME;
    while Instant::now() < end || blows.stops[1] < ENOUGH || blows.kills[1] < ENOUGH {
        thread::sleep(Duration::from_micros(dice.u64(..3000)));
        let chosen = dice.usize(..READERS);
        match dice.u32(..10) {
            0..4 => {
                writer.stop();
                blows.stops[usize::from(bytes.is_in_commit())] += 1;
                for reader in &mut readers {
                    let before = count(reader, "read");
                    // One that was begun before the stop may be over after it.
                    while count(reader, "read") < before + 2 {}
                    seen.beside_a_stopped_writer += 1;
                }
                check(&value, &read_only, &bytes);
                writer.resume();
            }
            4 | 5 => {
                if dice.bool() {
                    writer.stop();
                }
                writer.kill();
                blows.kills[usize::from(bytes.is_in_commit())] += 1;
                check(&value, &read_only, &bytes);
                writer = start_writer::<N>();
            }
            6 if dice.u32(..10) == 0 => {
                seen.add(&mut readers[chosen]);
                readers[chosen].kill();
                readers[chosen] = start_reader::<N>(chosen);
            }
            _ => {
                readers[chosen].stop();
                thread::sleep(Duration::from_micros(dice.u64(..3000)));
                readers[chosen].resume();
            }
        }
    }
    writer.kill();
    for reader in &mut readers {
        seen.add(reader);
        reader.ends_well();
    }
    println!("{} versions, {blows:?}, {seen:?}", bytes.version());
}
