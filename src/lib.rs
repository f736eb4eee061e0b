//! Keyed shared memory that survives the death of any process using it.
//!
//! A [`Segment`] is shared memory with a key. Any number of processes create it, attach to it and
//! lock it by that key. Any of them may be killed at any instruction. The others get the lock
//! within milliseconds, read complete data, and have nothing to clean up.
//!
//! # Overview
//!
//! | task | items |
//! |---|---|
//! | bytes under a lock, as with `QSharedMemory` | [`Segment`], [`Segment::lock`], [`SegmentGuard`] |
//! | one typed value, read without a lock | [`Shared`], [`Shareable`] |
//! | a value whose type the program does not have | [`UntypedShared`], [`Schema`] |
//! | a mutex, read-write lock, semaphore, event, barrier or once | [`Mutex`], [`RwLock`], [`Semaphore`], [`Event`], [`Barrier`], [`OnceLock`] |
//! | several of these in one segment | [`Part`] |
//! | parts whose types the program does not have | [`UntypedParts`] |
//! | several writes that are committed together | [`Segment::transaction`] |
//! | waiting for a change of a value, or for a process that detaches or dies | [`Watch`], [`Departures`] |
//! | the same in tasks, or in an event loop | [`Watch::changed_async`], [`Segment::lock_async`], [`Mutex::lock_async`], [`PollableWatch`] |
//! | seeing what exists | [`list`], [`inspect`](fn@inspect) |
//! | working with Qt programs | `qt`, with the feature of this name |
//!
//! The [`guide`] has a page for each subject. [Choosing a tool](guide::choosing) compares the
//! tools and their costs.
//!
//! # A segment
//!
//! Plain writes under the lock are not undone when their process dies, but they are reported: the
//! next owner gets the guard as [`Abandoned`] and can repair the data.
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
//! [`Segment::lock_or_recover`] does the same in one call. The error of [`Segment::lock`] may
//! contain the guard, and with it a borrow of the segment. In a function with another error type,
//! convert it first: `segment.lock().map_err(sharehold::Error::from)?`. See
//! [Handling a death](guide::deaths).
//!
//! # A value
//!
//! A change is committed by one store. Readers and later owners see the old value or the new one,
//! never a mixture, so a death leaves nothing to repair. See [Values](guide::values).
//!
//! ```
//! use sharehold::{Shareable, Shared};
//!
//! #[derive(Shareable, Default)]
//! #[repr(C)]
//! struct Tally {
//!     value: u64,
//!     by_worker: [u64; 8],
//! }
//!
//! let tally = Shared::open_or_create("com.example.crate.tally", Tally::default)?;
//! tally.update(|tally| {
//!     tally.value += 1;
//!     tally.by_worker[3] += 1;
//! })?;
//! assert_eq!(tally.get()?.value, 1); // a snapshot, without a lock
//! # Ok::<(), sharehold::Error>(())
//! ```
//!
//! # Parts
//!
//! Several primitives share one segment as the fields of a struct. See [Parts](guide::parts).
//!
//! ```
//! use sharehold::{Mutex, Part, Semaphore};
//!
//! #[derive(Part)]
//! struct Config {
//!     total: Mutex<u64>,
//!     jobs: Semaphore,
//! }
//!
//! let config = Config::open_or_create("com.example.crate.config", || ConfigInit {
//!     total: 0,
//!     jobs: 4,
//! })?;
//! let permit = config.jobs.acquire()?; // given back when it is dropped, or when the process dies
//! *config.total.lock()? += 1; // committed when the guard is dropped
//! # drop(permit);
//! # Ok::<(), sharehold::Error>(())
//! ```
//!
//! # Conventions
//!
//! - A call named `try_*` that would have to wait for a lock, a permit or an event returns
//!   [`ErrorKind::WouldBlock`]. A timed call that ends without it returns [`ErrorKind::Timeout`].
//!   The exceptions return `Option`: [`PollableWatch::try_changed`], and `qt`, because Qt has no
//!   such errors.
//! - A failed operation that had a guard either returns the guard in its error, such as
//!   [`GuardError`], or says that the lock is released.
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `qt` | the module `qt`, and `list_foreign`: shared memory of programs without this library | no |
//!
//! # Limits
//!
//! - It runs on 64-bit little-endian Linux. On other targets it compiles, and every operation
//!   returns [`ErrorKind::Unsupported`].
//! - A reboot or a power failure removes all segments, because they are memory.
//! - A segment takes 128 attachments at once, or as many as [`SegmentOptions::slots`] sets, up to
//!   4,000. A typed value takes its size twice.
//! - A process that is stopped keeps its locks. Recovery requires proof of death, never a timeout.
//! - By default a segment belongs to one user, in a directory that only this user can enter.
//!   Processes of this user may be buggy and may be killed. A hostile process of the same user is
//!   outside the promises: it can truncate the file, or stop your process with a debugger.
//!
//! [Limits](guide::limits) has all of them, and [Users, groups and containers](guide::users) tells
//! how to share with other users.
//!
//! # Pitfalls
//!
//! - **Fork.** A child of `fork` has no access to its parent's segments. Each call on an inherited
//!   handle returns [`ErrorKind::Forked`]. Let the child attach by itself.
//! - **Two locks in one thread.** A thread that acquires a lock that it already has gets
//!   [`ErrorKind::Deadlock`]. Two threads that acquire two different locks in opposite orders wait
//!   for each other forever. Use one order everywhere, or a timeout. [`deadlocks`] finds such wait
//!   cycles.
//! - **Reading twice.** A thread that has a [`ReadGuard`] and calls [`RwLock::read`] again on the
//!   same lock may wait forever, because a waiting writer comes first. Keep one guard, or read with
//!   [`RwLock::get`], which does not wait for writers.

