//! Waits by polling, at intervals that grow with the time waited.
//!
//! For a directory, inotify reports creations, removals and closes. Such an event causes a poll at
//! once, and polls without events become rare.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io;

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(5);
/// The longest one without hints.
const LONGEST: Duration = Duration::from_millis(100);
/// The longest one with hints, each of which may come a moment before what it is a hint of.
const LONGEST_HINTED: Duration = Duration::from_secs(1);
/// How much of the time that has passed without news may pass until the next look.
const PART: u32 = 64;

/// Looks until `look` finds something; `None` when the time was over first. It looks once in any
/// case.
pub(crate) fn until<T>(
    timeout: Option<Duration>,
    look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    repeat(None, timeout, look)
}

/// As `until`, for what comes or goes in a directory.
pub(crate) fn until_hinted<T>(
    directory: &Path,
    timeout: Option<Duration>,
    look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    // The directory may not exist yet, or there may be too many inotify instances.
    let hints = Hints::of(directory).ok();
    repeat(hints.as_ref(), timeout, look)
}

fn repeat<T>(
    hints: Option<&Hints>,
    timeout: Option<Duration>,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let begin = Instant::now();
    let end = timeout.and_then(|limit| begin.checked_add(limit));
    let mut news = begin;
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        let now = Instant::now();
        let left = end.map(|end| end.saturating_duration_since(now));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
        let period = period(now - news, hints.is_some());
        let period = left.map_or(period, |left| left.min(period));
        match hints {
            None => thread::sleep(period),
            Some(hints) if hints.come_within(period) => {
                news = Instant::now();
                // However many there are, there is time between two looks.
                thread::sleep(SHORTEST.min(period));
                hints.forget();
            }
            Some(_) => {}
        }
    }
}

/// How long to wait when nothing has been new for so long.
fn period(quiet: Duration, hinted: bool) -> Duration {
    let longest = if hinted { LONGEST_HINTED } else { LONGEST };
    (quiet / PART).clamp(SHORTEST, longest)
}

/// Events of a directory.
struct Hints(OwnedFd);

impl Hints {
    fn of(directory: &Path) -> io::Result<Hints> {
        // An attachment opens its file for writing. An observer, like this process, does not.
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let kinds = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVE
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&events, directory, kinds)?;
        Ok(Hints(events))
    }

    /// Waits for one.
    fn come_within(&self, limit: Duration) -> bool {
        let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
        let limit = Timespec::try_from(limit).ok();
        matches!(poll(&mut polled, limit.as_ref()), Ok(1))
    }

    /// Forgets all that have come.
    fn forget(&self) {
        let mut some = [0; 4096];
        while io::read(&self.0, &mut some).is_ok_and(|read| read > 0) {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_longer_it_takes_the_more_rarely_it_looks() {
        for (quiet, [blind, hinted]) in [
            (0, [5, 5]),
            (320, [5, 5]),
            (640, [10, 10]),
            (60_000, [100, 937]),
        ] {
            let period = |is_hinted| period(Duration::from_millis(quiet), is_hinted).as_millis();
            assert_eq!([period(false), period(true)], [blind, hinted]);
        }
        assert_eq!(period(Duration::from_secs(3600), true), LONGEST_HINTED);
    }

    #[test]
    fn events_report_creation_and_removal() {
        let directory = tempfile::tempdir().expect("there is room");
        let hints = Hints::of(directory.path()).expect("there are enough");
        assert!(!hints.come_within(Duration::ZERO));
        let file = directory.path().join("file");
        fs::write(&file, "").expect("there is room");
        assert!(hints.come_within(Duration::from_secs(30)));
        hints.forget();
        assert!(!hints.come_within(Duration::ZERO));
        fs::remove_file(&file).expect("it is there");
        assert!(hints.come_within(Duration::from_secs(30)));
        assert!(Hints::of(&file).is_err());
    }

    #[test]
    fn it_looks_once_and_at_hints() {
        let directory = tempfile::tempdir().expect("there is room");
        let mut looks = 0;
        let mut look = || {
            looks += 1;
            Ok(None::<()>)
        };
        let found = until_hinted(directory.path(), Some(Duration::ZERO), &mut look);
        assert!(matches!(found, Ok(None)));
        assert!(matches!(until(Some(Duration::ZERO), &mut look), Ok(None)));
        assert_eq!(looks, 2);
        let file = directory.path().join("file");
        let found = until_hinted(directory.path(), None, || {
            if file.exists() {
                return Ok(Some(()));
            }
            fs::write(&file, "")?;
            Ok(None)
        });
        assert!(matches!(found, Ok(Some(()))));
    }
}
