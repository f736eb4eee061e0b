//! The directory that one victim and its survivors have to themselves.

use crate::role;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, io};

/// Where worlds are made if it exists: memory, so that a death costs no disk access.
const MEMORY_DIRECTORY: &str = "/dev/shm";

/// Gives a victim and its survivors a place of their own: a directory that is new for every death.
///
/// All processes of one death see the same directory. The one that made it removes it when all is
/// checked.
#[derive(Debug)]
pub struct World {
    path: PathBuf,
    scenario: String,
    /// Whether this process made the directory.
    owned: bool,
}

impl World {
    /// Makes the next world of a scenario.
    pub(crate) fn make(scenario: &str) -> io::Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let memory = PathBuf::from(MEMORY_DIRECTORY);
        let parent = if memory.is_dir() {
            memory
        } else {
            env::temp_dir()
        };
        loop {
            // All names have the same length, so that handling them takes the same instructions
            // each time.
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("sweep-{}-{number:08}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {
                    return Ok(Self {
                        path,
                        scenario: scenario.to_owned(),
                        owned: true,
                    });
                }
                // An earlier process of this ID was killed and has left its last world.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Enters the world that another process made.
    pub(crate) fn enter(scenario: &str, path: PathBuf) -> Self {
        Self {
            path,
            scenario: scenario.to_owned(),
            owned: false,
        }
    }

    /// Leaves the directory in place for a person to look at, and returns where.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.owned = false;
        self.path.clone()
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Prepares to start the helper of that name in this world, as another process.
    ///
    /// The helper is killed when the thread that started it ends, and is otherwise like any other
    /// child: wait for it, or kill it and wait, before the survivor returns.
    ///
    /// # Examples
    ///
    /// See [`Scenario::helper`](crate::Scenario::helper).
    pub fn helper(&self, name: &str) -> Command {
        role::command(&self.scenario, &self.path, Some(name))
    }

    /// Prepares to start the victim of this world.
    pub(crate) fn victim(&self) -> Command {
        role::command(&self.scenario, &self.path, None)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.owned {
            // A process that still has files there keeps them; what cannot be removed now is no
            // reason to fail a sweep.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
