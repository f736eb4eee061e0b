//! The options for creating a segment, and for finding the segment of another user.

#[cfg(doc)]
use super::Segment;
use super::header::Policy;
use super::id::MAX_SLOTS;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::Schema;
use crate::sys::{self, FileMetadata};

const DEFAULT_SLOTS: usize = 128;
const OWNER_ONLY: u32 = 0o600;

/// A builder for a segment to create or to attach to; [`Segment::options`] returns one.
///
/// Attaching takes the segment as it is. It uses only [`owner`](SegmentOptions::owner) and
/// [`program`](SegmentOptions::program), and [`open_or_create`](SegmentOptions::open_or_create)
/// also uses [`size`](SegmentOptions::size). [`exists`](SegmentOptions::exists),
/// [`inspect`](SegmentOptions::inspect), [`destroy`](SegmentOptions::destroy) and similar calls use
/// only the owner.
///
/// # Examples
///
/// ```
/// use sharehold::{Policy, Segment};
///
/// let segment = Segment::options()
///     .size(1024)
///     .max_size(1 << 20)
///     .policy(Policy::Persistent)
///     .open_or_create("com.example.options")?;
/// assert_eq!(segment.size(), 1024);
/// # drop(segment);
/// # Segment::destroy("com.example.options", sharehold::DestroyMode::Immediate)?;
/// # Ok::<(), sharehold::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SegmentOptions {
    pub(super) size: usize,
    pub(super) max_size: Option<usize>,
    pub(super) slots: usize,
    pub(super) log: usize,
    pub(super) policy: Policy,
    pub(super) mode: u32,
    pub(super) group: Option<u32>,
    pub(super) owner: Option<u32>,
    pub(super) program: Option<String>,
    pub(super) schema: Option<Schema>,
    /// Additional bytes of data for each slot, after the other data.
    row: usize,
}

impl SegmentOptions {
    pub(super) fn new() -> SegmentOptions {
        SegmentOptions {
            size: 0,
            max_size: None,
            slots: DEFAULT_SLOTS,
            log: 0,
            policy: Policy::default(),
            mode: OWNER_ONLY,
            group: None,
            owner: None,
            program: None,
            schema: None,
            row: 0,
        }
    }

    /// Sets the number of bytes of data, at least 1; required to create. For
    /// [`open_or_create`](SegmentOptions::open_or_create) it is the minimum.
    pub fn size(mut self, bytes: usize) -> SegmentOptions {
        self.size = bytes;
        self
    }

    /// Sets the size up to which the data can [grow](Segment::grow), in bytes; by default the size
    /// itself.
    ///
    /// It costs address space in every process, but no memory.
    pub fn max_size(mut self, bytes: usize) -> SegmentOptions {
        self.max_size = Some(bytes);
        self
    }

    /// Sets the maximum number of simultaneous attachments, 1 to 4,000; 128 by default. Each costs
    /// 192 bytes.
    pub fn slots(mut self, slots: usize) -> SegmentOptions {
        self.slots = slots;
        self
    }

    /// Sets the size of the undo log of a [transaction](Segment::transaction), in bytes: for the
    /// data that it overwrites, and 16 bytes per write; 0 by default.
    pub fn log(mut self, bytes: usize) -> SegmentOptions {
        self.log = bytes;
        self
    }

    /// Sets the policy, which says when the segment is removed.
    pub fn policy(mut self, policy: Policy) -> SegmentOptions {
        self.policy = policy;
        self
    }

    /// Sets the users that may attach, as permission bits of `chmod`; by default `0o600`, the owner
    /// only.
    ///
    /// The umask is not applied. Other users need read and write permission to attach, and read
    /// permission to attach read-only; they also name the [owner](SegmentOptions::owner). Sharing
    /// makes the owner's [directory](crate::directory) searchable for them (mode 0711), including
    /// one that `SHAREHOLD_DIR` names, and it stays searchable.
    pub fn mode(mut self, mode: u32) -> SegmentOptions {
        self.mode = mode;
        self
    }

    /// Sets the group that the mode's group bits apply to, by number.
    pub fn group(mut self, group: u32) -> SegmentOptions {
        self.group = Some(group);
        self
    }

