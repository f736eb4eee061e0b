//! Segments: creating, attaching, growing, detaching, destroying and recovering shared memory by
//! key.
//!
//! This module covers the lifetime of a segment. Locks, and the primitives made of them, have their
//! own modules; typed values are a layer above. Each step has its own file:
//!
//! - `options`: the properties of a segment to create; `location`: its directory and the trust
//!   check
//! - `presence`: the kernel's byte locks; `table`: slots and the proof of death
//! - `stale`: whether a segment is still needed
//! - `header`, `create`, `attach`, `attached`, `remove`, `replace` (by another segment under the
//!   same key)
//! - `stored` (reads without attaching), `look` (inspects from outside), `bytes`
//! - `undo` (the log of transactions), `waits` and `recoveries` (records for diagnosis)

mod attach;
mod attached;
mod bytes;
mod create;
mod header;
pub(crate) mod id;
mod location;
mod look;
mod map;
pub(crate) mod marks;
mod next;
mod open;
mod options;
pub(crate) mod presence;
pub(crate) mod record;
pub(crate) mod recoveries;
mod remove;
mod replace;
mod stale;
mod stored;
pub(crate) mod table;
pub(crate) mod undo;
pub(crate) mod waits;

use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use attached::{Attached, forked};
pub use bytes::SegmentData;
pub use header::Policy;
pub(crate) use header::damaged;
pub(crate) use location::directory_of;
pub(crate) use look::{
    LivenessCheck, View, all as look_at_all, all_users as look_at_all_users, is_stale_file,
    one as look_at, owners, remove_stale_file,
};
pub use options::SegmentOptions;
pub use recoveries::RecoveryStats;
pub use remove::DestroyMode;
pub(crate) use replace::{MIGRATE, replace, replace_unused};
pub(crate) use stored::Stored;

use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use id::AttachmentId;
use location::system;
use record::Recorded;
use waits::WaitRecord;

/// An attachment to a keyed shared memory segment, which any number of processes can share.
///
/// All threads of the process can use a handle at the same time. Dropping it detaches.
///
/// # When a process dies
///
/// Its attachments end with it, whatever the cause of death. The end of the last attachment removes
/// the segment, unless it is [persistent](Policy::Persistent). If the last attachment ended by a
/// death, the segment is stale, and the next call that uses the key removes it. A lock that the
/// dead process held is free for the others within 10 ms, and the next owner learns of the death:
/// see [`Segment::lock`].
///
/// A forked child does not inherit the handle: in the child every use is an [`ErrorKind::Forked`]
/// error, and dropping it does nothing. The child attaches on its own.
///
/// # Examples
///
/// ```
/// use sharehold::Segment;
///
/// let segment = Segment::options().size(1024).open_or_create("com.example.greeting")?;
/// let mut bytes = segment.lock()?;
/// bytes.write(0, b"Hello from another process!")?;
/// drop(bytes);
/// segment.detach()?;
/// # Ok::<(), sharehold::Error>(())
/// ```
#[doc(alias = "QSharedMemory")]
#[derive(Debug)]
pub struct Segment {
    attached: Attached,
    id: AttachmentId,
    left: bool,
}

impl Segment {
    fn new(attached: Attached, id: AttachmentId) -> Segment {
        if sys::join_barriers().is_err() {
            attached.ask_for_fences();
        }
        attached.memory.own_slot_is(id.index());
        Segment {
            attached,
            id,
            left: false,
        }
    }

    /// Returns a builder that describes a segment to create or to attach to.
    pub fn options() -> SegmentOptions {
        SegmentOptions::new()
    }

    /// Creates a segment of `size` bytes, all zero, and attaches to it. See
    /// [`SegmentOptions::create`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::create`].
    #[doc(alias = "shm_open")]
    pub fn create(key: &str, size: usize) -> Result<Segment> {
        Segment::options().size(size).create(key)
    }

    /// Attaches to an existing segment. See [`SegmentOptions::attach`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`].
    #[doc(alias = "shmat")]
    pub fn attach(key: &str) -> Result<Segment> {
        Segment::options().attach(key)
    }

