//! Segments: created, attached, grown, detached, destroyed and healed by key.
//!
//! Here is the life of a segment; locking and what may be done under the lock are in `sync`, values with a type
//! above that. Each step is its own file: `options` (what it shall be like), `location` (where it is, and whom to
//! trust), `presence` (the kernel's byte locks), `table` (slots and the proof of death), `stale` (whether anybody needs
//! it), `header`, `create`, `attach`, `attached`, `remove`,
//! `replace` (by another one, under the key), `stored` (read without attaching), `look` (from outside), `bytes`,
//! `undo` (the log of transactions), `waits` and `recoveries` (evidence for people).

mod attach;
mod attached;
mod bytes;
mod create;
mod header;
mod location;
mod look;
mod options;
pub(crate) mod presence;
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
use location::system;
use table::{AttachmentId, Recorded};
use waits::WaitRecord;

/// Holds a place on a keyed piece of memory that any number of processes share.
///
/// A handle can be used from all threads of its process at once. It detaches when dropped.
///
/// # When a process dies
///
/// Its attachments end with it, whatever killed it. The last attachment's end removes the segment, unless it is
/// [persistent](Policy::Persistent); if that was a death, the next one who asks for the key removes it. What the dead one held
/// is free for the others within 10 ms, and they are told: see [`Segment::lock`].
///
/// A forked child does not inherit the handle: in the child every use is an [`ErrorKind::Forked`] error,
/// and dropping it does nothing. Let the child attach on its own.
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

    /// Starts to describe a segment to create or attach to.
    pub fn options() -> SegmentOptions {
        SegmentOptions::new()
    }

    /// Creates a segment of `size` bytes, all zero, and attaches to it. See [`SegmentOptions::create`].
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

    /// Attaches to an existing segment, only to look. See [`SegmentOptions::attach_read_only`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach_read_only`].
    pub fn attach_read_only(key: &str) -> Result<ReadOnlySegment> {
        Segment::options().attach_read_only(key)
    }

    /// Tells whether a living or persistent segment has the key. The answer may be outdated when it arrives.
    ///
    /// # Errors
    ///
    /// Those of [`SegmentOptions::attach`] other than `NotFound`.
    pub fn exists(key: &str) -> Result<bool> {
        Segment::options().exists(key)
    }

    /// Removes the segment with this key: at once, or when nobody uses it any more.
    ///
    /// Those who are attached at that moment keep their memory and can go on with it among themselves; the key is free.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Busy`] when it was still in use at the end of the time allowed;
    /// [`ErrorKind::NotTrusted`] and [`ErrorKind::PermissionDenied`]. A damaged segment can be destroyed.
    #[doc(alias = "shm_unlink")]
    pub fn destroy(key: &str, when: DestroyMode) -> Result<()> {
        Segment::options().destroy(key, when)
    }

    /// Removes the segment with this key if it is stale: its users all died. Whoever asks for the key next does so, too.
    ///
    /// Returns false, and does nothing, when there is none, or somebody is attached, or it is [persistent](Policy::Persistent).
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

    /// Returns the number of bytes of data, as grown so far by anyone.
    pub fn size(&self) -> usize {
        self.attached.size()
    }

    /// Returns how far the segment can grow, in bytes.
    pub fn max_size(&self) -> usize {
        self.attached.memory.layout().sizes.max_data
    }

    /// Returns when the segment is removed.
    pub fn policy(&self) -> Policy {
        self.attached.policy
    }

    /// Returns who is attached, this handle included, in no order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`], [`ErrorKind::System`].
    #[doc(alias = "nattch")]
    pub fn attachments(&self) -> Result<Vec<Attachment>> {
        self.attached.attachments(Some(self.id))
    }

    /// Returns how often the lock was taken over from a holder that had died.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn recoveries(&self) -> Result<RecoveryStats> {
        self.attached.check_fork("look at")?;
        Ok(RecoveryStats::of(self.attached.memory.header()))
    }

    /// Makes the segment at least `new_size` bytes long, for everyone attached; the new bytes are zero.
    ///
    /// Addresses stay as they are and nobody attaches again: others see the new size at their next call. Asking
    /// for less than there is changes nothing. It needs no lock and may be asked while holding it.
    ///
    /// # When a process dies
    ///
    /// The size is the old one or the new one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] beyond [`Segment::max_size`], [`ErrorKind::OutOfMemory`], [`ErrorKind::Forked`].
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
            .and_then(|()| self.say_size(new_size))
            .map_err(|error| with_key(self.attached.location.not_reserved(GROW, error)))
    }

    /// Raises the word that lets others use memory, which is reserved before. It only ever grows, except where somebody has
    /// overwritten it: a size that the file does not have.
    fn say_size(&self, new_size: usize) -> std::io::Result<()> {
        let layout = self.attached.memory.layout();
        let word = &self.attached.memory.header().life.size;
        let mut said = word.load(Ordering::Acquire);
        loop {
            // After the load: a file grows before its size word does.
            let len = self.attached.file.facts()?.len;
            let is_true = usize::try_from(said)
                .ok()
                .filter(|&said| said <= layout.sizes.max_data)
                .and_then(|said| layout.file_len(said))
                .is_some_and(|needed| needed as u64 <= len);
            if is_true && said >= new_size as u64 {
                return Ok(());
            }
            let new = self.attached.memory.known_size().max(new_size) as u64;
            match word.compare_exchange(said, new, Ordering::Release, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(other) => said = other,
            }
        }
    }

    /// Returns the address of the first byte of data, at which [`Segment::size`] bytes can be used, for unsafe code.
    ///
    /// It is aligned to 4,096 and stays the same while the handle lives, also when the segment grows. Code that uses it
    /// keeps to these rules:
    ///
    /// - It reads and writes only while it holds the [lock](Segment::lock), as the others do.
    /// - It makes no reference into bytes that another process may write meanwhile. Loads and stores that may meet those of
    ///   other processes are atomic ones of aligned words of eight bytes, as this library's are.
    /// - It leaves the data of a segment with a type alone: they are read without the lock, and
    ///   [parts](crate::Part) have words of other widths.
    /// - It does not use the address in a forked child, where nothing is there, nor after the handle's end.
    ///
    /// # When a process dies
    ///
    /// Its own stores end with it. What it has asked the system or a device to store may still land afterwards, in memory that
    /// another process has locked by then: reads with `io_uring`, with `O_DIRECT`, or by a driver that has the pages pinned.
    /// Let these store into memory of your own, and copy from there under the lock.
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.attached.memory.data()
    }

    /// Detaches and says whether that went well; dropping does the same and says nothing.
    ///
    /// The last one out removes the segment.
    ///
    /// # Errors
    ///
    /// The segment was to be removed and could not be. It is detached all the same.
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

    /// The attachment that has a slot, or had it last.
    pub(crate) fn id_in(&self, slot: usize) -> Option<AttachmentId> {
        table::id_in(&self.attached.memory, slot)
    }

    /// What another attachment recorded, while it is remembered.
    pub(crate) fn recorded(&self, other: AttachmentId) -> Option<Recorded> {
        table::recorded(&self.attached.memory, other)
    }

    /// What those who have slots have noted of what they wait for, the living and the dead.
    pub(crate) fn noted(&self) -> Vec<(AttachmentId, WaitRecord)> {
        let memory = &self.attached.memory;
        let slots = 0..memory.layout().sizes.slots;
        let slots = slots.filter_map(|index| Some((index, memory.slot(index)?)));
        let noted = slots.filter_map(|(index, slot)| {
            let id = table::holder_of(slot, index)?;
            Some(waits::noted(slot).map(move |noted| (id, noted)))
        });
        noted.flatten().collect()
    }

    /// Tells whether somebody keeps the byte of another attachment. False is no proof; true is mostly proof of life, at a tenth of
    /// the price: see [`table::is_kept`].
    pub(crate) fn is_kept(&self, other: AttachmentId) -> bool {
        table::is_kept(&self.attached.memory, &self.attached.file, other)
    }

    /// Tells whether an attachment is proven gone; this handle's own never is.
    pub(crate) fn is_gone(&self, other: AttachmentId) -> bool {
        other != self.id && table::is_gone(&self.attached.memory, &self.attached.file, other)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.left {
            // `detach` is for those who want to know.
            let _ = self.leave();
        }
    }
}

