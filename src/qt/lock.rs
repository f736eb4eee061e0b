//! The lock of a shared memory: a semaphore that every program with the key takes one from.
//!
//! The semaphore can lose its name while it is in use: Qt programs remove it when they leave, and
//! so do cleaners of temporary files. Whoever is inside then holds a semaphore that newcomers do
//! not find. So a lock here is a list of all semaphores that this handle has met and that still
//! exist, the oldest first: it takes every one of them, and is held only when the last one is the
//! one that newcomers find.
//!
//! Invariants: 1. at most one entry has a name, and it is the last. 2. Entries are taken in the
//! order of the list, and an entry is appended only while all before it are held, so that two
//! handles wait for each other in no circle.
//! 3. A removed semaphore leaves the list as soon as it is noticed.

use std::time::Duration;

use super::backend::{LockFacts, Released, SemaphoreName, Set, Taken};
use super::error::{Error, ErrorKind, Result};
use crate::deadline::Deadline;
use crate::sys::Generation;

/// How often a semaphore that loses its name while it is being taken is replaced before giving up.
const TRIES: usize = 100;

#[derive(Debug)]
pub(super) struct QtLock {
    name: Box<dyn SemaphoreName>,
    /// How long making the semaphore may take, whatever the caller's patience with its holder.
    patience: Duration,
    known: Vec<Known>,
    /// Of the process that holds, while it does.
    holder: Option<Generation>,
}

#[derive(Debug)]
struct Known {
    set: Box<dyn Set>,
    held: bool,
}

impl QtLock {
    pub(super) fn new(name: Box<dyn SemaphoreName>, patience: Duration) -> QtLock {
        QtLock {
            name,
            patience,
            known: Vec::new(),
            holder: None,
        }
    }

    pub(super) fn is_held(&self) -> bool {
        // A forked child holds nothing: the kernel counts by process.
        self.holder.as_ref().is_some_and(Generation::is_current)
    }

    /// Takes the lock; false when it was not to be had in time. What is held already stays held.
    pub(super) fn take(&mut self, deadline: Deadline) -> Result<bool> {
        if self.is_held() {
            return Ok(true);
        }
        if self.holder.take().is_some() {
            // What the parent knows and holds means nothing in a forked child.
            self.known.clear();
        }
        let holder = Generation::current()?;
        let taken = self.take_all(deadline);
        if matches!(taken, Ok(true)) {
            self.holder = Some(holder);
        } else {
            // The reason why it was not taken is the one to report.
            let _ = self.give_back_all();
        }
        taken
    }

    fn take_all(&mut self, deadline: Deadline) -> Result<bool> {
        let mut index = 0;
        for _ in 0..TRIES {
            while let Some(known) = self.known.get_mut(index) {
                match known.set.take(deadline)? {
                    Taken::Yes => {
                        known.held = true;
                        index += 1;
                    }
                    Taken::NotInTime => return Ok(false),
                    Taken::Gone => drop(self.known.remove(index)),
                }
            }
            if let Some(last) = self.known.last()
                && last.set.is_named()?
            {
                return Ok(true);
            }
            let opened = self.name.open(1, Deadline::after(self.patience))?;
            match self
                .known
                .iter()
                .position(|known| known.set.id() == opened.id())
            {
                // It got its name back: newcomers find it again, so it belongs at the end.
                Some(again) => {
                    let known = self.known.remove(again);
                    self.known.push(known);
                }
                None => self.known.push(Known {
                    set: opened,
                    held: false,
                }),
            }
        }
        let detail =
            "its semaphore is removed again and again; find out which program does so, and end it";
        Err(Error::new(ErrorKind::LockError, detail))
    }

    /// Whether newcomers find what is held, and wait for it.
    pub(super) fn excludes_newcomers(&self) -> Result<bool> {
        self.known
            .last()
            .map_or(Ok(false), |known| known.set.is_named())
    }

    /// Releases the lock, if it is held; true if no other process can have held it meanwhile.
    pub(super) fn give_back(&mut self) -> Result<bool> {
        if !self.is_held() {
            return Ok(true);
        }
        self.holder = None;
        self.give_back_all()
    }

    fn give_back_all(&mut self) -> Result<bool> {
        let mut outcome = Ok(true);
        for known in self.known.iter_mut().rev().filter(|known| known.held) {
            known.held = false;
            match known.set.give_back() {
                Ok(Released::Yes) => {}
                Ok(Released::WasLost) => outcome = outcome.map(|_| false),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// Removes all semaphores of a lock that is held, unless others wait for one: false, and it is
    /// still held.
    ///
    /// Waiters for a semaphore without a name then create a new one, and go on with that.
    pub(super) fn remove_unless_wanted(&mut self) -> Result<bool> {
        for Known { set, .. } in &self.known {
            if set.is_named()? && set.has_waiters()? {
                return Ok(false);
            }
        }
        self.holder = None;
        self.known
            .drain(..)
            .try_for_each(|known| known.set.remove())?;
        Ok(true)
    }

    /// Gives back what a dead process held, where the system does not, and the death can be proven.
    pub(super) fn recover(&mut self) -> Result<bool> {
        match self.name.look()? {
            Some(facts) if facts.value == 0 => {
                // No other process may have it open, nor may this handle.
                self.known
                    .retain(|known| !matches!(known.set.is_named(), Ok(true)));
                self.name.open(1, Deadline::after(self.patience))?.recover()
            }
            _ => Ok(false),
        }
    }

    pub(super) fn look(&self) -> Result<Option<LockFacts>> {
        self.name.look()
    }
}

impl Drop for QtLock {
    fn drop(&mut self) {
        // A destructor cannot report an error; the kernel releases the rest when the process ends.
        let _ = self.give_back();
    }
}