    /// Attaches to an existing segment for reading only. See [`SegmentOptions::attach_read_only`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach_read_only`].
    pub fn attach_read_only(key: &str) -> Result<ReadOnlySegment> {
        Segment::options().attach_read_only(key)
    }

    /// Checks whether a living or persistent segment has the key. The answer may be outdated on
    /// return.
    ///
    /// # Errors
    ///
    /// Those of [`SegmentOptions::attach`] other than `NotFound`.
    pub fn exists(key: &str) -> Result<bool> {
        Segment::options().exists(key)
    }

    /// Removes the segment with this key: at once, or when it is no longer in use.
    ///
    /// Processes that are attached at that moment keep their memory and can continue to use it
    /// among themselves. The key is free.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Busy`] when it was still in use at the end of the time
    /// limit; [`ErrorKind::NotTrusted`] and [`ErrorKind::PermissionDenied`]. A damaged segment can
    /// be destroyed.
    #[doc(alias = "shm_unlink")]
    pub fn destroy(key: &str, when: DestroyMode) -> Result<()> {
        Segment::options().destroy(key, when)
    }

    /// Removes the segment with this key if it is stale, which means that all its users died. The
    /// next call that uses the key would remove it, too.
    ///
    /// Returns false, and does nothing, if there is no such segment, if it has a live attachment,
    /// or if it is [persistent](Policy::Persistent).
    ///
    /// # Errors
    ///
    /// Those of [`SegmentOptions::attach`] other than `NotFound`.
    pub fn remove_stale(key: &str) -> Result<bool> {
        Segment::options().remove_stale(key)
    }

    /// Returns the key.
    pub fn key(&self) -> &str {
        self.attached.key.as_str()
    }

    /// Returns the number of bytes of data, including growth by other attachments.
    pub fn size(&self) -> usize {
        self.attached.size()
    }

    /// Returns the size up to which the segment can grow, in bytes.
    pub fn max_size(&self) -> usize {
        self.attached.memory.layout().sizes.max_data
    }

    /// Returns the policy, which says when the segment is removed.
    pub fn policy(&self) -> Policy {
        self.attached.policy
    }

    /// Returns all attachments, including this handle's, in no particular order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`], [`ErrorKind::System`].
    #[doc(alias = "nattch")]
    pub fn attachments(&self) -> Result<Vec<Attachment>> {
        self.attached.attachments(Some(self.id))
    }

