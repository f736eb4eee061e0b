//! The crate `iceoryx2`: its robust process-shared mutex.

// It must be linked: the mutex logs through it.
extern crate iceoryx2_bb_loggers;

mod harness;
mod page;

use anyhow::{Result, anyhow};
use harness::{Held, Peer};
use iceoryx2_bb_posix::mutex::{
    Handle, IpcCapable, Mutex, MutexBuilder, MutexGuard, MutexHandle, MutexLockError,
    MutexThreadTerminationBehavior,
};

/// The number; never on the lock's cache line.
#[derive(Debug)]
#[repr(align(128))]
struct Number(u64);

struct Iceoryx(Mutex<'static, 'static, Number>);

impl Peer for Iceoryx {
    type Held<'a> = MutexGuard<'static, Number>;

    fn make(path: &str) -> Result<()> {
        let page = page::make(path)?.cast::<MutexHandle<Number>>();
        assert!(size_of::<MutexHandle<Number>>() <= page::LEN);
        // SAFETY: the page is mapped, long enough, and nobody else knows it yet.
        unsafe { page.write(MutexHandle::new()) };
        // SAFETY: a handle was just written there, and the mapping stays until the process ends.
        let handle: &'static MutexHandle<Number> = unsafe { &*page };
        let mutex = MutexBuilder::new()
            .is_interprocess_capable(true)
            .thread_termination_behavior(MutexThreadTerminationBehavior::ReleaseWhenLocked)
            .create(Number(0), handle)
            .map_err(|error| anyhow!("{error:?}"))?;
        // Others go on with it.
        std::mem::forget(mutex);
        Ok(())
    }

    fn unmake(path: &str) -> Result<()> {
        Ok(std::fs::remove_file(path)?)
    }

    fn join(path: &str) -> Result<Iceoryx> {
        let page = page::join(path)?.cast::<MutexHandle<Number>>();
        // SAFETY: `make` has made it, and the mapping stays until the process ends.
        let handle: &'static MutexHandle<Number> = unsafe { &*page };
        // SAFETY: it is made for several processes, and nobody cleans it up.
        Ok(Iceoryx(unsafe { Mutex::from_ipc_handle(handle) }))
    }

    #[inline(always)]
    fn lock(&self) -> Result<MutexGuard<'static, Number>> {
        // SAFETY: one of the crate's own signatures borrows the lock for as long as the memory;
        // both last until the end.
        let mutex = unsafe { &*std::ptr::from_ref(&self.0) };
        match mutex.lock() {
            Ok(guard) => Ok(guard),
            Err(MutexLockError::LockAcquiredButOwnerDied(guard)) => {
                mutex.make_consistent();
                Ok(guard)
            }
            Err(error) => Err(anyhow!("{error}")),
        }
    }
}

impl Held for MutexGuard<'static, Number> {
    #[inline(always)]
    fn get(&self) -> Result<u64> {
        Ok(self.0)
    }

    #[inline(always)]
    fn set(&mut self, value: u64) -> Result<()> {
        self.0 = value;
        Ok(())
    }
}

fn main() -> Result<()> {
    page::main::<Iceoryx>()
}
