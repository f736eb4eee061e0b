//! Waiting until the value that a part guards changes: `value::change` on the words of the part.

use std::time::Instant;

use super::copies_at;
use super::layout::PartRef;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::Primitive;
use crate::sys::{Word, low_half_of};
use crate::value::change::{ChangeOutcome, VersionWatch};
use crate::value::wait::VersionWords;
use crate::wait::future;
use crate::wait::poll::{Polled, Wait, block};

const WAIT: &str = "wait for a change of";

/// Waits until the version differs from `seen`.
pub(crate) fn wait_for_change(
    place: &PartRef,
    primitive: Primitive,
    seen: u64,
    deadline: Option<Instant>,
) -> Result<()> {
    block(&mut PartVersionWait::new(place, primitive, seen), deadline).unwrap_or_else(|| {
        let detail =
            "it did not change in time; wait longer, or check the process that should change it";
        let error = Error::new(ErrorKind::Timeout, WAIT, detail);
        Err(error.with_key(place.segment().key()))
    })
}

/// As [`wait_for_change`], asynchronously.
pub(crate) async fn changed_async(place: &PartRef, primitive: Primitive, seen: u64) -> Result<()> {
    future::WaitFuture::new(PartVersionWait::new(place, primitive, seen)).await
}

struct PartVersionWait<'a> {
    place: &'a PartRef,
    primitive: Primitive,
    watch: VersionWatch,
}

impl PartVersionWait<'_> {
    fn new(place: &PartRef, primitive: Primitive, seen: u64) -> PartVersionWait<'_> {
        let watch = VersionWatch::new(seen);
        PartVersionWait {
            place,
            primitive,
            watch,
        }
    }
}

impl Wait for PartVersionWait<'_> {
    type Output = Result<()>;

    fn look(&mut self) -> Polled<'_, Result<()>> {
        let copies = match copies_at(self.place, self.primitive, 0, WAIT) {
            Ok(copies) => copies,
            Err(error) => return Polled::Ready(Err(error)),
        };
        let steps = VersionWords {
            place: &copies,
            segment: self.place.segment(),
        };
        match self.watch.look(&steps) {
            ChangeOutcome::Changed => Polled::Ready(Ok(())),
            ChangeOutcome::Same(limit) => Polled::Sleep {
                word: Word::low_half(copies.version),
                seen: low_half_of(self.watch.seen()),
                limit,
            },
        }
    }
}
