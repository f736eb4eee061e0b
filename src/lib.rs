//! Keyed shared memory between processes that no process's death can break.
//!
//! A [`Segment`] is memory with a key: any number of processes create it, attach to it and lock it by that key. Any of them may be killed at
//! any instruction; the others get the lock within milliseconds, see whole data, and have nothing to clear away.
//!
//! | you want | use |
//! |---|---|
//! | bytes under a lock, as with `QSharedMemory` | [`Segment`], [`Segment::lock`], [`SegmentGuard`] |
//! | one typed value, old or new, read without a lock | [`Shared`], [`Shareable`] |
//! | a typed value whose type the program does not have | [`UntypedShared`], [`Schema`] |
//! | a mutex, read-write lock, semaphore, event, barrier or once | [`Mutex`], [`RwLock`], [`Semaphore`], [`Event`], [`Barrier`], [`OnceLock`] |
//! | several of them in one segment | [`Part`] |
//! | parts whose types the program does not have | [`UntypedParts`] |
//! | many writes that become final together | [`Segment::transaction`] |
//! | to wait until a value changes, or somebody leaves | [`Watch`], [`Departures`] |
//! | the same in tasks, or in an event loop | [`Watch::changed_async`], [`Segment::lock_async`], [`Mutex::lock_async`], [`PollableWatch`] |
//! | to see what there is | [`list`], [`inspect`](fn@inspect) |
//! | to work with Qt programs | [`qt`] |
//!
//! # A death is a value, not a hang
//!
//! ```
//! use sharehold::{LockError, Segment};
//!
//! let segment = Segment::options().size(1024).open_or_create("com.example.crate")?;
//! let mut bytes = match segment.lock() {
//!     Ok(bytes) => bytes,
//!     Err(LockError::Abandoned(found)) => {
//!         eprintln!("{found}"); // "pid 4711 (importer) died holding it"
//!         found.recover(|bytes| bytes.fill(0..1024, 0))?
//!     }
//!     Err(other) => return Err(other.into()),
//! };
//! bytes.write(0, b"Hello from another process!")?;
//! # Ok::<(), sharehold::Error>(())
//! ```
//!
//! In a function that returns another error type, `lock().map_err(sharehold::Error::from)?` makes an error that
//! can leave it: the one that `lock` returns may carry the guard, and with it a borrow of the segment.
//!
//! # Whom to trust
//!
//! By default a segment belongs to one user, in a directory that only this user can enter, and the processes that attach cooperate
//! through this library. Peers that are buggy or killed are covered by what is promised; a hostile process of the
//! same user is not: it can truncate the file, or stop yours with a debugger.

#[cfg(test)]
extern crate self as sharehold; // For derived code in our own tests.

mod barrier;
mod deadline;
mod departures;
mod error;
mod event;
pub mod guide;
mod inspect;
mod key;
mod lock;
mod memory;
#[cfg(test)]
mod model;
mod mutex;
mod once_lock;
mod parts;
pub mod qt;
mod rwlock;
mod schema;
mod segment;
mod semaphore;
mod sys;
mod timing;
mod untyped_parts;
mod value;
mod wait;

pub use barrier::{Barrier, BarrierOptions, DeathPolicy};
pub use departures::Departures;
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, ResetMode};
pub use inspect::{
    Consistency, Deadlock, ForeignKind, ForeignObject, Holder, Inspection, ListEntry, LockState,
    PartInfo, PartState, Recovery, Summary, Usage, ValueType, WaitEdge, Waiter, deadlocks,
    directory, inspect, list, list_all_users, list_foreign, owners, summarize,
};
pub use key::MAX_KEY_LEN;
pub use lock::{
    AbandonCause, Abandoned, AcquireError, GuardNoSend, GuardSend, LockError, SegmentGuard,
};
pub use mutex::{Mutex, MutexGuard};
pub use once_lock::OnceLock;
pub use parts::Part;
#[doc(hidden)]
pub use parts::support as __support;
pub use rwlock::{ReadGuard, RwLock, WriteGuard};
pub use schema::{
    Difference, Field, FieldError, FieldValue, FieldsError, Kind, List, ListFull, Member, Number,
    ParseKindError, ParseSchemaError, Primitive, Schema, Shareable, Text, TextTooLong, Variant,
};
pub use segment::{
    Attachment, DestroyMode, Policy, ReadOnlySegment, RecoveryStats, Segment, SegmentData,
    SegmentOptions,
};
pub use semaphore::{Permit, Semaphore};
pub use sharehold_derive::{Part, Shareable};
pub use sys::Signal;
pub use untyped_parts::{UntypedGuarded, UntypedParts};
pub use value::{
    Contents, PollableWatch, ReadOnlyShared, ReadOnlyUntypedShared, Shared, Transaction,
    UntypedShared, Versioned, Watch,
};
