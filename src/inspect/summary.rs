//! What segments there are, and what can be seen of each without asking much of the system.

use std::ffi::OsString;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::locks::{LockState, Looked, Notes, OWN_LOCK, Waiter, named};
use crate::error::{Error, Result};
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

/// How often a segment that changes while it is looked at is looked at again.
const TRIES: usize = 3;

/// Says what a segment is and who uses it, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The key.
    pub key: String,
    /// Bytes of data.
    pub size: usize,
    /// How far it can grow, in bytes.
    pub max_size: usize,
    /// Bytes of memory that it has, its header and table included.
    pub reserved: u64,
    /// How many attachments there can be.
    pub slots: usize,
    /// When it is removed.
    pub policy: Policy,
    /// The permission bits of its file.
    pub mode: u32,
    /// The user it belongs to.
    pub owner: u32,
    /// The group it belongs to.
    pub group: u32,
    /// When it was created.
    pub created_at: Option<SystemTime>,
    /// What its value is; `None` for plain bytes.
    pub value_type: Option<ValueType>,
    /// How many values there have been; `None` for plain bytes and for parts.
    pub version: Option<u64>,
    /// Who is attached. A segment that is not persistent and has none is stale: it goes when its key is asked for.
    pub attachments: Vec<Attachment>,
    /// Who died attached, as far as its slot has not been taken again.
    pub departed: Vec<Attachment>,
    /// Whether the lock is held, and by whom.
    pub lock: LockState,
    /// Whether somebody may be waiting for the lock.
    pub is_awaited: bool,
    /// Who sleeps for the lock, the longest first: of each process no more than two threads.
    pub waiters: Vec<Waiter>,
    /// Whether the data are what the last holder meant them to be.
    pub condition: Consistency,
    /// Whether a transaction is under way, or was when its process died: the next holder of the lock rolls it back then.
    pub in_transaction: bool,
    /// How often the lock was taken over from a holder that had died.
    pub recoveries: RecoveryStats,
}

/// Names the type of a segment's value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueType {
    /// The name, as the program that created it has it.
    pub name: String,
    /// The version of the type.
    pub version: u32,
    /// The bytes of one value. The segment contains two copies, so its own size is larger.
    pub size: usize,
}

/// Says what the data under a lock are worth.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consistency {
    /// They are what the last holder meant them to be.
    Consistent,
    /// A holder did not come to its end, and nobody has vouched for the data since.
    Abandoned {
        /// Whether it died or panicked.
        cause: AbandonCause,
        /// Who it was, if that is remembered.
        previous_owner: Option<Attachment>,
    },
}

impl Summary {
    /// Gathers what can be seen, again if the segment changed meanwhile in a way that matters.
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
        let notes = Notes::of(view, care);
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
            lock: LockState::of(&lock, &notes, care),
            is_awaited: header.lock.waiting.load(Ordering::Relaxed) != 0,
            waiters: notes.waiters(OWN_LOCK),
            condition: Consistency::of(header),
            in_transaction: header.life.logged.load(Ordering::Relaxed) != 0,
            recoveries: RecoveryStats::of(header),
        })
    }

    /// Whether nothing was seen that a change during the look could have feigned.
    fn is_calm(&self) -> bool {
        !self.is_stale()
            && self.departed.is_empty()
            && !matches!(self.lock, LockState::Abandoned(_))
    }

    /// Tells whether nobody uses it and nobody wants it kept.
    pub fn is_stale(&self) -> bool {
        self.policy != Policy::Persistent && self.attachments.is_empty()
    }

    /// Returns who holds the lock; also a dead one that nobody has taken over from yet.
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

/// Whether what has a type is no value.
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

/// Says what stands in the directory under one name.
#[derive(Debug)]
#[non_exhaustive]
pub struct ListEntry {
    /// The number of the user whose segments it is among.
    pub owner: u32,
    /// The file's name.
    pub file_name: OsString,
    /// The segment, or why the file is none that can be used.
    pub summary: Result<Summary, Error>,
}

impl ListEntry {
    /// Tells whether it is a segment that nobody uses and nobody wants kept, whatever its version and contents.
    pub fn is_stale(&self) -> bool {
        match &self.summary {
            Ok(summary) => summary.is_stale(),
            Err(_) => is_stale_file(self.owner, &self.file_name),
        }
    }

    /// Removes it if it is stale still, as the next process does that asks for its key.
    ///
    /// Returns false, and does nothing, when it is not, or is gone.
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
/// Whether an attachment lives is asked of the kernel's locks alone. Only [`inspect`](crate::inspect()) also looks at its process, which
/// tells a dead one whose lock a forked child keeps from a living one.
///
/// # Errors
///
/// The directory cannot be read or is not to be trusted. That a file in it is damaged is told in its place.
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

/// Lists the segments of all users, as far as this user may list them, in the order of their owners and file names.
///
/// Root lists everybody's, another user only its own: nobody else may list a user's directory. A directory that
/// `SHAREHOLD_DIR` names is the only one that is listed; its files may belong to several users.
///
/// # Errors
///
/// As [`list`]. That another user's directory is not to be trusted is told in its place.
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

/// Returns the users who have a file for this key, by number and in no order, as far as this user may see.
///
/// To attach to a segment of another user, name that user as the [owner](SegmentOptions::owner), if you trust it.
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

/// Returns the summary of one segment of this user, as [`list`] has it.
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
