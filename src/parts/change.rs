//! Waiting until a value that a part guards is another one: `sync::change` on the words of the part.

use std::time::Instant;

use super::copies_at;
use super::place::Place;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::Primitive;
use crate::shared::waiting::Steps;
use crate::sync::change::{Found, Watch};
use crate::sync::future;
use crate::sync::waiting::{Look, Wait, block};
use crate::sys::{Word, low_half_of};

const WAIT: &str = "wait for a change of";

/// Waits until the version is no more the one that was seen.
pub(super) fn wait_for_change(
    place: &Place,
    primitive: Primitive,
    seen: u64,
    deadline: Option<Instant>,
) -> Result<()> {
    block(&mut Change::new(place, primitive, seen), deadline).unwrap_or_else(|| {
        let detail = "it was not made in time; wait longer, or see who should make it";
        let error = Error::new(ErrorKind::Timeout, WAIT, detail);
        Err(error.with_key(place.segment().key()))
    })
}

/// The same, without keeping a thread.
pub(super) async fn changed_async(place: &Place, primitive: Primitive, seen: u64) -> Result<()> {
    future::Until::new(Change::new(place, primitive, seen)).await
}

struct Change<'a> {
    place: &'a Place,
    primitive: Primitive,
    watch: Watch,
}

impl Change<'_> {
    fn new(place: &Place, primitive: Primitive, seen: u64) -> Change<'_> {
        let watch = Watch::new(seen);
        Change {
            place,
            primitive,
            watch,
        }
    }
}

impl Wait for Change<'_> {
    type Output = Result<()>;

    fn look(&mut self) -> Look<'_, Result<()>> {
        let copies = match copies_at(self.place, self.primitive, 0, WAIT) {
            Ok(copies) => copies,
            Err(error) => return Look::Ready(Err(error)),
        };
        let steps = Steps {
            place: &copies,
            segment: self.place.segment(),
        };
        match self.watch.look(&steps) {
            Found::Changed => Look::Ready(Ok(())),
            Found::Same(limit) => Look::Sleep {
                word: Word::low_half(copies.version),
                seen: low_half_of(self.watch.seen()),
                limit,
            },
        }
    }
}
