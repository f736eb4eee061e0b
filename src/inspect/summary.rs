//! The list of segments, with a summary of each that takes few system calls.

use std::ffi::OsString;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::lock::state::{LockState, Looked, OWN_LOCK, WaitRecords, Waiter, named};
use crate::lock::{AbandonCause, Abandonment};
use crate::memory::Memory;
use crate::memory::format::Header;
use crate::schema::Schema;
use crate::segment::table::Presence;
use crate::segment::{
    self, Attachment, LivenessCheck, Policy, RecoveryStats, Segment, SegmentOptions, View,
    is_stale_file, look_at, look_at_all, look_at_all_users, remove_stale_file,
};
use crate::sys;
use crate::value::view::{self, ReadData};

/// How often a segment that changes during the reading is read.
const TRIES: usize = 3;

/// The properties and users of a segment, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The key.
    pub key: String,
    /// The number of bytes of data.
    pub size: usize,
    /// The size up to which it can grow, in bytes.
    pub max_size: usize,
    /// The memory that it occupies, in bytes, including its header and table.
    pub reserved: u64,
    /// The maximum number of attachments.
    pub slots: usize,
    /// The policy, which says when it is removed.
    pub policy: Policy,
    /// The permission bits of its file.
    pub mode: u32,
    /// The user that owns it.
    pub owner: u32,
    /// The group that owns it.
    pub group: u32,
    /// The time of its creation.
    pub created_at: Option<SystemTime>,
    /// The type of its value; `None` for plain bytes.
    pub value_type: Option<ValueType>,
    /// How many values there have been; `None` for plain bytes and for parts.
    pub version: Option<u64>,
    /// The live attachments. A segment that is not persistent and has none is stale: the next call
    /// that uses its key removes it.
    pub attachments: Vec<Attachment>,
    /// The attachments that died and whose slots have not been taken again.
    pub departed: Vec<Attachment>,
    /// The state of the lock.
    pub lock: LockState,
    /// Whether a waiter may be waiting for the lock.
    pub is_awaited: bool,
    /// The waiters that sleep for the lock, the longest wait first: at most two threads of each
    /// process.
    pub waiters: Vec<Waiter>,
    /// Whether the data are consistent.
    pub condition: Consistency,
    /// Whether a transaction is open, or was open when its process died. In the second case the
    /// next holder of the lock rolls it back.
    pub in_transaction: bool,
    /// How often the lock was recovered from a dead owner.
    pub recoveries: RecoveryStats,
}

/// The name and version of the type of a segment's value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueType {
    /// The name that the creator of the segment gave it.
    pub name: String,
    /// The version of the type.
    pub version: u32,
    /// The bytes of one value. The segment contains two copies, so its own size is larger.
    pub size: usize,
}

/// The consistency of the data under a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consistency {
    /// No owner abandoned the data, or they were marked consistent since.
    Consistent,
    /// An owner abandoned the data, and they were not marked consistent since.
    Abandoned {
        /// Whether the owner died or panicked.
        cause: AbandonCause,
        /// The owner, if its record was kept.
        previous_owner: Option<Attachment>,
    },
}

impl Summary {
    /// Reads the summary, and repeats this if the segment changed meanwhile in a way that matters.
    pub(super) fn of(view: &mut View, care: LivenessCheck) -> Result<Summary> {
        let mut tries = TRIES;
        loop {
            let summary = Summary::once(view, care)?;
            tries -= 1;
            if summary.is_calm() || tries == 0 || view.refresh()? {
                return Ok(summary);
            }
        }
    }

