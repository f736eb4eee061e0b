//! The contents of a segment of any type and format version, for exports and migrations.

use super::view::{self, ReadData};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::Memory;
use crate::schema::{FieldError, FieldValue, Schema};
use crate::segment::{Segment, SegmentOptions, Stored};
use crate::sys::Access;

/// A snapshot of the contents of a segment: a value and its schema, or plain bytes.
///
/// It is read from the segment's file without an attachment. The format of the file may be older
/// than this library's. The contents of a stale segment can be read until a process removes or
/// replaces it.
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
    /// Returns the schema of the bytes, or `None` for plain bytes.
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// Returns the bytes: one committed value, or plain bytes without the uncommitted writes of a
    /// transaction.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the version of the segment's format.
    pub fn format_version(&self) -> u32 {
        self.format_version
    }

    /// Returns whether the data are consistent. It is `false` after an owner that changed plain
    /// bytes in place died or panicked.
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

    /// Reads the contents from the file of a segment.
    pub(crate) fn of(stored: &Stored) -> Result<Contents> {
        let schema = stored.schema()?;
        let bytes = match &schema {
            Some(schema) if schema.is_of_parts() => {
                let detail = "it holds parts, not a single value";
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
    /// Reads the contents of the segment with this key, of any type, also in an older version of
    /// the format.
    ///
    /// It does not attach, lock or change anything. A typed value is a committed one. Plain bytes
    /// that a process changes meanwhile may be a mixture.
    ///
    /// # When a process dies
    ///
    /// When its last process dies, a segment that is not persistent becomes stale. This call can
    /// still read it. Attaching with its key, or creating a segment with it, removes the stale
    /// segment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`]; [`ErrorKind::WrongVersion`] for a format that this version cannot
    /// read; [`ErrorKind::TypeMismatch`] for parts; [`ErrorKind::Damaged`],
    /// [`ErrorKind::NotTrusted`], [`ErrorKind::PermissionDenied`].
    pub fn contents(key: &str) -> Result<Contents> {
        Segment::options().contents(key)
    }
}

impl SegmentOptions {
    /// Reads the contents of a segment. See [`Segment::contents`].
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
