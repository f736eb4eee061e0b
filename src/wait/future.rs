//! Any wait as a future: it needs no runtime, and leaves nothing behind when it is dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use super::helper::{self, Ticket};
use super::poll::{Polled, Wait};
use crate::sys;

/// How long a task itself sleeps at first between two checks when no helper thread can be started.
const FIRST_WITHOUT_THREAD: Duration = Duration::from_millis(1);
/// The longest such sleep. The executor's other tasks wait meanwhile, so it is short.
const LONGEST_WITHOUT_THREAD: Duration = Duration::from_millis(8);

/// The future of a wait.
#[derive(Debug)]
pub(crate) struct WaitFuture<W> {
    wait: W,
    ticket: Option<Ticket>,
    /// The next sleep, if no thread can be started.
    without_thread: Duration,
}

impl<W: Wait + Unpin> WaitFuture<W> {
    pub(crate) fn new(wait: W) -> WaitFuture<W> {
        WaitFuture {
            wait,
            ticket: None,
            without_thread: FIRST_WITHOUT_THREAD,
        }
    }
}

impl<W: Wait + Unpin> Future for WaitFuture<W> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<W::Output> {
        let this = self.get_mut();
        this.ticket = None;
        match this.wait.look() {
            Polled::Ready(output) => Poll::Ready(output),
            Polled::Sleep { word, seen, limit } | Polled::Blocked { word, seen, limit } => {
                this.ticket = helper::wait(word, seen, limit, context.waker()).ok();
                if this.ticket.is_none() {
                    let most = this.without_thread;
                    this.without_thread = (2 * most).min(LONGEST_WITHOUT_THREAD);
                    sys::wait(word, seen, Some(limit.map_or(most, |it| it.min(most))));
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}

/// Runs a future in the background: as far as possible at once, and the rest on the helper threads,
/// as soon as it can continue.
pub(crate) fn leave(future: impl Future<Output = ()> + Send + 'static) {
    let left = DetachedTask {
        future: Mutex::new(Some(Box::pin(future))),
        is_woken: AtomicBool::new(false),
    };
    Arc::new(left).wake();
}

/// A future that runs in the background, on the thread that wakes it.
struct DetachedTask {
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    is_woken: AtomicBool,
}

impl Wake for DetachedTask {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        // The thread that runs it runs it again until it has run after the last wake-up.
        while self.is_woken.load(Ordering::SeqCst)
            && let Ok(mut future) = self.future.try_lock()
        {
            self.is_woken.store(false, Ordering::SeqCst);
            let waker = Arc::clone(&self).into();
            let ended = future.as_mut().is_none_or(|it| {
                it.as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_ready()
            });
            if ended {
                *future = None;
            }
        }
    }
}