    /// Returns how often the lock was recovered from a dead owner.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn recoveries(&self) -> Result<RecoveryStats> {
        self.attached.check_fork("look at")?;
        Ok(RecoveryStats::of(self.attached.memory.header()))
    }

    /// Grows the segment to at least `new_size` bytes, for all attachments; the new bytes are zero.
    ///
    /// Addresses stay valid and no process has to attach again: other processes see the new size at
    /// their next call. A size below the current one changes nothing. The call needs no lock and is
    /// allowed while the lock is held.
    ///
    /// # When a process dies
    ///
    /// The size is the old one or the new one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] beyond [`Segment::max_size`], [`ErrorKind::OutOfMemory`],
    /// [`ErrorKind::Forked`].
    pub fn grow(&self, new_size: usize) -> Result<()> {
        const GROW: &str = "grow";
        let with_key = |error: Error| error.with_key(self.key());
        self.attached.check_fork(GROW)?;
        let layout = self.attached.memory.layout();
        let len = layout
            .file_len(new_size)
            .filter(|_| new_size <= layout.sizes.max_data);
        let Some(len) = len else {
            let reason = format!(
                "{new_size} bytes are more than its largest size, {}",
                layout.sizes.max_data
            );
            let error = Error::new(ErrorKind::InvalidOption, GROW, reason);
            return Err(with_key(error.advise("create it with a larger `max_size`")));
        };
        let file = &self.attached.file;
        file.facts()
            .and_then(|_| file.reserve(len as u64))
            .and_then(|()| self.raise_size(new_size))
            .map_err(|error| with_key(self.attached.location.not_reserved(GROW, error)))
    }

    /// Raises the size word, which allows other attachments to use the memory. The caller has
    /// reserved the memory before. The word only ever grows, unless it was overwritten with a size
    /// that the file does not have; then it is replaced.
    fn raise_size(&self, new_size: usize) -> std::io::Result<()> {
        let layout = self.attached.memory.layout();
        let word = &self.attached.memory.header().life.size;
        let mut stated = word.load(Ordering::Acquire);
        loop {
            // After the load of the word: a file grows before its size word does.
            let len = self.attached.file.facts()?.len;
            let is_true = usize::try_from(stated)
                .ok()
                .filter(|&stated| stated <= layout.sizes.max_data)
                .and_then(|stated| layout.file_len(stated))
                .is_some_and(|needed| needed as u64 <= len);
            if is_true && stated >= new_size as u64 {
                return Ok(());
            }
            let new = self.attached.memory.known_size().max(new_size) as u64;
            match word.compare_exchange(stated, new, Ordering::Release, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(other) => stated = other,
            }
        }
    }

    /// Returns the address of the first byte of data, for unsafe code. [`Segment::size`] bytes are
    /// usable.
    ///
    /// The address is aligned to 4,096 and stays the same while the handle lives, even when the
    /// segment grows. Code that uses it follows these rules:
    ///
    /// - It reads and writes only while it holds the [lock](Segment::lock), as all processes do.
    /// - It creates no reference to bytes that another process may write at the same time. Loads
    ///   and stores that may run concurrently with those of other processes are atomic accesses of
    ///   aligned eight-byte words, as in this library.
    /// - It does not touch the data of a typed segment: these are read without the lock, and
    ///   [parts](crate::Part) have words of other widths.
    /// - It does not use the address in a forked child, where nothing is mapped, nor after the
    ///   handle is dropped.
    ///
    /// # When a process dies
    ///
    /// Its own stores end with it. Stores that it requested from the system or a device may still
    /// arrive later, in memory that another process has locked by then: reads with `io_uring`, with
    /// `O_DIRECT`, or by a driver that has pinned the pages. Direct them to private memory, and
    /// copy from there under the lock.
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.attached.memory.data()
    }

    /// Detaches and reports a failure; dropping the handle detaches, too, and ignores a failure.
    ///
    /// The last attachment to leave removes the segment.
    ///
    /// # Errors
    ///
    /// The segment could not be removed. It is detached all the same.
    #[doc(alias = "shmdt")]
    pub fn detach(mut self) -> Result<()> {
        self.leave()
    }

    fn leave(&mut self) -> Result<()> {
        self.left = true;
        if !self.attached.is_ours() {
            return Ok(());
        }
        let attached = &self.attached;
        let file = attached.open_file();
        table::give_up(&attached.memory, file, self.id);
        remove::last_out(attached, file).map_err(|error| error.with_key(self.key()))
    }

    #[inline]
    pub(crate) fn attached(&self) -> &Attached {
        &self.attached
    }

    #[inline]
    pub(crate) fn id(&self) -> AttachmentId {
        self.id
    }

    /// Returns the attachment that has a slot, or had it last.
    pub(crate) fn id_in(&self, slot: usize) -> Option<AttachmentId> {
        table::id_in(&self.attached.memory, slot)
    }

    /// Returns what another attachment recorded of itself, until its record is overwritten.
    pub(crate) fn recorded(&self, other: AttachmentId) -> Option<Recorded> {
        table::recorded(&self.attached.memory, other)
    }

    /// Returns the wait records of all attachments that have slots, living or dead.
    pub(crate) fn wait_records(&self) -> Vec<(AttachmentId, WaitRecord)> {
        let memory = &self.attached.memory;
        let slots = 0..memory.layout().sizes.slots;
        let slots = slots.filter_map(|index| Some((index, memory.slot(index)?)));
        let records = slots.filter_map(|(index, slot)| {
            let id = table::holder_of(slot, index)?;
            Some(waits::records(slot).map(move |record| (id, record)))
        });
        records.flatten().collect()
    }

    /// Checks whether another attachment's byte is locked. False proves nothing. True almost always
    /// means that the process lives, at a tenth of the cost of the proof: see [`table::is_kept`].
    pub(crate) fn is_kept(&self, other: AttachmentId) -> bool {
        table::is_kept(&self.attached.memory, &self.attached.file, other)
    }

    /// Checks whether an attachment is proven gone. This handle's own attachment never is.
    pub(crate) fn is_gone(&self, other: AttachmentId) -> bool {
        other != self.id && table::is_gone(&self.attached.memory, &self.attached.file, other)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.left {
            // A caller that needs the error uses `detach`.
            let _ = self.leave();
        }
    }
}

