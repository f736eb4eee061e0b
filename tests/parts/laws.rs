//! What each primitive promises to all its concurrent users, as a small program that any number of
//! members run; [`super::ways`] says as what they run, and which of them are killed meanwhile.
//!
//! A law that is broken shows in one of three ways. A member finds something that must not be, by
//! means that do not depend on the library: a word in a file that only one at a time may write, or
//! a byte that the kernel locks. Or it waits far too long. Or what the members have counted does
//! not fit what is there in the end; each death may have come between a deed and its count.

use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use fastrand::Rng;
use sharehold::{BarrierWaitResult, DestroyMode, ErrorKind, OnceLock, Policy, Segment, Shared};
use sharehold_testkit::raw::lock_byte;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{Family, KEY, LONG, SHORT, Value, attach, whole};

/// A primitive's law.
pub(crate) trait Law: 'static {
    /// Takes part once.
    fn turn(member: &mut Member);

    /// Takes part once, as a task.
    fn turn_in_task(member: &mut Member) -> impl Future<Output = ()> + Send;

    /// What an onlooker does again and again meanwhile.
    fn beside(_outside: &Member) {}

    /// What an onlooker does when all participants have died, before others take part.
    fn settle(_outside: &Member) {}

    /// Whether what was counted fits what is there, when nobody takes part any more and so many
    /// have died.
    fn judge(outside: &Member, deaths: u64);
}

/// What members count.
#[derive(Debug, Clone, Copy)]
enum Count {
    Locked,
    Written,
    Made,
    Set,
    Passed,
    Met,
    Last,
}

type Counts = [u64; 7];

/// A participant, or an onlooker.
pub(crate) struct Member {
    family: Arc<Family>,
    counts: Arc<Shared<Counts>>,
    file: File,
    path: PathBuf,
    dice: Rng,
}

const COUNTS: &str = "com.example.family.counts";

impl Member {
    /// The first member, an onlooker; `file` is for what is checked without the library.
    pub(crate) fn first(family: Family, file: &Path) -> Member {
        let counts = Shared::create(COUNTS, &[0; 7]).expect("nothing has the key");
        Member::of(family.into(), counts.into(), file)
    }

    /// One in another process.
    pub(crate) fn attached(file: &Path) -> Member {
        let counts = Shared::attach(COUNTS).expect("it is there");
        Member::of(attach().into(), counts.into(), file)
    }

    /// Another one in this process, with the same handles.
    pub(crate) fn another(&self) -> Member {
        Member::of(
            Arc::clone(&self.family),
            Arc::clone(&self.counts),
            &self.path,
        )
    }

    fn of(family: Arc<Family>, counts: Arc<Shared<Counts>>, path: &Path) -> Member {
        let file = File::options().read(true).write(true).open(path);
        Member {
            family,
            counts,
            file: file.expect("it is there"),
            path: path.to_owned(),
            dice: Rng::new(),
        }
    }

    fn count(&self, what: Count) {
        let counted = self.counts.update(|counts| counts[what as usize] += 1);
        counted.expect("it can be changed");
    }

    fn counted(&self, what: Count) -> u64 {
        self.counts.get().expect("it is whole")[what as usize]
    }

    /// The word in the file with a count.
    fn word(&self, of: Count) -> u64 {
        let mut word = [0; 8];
        let read = self.file.read_exact_at(&mut word, 8 * of as u64);
        read.map_or(0, |()| u64::from_ne_bytes(word))
    }

    /// Writes a word of its own into the file, which is to stay there as long as nobody else may
    /// write.
    fn own_word(&mut self, of: Count) -> u64 {
        let word = self.dice.u64(1..);
        let written = self.file.write_all_at(&word.to_ne_bytes(), 8 * of as u64);
        written.expect("there is room");
        word
    }

    #[track_caller]
    fn still_finds(&self, of: Count, word: u64) {
        assert_eq!(self.word(of), word, "another one was inside, too");
    }

    /// Takes one of two seats. The kernel gives each seat to one member at a time, and a member
    /// with a permit finds a free one.
    fn seat(&self) -> File {
        let start = Instant::now();
        loop {
            for seat in 0..2 {
                let file = File::options().write(true).open(&self.path);
                let file = file.expect("it is there");
                if lock_byte(&file, seat, true) {
                    return file;
                }
            }
            // After a death the permit may come back before the seat.
            assert!(
                start.elapsed() < LONG,
                "more are seated than there are permits"
            );
        }
    }
}

/// Waits for what comes soon, if no law is broken.
async fn soon<F: Future>(future: F) -> F::Output {
    timeout(LONG, future).await.expect("it comes")
}

