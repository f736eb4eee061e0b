//! Following a value from the event loop of a program, which waits for file descriptors.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::copies::Versioned;
use super::wait::{VersionWait, WAIT};
use super::watch::Watch;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::Signal;
use crate::wait::future::WaitFuture;

/// Follows a value through a file descriptor, for event loops that use `poll`, `epoll` or similar
/// calls.
///
/// When the descriptor of [`signal`](PollableWatch::signal) is readable, call
/// [`try_changed`](PollableWatch::try_changed) until it returns `None`. Do this also once before
/// the loop begins. The helper thread of [`Watch::changed_async`] makes the descriptor readable.
///
/// # When a process dies
///
/// See [`Watch`].
///
/// # Examples
///
/// ```
/// use sharehold::Shared;
///
/// let shared = Shared::open_or_create("com.example.pollable", || 0_u64)?;
/// let mut watch = shared.watch()?.into_pollable()?;
/// assert!(watch.try_changed()?.is_none());
/// shared.set(&5)?;
/// // Here a loop waits until `watch.signal()` is readable.
/// # let mut polled = [rustix::event::PollFd::new(watch.signal(), rustix::event::PollFlags::IN)];
/// # rustix::event::poll(&mut polled, None).unwrap();
/// assert_eq!(watch.try_changed()?.unwrap().value, 5);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[derive(Debug)]
pub struct PollableWatch<'a, T> {
    watch: Watch<'a, T>,
    change: WaitFuture<VersionWait<'a>>,
    signal: Arc<Raised>,
    waker: Waker,
}

#[derive(Debug)]
struct Raised(Signal);

impl Wake for Raised {
    fn wake(self: Arc<Self>) {
        self.0.raise();
    }
}

impl<'a, T> PollableWatch<'a, T> {
    fn new(watch: Watch<'a, T>) -> Result<PollableWatch<'a, T>> {
        let signal = Signal::new().map_err(|error| {
            let detail = "no file descriptor is available; close others, or wait on a thread";
            Error::new(ErrorKind::System, WAIT, detail).with_system(error)
        })?;
        let signal = Arc::new(Raised(signal));
        Ok(PollableWatch {
            change: WaitFuture::new(watch.change()),
            watch,
            waker: Arc::clone(&signal).into(),
            signal,
        })
    }

    /// Returns the next value if there is one. Otherwise the signal is raised as soon as there is
    /// one. Never waits.
    ///
    /// # Errors
    ///
    /// As [`Watch::changed`].
    pub fn try_changed(&mut self) -> Result<Option<Versioned<T>>> {
        self.signal.0.clear();
        let mut context = Context::from_waker(&self.waker);
        match Pin::new(&mut self.change).poll(&mut context) {
            Poll::Pending => Ok(None),
            Poll::Ready(changed) => {
                changed?;
                let found = self.watch.read()?;
                self.change = WaitFuture::new(self.watch.change());
                Ok(Some(found))
            }
        }
    }

    /// Returns the signal that an event loop waits for. Its descriptor becomes readable when it is
    /// time to call [`PollableWatch::try_changed`].
    pub fn signal(&self) -> &Signal {
        &self.signal.0
    }
}

impl<'a, T> Watch<'a, T> {
    /// Converts this into a watch for an event loop: see [`PollableWatch`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::System`] if the process cannot open another descriptor.
    pub fn into_pollable(self) -> Result<PollableWatch<'a, T>> {
        PollableWatch::new(self)
    }
}