/// A read-only attachment to a keyed shared memory segment that other processes write.
///
/// It counts as an attachment, but takes no slot and no lock.
///
/// # When a process dies
///
/// As for [`Segment`]; no process ever waits for a read-only attachment.
#[derive(Debug)]
pub struct ReadOnlySegment {
    attached: Attached,
}

impl ReadOnlySegment {
    fn new(attached: Attached) -> ReadOnlySegment {
        ReadOnlySegment { attached }
    }

    #[inline]
    pub(crate) fn attached(&self) -> &Attached {
        &self.attached
    }

    /// Returns the key.
    pub fn key(&self) -> &str {
        self.attached.key.as_str()
    }

    /// Returns the number of bytes of data, including growth by other attachments.
    pub fn size(&self) -> usize {
        self.attached.size()
    }

    /// Returns the policy, which says when the segment is removed.
    pub fn policy(&self) -> Policy {
        self.attached.policy
    }

    /// Returns all attachments, including this handle's, in no particular order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`], [`ErrorKind::System`].
    pub fn attachments(&self) -> Result<Vec<Attachment>> {
        let mut found = self.attached.attachments(None)?;
        let me = sys::identity().map_err(|error| system("look at", error))?;
        found.push(Attachment::read_only(me.pid));
        Ok(found)
    }

    /// Returns the address of the first byte of data, for unsafe code that only loads: a store
    /// faults.
    ///
    /// The address is aligned to 4,096; [`ReadOnlySegment::size`] bytes can be read. Other
    /// processes may write them at any time.
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.attached.memory.data()
    }
}

impl Drop for ReadOnlySegment {
    fn drop(&mut self) {
        if !self.attached.is_ours() {
            return;
        }
        let file = self.attached.open_file();
        if let Some((file, me)) = file.zip(sys::identity().ok()) {
            // If this fails, the file is about to be closed, and the lock ends with it.
            let _ = file.unlock(presence::reader_byte(me.pid));
        }
        // A destructor cannot report the error.
        let _ = remove::last_out(&self.attached, file);
    }
}

/// One attachment to a segment, as [`Segment::attachments`] reports it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Attachment {
    /// Its slot; `None` for a read-only attachment.
    pub slot: Option<usize>,
    /// The process ID, as the process itself sees it in its PID namespace.
    pub pid: u32,
    /// The file name of its executable, or the name set with [`SegmentOptions::program`], cut to 16
    /// bytes; `None` for a read-only attachment.
    pub executable: Option<String>,
    /// The time of attaching; `None` for a read-only attachment.
    pub since: Option<SystemTime>,
}

impl Attachment {
    pub(crate) fn read_only(pid: u32) -> Attachment {
        Attachment {
            slot: None,
            pid,
            executable: None,
            since: None,
        }
    }

    pub(crate) fn of(id: AttachmentId, found: &Recorded) -> Attachment {
        let name = &found.who.name;
        let len = name
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(name.len());
        Attachment {
            slot: Some(id.index()),
            pid: found.who.pid,
            executable: Some(String::from_utf8_lossy(&name[..len]).into_owned()),
            since: UNIX_EPOCH.checked_add(Duration::from_nanos(found.since)),
        }
    }
}
