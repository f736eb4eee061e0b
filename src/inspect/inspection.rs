//! Everything that can be seen of one segment.

use std::ffi::OsString;

use super::locks::Notes;
use super::parts::{self, PartInfo};
use super::recovery::{self, Recovery};
use super::summary::Summary;
use crate::error::Result;
use crate::schema::Schema;
use crate::segment::{LivenessCheck, Segment, SegmentOptions, View, look_at};
use crate::value::view;

/// How much of plain data is shown.
const BEGINNING: usize = 4096;

/// Holds all that can be seen of a segment, as of one moment.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The name of its file in the directory of this user's segments.
    pub file_name: OsString,
    /// What it is and who uses it.
    pub summary: Summary,
    /// What its value looks like, `None` for plain bytes; or why that cannot be told.
    pub schema: Result<Option<Schema>>,
    /// One committed value, whose version is the summary's; of plain bytes, and of parts, the first 4,096, as they happen to be. Or why it
    /// cannot be read.
    pub content: Result<Vec<u8>>,
    /// Who uses each part, of a segment of parts.
    pub parts: Vec<PartInfo>,
    /// The last times that a lock was taken over from a dead process, at most 16, the latest first.
    pub recoveries: Vec<Recovery>,
}

/// Looks at one segment of this user, whether or not anybody is attached to it.
///
/// It is not attached to: nothing is locked, waited for or repaired, and a stale segment stays what it is.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound); [`Damaged`](crate::ErrorKind::Damaged) and
/// [`WrongVersion`](crate::ErrorKind::WrongVersion) when header or table cannot be understood;
/// [`NotTrusted`](crate::ErrorKind::NotTrusted) and [`PermissionDenied`](crate::ErrorKind::PermissionDenied).
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
    /// Looks at one segment, whether or not anybody is attached to it. See [`inspect`].
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
    let notes = Notes::of(&view, LivenessCheck::Thorough);
    let with_key = |error: crate::error::Error| error.with_key(key);
    Ok(Inspection {
        file_name,
        parts: of_parts.map_or_else(Vec::new, |schema| {
            parts::seen(&view, schema, &notes, LivenessCheck::Thorough)
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
