//! Waiting in tasks, with two executors that know nothing of each other: many at once, cancelled
//! ones, and ones with peers that die.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sharehold::{ErrorKind, LockError, PollableWatch, Segment, Shared};
use sharehold_testkit::raw::Fork;
use sharehold_testkit::{Child, Suite, Talk};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{KEY, LONG, wait_until_idle};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_task_waits_for_a_change_under_any_executor)
        .test(a_task_has_the_lock_after_a_dead_holder)
        .test(tasks_exclude_each_other_on_many_threads)
        .test(many_tasks_wait_for_many_values)
        .test(a_cancelled_task_leaves_nothing_behind)
        .test(a_cancelled_task_passes_its_wake_up_on)
        .test(a_task_sees_a_change_after_the_death_of_one_in_a_change)
        .test(a_task_learns_of_departures)
        .test(a_forked_child_waits_with_threads_of_its_own)
        .test(an_event_loop_follows_a_value)
        .test(idle_tasks_cost_nothing)
        .role(holder)
        .role(changer)
        .role(idle)
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("there are threads")
}

/// Holds the lock until it is told to release it, or killed.
fn holder(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let guard = segment.lock().expect("it is free");
    test.say("locked");
    test.hear();
    drop(guard);
    test.wait_for_end();
}

/// Dies in a change, or makes it.
fn changer(test: &mut Talk) {
    let shared = Shared::<u64>::attach(KEY).expect("it is there");
    let made = shared.update(|value| {
        test.say("in the change");
        test.hear();
        *value = 9;
    });
    made.expect("it can be changed");
}

/// Waits in tasks for what never comes.
fn idle(test: &mut Talk) {
    let shared = Shared::<u64>::attach(KEY).expect("it is there");
    let mut first = pin!(shared.wait_while_async(|_| true));
    let mut second = pin!(shared.wait_while_async(|_| true));
    let woken = Arc::new(Woken::default());
    assert!(woken.poll(first.as_mut()).is_pending());
    assert!(woken.poll(second.as_mut()).is_pending());
    test.say("ready");
    test.wait_for_end();
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn poll<F: Future>(self: &Arc<Self>, future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        let waker = Arc::clone(self).into();
        future.poll(&mut Context::from_waker(&waker))
    }
}

fn a_task_waits_for_a_change_under_any_executor() {
    let shared = Arc::new(Shared::create(KEY, &0_u64).expect("nothing has the key"));
    runtime().block_on(async {
        let waiting = Arc::clone(&shared);
        let task = tokio::spawn(async move { waiting.wait_while_async(|it| *it < 2).await });
        for value in 1..=2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            shared.set(&value).expect("it can be changed");
        }
        let found = timeout(LONG, task).await.expect("it is woken");
        let found = found.expect("it does not panic");
        assert_eq!(found.expect("it can wait"), 2);
    });
    let mut watch = shared.watch().expect("it is ours");
    let later = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || shared.set(&3)
    });
    let found = pollster::block_on(watch.changed_async());
    assert_eq!(found.expect("it can wait").value, 3);
    later.join().expect("it ends").expect("it can be changed");
    let read_only = Shared::<u64>::attach_read_only(KEY).expect("it is there");
    let found = pollster::block_on(read_only.wait_while_async(|it| *it != 3));
    assert_eq!(found.expect("it can wait"), 3);
}

fn a_task_has_the_lock_after_a_dead_holder() {
    let segment = Segment::create(KEY, 100).expect("nothing has the key");
    runtime().block_on(async {
        let mut child = Child::of(holder);
        child.hears("locked");
        let refused = timeout(Duration::from_millis(20), segment.lock_async()).await;
        assert!(refused.is_err(), "it is held");
        child.tell("release");
        let guard = timeout(LONG, segment.lock_async()).await.expect("in time");
        drop(guard.expect("it was released"));
        child.ends_well();

        let mut child = Child::of(holder);
        child.hears("locked");
        let mut waiting = pin!(segment.lock_async());
        let early = timeout(Duration::from_millis(20), waiting.as_mut()).await;
        assert!(early.is_err(), "it is held");
        child.kill();
        match timeout(LONG, waiting).await.expect("in time") {
            Err(LockError::Abandoned(found)) => {
                assert_eq!(found.previous_owner().map(|it| it.pid), Some(child.pid()));
                drop(found.mark_consistent());
            }
            other => panic!("the dead holder is not reported: {other:?}"),
        }
    });
    drop(segment.try_lock().expect("it is free"));
}