/// Each member that counted its change changed the value once, and each dead one at most once more.
#[track_caller]
fn judge_changes(value: &Value, counted: u64, deaths: u64) {
    let value = whole(value);
    let expected = counted..=counted + deaths;
    assert!(expected.contains(&value), "{value} is not in {expected:?}");
}

/// One at a time has a mutex, and what it changes is not lost.
pub(crate) struct OneAtATime;

impl Law for OneAtATime {
    fn turn(member: &mut Member) {
        let family = Arc::clone(&member.family);
        let mut guard = family.mutex.lock_timeout(LONG).expect("it comes free");
        let word = member.own_word(Count::Locked);
        thread::yield_now();
        *guard = [whole(&guard) + 1; 16];
        member.still_finds(Count::Locked, word);
        drop(guard);
        member.count(Count::Locked);
    }

    async fn turn_in_task(member: &mut Member) {
        let family = Arc::clone(&member.family);
        let guard = soon(family.mutex.lock_async()).await;
        let mut guard = guard.expect("it comes free");
        let word = member.own_word(Count::Locked);
        yield_now().await;
        *guard = [whole(&guard) + 1; 16];
        member.still_finds(Count::Locked, word);
        drop(guard);
        member.count(Count::Locked);
    }

    fn judge(outside: &Member, deaths: u64) {
        let guard = outside.family.mutex.lock_timeout(LONG);
        let guard = guard.expect("it comes free");
        judge_changes(&guard, outside.counted(Count::Locked), deaths);
    }
}

/// Many read together or one writes, also after readers became writers and writers readers; neither
/// starve.
pub(crate) struct ManyOrOne;

impl ManyOrOne {
    /// What a reader finds, until it looks again.
    fn seen(member: &Member, value: &Value) -> (u64, u64) {
        (whole(value), member.word(Count::Written))
    }

    #[track_caller]
    fn is_still(member: &Member, seen: (u64, u64)) {
        let now = member.family.inner.rwlock.get().expect("it is whole");
        assert_eq!(whole(&now), seen.0, "it changed while somebody read");
        member.still_finds(Count::Written, seen.1);
    }
}

impl Law for ManyOrOne {
    fn turn(member: &mut Member) {
        let family = Arc::clone(&member.family);
        let rwlock = &family.inner.rwlock;
        let deed = member.dice.u32(..4);
        if deed == 0 {
            let mut guard = rwlock.write_timeout(LONG).expect("it comes free");
            let word = member.own_word(Count::Written);
            thread::yield_now();
            *guard = [whole(&guard) + 1; 16];
            member.still_finds(Count::Written, word);
            drop(guard);
            member.count(Count::Written);
            return;
        }
        let guard = rwlock.read_timeout(LONG).expect("it comes free");
        let seen = ManyOrOne::seen(member, &guard);
        thread::yield_now();
        ManyOrOne::is_still(member, seen);
        if deed > 1 {
            return;
        }
        match guard.upgrade_timeout(LONG) {
            Ok(mut writer) => {
                assert_eq!(whole(&writer), seen.0, "another one wrote");
                let next = seen.0 + 1;
                *writer = [next; 16];
                let word = member.own_word(Count::Written);
                let reader = writer.downgrade().expect("there is room");
                member.count(Count::Written);
                ManyOrOne::is_still(member, (next, word));
                drop(reader);
            }
            Err(refused) => {
                assert_eq!(refused.error().kind(), ErrorKind::WouldBlock, "{refused}");
                ManyOrOne::is_still(member, seen);
                drop(refused);
            }
        }
    }

    async fn turn_in_task(member: &mut Member) {
        let family = Arc::clone(&member.family);
        let rwlock = &family.inner.rwlock;
        let deed = member.dice.u32(..4);
        if deed == 0 {
            let mut guard = soon(rwlock.write_async()).await.expect("it comes free");
            let word = member.own_word(Count::Written);
            yield_now().await;
            *guard = [whole(&guard) + 1; 16];
            member.still_finds(Count::Written, word);
            drop(guard);
            member.count(Count::Written);
            return;
        }
        let guard = soon(rwlock.read_async()).await.expect("it comes free");
        let seen = ManyOrOne::seen(member, &guard);
        yield_now().await;
        ManyOrOne::is_still(member, seen);
        if deed > 1 {
            return;
        }
        match soon(guard.upgrade_async()).await {
            Ok(mut writer) => {
                assert_eq!(whole(&writer), seen.0, "another one wrote");
                let next = seen.0 + 1;
                *writer = [next; 16];
                let word = member.own_word(Count::Written);
                let reader = writer.downgrade().expect("there is room");
                member.count(Count::Written);
                yield_now().await;
                ManyOrOne::is_still(member, (next, word));
                drop(reader);
            }
            Err(refused) => {
                assert_eq!(refused.error().kind(), ErrorKind::WouldBlock, "{refused}");
                ManyOrOne::is_still(member, seen);
                drop(refused);
            }
        }
    }

