//! Typed values among real processes that are stopped, killed and built at different times.
//!
//! A value here is one of `N` words that are all the same: its version. So a mixture of two
//! versions shows, and so does one that is not the value it should be.

mod any;
mod deaths;
mod large;
mod plain;
mod programs;
mod storm;
mod traits;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::thread;

use sharehold_testkit::directory;

fn main() -> ExitCode {
    sharehold_testkit::main([
        any::suite(),
        deaths::suite(),
        large::suite(),
        plain::suite(),
        programs::suite(),
        storm::suite(),
        traits::suite(),
    ])
}

const KEY: &str = "com.example.value";

/// A value; `[u64; 131_072]` is one of a mebibyte.
type Uniform<const N: usize> = [u64; N];

const MEBIBYTE: usize = 131_072;

fn uniform<const N: usize>(version: u64) -> Uniform<N> {
    [version; N]
}

/// The version that all words of the value say.
#[track_caller]
fn version_of<const N: usize>(value: &Uniform<N>) -> u64 {
    let other = value.iter().position(|word| *word != value[0]);
    assert_eq!(other, None, "a mixture: {} and others", value[0]);
    value[0]
}

/// Runs it where many values of a mebibyte fit on the stack.
fn with_stack<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    const STACK: usize = 256 << 20;
    let done = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, run);
        thread.expect("there is address space").join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The one segment's file, read as bytes: its words say what a process was doing when it was
/// stopped or killed.
struct Bytes(File);

impl Bytes {
    fn open() -> Bytes {
        let mut entries = fs::read_dir(directory()).expect("the test's directory is readable");
        let entry = entries.next().expect("there is a segment");
        let path = entry.expect("the test's directory is readable").path();
        Bytes(File::open(path).expect("it is readable"))
    }

    fn word(&self, offset: u64) -> u64 {
        let mut word = [0; 8];
        self.0
            .read_exact_at(&mut word, offset)
            .expect("the file is long enough");
        u64::from_ne_bytes(word)
    }

    /// Whether somebody, dead or alive, holds the lock.
    fn is_locked(&self) -> bool {
        self.word(128) != 0
    }

    fn version(&self) -> u64 {
        self.word(self.word(24))
    }

    /// Whether a version was begun that is not committed.
    fn is_in_commit(&self) -> bool {
        self.word(self.word(24) + 8) != self.version()
    }
}
