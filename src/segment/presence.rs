//! Presence: the bytes of the segment file that stand for attachments, and the removal gate.
//!
//! All of these bytes lie far beyond the end of the file; only the kernel's locks on them matter. A
//! lock ends with its process. A free byte is therefore the proof of death on which everything else
//! relies.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use super::location::system;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::SegmentFile;

/// The first of the bytes that stand for slots.
const SLOTS: u64 = 1 << 40;
/// The byte that attachers lock shared and a remover locks exclusively.
const GATE: u64 = SLOTS + (1 << 16);
/// The byte that removers lock shared while they wait for attachers to leave the gate.
const INTENT: u64 = GATE + 1;
/// The first of the bytes that stand for read-only attachments, one for each possible process
/// identifier.
const READERS: u64 = SLOTS + (1 << 24);
/// Linux numbers processes below this.
const PIDS: u64 = 1 << 22;

/// How long creation, attachment and removal wait for each other before they return an error. Each
/// holds the gate for microseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How long attachers let a remover go first: long enough for a running one, while a stopped one
/// does not keep them out.
const COURTESY: Duration = Duration::from_millis(500);

/// The byte that stands for a slot.
pub(crate) fn slot_byte(index: usize) -> u64 {
    SLOTS + index as u64
}

/// The byte that stands for the read-only attachments of a process.
pub(crate) fn reader_byte(pid: u32) -> u64 {
    READERS + u64::from(pid) % PIDS
}

/// The bytes of all slots that any segment may have.
const SLOT_BYTES: Range<u64> = SLOTS..GATE;
/// The bytes of all read-only attachments.
const READER_BYTES: Range<u64> = READERS..READERS + PIDS;

/// An attachment with a locked byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Present {
    /// The attachment in the slot with this index.
    InSlot(usize),
    /// A read-only attachment.
    Reader,
}

/// Looks for any attachment with a byte locked through another handle. Processes in the gate are
/// not counted. The caller has just opened the file, or has just called `facts` on it.
pub(crate) fn anybody(file: &SegmentFile) -> std::io::Result<Option<Present>> {
    // In most cases one query of all the bytes is enough.
    let Some(byte) = file.first_locked(SLOTS..READER_BYTES.end)? else {
        return Ok(None);
    };
    if let Some(seen) = seen(byte) {
        return Ok(Some(seen));
    }
    let byte = match file.first_locked(SLOT_BYTES)? {
        None => file.first_locked(READER_BYTES)?,
        found => found,
    };
    Ok(byte.and_then(seen))
}

/// Tells whether there may be a read-only attachment. The precondition is that of [`anybody`].
pub(crate) fn any_reader(file: &SegmentFile) -> bool {
    !matches!(file.first_locked(READER_BYTES), Ok(None))
}

fn seen(byte: u64) -> Option<Present> {
    if SLOT_BYTES.contains(&byte) {
        return usize::try_from(byte - SLOTS).ok().map(Present::InSlot);
    }
    READER_BYTES.contains(&byte).then_some(Present::Reader)
}

/// How to pass the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GateMode {
    /// Together with other attachers.
    Shared,
    /// Alone, to remove or replace.
    Exclusive,
}

/// A lock of the gate of a segment file. It is released when dropped, or when the process ends.
#[derive(Debug)]
pub(crate) struct RemovalGate<'a> {
    file: &'a SegmentFile,
}

impl<'a> RemovalGate<'a> {
    /// Enters the gate, waiting a bounded time for the processes inside. The caller has just opened
    /// the file, or has just called `facts` on it.
    ///
    /// Attachers share the gate, so that on a busy segment there may be one inside at any time.
    /// They let a waiting remover go first.
    pub(crate) fn pass(
        file: &'a SegmentFile,
        mode: GateMode,
        operation: &'static str,
    ) -> Result<RemovalGate<'a>> {
        let failed = |error| system(operation, error);
        let mut patience = Patience::new();
        let mut intent = None;
        loop {
            let passed = match mode {
                GateMode::Exclusive => file.try_lock(GATE),
                GateMode::Shared if patience.is_below(COURTESY) && is_removal_intended(file) => {
                    Ok(false)
                }
                GateMode::Shared => file.try_lock_shared(GATE),
            };
            if passed.map_err(failed)? {
                return Ok(RemovalGate { file });
            }
            if mode == GateMode::Exclusive && intent.is_none() {
                intent = Some(RemovalIntent::make(file).map_err(failed)?);
            }
            if !patience.rest() {
                let detail = "another process has been attaching to or removing it for seconds; check whether that process is stopped, or try again";
                return Err(Error::new(ErrorKind::Busy, operation, detail));
            }
            // By now the file has been open for some time.
            file.facts().map_err(failed)?;
        }
    }
}