    /// Looks for the key among the segments of another user, by number, and trusts that user. A
    /// segment cannot be created for another user.
    pub fn owner(mut self, user: u32) -> SegmentOptions {
        self.owner = Some(user);
        self
    }

    /// Sets the program name that others see for this attachment, cut to 16 bytes; by default the
    /// executable's file name.
    ///
    /// It is for programs that act on behalf of others: `sharehold lock` shows the command that it
    /// runs. The name is information only: it is not verified, and no decision depends on it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::Segment;
    ///
    /// let options = Segment::options().size(8).program("nightly-backup");
    /// let segment = options.open_or_create("com.example.named")?;
    /// let name = segment.attachments()?[0].executable.clone();
    /// assert_eq!(name.as_deref(), Some("nightly-backup"));
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub fn program(mut self, name: &str) -> SegmentOptions {
        self.program = Some(name.to_owned());
        self
    }

    /// Returns the user whose segments are meant, if [`SegmentOptions::owner`] was set.
    pub(crate) fn named_owner(&self) -> Option<u32> {
        self.owner
    }

    /// Returns these options for a segment that holds `size` bytes of values of one type.
    pub(crate) fn typed(&self, schema: Schema, size: usize) -> SegmentOptions {
        let options = self.clone().size(size).max_size(size);
        SegmentOptions {
            schema: Some(schema),
            ..options
        }
    }

    /// Returns these options for a segment of `size` bytes, followed by `row` bytes for each slot.
    pub(crate) fn typed_by_slot(&self, schema: Schema, size: usize, row: usize) -> SegmentOptions {
        let options = self.typed(schema, size);
        SegmentOptions { row, ..options }
    }

    /// Returns these options with the policy and the permissions of an existing segment.
    pub(crate) fn as_for(&self, facts: &FileMetadata, policy: Policy) -> SegmentOptions {
        SegmentOptions {
            policy,
            mode: facts.mode & 0o666 | OWNER_ONLY,
            group: Some(facts.group),
            ..self.clone()
        }
    }

    /// Returns the number of bytes of data with the given number of slots.
    pub(super) fn size_with(&self, slots: usize) -> usize {
        self.size.saturating_add(self.row.saturating_mul(slots))
    }

    /// Checks the options and returns the size and the largest size to create with.
    pub(super) fn checked_sizes(&self, operation: &'static str) -> Result<(usize, usize)> {
        let refuse = |detail: String| Err(Error::new(ErrorKind::InvalidOption, operation, detail));
        let max_size = self.max_size.unwrap_or(self.size);
        if self.size == 0 {
            let error = Error::new(ErrorKind::InvalidOption, operation, "its size is 0");
            return Err(error.advise("give it at least one byte with `size`"));
        }
        if max_size < self.size {
            return refuse(format!(
                "its largest size, {max_size}, is below its size, {}",
                self.size
            ));
        }
        if !(1..=MAX_SLOTS).contains(&self.slots) {
            return refuse(format!(
                "{} slots are not between 1 and {MAX_SLOTS}",
                self.slots
            ));
        }
        if self.mode & !0o666 != 0 || self.mode & OWNER_ONLY != OWNER_ONLY {
            return refuse(format!(
                "mode {:04o} is not made of read and write bits with at least 0600, such as 0660",
                self.mode
            ));
        }
        let rows = self.row.saturating_mul(self.slots);
        Ok((self.size_with(self.slots), max_size.saturating_add(rows)))
    }

    /// Refuses to create for another user: a segment belongs to the user that creates it.
    pub(super) fn check_owner(&self, operation: &'static str) -> Result<()> {
        let Some(owner) = self.owner else {
            return Ok(());
        };
        let me = sys::effective_user();
        if owner == me {
            return Ok(());
        }
        let detail = format!(
            "uid {me} cannot create a segment of uid {owner}; run as that user, or leave `owner` out"
        );
        Err(Error::new(ErrorKind::InvalidOption, operation, detail))
    }

    /// Tells whether users other than the owner may attach.
    pub(super) fn is_shared(&self) -> bool {
        self.mode & !OWNER_ONLY != 0
    }
}