    fn judge(outside: &Member, deaths: u64) {
        let guard = outside.family.inner.rwlock.write_timeout(LONG);
        let guard = guard.expect("it comes free");
        judge_changes(&guard, outside.counted(Count::Written), deaths);
    }
}

/// A value is made once, by one of the members, and all members get it.
pub(crate) struct MadeOnce;

impl MadeOnce {
    /// All members go along the same row of them: to the one that was begun last, or the one that
    /// is next.
    fn next(member: &mut Member) -> OnceLock<Value> {
        const MOST: u64 = 400;
        let number = member.counted(Count::Made) + member.dice.u64(..2);
        let options = Segment::options().policy(Policy::Persistent);
        let key = format!("{KEY}.once.{}", number.min(MOST));
        let once = options.open_or_create_part(&key, || ());
        once.expect("it is there, or nothing has the key")
    }
}

impl Law for MadeOnce {
    fn turn(member: &mut Member) {
        let once = MadeOnce::next(member);
        let word = member.dice.u64(..);
        let made = once.get_or_init(|| {
            member.count(Count::Made);
            thread::yield_now();
            [word; 16]
        });
        let made = made.expect("it comes free");
        assert_eq!(once.get().expect("it is whole"), Some(made));
    }

    async fn turn_in_task(member: &mut Member) {
        let once = MadeOnce::next(member);
        let word = member.dice.u64(..);
        let first = async || {
            member.count(Count::Made);
            yield_now().await;
            [word; 16]
        };
        let made = soon(once.get_or_init_async(first)).await;
        let made = made.expect("it comes free");
        assert_eq!(once.get().expect("it is whole"), Some(made));
    }

    fn judge(outside: &Member, deaths: u64) {
        let (mut made, prefix) = (0, format!("{KEY}.once."));
        for listed in sharehold::list().expect("one may look") {
            let key = &listed.summary.expect("it is whole").key;
            if key.starts_with(&prefix) {
                let once: sharehold::Result<OnceLock<Value>> = Segment::options().attach_part(key);
                let once = once.expect("it is there");
                if let Some(value) = once.get().expect("it is whole") {
                    whole(&value);
                    made += 1;
                }
                Segment::destroy(key, DestroyMode::Immediate).expect("it is there");
            }
        }
        let counted = outside.counted(Count::Made);
        let expected = made..=made + deaths;
        assert!(expected.contains(&counted), "{counted} not in {expected:?}");
    }
}

/// Nobody has a permit that another one has, and what somebody had comes back.
pub(crate) struct NoMoreThanThereAre;

impl Law for NoMoreThanThereAre {
    fn turn(member: &mut Member) {
        let family = Arc::clone(&member.family);
        let permits = &family.inner.permits;
        let count = member.dice.u32(1..3);
        let permit = permits.acquire_many_timeout(count, LONG);
        let permit = permit.expect("they come back");
        let seats = (0..count).map(|_| member.seat()).collect::<Vec<_>>();
        thread::yield_now();
        drop(seats);
        drop(permit);
    }

    async fn turn_in_task(member: &mut Member) {
        let family = Arc::clone(&member.family);
        let permits = &family.inner.permits;
        let count = member.dice.u32(1..3);
        let permit = soon(permits.acquire_many_async(count)).await;
        let permit = permit.expect("they come back");
        let seats = (0..count).map(|_| member.seat()).collect::<Vec<_>>();
        yield_now().await;
        drop(seats);
        drop(permit);
    }

    fn judge(outside: &Member, _: u64) {
        let permits = &outside.family.inner.permits;
        let all = permits.acquire_many_timeout(2, LONG);
        drop(all.expect("they come back"));
        assert_eq!(permits.available().expect("it is no fork"), 2);
    }
}

/// A waiter for an event is woken when it is set, and no more waiters pass than it was set for.
pub(crate) struct NoneSleepsOn;

impl NoneSleepsOn {
    fn set(member: &Member) {
        // Counted before it is set: a waiter that passes finds the count raised.
        member.count(Count::Set);
        member.family.inner.auto.set().expect("it is no fork");
    }