/// Looks at a keyed piece of memory that others write; the memory cannot be written through it.
///
/// It counts as an attachment, but takes no slot and no lock.
///
/// # When a process dies
///
/// As for [`Segment`]; nobody waits for a read-only attachment.
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

    /// Returns the number of bytes of data, as grown so far by anyone.
    pub fn size(&self) -> usize {
        self.attached.size()
    }

    /// Returns when the segment is removed.
    pub fn policy(&self) -> Policy {
        self.attached.policy
    }

    /// Returns who is attached, in no order.
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

    /// Returns the address of the first byte of data, for unsafe code that only loads: a store faults.
    ///
    /// It is aligned to 4,096; [`ReadOnlySegment::size`] bytes can be read. Others may write them at any time.
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
            // If it fails the file is about to be closed, and the lock with it.
            let _ = file.unlock(presence::reader_byte(me.pid));
        }
        // Nobody could be told.
        let _ = remove::last_out(&self.attached, file);
    }
}

/// Says who is attached to a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// The slot it has; `None` for a read-only attachment.
    pub slot: Option<usize>,
    /// Its process, numbered as that process sees itself.
    pub pid: u32,
    /// The file name of its executable, or the name set with [`SegmentOptions::program`], cut to 16 bytes; `None` for a read-only
    /// attachment.
    pub executable: Option<String>,
    /// When it attached; `None` for a read-only attachment.
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
