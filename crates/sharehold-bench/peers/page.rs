//! What peers in Rust have beside the harness: the page that their processes share, and how they
//! read their arguments.

use std::fs::OpenOptions;
use std::os::fd::AsFd;

use anyhow::{Result, bail, ensure};
use rustix::mm::{MapFlags, ProtFlags, mmap};

use crate::harness::{self, Peer};

/// As long as the page that peers in C map.
pub const LEN: usize = 4096;

/// Makes the file.
pub fn make(path: &str) -> Result<*mut u8> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    file.set_len(LEN as u64)?;
    map(file)
}

/// Maps the file that is there.
pub fn join(path: &str) -> Result<*mut u8> {
    map(OpenOptions::new().read(true).write(true).open(path)?)
}

fn map(file: impl AsFd) -> Result<*mut u8> {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: a new mapping, at an address of the system's choice.
    let page = unsafe { mmap(std::ptr::null_mut(), LEN, protection, flags, file, 0) }?;
    ensure!(!page.is_null(), "the page is mapped nowhere");
    Ok(page.cast())
}

/// Runs `peer VERB PATH [NUMBER]`.
pub fn main<P: Peer>() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, verb, path, number @ ..] = arguments.as_slice() else {
        bail!("usage: peer VERB PATH [NUMBER]");
    };
    let number = number.first().map_or(Ok(0), |number| number.parse())?;
    harness::run::<P>(verb, path, number)
}
