//! Shares memory and locks with programs that use Qt's `QSharedMemory` and `QSystemSemaphore`, in
//! both directions.
//!
//! The objects are the system's and Qt's, byte for byte: key files, System V segments and semaphore
//! sets, or POSIX ones. So they carry no header, no attachment table and no certificate of ours:
//! what [`Segment`](crate::Segment) promises about deaths, this module can promise only as far as
//! the kernel goes, and every type says how far that is. It is for systems that are moved from Qt
//! one process at a time; when the last one has moved, so should the segment.
//!
//! A handle here is a better peer than Qt's own: it never resets a lock that others use, finds out
//! when the lock that it took is not the one that newcomers find, never removes what is in use,
//! refuses other users' objects unless told otherwise, and waits for nothing without an end unless
//! asked to, when it is dropped least of all.
//!
//! | Qt | here |
//! |---|---|
//! | `QSharedMemory` | [`SharedMemory`], [`Guard`] |
//! | `QtSharedMemory` | [`QtSharedMemory`] |
//! | `QSystemSemaphore` | [`SystemSemaphore`], [`Permit`] |
//! | `QNativeIpcKey` | [`NativeIpcKey`], [`KeyType`] |
//! | `QSharedMemory::SharedMemoryError` | [`Error`], [`ErrorKind`] |

mod all;
mod backend;
mod engine;
mod error;
mod key;
mod key_file;
mod lock;
mod memory;
mod names;
mod options;
mod posix;
mod semaphore;
mod solutions;
mod status;
mod system_v;
mod trust;

pub use engine::{Destroy, Opened};
pub use error::{Error, ErrorKind, Result};
pub use key::{KeyType, NativeIpcKey};
pub use memory::{Guard, SharedMemory};
pub use options::{Options, temp_dir};
pub use semaphore::{Permit, SystemSemaphore};
pub use solutions::QtSharedMemory;
pub use status::{LockStatus, Status};

#[cfg(doctest)]
#[doc = include_str!("../../docs/from-qt.md")]
struct FromQt;
