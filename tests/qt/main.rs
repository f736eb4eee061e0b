//! Real Qt programs and ours, on the same objects.
//!
//! Every test runs in a process of its own, in its own temporary directory, and, where the system
//! allows it, in IPC and mount namespaces of its own: see [`world`]. The Qt programs come from
//! `ci/qt-peers`.

mod world;

mod deaths;
mod faults;
mod keys;
mod matrix;
mod older;
mod posix;
mod semaphore;
mod upstream;
