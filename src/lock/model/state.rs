//! One state of the lock's world, in few bytes.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::program::Op;

/// The largest number of threads.
pub(crate) const THREADS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) threads: [Thread; THREADS],
    pub(crate) owner: u8,
    pub(crate) waiting: bool,
    /// Whether a death is recorded for later owners.
    pub(crate) recorded: bool,
    /// How many attachments may still die.
    pub(crate) deaths: u8,
    /// How many threads may still stop.
    pub(crate) stops: u8,
    /// The thread between acquiring and releasing, plus one; 0 for none. It may be dead.
    pub(crate) holder: u8,
    /// Whether a thread died as the owner.
    pub(crate) abandoned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thread {
    /// Its place in its program.
    pub(crate) node: u16,
    pub(crate) life: Life,
    pub(crate) buffer: Buffer,
    /// For a thread that waits in a barrier: two bits for each other thread, with the number of its
    /// stores that it waits for.
    pub(crate) owed: u8,
    /// How often it has gone to sleep since the present owner died.
    pub(crate) sleeps: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    Asleep,
    /// Waiting for barriers.
    Fencing,
    Stopped,
    Dead,
}

/// Stores that other threads do not see yet: a bit each, the oldest the highest, below a 1 that
/// marks the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buffer(u8);

/// A store that is buffered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// 1 into `waiting`.
    Announce,
    /// 0 into `owner`.
    Free,
}

impl Buffer {
    pub(crate) const EMPTY: Buffer = Buffer(1);

    pub(crate) fn len(self) -> u8 {
        self.0.ilog2().to_le_bytes()[0]
    }

    pub(crate) fn push(&mut self, store: Store) {
        assert!(self.len() < 3, "nobody makes four stores without a fence");
        self.0 = self.0 << 1 | store as u8;
    }

    /// Removes the oldest store.
    pub(crate) fn pop(&mut self) -> Option<Store> {
        let last = self.len().checked_sub(1)?;
        let oldest = self.0 >> last & 1;
        self.0 = self.0 & ((1 << last) - 1) | 1 << last;
        Some(if oldest == Store::Free as u8 {
            Store::Free
        } else {
            Store::Announce
        })
    }

    pub(crate) fn has(self, store: Store) -> bool {
        self != Buffer::EMPTY && (0..self.len()).any(|bit| self.0 >> bit & 1 == store as u8)
    }
}

impl State {
    pub(crate) fn is_holder(&self, thread: usize) -> bool {
        usize::from(self.holder) == thread + 1
    }

    pub(crate) fn holder_is_stopped(&self) -> bool {
        let holder = self.holder.checked_sub(1);
        holder.is_some_and(|it| self.threads[usize::from(it)].life == Life::Stopped)
    }
}

// Hashes whole words, which is much quicker than by fields.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        for thread in self.threads {
            let [low, high] = thread.node.to_le_bytes();
            let mut word = [low, high, thread.life as u8, 0, 0, 0, 0, 0];
            word[3..6].copy_from_slice(&[thread.buffer.0, thread.owed, thread.sleeps]);
            hasher.write_u64(u64::from_le_bytes(word));
        }
        let [waiting, recorded, abandoned] =
            [self.waiting, self.recorded, self.abandoned].map(u8::from);
        let flags = waiting | recorded << 1 | abandoned << 2;
        let words = [self.owner, self.holder, self.deaths, self.stops, flags];
        let mut word = [0; 8];
        word[..words.len()].copy_from_slice(&words);
        hasher.write_u64(u64::from_le_bytes(word));
    }
}

/// What a thread does in a step.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    /// Does its next step, with this answer.
    Does(u8, Op, u8),
    /// Begins to sleep, or to wait for the barriers of others.
    Waits(u8, Op),
    /// Wakes the second.
    Wakes(u8, u8),
    /// A store of it becomes visible.
    Drains(u8),
    /// Its sleep ends by itself.
    Rises(u8),
    Stops(u8),
    Dies(u8),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Does(thread, op, answer) => write!(f, "{thread}: {op:?}, answer {answer}"),
            Action::Waits(thread, op) => write!(f, "{thread}: {op:?}, which takes time"),
            Action::Wakes(thread, sleeper) => write!(f, "{thread}: wakes {sleeper}"),
            Action::Drains(thread) => write!(f, "{thread}: a store becomes visible"),
            Action::Rises(thread) => write!(f, "{thread}: wakes up by itself"),
            Action::Stops(thread) => write!(f, "{thread}: stops"),
            Action::Dies(thread) => write!(f, "{thread}: dies"),
        }
    }
}