    fn once(view: &View, care: LivenessCheck) -> Result<Summary> {
        let header = view.copied.header();
        let mut attachments = Vec::new();
        let mut departed = Vec::new();
        for (id, presence) in view.attachments(care) {
            match presence {
                Presence::There => attachments.extend(named(view, id)),
                Presence::Gone => departed.extend(named(view, id)),
            }
        }
        attachments.extend(view.readers()?.into_iter().map(Attachment::read_only));
        let found = &view.found;
        let value_type = value_type(view);
        let waits = WaitRecords::of(view, care);
        let lock = Looked::own(view);
        Ok(Summary {
            key: found.key.clone(),
            size: found.size,
            max_size: found.layout.sizes.max_data,
            reserved: view.facts.reserved,
            slots: found.layout.sizes.slots,
            policy: found.policy,
            mode: view.facts.mode,
            owner: view.facts.owner,
            group: view.facts.group,
            created_at: UNIX_EPOCH.checked_add(Duration::from_nanos(found.created_at)),
            version: value_type
                .as_ref()
                .filter(|_| !is_of_parts(view))
                .map(|_| view::version(view, 0))
                .transpose()?,
            value_type,
            attachments,
            departed,
            lock: LockState::of(&lock, &waits, care),
            is_awaited: header.lock.waiting.load(Ordering::Relaxed) != 0,
            waiters: waits.waiters(OWN_LOCK),
            condition: Consistency::of(header),
            in_transaction: header.life.logged.load(Ordering::Relaxed) != 0,
            recoveries: RecoveryStats::of(header),
        })
    }

    /// Tells whether the summary contains nothing that a concurrent change could have faked.
    fn is_calm(&self) -> bool {
        !self.is_stale()
            && self.departed.is_empty()
            && !matches!(self.lock, LockState::Abandoned(_))
    }

    /// Tells whether the segment is stale: not persistent, and without a live attachment.
    pub fn is_stale(&self) -> bool {
        self.policy != Policy::Persistent && self.attachments.is_empty()
    }

    /// Returns the holder of the lock, including a dead one from which no process has recovered the
    /// lock yet.
    pub fn holder(&self) -> Option<&Attachment> {
        match &self.lock {
            LockState::Free => None,
            LockState::Held(holder) | LockState::Abandoned(holder) => holder.attachment.as_ref(),
        }
    }
}

impl Consistency {
    fn of(header: &Header) -> Consistency {
        match Abandonment::of(&header.lock) {
            None => Consistency::Consistent,
            Some(left) => Consistency::Abandoned {
                cause: left.cause,
                previous_owner: left.previous_owner,
            },
        }
    }
}

fn value_type(view: &View) -> Option<ValueType> {
    let head = Schema::headline(view.headline()?)?;
    Some(ValueType {
        name: head.name.to_owned(),
        version: head.version,
        size: head.size,
    })
}

/// Tells whether a typed segment holds parts instead of a value.
fn is_of_parts(view: &View) -> bool {
    let begins = view.first_lines().and_then(Schema::begins_with_part);
    begins.unwrap_or_else(|| {
        let schema = view.schema().ok().flatten();
        schema.is_some_and(|schema| schema.is_of_parts())
    })
}

impl ReadData for View {
    fn read(&self, offset: usize, into: &mut [u8]) -> Result<bool> {
        self.read_data(offset, into)
    }

    fn holds(&self, len: usize) -> Result<bool> {
        self.has_data(len)
    }

    fn map(&self) -> Result<Memory> {
        View::map(self)
    }
}

/// One file in the directory of segments.
#[derive(Debug)]
#[non_exhaustive]
pub struct ListEntry {
    /// The user in whose directory the file was found, by number, or the file's owner in a
    /// directory that `SHAREHOLD_DIR` names.
    pub owner: u32,
    /// The name of the file.
    pub file_name: OsString,
    /// The segment's summary, or the reason why the file is not a usable segment.
    pub summary: Result<Summary, Error>,
}

impl ListEntry {
    /// Tells whether the file is a stale segment, whatever its version and contents.
    pub fn is_stale(&self) -> bool {
        match &self.summary {
            Ok(summary) => summary.is_stale(),
            Err(_) => is_stale_file(self.owner, &self.file_name),
        }
    }

