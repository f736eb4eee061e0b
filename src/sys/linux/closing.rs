//! Detecting that any process closes a file, without polling: inotify, and one thread that reads
//! it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::file::SegmentFile;
use super::signals::start_thread;
use super::wait::wake_all;
use crate::sys::PerProcess;

/// The state of this process's watches.
#[derive(Debug)]
struct Closings {
    events: Arc<OwnedFd>,
    count: Arc<AtomicU32>,
}

/// Returns a word of this process that is raised, and woken, whenever any process closes the file,
/// shortly before its byte locks end. It may be raised for other reasons, too.
///
/// # Errors
///
/// The user has reached the system's limit of watches, or `/proc` is not mounted.
pub(crate) fn watch_closings(file: &SegmentFile) -> io::Result<&'static AtomicU32> {
    static CLOSINGS: PerProcess<Closings> = PerProcess::new();
    let closings = CLOSINGS.get_or_make(Closings::start)?;
    file.facts()?;
    // A second watch of the same file is the same watch. It ends with the file.
    let path = format!("/proc/self/fd/{}", file.number());
    let closed = WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE;
    inotify::add_watch(&closings.events, path, closed)?;
    Ok(&closings.count)
}

impl Closings {
    fn start() -> io::Result<Closings> {
        let events = Arc::new(inotify::init(CreateFlags::CLOEXEC)?);
        let count = Arc::new(AtomicU32::new(0));
        let closings = Closings {
            events: Arc::clone(&events),
            count: Arc::clone(&count),
        };
        start_thread("sharehold-leave", move || follow(&events, &count))?;
        Ok(closings)
    }
}

/// Raises the word for each event, for as long as the process lives.
fn follow(events: &OwnedFd, count: &AtomicU32) {
    let mut buffer = [MaybeUninit::uninit(); 1024];
    loop {
        match rustix::io::read(events, &mut buffer) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // A daemon has closed the descriptor. Waiters also check periodically.
            Err(_) => return,
        }
        count.fetch_add(1, Ordering::Release);
        wake_all(count);
    }
}
