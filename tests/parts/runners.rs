//! How the members of a law run: as threads of one process, as tasks, as processes, and as
//! processes that are stopped and killed at random.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use sharehold_testkit::{Child, Suite, Talk};
use tempfile::NamedTempFile;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::create;
use super::laws::{
    All, AllOrNone, Law, MadeOnce, ManyOrOne, Member, NoMoreThanThereAre, NoneSleepsOn, OneAtATime,
};

pub(crate) fn suite() -> Suite {
    let suite = keeps::<OneAtATime>(Suite::new());
    let suite = keeps::<ManyOrOne>(suite);
    let suite = keeps::<MadeOnce>(suite);
    let suite = keeps::<NoMoreThanThereAre>(suite);
    let suite = keeps::<NoneSleepsOn>(suite);
    let suite = keeps::<AllOrNone>(suite);
    keeps::<All>(suite)
}

/// Adds the tests of a law.
fn keeps<L: Law>(suite: Suite) -> Suite {
    suite
        .test(among_threads::<L>)
        .test(among_tasks::<L>)
        .test(among_processes::<L>)
        .test(among_the_killed::<L>)
        .role(member::<L>)
}

const MEMBERS: usize = 3;
/// As what a process takes part.
const THREAD: &str = "thread";
const TASK: &str = "task";
/// How often each takes part.
const TURNS: usize = 300;
/// For how long they are stopped and killed.
const TIME: Duration = Duration::from_secs(3);
/// How many deaths there are at least, however slow the machine is.
const ENOUGH: u64 = 20;

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("there are threads")
}

/// An onlooker, while and after others take part.
fn outside() -> (Member, NamedTempFile) {
    let file = NamedTempFile::new().expect("there is room");
    (Member::first(create(), file.path()), file)
}

/// Does what is done beside a law while `body` runs.
fn beside<L: Law, R>(outside: &Member, body: impl FnOnce() -> R) -> R {
    let ends = AtomicBool::new(false);
    let outside = outside.another();
    thread::scope(|scope| {
        scope.spawn(|| {
            let outside = outside;
            while !ends.load(Ordering::Relaxed) {
                L::beside(&outside);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        ends.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn among_threads<L: Law>() {
    let (outside, file) = outside();
    beside::<L, _>(&outside, || {
        thread::scope(|scope| {
            for number in 0..MEMBERS {
                let mut member = if number == 0 {
                    Member::attached(file.path())
                } else {
                    outside.another()
                };
                scope.spawn(move || (0..TURNS).for_each(|_| L::turn(&mut member)));
            }
        });
    });
    L::judge(&outside, 0);
}

fn among_tasks<L: Law>() {
    let (outside, file) = outside();
    beside::<L, _>(&outside, || {
        runtime().block_on(async {
            let mut tasks = JoinSet::new();
            for number in 0..MEMBERS {
                let mut member = if number == 0 {
                    Member::attached(file.path())
                } else {
                    outside.another()
                };
                tasks.spawn(async move {
                    for _ in 0..TURNS {
                        L::turn_in_task(&mut member).await;
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.expect("it keeps the law");
            }
        });
    });
    L::judge(&outside, 0);
}

/// Takes part as a process, by its thread or in a task: so often, or until it is killed.
fn member<L: Law>(test: &mut Talk) {
    let mut member = Member::attached(Path::new(&test.argument(0)));
    let turns = test.number(1);
    test.say("attached");
    if test.argument(2) == THREAD {
        (0..turns).for_each(|_| L::turn(&mut member));
    } else {
        runtime().block_on(async {
            for _ in 0..turns {
                L::turn_in_task(&mut member).await;
            }
        });
    }
    test.say("done");
    test.wait_for_end();
}

fn start<L: Law>(file: &NamedTempFile, turns: usize, how: &str) -> Child {
    let path = file.path().display().to_string();
    let mut child = Child::with(member::<L>, [&path, &turns.to_string(), how]);
    child.hears("attached");
    child
}

fn among_processes<L: Law>() {
    let (outside, file) = outside();
    take_part::<L>(&outside, &file);
    L::judge(&outside, 0);
}

fn take_part<L: Law>(outside: &Member, file: &NamedTempFile) {
    beside::<L, _>(outside, || {
        let mut members = [THREAD, THREAD, TASK].map(|how| start::<L>(file, TURNS, how));
        for member in &mut members {
            member.hears("done");
        }
        members.iter_mut().for_each(Child::ends_well);
    });
}

fn among_the_killed<L: Law>() {
    let (outside, file) = outside();
    let mut deaths = 0;
    beside::<L, _>(&outside, || {
        let start = |how| start::<L>(&file, usize::MAX, how);
        let mut members = [THREAD, THREAD, TASK].map(start);
        let mut dice = Rng::with_seed(7);
        let end = Instant::now() + TIME;
        while Instant::now() < end || deaths < ENOUGH {
            thread::sleep(Duration::from_micros(dice.u64(..4000)));
            let chosen = &mut members[dice.usize(..MEMBERS)];
            if dice.bool() {
                chosen.stop();
                thread::sleep(Duration::from_micros(dice.u64(..4000)));
                chosen.resume();
            } else {
                // Dead of this, and of nothing that it found.
                chosen.kill();
                deaths += 1;
                *chosen = start(if dice.bool() { THREAD } else { TASK });
            }
        }
        for member in &mut members {
            member.kill();
            deaths += 1;
        }
    });
    // A later caller finds nothing in the way.
    L::settle(&outside);
    take_part::<L>(&outside, &file);
    L::judge(&outside, deaths);
    println!("{deaths} deaths");
}
