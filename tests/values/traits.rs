//! Which handles and guards may be sent to other threads, and which may be used by several at once.

use sharehold::{
    Abandoned, AcquireError, Attachment, Barrier, BarrierOptions, BarrierWaitResult, DeathPolicy,
    Departures, DestroyMode, Error, Event, GuardError, GuardNoSend, GuardSend, Inspection,
    LockError, Mutex, MutexGuard, OnceLock, Permit, Policy, PollableWatch, ReadGuard,
    ReadOnlySegment, ReadOnlyShared, ReadOnlyUntypedShared, ResetMode, RwLock, Schema, Segment,
    SegmentGuard, Semaphore, Shared, Summary, Transaction, UntypedParts, UntypedShared, Versioned,
    Watch, WriteGuard,
};
use sharehold_testkit::Suite;

pub(crate) fn suite() -> Suite {
    Suite::new().test(handles_and_guards_go_where_they_may)
}

fn is_send<T: ?Sized + Send>() {}
fn is_sync<T: ?Sized + Sync>() {}
fn is_hash<T: std::hash::Hash>() {}

/// Has one `check` for a type without `Send`, and two, so that the compiler cannot choose, for one
/// with it.
trait NotSend<Case> {
    fn check() {}
}

struct WithSend;

impl<T: ?Sized> NotSend<()> for T {}
impl<T: ?Sized + Send> NotSend<WithSend> for T {}

macro_rules! both {
    ($($type:ty),* $(,)?) => {$(
        is_send::<$type>();
        is_sync::<$type>();
    )*};
}

macro_rules! only_shared {
    ($($type:ty),* $(,)?) => {$(
        <$type as NotSend<_>>::check();
        is_sync::<$type>();
    )*};
}

/// The futures of locks may be polled on any thread. All but those of readers may also be part of a
/// value that several threads use.
fn check_futures(segment: &Segment, mutex: &Mutex<u64>, lock: &RwLock<u64>, once: &OnceLock<u64>) {
    fn send<T: Send>(_future: T) {}
    fn both<T: Send + Sync>(_future: T) {}
    both(segment.lock_async());
    both(mutex.lock_async());
    send(lock.read_async());
    both(lock.write_async());
    both(once.wait_async());
}

/// The compiler is the test.
fn handles_and_guards_go_where_they_may() {
    let _: fn(&Segment, &Mutex<u64>, &RwLock<u64>, &OnceLock<u64>) = check_futures;
    both!(
        Segment,
        ReadOnlySegment,
        Shared<u64>,
        ReadOnlyShared<u64>,
        UntypedShared,
        ReadOnlyUntypedShared,
        Mutex<u64>,
        RwLock<u64>,
        OnceLock<u64>,
        Semaphore,
        Event,
        Barrier,
        Departures<'static>,
        Versioned<u64>,
        Watch<'static, u64>,
        PollableWatch<'static, u64>,
        UntypedParts,
        Schema,
        Attachment,
        Inspection,
        Summary,
        BarrierOptions,
        BarrierWaitResult,
        Error,
        AcquireError,
    );
    // What a thread locked is its own. Others may look through it meanwhile.
    only_shared!(
        GuardNoSend,
        SegmentGuard<'static>,
        Abandoned<'static>,
        MutexGuard<'static, u64>,
        WriteGuard<'static, u64>,
        LockError<'static>,
        GuardError<WriteGuard<'static, u64>>,
    );
    // These belong to a task, or to any thread.
    both!(
        GuardSend,
        SegmentGuard<'static, GuardSend>,
        Abandoned<'static, GuardSend>,
        MutexGuard<'static, u64, GuardSend>,
        WriteGuard<'static, u64, GuardSend>,
        ReadGuard<'static, u64>,
        Permit<'static>,
        LockError<'static, GuardSend>,
        GuardError<ReadGuard<'static, u64>>,
    );
    is_sync::<Transaction<'static>>();
    // These may be the keys of a map.
    is_hash::<(Policy, DestroyMode, DeathPolicy, ResetMode)>();
    is_hash::<(
        BarrierOptions,
        BarrierWaitResult,
        Attachment,
        Versioned<u64>,
    )>();
}
