//! Migrating a segment: the value of one type is made from what stood there, in one step under the key.
//!
//! | the old segment | is migrated | those attached to it |
//! |---|---|---|
//! | of this format: a value or plain bytes | under its lock, whoever is attached | are told: [`ErrorKind::Migrated`] |
//! | of an older format | while nobody is attached | |
//!
//! How the name changes hands, and what a death leaves, is said in `segment::replace`.

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

/// How often another one that migrates the same segment may be quicker.
const TRIES: u32 = 100;

impl SegmentOptions {
    /// Puts a value of this type in the place of what the segment holds, and attaches to it.
    ///
    /// `make` gets the old contents, of whatever type, and returns the new value. The key names the old segment until the new
    /// one is whole, and then the new one. Policy, mode and group stay as they were. A segment that holds a value of
    /// this type already is attached to as it is, so that each of many processes may ask; `make` runs again if another process
    /// changes the segment meanwhile.
    ///
    /// # Processes that are attached
    ///
    /// `make` runs under the lock, so that no change is lost. From then on the others' next lock or change, and their waits, return
    /// [`ErrorKind::Migrated`]; what they read stays the last old value. They detach, and attach again with the new type.
    /// Users of an older format cannot be told: while any is attached, this is [`ErrorKind::Busy`].
    ///
    /// # When a process dies
    ///
    /// While it migrates: the key names the old segment, and all go on with it, or the new one, and all are told.
    ///
    /// # Errors
    ///
    /// The error of `make`, and nothing has changed; [`ErrorKind::TypeMismatch`] for a segment of parts; those of
    /// [`SegmentOptions::attach`], [`SegmentOptions::create`] and [`Segment::contents`].
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
        let detail = "others keep changing or migrating it; see who they are, then try again";
        Err(Error::new(ErrorKind::Busy, MIGRATE, detail).with_key(key))
    }

    /// Tries once; `None` when somebody else was quicker.
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
                    "it holds parts, which cannot be migrated; use another key for the new ones";
                return Err(Error::new(ErrorKind::TypeMismatch, MIGRATE, detail));
            }
            _ => {}
        }
        let (id, is_consistent) = match segment.lock_whatever_was_left() {
            Err(error) if error.kind() == ErrorKind::Migrated => return Ok(None),
            locked => locked?,
        };
        let contents = Contents {
            bytes: locked_bytes(&segment, schema.as_ref())?,
            schema,
            format_version: VERSION,
            is_consistent,
        };
        let value = make(&contents)?;
        let attached = segment.attached();
        let options = self
            .of_type::<T>()
            .as_for(attached.file_facts(), segment.policy());
        // The same value once more wakes those who wait for another one.
        let tell = || {
            let size = contents.bytes.len();
            if let (Some(_), Ok(place)) = (&contents.schema, place(attached, size, MIGRATE)) {
                place.commit_with(size, |copy| untyped::store(copy, &contents.bytes));
            }
        };
        let first = |bytes: &mut SegmentData<'_>| write_first(bytes.attached(), &value);
        let new = replace(&segment, &options, first, tell)?;
        Ok(new.map(|new| {
            id.close();
            Shared::new(new)
        }))
    }

    /// The same where the format is an older one: those who use it know nothing of this.
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
        let first = |bytes: &mut SegmentData<'_>| write_first(bytes.attached(), &value);
        let is_as_read = || {
            let again = Stored::open(self, key, Access::ReadOnly)?;
            Ok(Contents::of(&again)? == contents)
        };
        let new = replace_unused(&stored, &options, first, is_as_read)?;
        Ok(new.map(Shared::new))
    }
}

/// All that a segment holds whose lock the caller has.
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
