//! The bytes of a segment, whether they are plain or a typed value: what `read` and `write` have in
//! common.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result};
use sharehold::{ErrorKind, Segment, SegmentOptions, UntypedShared};

use crate::exit::{Exit, Failure};
use crate::lock_result::Locked;
use crate::{format, output, target};

/// What a segment holds.
pub(crate) enum Data {
    Plain(Segment),
    Typed(UntypedShared),
}

impl Data {
    pub(crate) fn attach(options: &SegmentOptions, key: &str) -> Result<Data> {
        target::expect_users(options, key)?;
        match options.attach_untyped(key) {
            Ok(shared) => Ok(Data::Typed(shared)),
            Err(error) if error.kind() == ErrorKind::TypeMismatch => {
                if options.summarize(key)?.value_type.is_none() {
                    return Ok(Data::Plain(options.attach(key)?));
                }
                // A segment with a type and without a value contains parts. Only the parts
                // themselves may change their words.
                let key = format::visible(key);
                let detail = format!(
                    "`{key}` holds parts, whose bytes only they themselves may use; `sharehold get {key} PART` prints one, \
                     `sharehold set {key} PART VALUE` changes one, `sharehold show {key}` shows all"
                );
                Err(Failure::new(Exit::Damaged, detail).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How many bytes there are.
    fn size(&self) -> usize {
        match self {
            Data::Plain(segment) => segment.size(),
            Data::Typed(shared) => shared.schema().size(),
        }
    }

    /// The bytes from `offset` on.
    pub(crate) fn read(
        &self,
        offset: usize,
        length: Option<usize>,
        timeout: Option<Duration>,
    ) -> Result<Vec<u8>> {
        let size = self.size();
        let length = length.unwrap_or(size.saturating_sub(offset));
        let end = offset.checked_add(length).filter(|&end| end <= size);
        let end = end.ok_or_else(|| beyond(offset, length, size))?;
        match self {
            Data::Typed(shared) => {
                let bytes = shared.get()?;
                Ok(bytes.get(offset..end).unwrap_or_default().to_vec())
            }
            Data::Plain(segment) => {
                let mut locked = Locked::acquire(segment, timeout)?;
                if let Some(left) = locked.left() {
                    output::warn(&format!("{left}: these bytes may be half written"));
                }
                let mut bytes = vec![0; length];
                locked.guard().read(offset, &mut bytes)?;
                Ok(bytes)
            }
        }
    }

    /// Writes all of `from`, from `offset` on, or nothing; how many bytes that were.
    pub(crate) fn write(
        &self,
        offset: usize,
        from: impl Read,
        timeout: Option<Duration>,
    ) -> Result<usize> {
        let size = self.size();
        let room = size.saturating_sub(offset);
        let mut bytes = Vec::new();
        // One more, to see that there are too many.
        let most = u64::try_from(room)?.saturating_add(1);
        from.take(most)
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
        if bytes.len() > room || offset > size {
            let detail = format!(
                "there is room for {room} of {size} bytes from {offset} on, and standard input has more; nothing is written"
            );
            return Err(Failure::new(Exit::Failed, detail).into());
        }
        let place = offset..offset + bytes.len();
        match self {
            Data::Typed(shared) => {
                let change = |value: &mut [u8]| {
                    if let Some(place) = value.get_mut(place) {
                        place.copy_from_slice(&bytes);
                    }
                    Ok::<(), sharehold::Error>(())
                };
                match timeout {
                    None => shared.try_update(change),
                    Some(limit) => shared.try_update_timeout(limit, change),
                }?;
            }
            Data::Plain(segment) => {
                let mut locked = Locked::acquire(segment, timeout)?;
                if let Some(left) = locked.left() {
                    output::warn(&left);
                }
                let guard = locked.guard();
                guard.write(offset, &bytes)?;
                // Nothing is left of what a dead one wrote.
                if bytes.len() == guard.size() {
                    locked.vouch();
                }
            }
        }
        Ok(bytes.len())
    }
}

fn beyond(offset: usize, length: usize, size: usize) -> anyhow::Error {
    let detail = format!("there are {size} bytes, and {length} from {offset} on reach beyond them");
    Failure::new(Exit::Failed, detail).into()
}
