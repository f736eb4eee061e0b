//! What a segment holds, whatever its type and format version, for one who exports or migrates it.

use super::view::{self, ReadData};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::Memory;
use crate::schema::{FieldError, FieldValue, Schema};
use crate::segment::{Segment, SegmentOptions, Stored};
use crate::sys::Access;

/// Holds what stood in a segment at one moment: a value and its schema, or plain bytes.
///
/// It is read from the segment's file, whose format may be an older version than this library's, and nothing is attached
/// to. A stale segment can be read so until somebody removes or replaces it.
///
/// # Examples
///
/// ```
/// use sharehold::{Segment, Shared};
///
/// # let tally =
/// Shared::create("com.example.contents", &[1_u32, 2])?;
///
/// let contents = Segment::contents("com.example.contents")?;
/// assert_eq!(contents.get("[1]")?.to_string(), "2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub(crate) schema: Option<Schema>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) format_version: u32,
    pub(crate) is_consistent: bool,
}

impl Contents {
    /// Returns what the bytes are; `None` for plain bytes.
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// Returns the bytes: one committed value, or plain bytes without what a transaction had not committed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the version of the format that the segment has.
    pub fn format_version(&self) -> u32 {
        self.format_version
    }

    /// Tells whether the last owner of the lock left the data as it meant to. It is false after one has died or panicked that changed
    /// plain bytes in place.
    pub fn is_consistent(&self) -> bool {
        self.is_consistent
    }

    /// Returns a field of the value: see [`Schema::get`].
    ///
    /// # Errors
    ///
    /// As [`Schema::get`]; [`FieldError::Unknown`] for plain bytes.
    pub fn get(&self, path: &str) -> Result<FieldValue, FieldError> {
        let unknown = || FieldError::Unknown {
            path: path.to_owned(),
        };
        self.schema
            .as_ref()
            .ok_or_else(unknown)?
            .get(&self.bytes, path)
    }

    /// Reads them from the file of a segment.
    pub(crate) fn of(stored: &Stored) -> Result<Contents> {
        let schema = stored.schema()?;
        let bytes = match &schema {
            Some(schema) if schema.is_of_parts() => {
                let detail = "it holds parts, no single value";
                let error = Error::new(ErrorKind::TypeMismatch, "read", detail);
                return Err(error.advise("look at it with `inspect`"));
            }
            Some(schema) => view::snapshot(stored, 0, schema.size())?.1,
            None => stored.plain()?,
        };
        Ok(Contents {
            schema,
            bytes,
            format_version: stored.found.version,
            is_consistent: stored.found.is_consistent,
        })
    }
}

impl Segment {
    /// Reads what the segment with this key holds, whatever its type, also in an older version of the format.
    ///
    /// Nothing is attached to, locked or changed. A typed value is one that was committed. Plain bytes that somebody
    /// changes meanwhile may be a mixture.
    ///
    /// # When a process dies
    ///
    /// After the death of its last process a segment that is not persistent is stale. This call still reads it.
    /// Attaching to its key, or creating a segment with it, removes it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`]; [`ErrorKind::WrongVersion`] for a format that this version
    /// cannot read; [`ErrorKind::TypeMismatch`] for parts; [`ErrorKind::Damaged`], [`ErrorKind::NotTrusted`],
    /// [`ErrorKind::PermissionDenied`].
    pub fn contents(key: &str) -> Result<Contents> {
        Segment::options().contents(key)
    }
}

impl SegmentOptions {
    /// Reads what a segment holds. See [`Segment::contents`].
    ///
    /// # Errors
    ///
    /// As [`Segment::contents`].
    pub fn contents(&self, key: &str) -> Result<Contents> {
        let stored = Stored::open(self, key, Access::ReadOnly);
        stored
            .and_then(|stored| Contents::of(&stored))
            .map_err(|error| error.with_key(key))
    }
}

impl ReadData for Stored {
    fn holds(&self, len: usize) -> Result<bool> {
        self.has_data(len)
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<bool> {
        self.read_data(offset, into)
    }

    fn map(&self) -> Result<Memory> {
        Stored::map(self)
    }
}
