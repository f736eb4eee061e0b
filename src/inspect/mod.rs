//! What a person may see of segments. It never locks, waits, repairs or keeps a segment alive.

use std::ffi::OsString;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::segment::table::{self, Hold};
use crate::segment::{Attachment, Policy, Recoveries, View, all_views};

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
    /// How many attachments there can be.
    pub slots: usize,
    /// When it is removed.
    pub policy: Policy,
    /// When it was created.
    pub created_at: Option<SystemTime>,
    /// Who is attached. A segment that is not persistent and has none is stale: it goes when its key is asked for.
    pub attachments: Vec<Attachment>,
    /// Who holds the lock; also a dead one that nobody has taken over from yet.
    pub holder: Option<Attachment>,
    /// How often the lock was taken over from a holder that had died.
    pub recoveries: Recoveries,
}

impl Summary {
    fn of(view: &View) -> Result<Summary> {
        let header = view.memory.header();
        let named = |hold: Hold| {
            table::recorded(&view.memory, hold).map(|found| Attachment::of(hold, &found))
        };
        let owner = header.lock.owner.load(Ordering::Relaxed);
        let mut attachments: Vec<Attachment> = view.present().filter_map(named).collect();
        attachments.extend(view.readers()?.into_iter().map(Attachment::read_only));
        Ok(Summary {
            key: view.found.key.clone(),
            size: view.found.size,
            max_size: view.found.layout.sizes.max_data,
            slots: view.found.layout.sizes.slots,
            policy: view.found.policy,
            created_at: UNIX_EPOCH.checked_add(Duration::from_nanos(view.found.created_at)),
            attachments,
            holder: (owner != 0)
                .then(|| named(Hold::from_word(owner)))
                .flatten(),
            recoveries: Recoveries::of(&view.memory),
        })
    }

    /// Tells whether nobody uses it and nobody wants it kept.
    pub fn is_stale(&self) -> bool {
        self.policy != Policy::Persistent && self.attachments.is_empty()
    }
}

/// Says what stands in the directory under one name.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listed {
    /// The file's name.
    pub file_name: OsString,
    /// The segment, or why the file is none that can be used.
    pub summary: Result<Summary, Error>,
}

/// Lists this user's segments, in the order of their file names.
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
pub fn list() -> Result<Vec<Listed>> {
    let views = all_views()?.into_iter();
    let listed = views.map(|(file_name, view)| {
        let summary = view.and_then(|view| Summary::of(&view));
        Listed { file_name, summary }
    });
    Ok(listed.collect())
}