    /// Removes the segment if it is still stale, as the next call that uses its key would.
    ///
    /// Returns false, and does nothing, if it is not stale, or does not exist any longer.
    ///
    /// # Errors
    ///
    /// Those of [`Segment::remove_stale`](crate::Segment::remove_stale).
    pub fn remove_stale(&self) -> Result<bool> {
        remove_stale_file(self.owner, &self.file_name)
    }
}

/// Lists this user's segments, in the order of their file names.
///
/// The liveness of an attachment is taken from the kernel's locks alone. Only
/// [`inspect`](crate::inspect()) also examines the process, and so detects a dead process whose
/// lock is kept by a forked child.
///
/// # Errors
///
/// The directory cannot be read or is not trusted. A damaged file is reported as an entry with the
/// error.
///
/// # Examples
///
/// ```
/// for listed in sharehold::list()? {
///     match listed.summary {
///         Ok(segment) => println!("{} {} bytes", segment.key, segment.size),
///         Err(error) => println!("{}: {error}", listed.file_name.display()),
///     }
/// }
/// # Ok::<(), sharehold::Error>(())
/// ```
pub fn list() -> Result<Vec<ListEntry>> {
    let seen = look_at_all(|mut view| Summary::of(&mut view, LivenessCheck::Quick))?.into_iter();
    let owner = sys::effective_user();
    let listed = seen.map(|(file_name, summary)| ListEntry {
        owner,
        file_name,
        summary,
    });
    Ok(listed.collect())
}

/// Lists the segments of all users that this user may list, ordered by owner and file name.
///
/// Root lists the segments of all users, and any other user only its own: a user's directory can be
/// listed only by that user and root. If `SHAREHOLD_DIR` is set, only its directory is listed,
/// whose files may belong to several users.
///
/// # Errors
///
/// As [`list`]. An untrusted directory of another user is reported as an entry with the error.
///
/// # Examples
///
/// ```
/// for listed in sharehold::list_all_users()? {
///     if let Ok(segment) = listed.summary {
///         println!("uid {}: {}", listed.owner, segment.key);
///     }
/// }
/// # Ok::<(), sharehold::Error>(())
/// ```
pub fn list_all_users() -> Result<Vec<ListEntry>> {
    let seen =
        look_at_all_users(|mut view| Summary::of(&mut view, LivenessCheck::Quick))?.into_iter();
    let listed = seen.map(|it| ListEntry {
        owner: it.owner,
        file_name: it.name,
        summary: it.seen,
    });
    Ok(listed.collect())
}

/// Returns the users that have a file for this key, by number and in no particular order, as far as
/// this user can see.
///
/// To attach to a segment of another user, set that user as the [owner](SegmentOptions::owner), if
/// you trust it.
///
/// # Errors
///
/// [`InvalidKey`](crate::ErrorKind::InvalidKey), or the system's failure to list directories.
///
/// # Examples
///
/// ```
/// assert!(sharehold::owners("com.example.nobody-made-this")?.is_empty());
/// # Ok::<(), sharehold::Error>(())
/// ```
pub fn owners(key: &str) -> Result<Vec<u32>> {
    segment::owners(key)
}

/// Returns the summary of one segment of this user, as in [`list`].
///
/// # Errors
///
/// As [`inspect`](crate::inspect()).
pub fn summarize(key: &str) -> Result<Summary> {
    Segment::options().summarize(key)
}

impl SegmentOptions {
    /// Returns the summary of one segment. See [`summarize`].
    ///
    /// # Errors
    ///
    /// As [`summarize`].
    pub fn summarize(&self, key: &str) -> Result<Summary> {
        let looked = look_at(key, self.named_owner());
        let summary = looked.and_then(|(_, mut view)| Summary::of(&mut view, LivenessCheck::Quick));
        summary.map_err(|error| error.with_key(key))
    }
}
