//! Keyed shared memory between processes that no process's death can break.
//!
//! A [`Segment`] is memory with a key: any number of processes create it, attach to it and lock it by that key. Any of them may be killed at
//! any instruction; the others get the lock within milliseconds, see whole data, and have nothing to clear away.
//!
//! | you want | use |
//! |---|---|
//! | bytes under a lock, as with `QSharedMemory` | [`Segment`], [`Segment::lock`], [`Guard`] |
//! | one typed value, old or new, read without a lock | [`Shared`], [`Shareable`] |
//! | a typed value whose type the program does not have | [`AnyShared`], [`Schema`] |
//! | a mutex, read-write lock, semaphore, event, barrier or once | [`Mutex`], [`RwLock`], [`Semaphore`], [`Event`], [`Barrier`], [`Once`] |
//! | several of them in one segment | [`Part`] |
//! | parts whose types the program does not have | [`AnyParts`] |
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

mod error;
pub mod guide;
mod inspect;
mod key;
mod memory;
mod parts;
pub mod qt;
mod schema;
mod segment;
mod shared;
mod sync;
mod sys;

pub use error::{Error, ErrorKind, Result};
pub use inspect::{
    Condition, Deadlock, Foreign, ForeignKind, Holder, Inspection, Listed, LockState, PartSeen,
    PartState, Recovery, Share, Summary, ValueType, Wait, Waiter, deadlocks, directory, inspect,
    list, list_all_users, list_foreign, owners, summarize,
};
pub use key::MAX_KEY_LEN;
#[doc(hidden)]
pub use parts::support as __support;
pub use parts::{
    AnyGuarded, AnyParts, Barrier, Event, Meeting, Mutex, MutexGuard, OnDeath, Once, Part, Permit,
    ReadGuard, Reset, RwLock, Semaphore, WriteGuard,
};
pub use schema::{
    Difference, Field, FieldError, FieldValue, FieldsError, Kind, List, ListFull, Member, Number,
    ParseKindError, ParseSchemaError, Primitive, Schema, Shareable, Text, TextTooLong, Variant,
};
pub use segment::{Attachment, Bytes, Options, Policy, ReadOnlySegment, Recoveries, Segment, When};
pub use shared::{
    AnyShared, Contents, PollableWatch, ReadOnlyAnyShared, ReadOnlyShared, Shared, Transaction,
    Versioned, Watch,
};
pub use sharehold_derive::{Part, Shareable};
pub use sync::{Abandoned, AnyThread, Cause, Departures, Guard, LockError, NotAcquired, OneThread};
pub use sys::Signal;
