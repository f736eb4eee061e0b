//! The crate `raw_sync`: its mutex is the C library's, process-shared, behind a trait object.

mod harness;
mod page;

use anyhow::{Result, anyhow};
use harness::{Held, Peer};
use raw_sync::locks::{LockGuard, LockImpl, LockInit, Mutex};

/// Where the number is: never on the lock's cache line.
const VALUE: usize = 256;

struct RawSync(Box<dyn LockImpl>);

impl Peer for RawSync {
    type Held<'a> = Locked<'a>;

    fn make(path: &str) -> Result<()> {
        let page = page::make(path)?;
        // SAFETY: the page is mapped, and longer than lock and number.
        unsafe { Mutex::new(page, page.add(VALUE)) }.map_err(|error| anyhow!("{error}"))?;
        Ok(())
    }

    fn unmake(path: &str) -> Result<()> {
        Ok(std::fs::remove_file(path)?)
    }

    fn join(path: &str) -> Result<RawSync> {
        let page = page::join(path)?;
        // SAFETY: the page is mapped, and `make` has made the lock in it.
        let lock = unsafe { Mutex::from_existing(page, page.add(VALUE)) };
        Ok(RawSync(lock.map_err(|error| anyhow!("{error}"))?.0))
    }

    #[inline(always)]
    fn lock(&self) -> Result<Locked<'_>> {
        Ok(Locked(self.0.lock().map_err(|error| anyhow!("{error}"))?))
    }
}

struct Locked<'a>(LockGuard<'a>);

impl Held for Locked<'_> {
    #[inline(always)]
    fn get(&self) -> Result<u64> {
        // SAFETY: the page is mapped and the lock is held.
        Ok(unsafe { self.0.cast::<u64>().read_volatile() })
    }

    #[inline(always)]
    fn set(&mut self, value: u64) -> Result<()> {
        // SAFETY: the page is mapped and the lock is held.
        unsafe { self.0.cast::<u64>().write_volatile(value) };
        Ok(())
    }
}

fn main() -> Result<()> {
    page::main::<RawSync>()
}
