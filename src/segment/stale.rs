//! Staleness: whether a file is a segment at all, and whether anybody needs it, whatever else it contains.
//!
//! All versions of the format share the first 16 bytes and the bytes that attachments lock. So a segment that a crash
//! has left behind is recognized by every later version of this library, and never blocks its key.
//!
//! | the file | is |
//! |---|---|
//! | does not begin with the magic bytes, or ends before byte 16 | foreign: never removed unasked |
//! | has another policy than [`REMOVED_WITH_LAST`] | kept: only `destroy` removes it |
//! | is not kept, and an attachment is not proven gone | in use |
//! | is not kept, and every attachment is gone | stale: it does not exist any more |
//!
//! The file is read, not mapped, so that one with holes, or one that is cut off meanwhile, raises no signal.

use std::mem::offset_of;

use super::header::{self, damaged};
use super::location::system;
use super::presence::{self, Seen};
use super::table::{self, Presence};
use crate::error::Result;
use crate::memory::block_from;
use crate::memory::format::{Header, Life, MAGIC, Slot};
use crate::sys::SegmentFile;

/// The policy word of a segment that its last attachment removes, in every version.
const REMOVED_WITH_LAST: u32 = 0;

/// Bytes that all versions of the format begin with: magic, version, policy.
const PREFIX: usize = 16;

/// The policy word in the first bytes of a file; `None` for a file that is no segment.
fn policy_in(bytes: &[u8]) -> Option<u32> {
    let policy = bytes.get(12..PREFIX)?.first_chunk()?;
    bytes
        .starts_with(&MAGIC)
        .then(|| u32::from_ne_bytes(*policy))
}

/// Tells whether the file is a stale segment, of any version. It was just opened, or asked for its facts.
///
/// # Errors
///
/// [`Damaged`](crate::ErrorKind::Damaged) when it is no segment.
pub(super) fn is_stale(file: &SegmentFile, operation: &'static str) -> Result<bool> {
    let mut bytes = [0; PREFIX];
    let read = file
        .read_at(&mut bytes, 0)
        .map_err(|error| system(operation, error))?;
    let Some(policy) = policy_in(&bytes[..read]) else {
        let detail = "its file does not begin as a segment does";
        return Err(damaged(operation, detail));
    };
    Ok(policy == REMOVED_WITH_LAST && !is_used(file))
}

/// Tells whether any attachment is not proven gone, read-only ones included. The asker has no slot, or has given it up.
/// The file was just opened, or asked for its facts.
///
/// The table of another version is not understood: there the locked bytes alone decide.
pub(super) fn is_used(file: &SegmentFile) -> bool {
    let table = || Table::read(file);
    match presence::anybody(file) {
        Err(_) | Ok(Some(Seen::Reader)) => true,
        Ok(None) => table().is_some_and(|table| table.has_anybody()),
        // Mostly one question will do: the system names an attachment, and that one lives.
        Ok(Some(Seen::InSlot(index))) => table().is_none_or(|table| {
            table.is_present(index) || presence::any_reader(file) || table.has_anybody()
        }),
    }
}

/// The attachment table of a file of this version, read slot by slot.
struct Table<'a> {
    file: &'a SegmentFile,
    slots: usize,
    ever_taken: usize,
}

impl<'a> Table<'a> {
    /// Finds it; `None` in a file of another version, and in one that is damaged.
    fn read(file: &'a SegmentFile) -> Option<Table<'a>> {
        const NEXT_SLOT: usize = offset_of!(Header, life) + offset_of!(Life, next_slot);
        let slots = header::read(file, "look at").ok()?.layout.sizes.slots;
        let mut next = [0; 4];
        let read = file.read_at(&mut next, NEXT_SLOT as u64).ok()?;
        let next = usize::try_from(u32::from_ne_bytes(next)).ok()?;
        (read == 4).then_some(Table {
            file,
            slots,
            ever_taken: slots.min(next),
        })
    }

    fn has_anybody(&self) -> bool {
        (0..self.ever_taken).any(|index| self.is_present(index))
    }

    /// Whether the slot has an attachment that is not proven gone.
    fn is_present(&self, index: usize) -> bool {
        let slot = self.slot(index);
        let taken = slot.and_then(|slot| Some((table::holder_of(&slot, index)?, slot)));
        taken.is_some_and(|(hold, slot)| table::seen(&slot, self.file, hold) == Presence::There)
    }

    fn slot(&self, index: usize) -> Option<Slot> {
        let offset = size_of::<Header>() + index * size_of::<Slot>();
        let mut bytes = [0; size_of::<Slot>()];
        let read = self.file.read_at(&mut bytes, offset as u64).ok()?;
        block_from(&bytes).filter(|_| index < self.slots && read == bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_magic_decides_what_is_a_segment() {
        let mut bytes = *b"sharehld\x07\0\0\0\x01\0\0\0";
        assert_eq!(policy_in(&bytes), Some(1));
        assert_eq!(policy_in(&bytes[..15]), None);
        bytes[7] = b'D';
        assert_eq!(policy_in(&bytes), None);
        assert_eq!(policy_in(&[]), None);
    }
}
