//! Staleness: whether a file is a segment at all, and whether it is needed, whatever else it
//! contains.
//!
//! All versions of the format share the first 16 bytes and the bytes that attachments lock. A
//! segment that a crash has left behind is therefore recognized by every later version of this
//! library, and never blocks its key.
//!
//! | the file | is |
//! |---|---|
//! | does not begin with the magic bytes, or ends before byte 16 | foreign: never removed implicitly |
//! | has another policy than [`REMOVED_WITH_LAST`] | persistent: only `destroy` removes it |
//! | is not persistent, and an attachment is not proven gone | in use |
//! | is not persistent, and every attachment is gone | stale: it counts as absent |
//!
//! The file is read, not mapped, so that holes or a concurrent truncation raise no signal.

use std::sync::atomic::Ordering;

use super::header::damaged;
use super::id::{AttachmentId, MAX_SLOTS};
use super::location::system;
use super::presence::{self, Present};
use super::table::{self, Presence};
use crate::error::Result;
use crate::memory::format::{Header, MAGIC, Slot, VERSION};
use crate::memory::{Copied, block_from};
use crate::sys::SegmentFile;

/// The policy word of a segment that its last attachment removes, in every version.
const REMOVED_WITH_LAST: u32 = 0;

/// The bytes that all versions of the format begin with: magic, version, policy.
const PREFIX: usize = 16;

/// Read at once: the header and the first slots, which are usually all that were ever taken.
const BEGINNING: usize = size_of::<Header>() + 8 * size_of::<Slot>();

/// Returns the policy word in the first bytes of a file; `None` for a file that is not a segment.
fn policy_in(bytes: &[u8]) -> Option<u32> {
    let policy = bytes.get(12..PREFIX)?.first_chunk()?;
    bytes
        .starts_with(&MAGIC)
        .then(|| u32::from_ne_bytes(*policy))
}

/// Tells whether the file is a stale segment, of any version. The caller has just opened the file,
/// or has just called `facts` on it.
///
/// # Errors
///
/// [`Damaged`](crate::ErrorKind::Damaged) if it is not a segment.
pub(super) fn is_stale(file: &SegmentFile, operation: &'static str) -> Result<bool> {
    let seen = presence::anybody(file);
    let bytes = beginning(file).map_err(|error| system(operation, error))?;
    match policy_in(&bytes) {
        None => {
            let detail = "its file does not begin as a segment does";
            Err(damaged(operation, detail))
        }
        Some(policy) => Ok(policy == REMOVED_WITH_LAST && !is_used_as(file, &seen, bytes)),
    }
}

/// Tells whether any attachment is not proven gone, including read-only ones. The caller has no
/// slot, or has given it up. It has just opened the file, or has just called `facts` on it.
///
/// The table of another version cannot be interpreted: then the locked bytes alone decide.
pub(super) fn is_used(file: &SegmentFile) -> bool {
    let seen = presence::anybody(file);
    // An unreadable file is left alone.
    !beginning(file).is_ok_and(|bytes| !is_used_as(file, &seen, bytes))
}

fn beginning(file: &SegmentFile) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; BEGINNING];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Does the same for a file whose beginning was read after the search for attachments (`seen`): a
/// process that takes a slot locks its byte first.
fn is_used_as(file: &SegmentFile, seen: &std::io::Result<Option<Present>>, bytes: Vec<u8>) -> bool {
    let table = Table::of(file, bytes);
    match seen {
        Err(_) | Ok(Some(Present::Reader)) => true,
        Ok(None) => table.is_some_and(|table| table.has_attachment()),
        // Usually this attachment is alive.
        Ok(Some(Present::InSlot(index))) => table.is_none_or(|table| {
            table.is_kept_by_living(*index) || presence::any_reader(file) || table.has_attachment()
        }),
    }
}

/// The attachment table of a file of this version.
struct Table<'a> {
    file: &'a SegmentFile,
    copied: Copied,
    slots: usize,
}

impl<'a> Table<'a> {
    /// Finds the table from the beginning of the file; `None` in a file of another version, or
    /// without a table.
    fn of(file: &'a SegmentFile, beginning: Vec<u8>) -> Option<Table<'a>> {
        let copied = Copied::new(beginning)?;
        let header = copied.header();
        let is_own = header.version.load(Ordering::Relaxed) == VERSION;
        let slots = usize::try_from(header.slots.load(Ordering::Relaxed)).ok()?;
        (is_own && (1..=MAX_SLOTS).contains(&slots)).then_some(Table {
            file,
            copied,
            slots,
        })
    }

    fn has_attachment(&self) -> bool {
        let next = self.copied.header().life.next_slot.load(Ordering::Relaxed);
        (0..self.slots.min(next as usize)).any(|index| self.is_present(index))
    }

    /// Tells whether the slot has an attachment that is not proven gone.
    fn is_present(&self, index: usize) -> bool {
        let taken = self.taken(index);
        taken.is_some_and(|(id, slot)| table::seen(&slot, self.file, id) == Presence::There)
    }

    /// Tells whether a slot whose byte is locked has an attachment whose process has not ended.
    fn is_kept_by_living(&self, index: usize) -> bool {
        let taken = self.taken(index);
        taken.is_some_and(|(id, slot)| !table::has_ended(&slot, id))
    }

    fn taken(&self, index: usize) -> Option<(AttachmentId, Slot)> {
        let slot = self.copied.slot(index).or_else(|| self.read(index))?;
        let id = table::holder_of(&slot, index)?;
        (index < self.slots).then_some((id, slot))
    }

    fn read(&self, index: usize) -> Option<Slot> {
        let offset = size_of::<Header>() + index * size_of::<Slot>();
        let mut bytes = [0; size_of::<Slot>()];
        let read = self.file.read_at(&mut bytes, offset as u64).ok()?;
        block_from(&bytes).filter(|_| read == bytes.len())
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
