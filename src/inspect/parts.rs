//! The view of the parts of a segment from outside: the holders and the waiters of each.
//!
//! The words are read one part after the other while other processes change them. The states of two
//! parts may therefore be of two moments.

use std::sync::atomic::Ordering;

use super::locks::{LockState, Looked, Notes, Waiter, named};
use crate::barrier::protocol::Threads;
use crate::event::protocol;
use crate::memory::format::{
    BarrierWords, EventWords, LockWords, MarkWord, ReadWriteWords, SemaphoreWords,
};
use crate::parts::{low, row_len};
use crate::rwlock::protocol::Mark;
use crate::schema::{Primitive, Schema};
use crate::segment::table::Presence;
use crate::segment::{Attachment, LivenessCheck, View};
use crate::value::view;

/// A part of a segment, and its use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartInfo {
    /// Its path in the schema, such as `limits` or `inner.limits`; `.` for a segment that is one
    /// part.
    pub path: String,
    /// The kind of primitive, and its holders.
    pub state: PartState,
    /// The committed value that the part guards, if it has one;
    /// [`Schema::guarded_by`](crate::Schema::guarded_by) describes its type.
    pub value: Option<Vec<u8>>,
    /// How many values there have been, including the initial one.
    pub version: Option<u64>,
    /// The waiters that sleep for the part, the longest wait first: at most two threads of each
    /// process, and none that wait for an event or a barrier.
    pub waiters: Vec<Waiter>,
}

/// The state of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartState {
    /// A [`Mutex`](crate::Mutex).
    Mutex {
        /// Whether it is held.
        lock: LockState,
    },
    /// A [`OnceLock`](crate::OnceLock).
    OnceLock {
        /// Whether a process is initializing the value.
        lock: LockState,
        /// Whether there is a value.
        is_made: bool,
    },
    /// An [`RwLock`](crate::RwLock).
    RwLock {
        /// The writer, inside or waiting for readers to leave.
        writer: LockState,
        /// The readers, with the number of their threads.
        readers: Vec<Usage>,
    },
    /// A [`Semaphore`](crate::Semaphore).
    Semaphore {
        /// The total number of permits.
        permits: u32,
        /// The holders, with the number of their permits.
        holders: Vec<Usage>,
    },
    /// An [`Event`](crate::Event).
    Event {
        /// Whether it is set.
        is_set: bool,
    },
    /// A [`Barrier`](crate::Barrier).
    Barrier {
        /// The number of participants.
        participants: u32,
        /// The participants that have arrived in this round, with the number of their threads.
        arrived: Vec<Usage>,
    },
}

/// The share of one attachment in a part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The attachment; dead ones that have not been noticed yet are left out.
    pub attachment: Attachment,
    /// The number of threads or permits.
    pub count: u32,
}

/// Returns all parts, in the order of the schema; none for a segment that does not hold parts.
pub(super) fn seen(
    view: &View,
    schema: &Schema,
    notes: &Notes,
    care: LivenessCheck,
) -> Vec<PartInfo> {
    let mut found = Vec::new();
    let mut number = 0;
    let marks = schema.parts().map(|(_, _, primitive)| primitive.marks());
    let row = row_len(marks.sum());
    for (path, offset, primitive) in schema.parts() {
        let part = PartView {
            view,
            offset,
            notes,
            care,
            marks: schema.size().saturating_add(number * MARK),
            row,
        };
        number += primitive.marks();
        // A part whose words cannot be read is left out.
        let guarded = schema.guarded_by(&path);
        found.extend(part.state(primitive).map(|state| {
            let value = guarded.and_then(|guarded| part.value(primitive, guarded.size()));
            let (version, value) = value.unzip();
            PartInfo {
                path,
                state,
                value,
                version,
                waiters: notes.waiters(part.place()),
            }
        }));
    }
    found
}

/// Returns the path of the part whose lock has a place, as wait records state it.
pub(super) fn path_of(view: &View, schema: &Schema, place: u32) -> Option<String> {
    let at = usize::try_from(place).ok()? * align_of::<LockWords>();
    schema.part_at(at.checked_sub(view.found.layout.data_offset)?)
}

const MARK: usize = size_of::<MarkWord>();

fn place_of(view: &View, offset: usize) -> u32 {
    let place = view.found.layout.data_offset.saturating_add(offset) / align_of::<LockWords>();
    u32::try_from(place).unwrap_or(0)
}