fn tasks_exclude_each_other_on_many_threads() {
    const TASKS: usize = 20;
    const TURNS: u64 = 200;
    let segment = Arc::new(Segment::create(KEY, 8).expect("nothing has the key"));
    runtime().block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let segment = Arc::clone(&segment);
            tasks.spawn(async move {
                for _ in 0..TURNS {
                    let mut guard = segment.lock_async().await.expect("nobody died");
                    let count: u64 = guard.read_at(0).expect("it is there");
                    // The guard moves to another thread, perhaps.
                    tokio::task::yield_now().await;
                    guard.write_at(0, &(count + 1)).expect("it is there");
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("it does not panic");
        }
    });
    let count: u64 = segment
        .lock()
        .expect("it is free")
        .read_at(0)
        .expect("it is there");
    assert_eq!(count, TASKS as u64 * TURNS);
}

fn many_tasks_wait_for_many_values() {
    // More than the system waits for at once.
    const VALUES: usize = 300;
    let all: Vec<Arc<Shared<u64>>> = (0..VALUES)
        .map(|number| {
            let key = format!("{KEY}.{number}");
            Arc::new(Shared::create(&key, &0).expect("nothing has the key"))
        })
        .collect();
    runtime().block_on(async {
        let mut tasks = JoinSet::new();
        for shared in &all {
            let shared = Arc::clone(shared);
            tasks.spawn(async move { shared.wait_while_async(|value| *value == 0).await });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        for (number, shared) in (1..).zip(&all) {
            shared.set(&number).expect("it can be changed");
        }
        let mut sum = 0;
        while let Some(ended) = timeout(LONG, tasks.join_next()).await.expect("in time") {
            sum += ended.expect("it does not panic").expect("it can wait");
        }
        assert_eq!(sum, (1..=VALUES as u64).sum());
    });
}

fn a_cancelled_task_leaves_nothing_behind() {
    let shared = Shared::create(KEY, &0_u64).expect("nothing has the key");
    let woken = Arc::new(Woken::default());
    for _ in 0..200 {
        let mut waiting = Box::pin(shared.wait_while_async(|value| *value == 0));
        assert!(woken.poll(waiting.as_mut()).is_pending());
    }
    // All are dropped; one that lives is woken, and only that one.
    let mut waiting = pin!(shared.wait_while_async(|value| *value == 0));
    let alive = Arc::new(Woken::default());
    assert!(alive.poll(waiting.as_mut()).is_pending());
    shared.set(&1).expect("it can be changed");
    while alive.0.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    assert!(matches!(alive.poll(waiting.as_mut()), Poll::Ready(Ok(1))));
    assert_eq!(woken.0.load(Ordering::SeqCst), 0);
}

fn a_cancelled_task_passes_its_wake_up_on() {
    let segment = Segment::create(KEY, 8).expect("nothing has the key");
    for _ in 0..20 {
        let guard = segment.lock().expect("it is free");
        let woken = Arc::new(Woken::default());
        let mut cancelled = Box::pin(segment.lock_async());
        assert!(woken.poll(cancelled.as_mut()).is_pending());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| segment.lock_timeout(LONG).map(drop).is_ok());
            drop(guard);
            drop(cancelled);
            assert!(waiter.join().expect("it ends"), "nobody holds it any more");
        });
        drop(segment.try_lock().expect("nobody holds it any more"));
    }
}

