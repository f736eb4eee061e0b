//! Every other platform: compiles, and answers that sweeps need Linux on x86-64.

use crate::error::Error;
use std::io;
use std::process::{Command, abort};

/// Says whether a sweep can run on this platform.
pub(crate) const SUPPORTED: bool = false;

/// Ends the process: no victim is ever started here.
pub(crate) fn operate<R>(_operation: impl FnOnce() -> R) -> ! {
    abort()
}

/// Fails.
pub(crate) fn die_with_parent() -> io::Result<()> {
    unsupported()
}

/// Does nothing: there is no victim to kill.
pub(crate) fn kill(_pid: u32) {}

/// A victim that cannot be started.
#[derive(Debug)]
pub(crate) enum Tracee {}

impl Tracee {
    /// Fails.
    pub(crate) fn spawn(_command: &mut Command) -> io::Result<Self> {
        unsupported()
    }

    pub(crate) fn pid(&self) -> u32 {
        match *self {}
    }

    pub(crate) fn wait_for_start(&mut self) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn on_one_processor<T>(&mut self, _work: impl FnOnce(&mut Self) -> T) -> T {
        match *self {}
    }

    pub(crate) fn step(&mut self) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn run_to(&mut self, _address: u64, _hits: usize) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn instruction_pointer(&self) -> io::Result<u64> {
        match *self {}
    }

    pub(crate) fn read(&self, _address: u64, _bytes: &mut [u8]) -> usize {
        match *self {}
    }

    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn reap(&mut self) -> io::Result<()> {
        match *self {}
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "sweeping needs Linux on x86-64",
    ))
}
