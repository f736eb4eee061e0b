//! Migrating a segment: making a value of one type from the old contents, in one step under the
//! key.
//!
//! | old segment | condition for migrating | attached processes |
//! |---|---|---|
//! | this format, a value or plain bytes | under its lock, with any attachments | get [`ErrorKind::Migrated`] |
//! | an older format | while there are no attachments | |
//!
//! `segment::replace` describes how the key changes to the new segment, and what a death leaves.

use std::thread;
use std::time::Duration;

use super::contents::Contents;
use super::copies::{damaged, place, size_for};
use super::shared::{Shared, write_first};
use super::untyped;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::format::VERSION;
use crate::schema::{Schema, Shareable};
use crate::segment::{
    MIGRATE, Segment, SegmentData, SegmentOptions, Stored, replace, replace_unused,
};
use crate::sys::Access;

/// How often another migration of the same segment, or a change, may come first.
const TRIES: u32 = 100;

impl SegmentOptions {
    /// Replaces the contents of a segment with a value of this type, and attaches to it.
    ///
    /// `make` gets the old contents, of any type, and returns the new value. The key leads to the
    /// old segment until the new one is complete, and then to the new one. Policy, mode and group
    /// stay the same. If the segment already contains a value of this type, this call only
    /// attaches, so many processes may call it. `make` runs again if another process changes the
    /// segment meanwhile.
    ///
    /// # Attached processes
    ///
    /// `make` runs under the lock, so no change is lost. Afterwards the next lock, change or wait
    /// of another attached process returns [`ErrorKind::Migrated`]; its reads return the last old
    /// value. It then detaches, and attaches again with the new type. Processes that use an older
    /// format cannot get this error: while any of them is attached, this call returns
    /// [`ErrorKind::Busy`].
    ///
    /// # When a process dies
    ///
    /// If a process dies while it migrates, the key leads to the old segment and all processes
    /// continue with it, or the key leads to the new segment and all of them get
    /// [`ErrorKind::Migrated`].
    ///
    /// # Errors
    ///
    /// The error of `make`, without any change; [`ErrorKind::TypeMismatch`] for a segment of parts;
    /// the errors of [`SegmentOptions::attach`], [`SegmentOptions::create`] and
    /// [`Segment::contents`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::{ErrorKind, Policy, Result, Segment, Shareable, Shared};
    ///
    /// #[derive(Shareable, Default)]
    /// #[repr(C)]
    /// struct Jobs { done: u64, failed: u64 }
    ///
    /// fn jobs() -> Result<Shared<Jobs>> {
    ///     let options = Segment::options().policy(Policy::Persistent);
    ///     match options.open_or_create_shared("com.example.jobs", Jobs::default) {
    ///         Err(error) if [ErrorKind::TypeMismatch, ErrorKind::WrongVersion].contains(&error.kind()) => {}
    ///         jobs => return jobs,
    ///     }
    ///     // The release before had `done` only.
    ///     options.migrate_shared("com.example.jobs", |old| {
    ///         let done = old.get("done").ok().and_then(|done| done.to_string().parse().ok());
    ///         Ok(Jobs { done: done.unwrap_or(0), failed: 0 })
    ///     })
    /// }
    /// # #[derive(Shareable, Default)]
    /// # #[repr(C)]
    /// # struct Before { done: u64 }
    /// # let options = Segment::options().policy(Policy::Persistent);
    /// # let old = options.create_shared("com.example.jobs", &Before { done: 7 })?;
    /// assert_eq!(jobs()?.get()?.done, 7);
    /// # assert_eq!(old.set(&Before { done: 8 }).unwrap_err().kind(), ErrorKind::Migrated);
    /// # Segment::destroy("com.example.jobs", sharehold::DestroyMode::Immediate)?;
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub fn migrate_shared<T: Shareable>(
        &self,
        key: &str,
        make: impl Fn(&Contents) -> Result<T>,
    ) -> Result<Shared<T>> {
        for _ in 0..TRIES {
            let migrated = self.try_migrate(key, &make);
            if let Some(shared) = migrated.map_err(|error| error.with_key(key))? {
                return Ok(shared);
            }
            thread::sleep(Duration::from_millis(1));
        }
        let detail =
            "other processes keep changing or migrating it; find them with `inspect`, then retry";
        Err(Error::new(ErrorKind::Busy, MIGRATE, detail).with_key(key))
    }

