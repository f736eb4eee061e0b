//! Looking at a segment without being present on it: nothing is locked, waited for, repaired or kept alive.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::attach::map;
use super::header::{self, Found, Policy};
use super::location::{self, Location, system};
use super::presence;
use super::table::{self, Hold};
use crate::error::{ErrorKind, Result};
use crate::key::Key;
use crate::memory::Memory;
use crate::sys::{self, Access, Directory, SegmentFile};

const LOOK: &str = "look at";

/// A segment that is looked at: read-only, and not counted among its attachments.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) found: Found,
    pub(crate) memory: Memory,
    file: SegmentFile,
}

impl View {
    fn open(location: &Location, directory: &Directory) -> Result<Option<View>> {
        let Some(file) = location.open_file(directory, Access::ReadOnly, LOOK)? else {
            return Ok(None);
        };
        let found = header::read(&file, LOOK)?;
        let memory = map(&file, &found, Access::ReadOnly, LOOK)?;
        Ok(Some(View {
            found,
            memory,
            file,
        }))
    }

    /// The attachments that are not proven gone, other than read-only ones.
    pub(crate) fn present(&self) -> impl Iterator<Item = Hold> + '_ {
        table::present(&self.memory, &self.file, None)
    }

    /// The processes that are attached read-only.
    pub(crate) fn readers(&self) -> Result<Vec<u32>> {
        presence::readers(&self.file).map_err(|error| system(LOOK, error))
    }

    fn is_there(&self) -> bool {
        self.found.policy == Policy::Persistent || table::any_present(&self.memory, &self.file)
    }
}

/// Tells whether an attacher would find something living or persistent under the key.
pub(super) fn exists(key: &Key) -> Result<bool> {
    let location = Location::of(key, None);
    match location.open(LOOK) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(directory) => {
            let view = View::open(&location, &directory)?;
            Ok(view.is_some_and(|view| view.found.key == key.as_str() && view.is_there()))
        }
    }
}

/// Looks at every file of this user's directory, in the order of their names.
pub(crate) fn all() -> Result<Vec<(OsString, Result<View>)>> {
    let user = sys::effective_user();
    let path = location::directory_of(user);
    let here = |name: &OsStr| Location::named(Path::new(&path), name, user);
    let directory = match here(OsStr::new("")).open(LOOK) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut names = directory.names().map_err(|error| system(LOOK, error))?;
    names.sort_unstable();
    let mut found = Vec::new();
    for name in names {
        match View::open(&here(&name), &directory) {
            Ok(Some(view)) => found.push((name, Ok(view))),
            Err(error) => found.push((name, Err(error))),
            // It vanished meanwhile.
            Ok(None) => {}
        }
    }
    Ok(found)
}
