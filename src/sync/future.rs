//! Whatever can be waited for, as a future: it needs no runtime, and leaves nothing behind when it is dropped.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
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
            Look::Sleep { word, seen, limit } => {
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