impl Drop for RemovalGate<'_> {
    fn drop(&mut self) {
        // If this fails, the file is closed, and the lock ends with it.
        let _ = self.file.unlock(GATE);
    }
}

/// A remover's request to enter the gate alone. It ends when dropped, or when the process ends.
struct RemovalIntent<'a> {
    file: &'a SegmentFile,
}

impl<'a> RemovalIntent<'a> {
    fn make(file: &'a SegmentFile) -> std::io::Result<RemovalIntent<'a>> {
        // No process locks this byte exclusively, so a shared lock is never refused.
        file.try_lock_shared(INTENT).map(|_| RemovalIntent { file })
    }
}

impl Drop for RemovalIntent<'_> {
    fn drop(&mut self) {
        // If this fails, the file is closed, and the lock ends with it.
        let _ = self.file.unlock(INTENT);
    }
}

fn is_removal_intended(file: &SegmentFile) -> bool {
    matches!(file.first_locked(INTENT..INTENT + 1), Ok(Some(_)))
}

/// Growing pauses between attempts, for at most [`PATIENCE`] in total.
#[derive(Debug)]
pub(crate) struct Patience {
    /// The time of the first pause; most callers need none.
    start: Option<Instant>,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience {
            start: None,
            pause: Duration::from_micros(10),
        }
    }

    /// Sleeps a little; returns false when the time is up.
    pub(crate) fn rest(&mut self) -> bool {
        const LONGEST: Duration = Duration::from_millis(2);
        self.start.get_or_insert_with(Instant::now);
        thread::sleep(self.pause);
        self.pause = LONGEST.min(self.pause * 2);
        self.is_below(PATIENCE)
    }

    /// Tells whether less than `limit` has passed since the first pause.
    fn is_below(&self, limit: Duration) -> bool {
        self.start.is_none_or(|start| start.elapsed() < limit)
    }
}

/// Returns the processes that are attached read-only through other handles.
pub(crate) fn readers(file: &SegmentFile) -> std::io::Result<Vec<u32>> {
    file.facts()?;
    let mut pids = Vec::new();
    // The system names some locked byte of a range, not necessarily the first: search both sides of
    // it.
    let mut ranges = vec![READER_BYTES];
    while let Some(range) = ranges.pop() {
        if range.is_empty() {
            continue;
        }
        if let Some(byte) = file.first_locked(range.clone())? {
            pids.push(u32::try_from(byte.saturating_sub(READERS)).unwrap_or(0));
            ranges.push(range.start..byte);
            ranges.push(byte + 1..range.end);
        }
    }
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::sys::{Access, Directory};

    /// Returns `N` handles of one unnamed file.
    fn handles<const N: usize>() -> [SegmentFile; N] {
        let folder = tempfile::TempDir::new_in("/dev/shm").expect("there is room");
        let directory = Directory::open(folder.path()).expect("it was just made");
        let name = OsStr::new("file");
        let first = directory.make_unnamed_file(0o600).expect("there is room");
        directory.give_name(&first, name).expect("it is free");
        std::array::from_fn(|_| {
            let opened = directory.open_file(name, Access::ReadWrite);
            opened.expect("it is there")
        })
    }

    #[test]
    fn a_process_in_the_gate_is_not_counted_and_hides_no_attachment() {
        let is_taken = |taken: std::io::Result<bool>| taken.expect("byte locks work");
        for byte in [GATE, INTENT] {
            for gate_first in [true, false] {
                for (present, seen) in [
                    (slot_byte(3999), Present::InSlot(3999)),
                    (reader_byte(77), Present::Reader),
                ] {
                    let [asker, other, standing] = handles();
                    assert_eq!(anybody(&asker).expect("one may ask"), None);
                    if gate_first {
                        assert!(is_taken(standing.try_lock_shared(byte)));
                        assert_eq!(anybody(&asker).expect("one may ask"), None);
                    }
                    assert!(is_taken(other.try_lock_shared(present)));
                    assert!(is_taken(standing.try_lock_shared(byte)));
                    assert_eq!(anybody(&asker).expect("one may ask"), Some(seen));
                }
            }
        }
    }
}
