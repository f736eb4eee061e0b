//! What a segment shall be like, and whose it is.

use super::header::Policy;
use super::location::Location;
use super::table::MAX_SLOTS;
use super::{DestroyMode, ReadOnlySegment, Segment, SegmentData, attach, create, look, remove};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::schema::Schema;
use crate::sys::{self, FileMetadata};

const DEFAULT_SLOTS: usize = 128;
const OWNER_ONLY: u32 = 0o600;

/// Says what a segment shall be like; the builder behind [`Segment::options`].
///
/// An attacher takes the segment as it is: only [`owner`](SegmentOptions::owner) and
/// [`program`](SegmentOptions::program) matter to it, and to [`open_or_create`](SegmentOptions::open_or_create) also
/// [`size`](SegmentOptions::size). To [`exists`](SegmentOptions::exists), [`inspect`](SegmentOptions::inspect),
/// [`destroy`](SegmentOptions::destroy) and the like only the owner matters.
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
    /// Bytes of data for each slot, behind the others.
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

    /// Sets how many bytes of data there are, at least 1; needed to create. To [`open_or_create`](SegmentOptions::open_or_create) it
    /// is how many there are at least.
    pub fn size(mut self, bytes: usize) -> SegmentOptions {
        self.size = bytes;
        self
    }

    /// Sets how far the data may [grow](Segment::grow), in bytes; the size itself unless set.
    ///
    /// It costs address space in every process, no memory.
    pub fn max_size(mut self, bytes: usize) -> SegmentOptions {
        self.max_size = Some(bytes);
        self
    }

    /// Sets how many attachments there can be at once, 1 to 4,000; 128 unless set. Each costs 192 bytes.
    pub fn slots(mut self, slots: usize) -> SegmentOptions {
        self.slots = slots;
        self
    }

    /// Sets how many bytes a [transaction](Segment::transaction) may log, for what it overwrites and 16 bytes a write;
    /// none unless set.
    pub fn log(mut self, bytes: usize) -> SegmentOptions {
        self.log = bytes;
        self
    }

    /// Sets when the segment is removed.
    pub fn policy(mut self, policy: Policy) -> SegmentOptions {
        self.policy = policy;
        self
    }

    /// Sets who may attach, as permission bits for `chmod`; `0o600`, the owner alone, unless set.
    ///
    /// The umask has no say. Others need both read and write to attach, read alone to attach read-only, and name
    /// the [owner](SegmentOptions::owner). Sharing makes the owner's [directory](crate::directory) searchable for them (mode 0711), also one that
    /// `SHAREHOLD_DIR` names, and it stays so.
    pub fn mode(mut self, mode: u32) -> SegmentOptions {
        self.mode = mode;
        self
    }

    /// Sets the group that the mode's middle bits speak of, by number.
    pub fn group(mut self, group: u32) -> SegmentOptions {
        self.group = Some(group);
        self
    }

    /// Looks for the key among the segments of another user, by number, and trusts that user. Nobody creates for another.
    pub fn owner(mut self, user: u32) -> SegmentOptions {
        self.owner = Some(user);
        self
    }

    /// Sets the program's name that others see of this attachment, cut to 16 bytes; the executable's file name unless set.
    ///
    /// It is for programs that act for others: `sharehold lock` shows the command that it runs. It proves nothing, and
    /// nothing depends on it.
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

    /// Creates the segment, all zero, and attaches to it.
    ///
    /// # When a process dies
    ///
    /// The segment is visible once it is whole. A creator that dies before leaves nothing. A stale segment under
    /// the key is replaced.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] when a living or persistent segment has the key, [`ErrorKind::OutOfMemory`] when the
    /// memory cannot be reserved, [`ErrorKind::InvalidOption`], [`ErrorKind::InvalidKey`],
    /// [`ErrorKind::NotTrusted`], [`ErrorKind::PermissionDenied`].
    pub fn create(&self, key: &str) -> Result<Segment> {
        self.create_with(key, |_| Ok(()))
    }

    /// Creates the segment with the first data that `first` writes, before anyone else can see it.
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::create`], or the error of `first`; then there is no segment.
    pub fn create_with(
        &self,
        key: &str,
        first: impl FnOnce(&mut SegmentData<'_>) -> Result<()>,
    ) -> Result<Segment> {
        let checked = Key::new(key)?;
        create::create(self, &checked, first).map_err(|error| error.with_key(key))
    }

    /// Attaches to an existing segment, to read, write and lock.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], also for a stale segment, which is removed on the way; [`ErrorKind::TooManyAttachments`];
    /// [`ErrorKind::Damaged`] and [`ErrorKind::WrongVersion`], for which see [`SegmentOptions::migrate_shared`];
    /// [`ErrorKind::NotTrusted`]; [`ErrorKind::PermissionDenied`].
    pub fn attach(&self, key: &str) -> Result<Segment> {
        let checked = Key::new(key)?;
        attach::attach(self, &checked).map_err(|error| error.with_key(key))
    }

    /// Attaches to an existing segment, only to look: the memory cannot be written through it.
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`], except that it takes no slot.
    pub fn attach_read_only(&self, key: &str) -> Result<ReadOnlySegment> {
        let checked = Key::new(key)?;
        attach::attach_read_only(self, &checked).map_err(|error| error.with_key(key))
    }

    /// Attaches to the segment, or creates it if there is none; of any number of processes that ask at once, one creates.
    ///
    /// A segment that is there and has fewer bytes than [`size`](SegmentOptions::size) says is [grown](Segment::grow) to so many; one
    /// that has more is taken as it is, since somebody may have grown it.
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`] and [`SegmentOptions::create`], without their `NotFound` and `AlreadyExists`; and those of
    /// [`Segment::grow`], which name both sizes, when the segment cannot have so many bytes.
    pub fn open_or_create(&self, key: &str) -> Result<Segment> {
        self.open_or_create_with(key, |_| Ok(()))
    }

    /// Attaches to the segment, or creates it with the first data that `first` writes. The first data are written once,
    /// however many processes ask at once: `first` may run in several, but only one result becomes the segment.
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::open_or_create`], or the error of `first`.
    pub fn open_or_create_with(
        &self,
        key: &str,
        first: impl Fn(&mut SegmentData<'_>) -> Result<()>,
    ) -> Result<Segment> {
        let checked = Key::new(key)?;
        create::open_or_create(self, &checked, first).map_err(|error| error.with_key(key))
    }

    /// Tells whether a living or persistent segment has the key. See [`Segment::exists`].
    ///
    /// # Errors
    ///
    /// As [`Segment::exists`].
    pub fn exists(&self, key: &str) -> Result<bool> {
        let checked = Key::new(key)?;
        look::exists(&checked, self.owner).map_err(|error| error.with_key(key))
    }

    /// Removes the segment with this key. See [`Segment::destroy`].
    ///
    /// # Errors
    ///
    /// As [`Segment::destroy`].
    pub fn destroy(&self, key: &str, when: DestroyMode) -> Result<()> {
        let checked = Key::new(key)?;
        remove::destroy(&checked, self.owner, when).map_err(|error| error.with_key(key))
    }

    /// Removes the segment with this key if it is stale. See [`Segment::remove_stale`].
    ///
    /// # Errors
    ///
    /// As [`Segment::remove_stale`].
    pub fn remove_stale(&self, key: &str) -> Result<bool> {
        let checked = Key::new(key)?;
        remove::remove_stale(&Location::of(&checked, self.owner))
            .map_err(|error| error.with_key(key))
    }

    /// Returns whose segments are meant, if that was said.
    pub(crate) fn named_owner(&self) -> Option<u32> {
        self.owner
    }

    /// The same for a segment that holds `size` bytes of values of one type.
    pub(crate) fn typed(&self, schema: Schema, size: usize) -> SegmentOptions {
        let options = self.clone().size(size).max_size(size);
        SegmentOptions {
            schema: Some(schema),
            ..options
        }
    }

    /// The same for a segment of `size` bytes and, behind them, `row` for each slot.
    pub(crate) fn typed_by_slot(&self, schema: Schema, size: usize, row: usize) -> SegmentOptions {
        let options = self.typed(schema, size);
        SegmentOptions { row, ..options }
    }

    /// The same with the policy and the permissions of a segment that is there.
    pub(crate) fn as_for(&self, facts: &FileMetadata, policy: Policy) -> SegmentOptions {
        SegmentOptions {
            policy,
            mode: facts.mode & 0o666 | OWNER_ONLY,
            group: Some(facts.group),
            ..self.clone()
        }
    }

    /// The bytes of data that there are with so many slots.
    pub(super) fn size_with(&self, slots: usize) -> usize {
        self.size.saturating_add(self.row.saturating_mul(slots))
    }

    /// The sizes to create with.
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

    /// A segment belongs to the user who creates it.
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

    /// Whether anyone but the owner may attach.
    pub(super) fn is_shared(&self) -> bool {
        self.mode & !OWNER_ONLY != 0
    }
}