    #[track_caller]
    fn passed(member: &Member) {
        member.count(Count::Passed);
        let counts = member.counts.get().expect("it is whole");
        let (passed, set) = (counts[Count::Passed as usize], counts[Count::Set as usize]);
        assert!(passed <= set, "{passed} passed what was set {set} times");
    }
}

impl Law for NoneSleepsOn {
    fn turn(member: &mut Member) {
        let family = Arc::clone(&member.family);
        match member.dice.u32(..4) {
            0 => NoneSleepsOn::set(member),
            1 => family.inner.manual.reset().expect("it is no fork"),
            2 => family.inner.manual.wait_timeout(LONG).expect("it is set"),
            _ => {
                family.inner.auto.wait_timeout(LONG).expect("it is set");
                NoneSleepsOn::passed(member);
            }
        }
    }

    async fn turn_in_task(member: &mut Member) {
        let family = Arc::clone(&member.family);
        match member.dice.u32(..4) {
            0 => NoneSleepsOn::set(member),
            1 => family.inner.manual.reset().expect("it is no fork"),
            2 => {
                let waited = soon(family.inner.manual.wait_async()).await;
                waited.expect("it is set");
            }
            _ => {
                let waited = soon(family.inner.auto.wait_async()).await;
                waited.expect("it is set");
                NoneSleepsOn::passed(member);
            }
        }
    }

    fn beside(outside: &Member) {
        NoneSleepsOn::set(outside);
        outside.family.inner.manual.set().expect("it is no fork");
    }

    fn judge(outside: &Member, _: u64) {
        let event = &outside.family.inner.auto;
        event.set().expect("it is no fork");
        event.wait_timeout(LONG).expect("it is set");
        assert!(!event.is_set().expect("it is no fork"), "it was taken");
    }
}

/// All participants of a round of a barrier go on, or none if one of them has died; and one of them
/// was the last.
pub(crate) struct AllOrNone;

impl AllOrNone {
    /// Whether they have met.
    #[track_caller]
    fn met(member: &Member, met: sharehold::Result<BarrierWaitResult>) -> bool {
        match met {
            Ok(met) => {
                member.count(Count::Met);
                if met.is_leader() {
                    member.count(Count::Last);
                }
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Broken, "{error}");
                false
            }
        }
    }
}

impl Law for AllOrNone {
    fn turn(member: &mut Member) {
        let family = Arc::clone(&member.family);
        while !AllOrNone::met(member, family.inner.strict.wait_timeout(LONG)) {}
    }

    async fn turn_in_task(member: &mut Member) {
        let family = Arc::clone(&member.family);
        while !AllOrNone::met(member, soon(family.inner.strict.wait_async()).await) {}
    }

    fn settle(outside: &Member) {
        // Dead participants may have arrived in a round that has not ended. New participants begin
        // with no arrivals.
        let finds_nobody = |met: sharehold::Result<BarrierWaitResult>| {
            met.is_err_and(|error| error.kind() == ErrorKind::Timeout)
        };
        while !finds_nobody(outside.family.inner.strict.wait_timeout(SHORT)) {}
    }

    fn judge(outside: &Member, deaths: u64) {
        let (met, last) = (outside.counted(Count::Met), outside.counted(Count::Last));
        assert!(met <= 3 * (last + deaths), "{met} met, {last} as the last");
        assert!(
            3 * last <= met + 3 * deaths,
            "{met} met, {last} as the last"
        );
    }
}

/// All of these at once, in one segment.
pub(crate) struct All;

impl Law for All {
    fn turn(member: &mut Member) {
        match member.dice.u32(..4) {
            0 => OneAtATime::turn(member),
            1 => ManyOrOne::turn(member),
            2 => NoMoreThanThereAre::turn(member),
            _ => NoneSleepsOn::turn(member),
        }
    }

    async fn turn_in_task(member: &mut Member) {
        match member.dice.u32(..4) {
            0 => OneAtATime::turn_in_task(member).await,
            1 => ManyOrOne::turn_in_task(member).await,
            2 => NoMoreThanThereAre::turn_in_task(member).await,
            _ => NoneSleepsOn::turn_in_task(member).await,
        }
    }

    fn beside(outside: &Member) {
        NoneSleepsOn::beside(outside);
    }

    fn judge(outside: &Member, deaths: u64) {
        OneAtATime::judge(outside, deaths);
        ManyOrOne::judge(outside, deaths);
        NoMoreThanThereAre::judge(outside, deaths);
        NoneSleepsOn::judge(outside, deaths);
    }
}
