//! The view of the parts of a segment from outside: the holders and the waiters of each.
//!
//! The words are read one part after the other while other processes change them. The states of two
//! parts may therefore be of two moments. How the words of a primitive are read is in its own
//! module.

use crate::barrier::BarrierState;
use crate::event::EventState;
use crate::lock::state::{WaitRecords, Waiter};
use crate::memory::format::{LockWords, MarkWord};
use crate::mutex::MutexState;
use crate::once_lock::OnceLockState;
use crate::parts::row_len;
use crate::parts::view::PartView;
use crate::rwlock::RwLockState;
use crate::schema::{Primitive, Schema};
use crate::segment::{LivenessCheck, View};
use crate::semaphore::SemaphoreState;
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

macro_rules! states {
    ($($name:ident: $state:ident;)+) => {
        /// The state of a part.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum PartState {
            $(
                #[doc = concat!("A [`", stringify!($name), "`](crate::", stringify!($name), ").")]
                $name($state),
            )+
        }

        impl PartState {
            /// Returns the kind of primitive.
            pub fn primitive(&self) -> Primitive {
                match self {
                    $(PartState::$name(_) => Primitive::$name,)+
                }
            }

            /// Reads the state of a part; `None` if its words cannot be read.
            fn of(part: &PartView<'_>, primitive: Primitive) -> Option<PartState> {
                Some(match primitive {
                    $(Primitive::$name => PartState::$name($state::of(part)?),)+
                })
            }
        }
    };
}

// The primitives are in the table of `schema::primitive`, which cannot name their modules.
states! {
    Mutex: MutexState;
    RwLock: RwLockState;
    OnceLock: OnceLockState;
    Semaphore: SemaphoreState;
    Event: EventState;
    Barrier: BarrierState;
}

/// Returns all parts, in the order of the schema; none for a segment that does not hold parts.
pub(super) fn seen(
    view: &View,
    schema: &Schema,
    waits: &WaitRecords,
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
            waits,
            care,
            marks: schema.size().saturating_add(number * size_of::<MarkWord>()),
            row,
        };
        number += primitive.marks();
        // A part whose words cannot be read is left out.
        let guarded = schema.guarded_by(&path);
        found.extend(PartState::of(&part, primitive).map(|state| {
            let value = guarded.and_then(|guarded| value(&part, primitive, guarded.size()));
            let (version, value) = value.unzip();
            PartInfo {
                path,
                state,
                value,
                version,
                waiters: waits.waiters(part.place()),
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

/// Returns the value that a part guards, once there is one; `None` also if it cannot be read.
fn value(part: &PartView<'_>, primitive: Primitive, size: usize) -> Option<(u64, Vec<u8>)> {
    let at = part.offset.checked_add(primitive.head())?;
    let (version, value) = view::snapshot(part.view, at, size).ok()?;
    let is_there = version != 0 || primitive != Primitive::OnceLock;
    is_there.then_some((version, value))
}
