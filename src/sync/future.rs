//! Whatever can be waited for, as a future: it needs no runtime, and leaves nothing behind when it is dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use super::helper::{self, Ticket};
use super::waiting::{Look, Wait};
use crate::sys;

/// How long a task sleeps itself when there is no thread to do it: then looking again and again is all that is left.
const WITHOUT_THREADS: Duration = Duration::from_millis(1);

/// Waits for what `wait` waits for.
#[derive(Debug)]
pub(crate) struct Until<W> {
    wait: W,
    ticket: Option<Ticket>,
}

impl<W: Wait + Unpin> Until<W> {
    pub(crate) fn new(wait: W) -> Until<W> {
        Until { wait, ticket: None }
    }
}

impl<W: Wait + Unpin> Future for Until<W> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<W::Output> {
        let this = self.get_mut();
        this.ticket = None;
        match this.wait.look() {
            Look::Ready(output) => Poll::Ready(output),
            Look::Sleep { word, seen, limit } | Look::Blocked { word, seen, limit } => {
                this.ticket = helper::wait(word, seen, limit, context.waker()).ok();
                if this.ticket.is_none() {
                    let most = limit.map_or(WITHOUT_THREADS, |it| it.min(WITHOUT_THREADS));
                    sys::wait(word, seen, Some(most));
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}

/// Leaves a future to the helpers: what of it cannot be done at once they do, as soon as it can be.
pub(crate) fn leave(future: impl Future<Output = ()> + Send + 'static) {
    let left = Left {
        future: Mutex::new(Some(Box::pin(future))),
        is_woken: AtomicBool::new(false),
    };
    Arc::new(left).wake();
}

/// A future that nobody waits for, and that runs wherever it is woken.
struct Left {
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    is_woken: AtomicBool,
}

impl Wake for Left {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        // Whoever runs it sees to it that it has run since it was woken last.
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
