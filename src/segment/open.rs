//! What a program does with the options of a segment: create, attach, look, destroy.

use super::location::Location;
use super::options::SegmentOptions;
use super::{DestroyMode, ReadOnlySegment, Segment, SegmentData, attach, create, look, remove};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::key::Key;

impl SegmentOptions {
    /// Creates the segment, all zero, and attaches to it.
    ///
    /// # When a process dies
    ///
    /// The segment becomes visible only when it is complete. A creator that dies before that leaves
    /// nothing. A stale segment under the key is replaced.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] when a living or persistent segment has the key,
    /// [`ErrorKind::OutOfMemory`] when the memory cannot be reserved, [`ErrorKind::InvalidOption`],
    /// [`ErrorKind::InvalidKey`], [`ErrorKind::NotTrusted`], [`ErrorKind::PermissionDenied`].
    pub fn create(&self, key: &str) -> Result<Segment> {
        self.create_with(key, |_| Ok(()))
    }

    /// Creates the segment with the initial data that `init` writes, before any other process can
    /// see it.
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::create`], or the error of `init`; then no segment is created.
    pub fn create_with(
        &self,
        key: &str,
        init: impl FnOnce(&mut SegmentData<'_>) -> Result<()>,
    ) -> Result<Segment> {
        let checked = Key::new(key)?;
        create::create(self, &checked, init).map_err(|error| error.with_key(key))
    }

    /// Attaches to an existing segment, with the right to read, write and lock.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], also for a stale segment, which is then removed;
    /// [`ErrorKind::TooManyAttachments`]; [`ErrorKind::Damaged`] and [`ErrorKind::WrongVersion`],
    /// for which see [`SegmentOptions::migrate_shared`]; [`ErrorKind::NotTrusted`];
    /// [`ErrorKind::PermissionDenied`].
    pub fn attach(&self, key: &str) -> Result<Segment> {
        let checked = Key::new(key)?;
        attach::attach(self, &checked).map_err(|error| error.with_key(key))
    }

    /// Attaches to an existing segment for reading only: its memory cannot be written through the
    /// handle.
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`], except that it takes no slot.
    pub fn attach_read_only(&self, key: &str) -> Result<ReadOnlySegment> {
        let checked = Key::new(key)?;
        attach::attach_read_only(self, &checked).map_err(|error| error.with_key(key))
    }

    /// Attaches to the segment, or creates it if there is none. If several processes do this at
    /// once, one of them creates it.
    ///
    /// An existing segment that is smaller than [`size`](SegmentOptions::size) is
    /// [grown](Segment::grow) to that size. A larger one is taken as it is, because another process
    /// may have grown it.
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::attach`] and [`SegmentOptions::create`], without their `NotFound` and
    /// `AlreadyExists`; and those of [`Segment::grow`], which name both sizes, when the segment
    /// cannot grow that far.
    pub fn open_or_create(&self, key: &str) -> Result<Segment> {
        self.open_or_create_with(key, |_| Ok(()))
    }

    /// Attaches to the segment, or creates it with the initial data that `init` writes.
    ///
    /// The initial data are written once, even if several processes call this at once: `init` may
    /// run in several of them, but only one result becomes the segment.
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::open_or_create`], or the error of `init`.
    pub fn open_or_create_with(
        &self,
        key: &str,
        init: impl Fn(&mut SegmentData<'_>) -> Result<()>,
    ) -> Result<Segment> {
        let checked = Key::new(key)?;
        create::open_or_create(self, &checked, init).map_err(|error| error.with_key(key))
    }

    /// Checks whether a living or persistent segment has the key. See [`Segment::exists`].
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
}
