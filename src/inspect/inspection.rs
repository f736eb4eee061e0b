//! The inspection of one segment: all that is visible from outside.

use std::ffi::OsString;

use super::parts::{self, PartInfo};
use super::recovery::{self, Recovery};
use super::summary::Summary;
use crate::error::Result;
use crate::lock::state::WaitRecords;
use crate::schema::Schema;
use crate::segment::{LivenessCheck, Segment, SegmentOptions, View, look_at};
use crate::value::view;

/// How many bytes of plain data are shown.
const BEGINNING: usize = 4096;

/// All that is visible of a segment, as of one moment.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The name of its file in the directory of this user's segments.
    pub file_name: OsString,
    /// Its properties and its users.
    pub summary: Summary,
    /// The schema of its value, `None` for plain bytes; or the reason why it cannot be read.
    pub schema: Result<Option<Schema>>,
    /// One committed value, whose version is the summary's; of plain bytes and of parts the first
    /// 4,096 bytes, as they happen to be. Or the reason why it cannot be read.
    pub content: Result<Vec<u8>>,
    /// The use of each part, for a segment of parts.
    pub parts: Vec<PartInfo>,
    /// The last recoveries of locks from dead processes, at most 16, the latest first.
    pub recoveries: Vec<Recovery>,
}

/// Inspects one segment of this user, with or without attachments.
///
/// It does not attach: nothing is locked, waited for or repaired, and a stale segment stays stale.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound); [`Damaged`](crate::ErrorKind::Damaged) and
/// [`WrongVersion`](crate::ErrorKind::WrongVersion) if the header or the table cannot be
/// interpreted; [`NotTrusted`](crate::ErrorKind::NotTrusted) and
/// [`PermissionDenied`](crate::ErrorKind::PermissionDenied).
///
/// # Examples
///
/// ```
/// use sharehold::{Shared, inspect};
///
/// let tally = Shared::create("com.example.inspect", &[1_u32, 2])?;
/// tally.update(|value| value[1] += 5)?;
///
/// let seen = inspect("com.example.inspect")?;
/// let schema = seen.schema?.expect("it is typed");
/// assert_eq!(schema.get(&seen.content?, "[1]")?.to_string(), "7");
/// assert_eq!(seen.summary.attachments[0].pid, std::process::id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn inspect(key: &str) -> Result<Inspection> {
    Segment::options().inspect(key)
}

impl SegmentOptions {
    /// Inspects one segment, with or without attachments. See [`inspect`].
    ///
    /// # Errors
    ///
    /// As [`inspect`].
    pub fn inspect(&self, key: &str) -> Result<Inspection> {
        see(key, self.named_owner()).map_err(|error| error.with_key(key))
    }
}

fn see(key: &str, owner: Option<u32>) -> Result<Inspection> {
    let (file_name, mut view) = look_at(key, owner)?;
    let mut summary = Summary::of(&mut view, LivenessCheck::Thorough)?;
    let schema = view.schema();
    let content = match &schema {
        Ok(Some(schema)) if !schema.is_of_parts() => {
            view::snapshot(&view, 0, schema.size()).map(|(version, value)| {
                summary.version = Some(version);
                value
            })
        }
        _ => beginning(&view),
    };
    let typed = schema.as_ref().ok().and_then(Option::as_ref);
    let of_parts = typed.filter(|it| it.is_of_parts());
    let waits = WaitRecords::of(&view, LivenessCheck::Thorough);
    let with_key = |error: crate::error::Error| error.with_key(key);
    Ok(Inspection {
        file_name,
        parts: of_parts.map_or_else(Vec::new, |schema| {
            parts::seen(&view, schema, &waits, LivenessCheck::Thorough)
        }),
        recoveries: recovery::last(&view, of_parts),
        summary,
        schema: schema.map_err(with_key),
        content: content.map_err(with_key),
    })
}

fn beginning(view: &View) -> Result<Vec<u8>> {
    let mut bytes = vec![0; view.found.size.min(BEGINNING)];
    view.read_data(0, &mut bytes)?;
    Ok(bytes)
}