#[cfg(test)]
extern crate self as sharehold; // Derived code in the tests of this crate needs the name.

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
#[cfg(feature = "qt")]
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

pub use barrier::{Barrier, BarrierOptions, BarrierState, BarrierWaitResult, DeathPolicy};
pub use departures::Departures;
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, EventState, ResetMode};
pub use inspect::{
    Consistency, Deadlock, Inspection, ListEntry, PartInfo, PartState, Recovery, Summary,
    ValueType, WaitEdge, deadlocks, directory, inspect, list, list_all_users, owners, summarize,
};
#[cfg(feature = "qt")]
pub use inspect::{ForeignKind, ForeignObject, list_foreign};
pub use key::MAX_KEY_LEN;
pub use lock::state::{Holder, LockState, Waiter};
pub use lock::{
    AbandonCause, Abandoned, AcquireError, GuardNoSend, GuardSend, LockError, SegmentGuard,
};
pub use mutex::{Mutex, MutexGuard, MutexState};
pub use once_lock::{OnceLock, OnceLockState};
pub use parts::Part;
#[doc(hidden)]
pub use parts::support as __support;
pub use parts::view::Usage;
pub use rwlock::{GuardError, ReadGuard, RwLock, RwLockState, WriteGuard};
pub use schema::{
    Difference, Field, FieldError, FieldValue, FieldsError, Kind, List, ListFull, Member, Number,
    ParseKindError, ParseSchemaError, Primitive, Schema, Shareable, Text, TextTooLong, Variant,
};
pub use segment::{
    Attachment, DestroyMode, Policy, ReadOnlySegment, RecoveryStats, Segment, SegmentData,
    SegmentOptions,
};
pub use semaphore::{Permit, Semaphore, SemaphoreState};
pub use sharehold_derive::{Part, Shareable};
pub use sys::Signal;
pub use untyped_parts::{UntypedGuarded, UntypedParts};
pub use value::{
    Contents, PollableWatch, ReadOnlyShared, ReadOnlyUntypedShared, Shared, Transaction,
    UntypedShared, Versioned, Watch,
};