/// A part under inspection.
struct PartView<'a> {
    view: &'a View,
    offset: usize,
    notes: &'a Notes,
    care: LivenessCheck,
    /// The offset of its first mark in the row of slot 0, and the length of a row.
    marks: usize,
    row: usize,
}

impl PartView<'_> {
    fn state(&self, primitive: Primitive) -> Option<PartState> {
        let relaxed = Ordering::Relaxed;
        Some(match primitive {
            Primitive::Mutex => PartState::Mutex {
                lock: self.lock(&self.view.data_block(self.offset)?, 0),
            },
            Primitive::OnceLock => PartState::OnceLock {
                lock: self.lock(&self.view.data_block(self.offset)?, 0),
                is_made: self.is_made()?,
            },
            Primitive::RwLock => {
                let words: ReadWriteWords = self.view.data_block(self.offset)?;
                let phase = words.phase.load(relaxed);
                PartState::RwLock {
                    writer: self.lock(&words.lock, 1),
                    readers: self.shares(|found, _| Mark(found).inside(phase)),
                }
            }
            Primitive::Semaphore => {
                let words: SemaphoreWords = self.view.data_block(self.offset)?;
                PartState::Semaphore {
                    permits: words.permits.load(relaxed),
                    holders: self.shares(|found, _| low_half(found)),
                }
            }
            Primitive::Event => {
                let words: EventWords = self.view.data_block(self.offset)?;
                PartState::Event {
                    is_set: words.state.load(relaxed) & protocol::SET != 0,
                }
            }
            Primitive::Barrier => {
                let words: BarrierWords = self.view.data_block(self.offset)?;
                let round = words.round.load(relaxed);
                let here = |of: u64| low_half(of) == round;
                PartState::Barrier {
                    participants: words.participants.load(relaxed),
                    arrived: self.shares(|found, second| {
                        if here(second) {
                            Threads::of_word(low_half(found)).arrived.into()
                        } else {
                            0
                        }
                    }),
                }
            }
        })
    }

    /// Returns the value that the part guards, once there is one; `None` also if it cannot be read.
    fn value(&self, primitive: Primitive, size: usize) -> Option<(u64, Vec<u8>)> {
        let at = self.offset.checked_add(primitive.head())?;
        let (version, value) = view::snapshot(self.view, at, size).ok()?;
        let is_there = version != 0 || primitive != Primitive::OnceLock;
        is_there.then_some((version, value))
    }

    fn place(&self) -> u32 {
        place_of(self.view, self.offset)
    }

    /// Returns the state of the lock at the part's beginning. `threads` is the index of the mark
    /// with the thread that holds it.
    fn lock(&self, words: &LockWords, threads: usize) -> LockState {
        let looked = Looked {
            view: self.view,
            words,
            place: self.place(),
            threads: Some((self.marks + threads * MARK, self.row)),
        };
        LockState::of(&looked, self.notes, self.care)
    }

    fn is_made(&self) -> Option<bool> {
        let head = Primitive::OnceLock.head();
        let version: MarkWord = self.view.data_block(self.offset.checked_add(head)?)?;
        Some(version.word.load(Ordering::Relaxed) != 0)
    }

    /// Returns the shares of live attachments; `of` computes one from a slot's first mark and the
    /// word after it.
    fn shares(&self, of: impl Fn(u64, u64) -> u32) -> Vec<Usage> {
        let mut found = Vec::new();
        for (id, _) in self.view.taken() {
            let at = self
                .row
                .saturating_mul(id.index())
                .saturating_add(self.marks);
            let word = |at| {
                let mark: Option<MarkWord> = self.view.data_block(at);
                mark.map_or(0, |mark| mark.word.load(Ordering::Relaxed))
            };
            let first = word(at);
            let is_of_this = (first >> 32) as u32 == low(id);
            let count = if is_of_this {
                of(first, word(at.saturating_add(MARK)))
            } else {
                0
            };
            if count > 0 && self.view.presence_of(id, self.care) == Presence::There {
                let attachment = named(self.view, id);
                found.extend(attachment.map(|attachment| Usage { attachment, count }));
            }
        }
        found
    }
}

fn low_half(word: u64) -> u32 {
    (word & 0xffff_ffff) as u32
}