    /// Tries once. Returns `None` if another process was faster.
    fn try_migrate<T: Shareable>(
        &self,
        key: &str,
        make: &impl Fn(&Contents) -> Result<T>,
    ) -> Result<Option<Shared<T>>> {
        let segment = match self.attach(key) {
            Err(error) if error.kind() == ErrorKind::WrongVersion => {
                return self.migrate_unused(key, make);
            }
            attached => attached?,
        };
        let schema = segment.attached().schema(MIGRATE)?;
        match &schema {
            Some(schema) if schema.first_difference(&Schema::of::<T>()).is_none() => {
                return self.attach_shared(key).map(Some);
            }
            Some(schema) if schema.is_of_parts() => {
                let detail =
                    "it holds parts, which cannot be migrated; use another key for new parts";
                return Err(Error::new(ErrorKind::TypeMismatch, MIGRATE, detail));
            }
            _ => {}
        }
        let lock = match segment.lock_value() {
            Err(error) if error.kind() == ErrorKind::Migrated => return Ok(None),
            locked => locked?,
        };
        let contents = Contents {
            bytes: locked_bytes(&segment, schema.as_ref())?,
            schema,
            format_version: VERSION,
            is_consistent: segment.is_consistent(),
        };
        let value = make(&contents)?;
        let attached = segment.attached();
        let options = self
            .of_type::<T>()
            .as_for(attached.file_facts(), segment.policy());
        // Committing the same value once more wakes the waiters for a change.
        let wake = || {
            let size = contents.bytes.len();
            if let (Some(_), Ok(place)) = (&contents.schema, place(attached, size, MIGRATE)) {
                place.commit_with(size, |copy| untyped::store(copy, &contents.bytes));
            }
        };
        let init = |bytes: &mut SegmentData<'_>| write_first(bytes.attached(), &value);
        let new = replace(&segment, &options, init, wake)?;
        Ok(new.map(|new| {
            segment.close_lock();
            lock.keep();
            Shared::new(new)
        }))
    }

    /// As [`SegmentOptions::try_migrate`], for an older format. Its users cannot learn of the
    /// migration, so there must be none.
    fn migrate_unused<T: Shareable>(
        &self,
        key: &str,
        make: &impl Fn(&Contents) -> Result<T>,
    ) -> Result<Option<Shared<T>>> {
        let stored = Stored::open(self, key, Access::ReadWrite)?;
        if stored.is_stale()? {
            return Ok(None);
        }
        let contents = Contents::of(&stored)?;
        let value = make(&contents)?;
        let options = self
            .of_type::<T>()
            .as_for(stored.facts(), stored.found.policy);
        let init = |bytes: &mut SegmentData<'_>| write_first(bytes.attached(), &value);
        let is_as_read = || {
            let again = Stored::open(self, key, Access::ReadOnly)?;
            Ok(Contents::of(&again)? == contents)
        };
        let new = replace_unused(&stored, &options, init, is_as_read)?;
        Ok(new.map(Shared::new))
    }
}

/// Reads all contents of a segment. The caller has its lock.
fn locked_bytes(segment: &Segment, schema: Option<&Schema>) -> Result<Vec<u8>> {
    let attached = segment.attached();
    let bytes = match schema {
        None => {
            let mut bytes = vec![0; attached.data().len];
            attached.copy_out(0, &mut bytes).then_some(bytes)
        }
        Some(schema) if size_for(schema.size()) > segment.size() => None,
        Some(schema) => {
            let size = schema.size();
            let place = place(attached, size, MIGRATE)?;
            let value = place.read_locked_with(size, |copy| untyped::load(copy, size));
            value.filter(|value| schema.check(value).is_ok())
        }
    };
    bytes.ok_or_else(|| damaged(attached, MIGRATE))
}