fn a_task_sees_a_change_after_the_death_of_one_in_a_change() {
    let shared = Shared::create(KEY, &0_u64).expect("nothing has the key");
    runtime().block_on(async {
        let mut victim = Child::of(changer);
        victim.hears("in the change");
        let mut waiting = pin!(shared.wait_while_async(|value| *value == 0));
        let early = timeout(Duration::from_millis(20), waiting.as_mut()).await;
        assert!(early.is_err(), "nothing has changed");
        victim.kill();
        let early = timeout(Duration::from_millis(50), waiting.as_mut()).await;
        assert!(early.is_err(), "nothing has changed");
        let mut changer = Child::of(changer);
        changer.hears("in the change");
        changer.tell("go on");
        let found = timeout(LONG, waiting).await.expect("in time");
        assert_eq!(found.expect("it can wait"), 9);
        changer.ends_well();
    });
}

fn a_task_learns_of_departures() {
    let segment = Segment::create(KEY, 8).expect("nothing has the key");
    runtime().block_on(async {
        let mut departures = segment.departures().expect("it is ours");
        for _ in 0..3 {
            let mut victim = Child::of(holder);
            let said = victim.hear();
            assert_eq!(said, "locked");
            let waiting = departures.next_departure_async();
            victim.kill();
            let gone = timeout(LONG, waiting).await.expect("in time");
            assert_eq!(gone.expect("it can wait").pid, victim.pid());
            let found = segment.lock().err().map(|error| error.kind());
            assert_eq!(found, Some(ErrorKind::Abandoned));
            match segment.lock() {
                Err(LockError::Abandoned(found)) => drop(found.mark_consistent()),
                other => panic!("the dead holder is not reported: {other:?}"),
            }
        }
    });
}

fn a_forked_child_waits_with_threads_of_its_own() {
    let shared = Shared::create(KEY, &0_u64).expect("nothing has the key");
    let woken = Arc::new(Woken::default());
    let mut waiting = pin!(shared.wait_while_async(|value| *value == 0));
    assert!(woken.poll(waiting.as_mut()).is_pending());
    // The other thread is the helper, which sleeps.
    let child = Fork::Fork.start_beside(1, || {
        let inherited = woken.poll(waiting.as_mut());
        let refused =
            matches!(inherited, Poll::Ready(Err(error)) if error.kind() == ErrorKind::Forked);
        let own = Shared::<u64>::attach(KEY).expect("it is there");
        std::thread::scope(|scope| {
            let changer = scope.spawn(|| own.set(&5));
            let found = pollster::block_on(own.wait_while_async(|value| *value == 0));
            let joined = changer.join().is_ok();
            i32::from(!(joined && refused && found.is_ok_and(|value| value == 5)))
        })
    });
    let ended = child.exit_code() == Some(0);
    assert!(ended, "the child waits as any process does");
    while woken.0.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    assert!(matches!(woken.poll(waiting.as_mut()), Poll::Ready(Ok(5))));
}

fn an_event_loop_follows_a_value() {
    let shared = Shared::create(KEY, &0_u64).expect("nothing has the key");
    let watch = shared.watch().expect("it is ours");
    let mut watch = watch.into_pollable().expect("there are descriptors");
    assert!(watch.try_changed().expect("it can look").is_none());
    for value in 1..=20 {
        let nothing = Timespec::default();
        assert_eq!(poll(&mut [readable(&watch)], Some(&nothing)), Ok(0));
        shared.set(&value).expect("it can be changed");
        assert_eq!(poll(&mut [readable(&watch)], None), Ok(1));
        let found = watch.try_changed().expect("it can look");
        assert_eq!(found.expect("it was changed").value, value);
        assert!(watch.try_changed().expect("it can look").is_none());
    }
}

fn readable<'a>(watch: &'a PollableWatch<'_, u64>) -> PollFd<'a> {
    PollFd::new(watch.signal(), PollFlags::IN)
}

fn idle_tasks_cost_nothing() {
    let shared = Shared::create(KEY, &0_u64).expect("nothing has the key");
    let mut child = Child::of(idle);
    child.hears("ready");
    wait_until_idle(child.pid());
    drop(shared);
    child.ends_well();
}
