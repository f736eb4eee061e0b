//! One process holds something, or waits for it, and is killed or stopped.

use sharehold::{BarrierWaitResult, ErrorKind};
use sharehold_testkit::{Child, Suite, Talk};

use super::{LONG, SHORT, attach, create};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_dead_holder_of_a_mutex_is_named_and_its_change_is_not_seen)
        .test(a_dead_reader_lets_the_writer_in)
        .test(a_stopped_reader_keeps_writers_out)
        .test(a_dead_writer_lets_readers_in)
        .test(a_dead_waiting_writer_lets_readers_in)
        .test(a_dead_waiting_reader_blocks_no_process)
        .test(permits_of_the_dead_come_back)
        .test(permits_of_the_stopped_do_not)
        .test(a_killed_waiter_takes_nothing_along)
        .test(a_death_breaks_the_round_for_all)
        .test(the_dead_are_left_out)
        .test(a_value_that_is_being_made_is_made_by_the_next)
        .test(a_waiter_for_a_value_is_woken_despite_deaths)
        .test(a_waiter_for_an_initial_value_gets_it)
        .test(a_detach_gives_back_forgotten_guards)
        .role(actor)
}

/// Does what it is told, and says what came of it.
fn actor(test: &mut Talk) {
    let family = attach();
    test.say("attached");
    loop {
        let said = match test.hear().as_str() {
            "hold mutex" => {
                let mut guard = family.mutex.lock().expect("it comes free");
                guard[0] = 7;
                std::mem::forget(guard);
                "holds".to_owned()
            }
            "read" => {
                std::mem::forget(family.inner.rwlock.read().expect("it comes free"));
                "reads".to_owned()
            }
            "write" => {
                let mut guard = family.inner.rwlock.write().expect("it comes free");
                guard[0] = 7;
                std::mem::forget(guard);
                "writes".to_owned()
            }
            "take" => {
                family.inner.permits.acquire().expect("it comes").forget();
                "has".to_owned()
            }
            "wait" => {
                family.inner.auto.wait().expect("it is set");
                "happened".to_owned()
            }
            "strict" => outcome(family.inner.strict.wait()),
            "lenient" => outcome(family.inner.lenient.wait()),
            "await" => {
                let guard = family.mutex.lock().expect("it comes free");
                let guard = guard.wait_while(|it| it[0] == 0).expect("it changes");
                guard[0].to_string()
            }
            "await first" => family.once.wait().expect("it is made")[0].to_string(),
            "change" => {
                *family.mutex.lock().expect("it comes free") = [9; 16];
                "changed".to_owned()
            }
            "make" => {
                let made = family.once.get_or_init(|| {
                    test.say("makes");
                    test.hear();
                    [1; 16]
                });
                made.expect("it is made")[0].to_string()
            }
            _ => return,
        };
        test.say(said);
    }
}

fn outcome(met: sharehold::Result<BarrierWaitResult>) -> String {
    match met {
        Ok(_) => "met".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn start() -> Child {
    let mut child = Child::of(actor);
    child.hears("attached");
    child
}

/// A child that has done something.
fn that_has(deed: &str, says: &str) -> Child {
    let mut child = start();
    child.tell(deed);
    child.hears(says);
    child
}

/// A child that sleeps in something.
fn asleep_in(deed: &str) -> Child {
    let mut child = start();
    child.tell(deed);
    child.waits_for_memory();
    child
}

#[track_caller]
fn assert_refused<T>(tried: sharehold::Result<T>, kind: ErrorKind, by: &Child) {
    let error = tried.map(drop).expect_err("somebody is in the way");
    assert_eq!(error.kind(), kind, "{error}");
    let said = error.to_string();
    assert!(said.contains(&format!("pid {}", by.pid())), "{said}");
}

fn a_dead_holder_of_a_mutex_is_named_and_its_change_is_not_seen() {
    let family = create();
    let mut holder = that_has("hold mutex", "holds");
    assert_refused(family.mutex.try_lock(), ErrorKind::WouldBlock, &holder);
    assert_refused(
        family.mutex.lock_timeout(SHORT),
        ErrorKind::Timeout,
        &holder,
    );
    holder.kill();
    let guard = family.mutex.lock_timeout(LONG).expect("it comes free");
    assert_eq!(*guard, [0; 16]);
    let dead = guard.recovered_from().expect("it died holding it");
    assert_eq!(dead.pid, holder.pid());
    drop(guard);
    let again = family.mutex.lock().expect("it is free");
    assert!(again.recovered_from().is_none(), "it is told once");
}

fn a_dead_reader_lets_the_writer_in() {
    let family = create();
    let mut reader = that_has("read", "reads");
    let second = family.inner.rwlock.try_read();
    drop(second.expect("readers share"));
    assert_refused(
        family.inner.rwlock.try_write(),
        ErrorKind::WouldBlock,
        &reader,
    );
    reader.kill();
    drop(
        family
            .inner
            .rwlock
            .try_write()
            .expect("the dead do not read"),
    );
}

fn a_stopped_reader_keeps_writers_out() {
    let family = create();
    let mut reader = that_has("read", "reads");
    reader.stop();
    assert_refused(
        family.inner.rwlock.write_timeout(SHORT),
        ErrorKind::Timeout,
        &reader,
    );
    drop(family.inner.rwlock.try_read().expect("the writer gave up"));
    reader.kill();
    drop(family.inner.rwlock.write_timeout(LONG).expect("it is dead"));
}

fn a_dead_writer_lets_readers_in() {
    let family = create();
    let mut writer = that_has("write", "writes");
    assert_refused(
        family.inner.rwlock.try_read(),
        ErrorKind::WouldBlock,
        &writer,
    );
    assert_refused(
        family.inner.rwlock.read_timeout(SHORT),
        ErrorKind::Timeout,
        &writer,
    );
    let mut reader = asleep_in("read");
    writer.kill();
    reader.hears("reads");
    let guard = family.inner.rwlock.read_timeout(LONG).expect("it is dead");
    assert_eq!(*guard, [0; 16]);
}

fn a_dead_waiting_writer_lets_readers_in() {
    let family = create();
    let reader = family.inner.rwlock.read().expect("nobody is inside");
    let mut writer = asleep_in("write");
    assert_refused(
        family.inner.rwlock.try_read(),
        ErrorKind::WouldBlock,
        &writer,
    );
    writer.kill();
    drop(family.inner.rwlock.read_timeout(LONG).expect("it is dead"));
    drop(reader);
    drop(
        family
            .inner
            .rwlock
            .write_timeout(LONG)
            .expect("nobody is inside"),
    );
}

fn a_dead_waiting_reader_blocks_no_process() {
    let family = create();
    let writer = family.inner.rwlock.write().expect("nobody is inside");
    let mut reader = asleep_in("read");
    reader.kill();
    drop(writer);
    // What it waited for has come, and it is not there.
    drop(family.inner.rwlock.write_timeout(LONG).expect("it is dead"));
}

fn permits_of_the_dead_come_back() {
    let family = create();
    let permits = &family.inner.permits;
    let mut first = that_has("take", "has");
    let mut second = that_has("take", "has");
    let refusal = permits.try_acquire().map(drop);
    assert_eq!(refusal.map_err(|it| it.kind()), Err(ErrorKind::WouldBlock));
    let mut third = asleep_in("take");
    first.kill();
    third.hears("has");
    second.kill();
    drop(permits.acquire_timeout(LONG).expect("it comes back"));
    third.kill();
    drop(permits.acquire_many_timeout(2, LONG).expect("all are dead"));
    assert_eq!(permits.available().expect("it is no fork"), 2);
}

fn permits_of_the_stopped_do_not() {
    let family = create();
    let mut holder = that_has("take", "has");
    holder.stop();
    let permits = &family.inner.permits;
    assert_refused(
        permits.acquire_many_timeout(2, SHORT),
        ErrorKind::Timeout,
        &holder,
    );
    drop(permits.try_acquire().expect("one is left"));
    holder.kill();
}

fn a_killed_waiter_takes_nothing_along() {
    let family = create();
    for _ in 0..20 {
        let mut victims = [asleep_in("wait"), asleep_in("wait")];
        let mut survivor = asleep_in("wait");
        for victim in &victims {
            victim.kill_soon();
        }
        family.inner.auto.set().expect("it is no fork");
        for victim in &mut victims {
            victim.end();
        }
        // Unless a dying one took it and died with it: then it had happened to that one.
        if !family.inner.auto.is_set().expect("it is no fork") {
            family.inner.auto.set().expect("it is no fork");
        }
        survivor.hears("happened");
        family.inner.auto.reset().expect("it is no fork");
    }
}

fn a_death_breaks_the_round_for_all() {
    let _family = create();
    let mut children = [start(), start(), start()];
    for child in &mut children {
        child.tell("strict");
    }
    for child in &mut children {
        child.hears("met");
    }
    let [first, second, third] = &mut children;
    for child in [&mut *first, &mut *second] {
        child.tell("strict");
        child.waits_for_memory();
    }
    third.kill();
    first.hears("Broken");
    second.hears("Broken");
    let mut heir = start();
    for child in [&mut *first, &mut *second, &mut heir] {
        child.tell("strict");
    }
    for child in [first, second, &mut heir] {
        child.hears("met");
    }
}

fn the_dead_are_left_out() {
    let _family = create();
    let mut children = [start(), start(), start()];
    for child in &mut children {
        child.tell("lenient");
    }
    for child in &mut children {
        child.hears("met");
    }
    let [first, second, third] = &mut children;
    first.tell("lenient");
    third.kill();
    second.tell("lenient");
    first.hears("met");
    second.hears("met");
    // One that died in the middle of a round.
    second.tell("lenient");
    second.waits_for_memory();
    second.kill();
    first.tell("lenient");
    first.hears("met");
}

fn a_value_that_is_being_made_is_made_by_the_next() {
    let family = create();
    let mut first = that_has("make", "makes");
    let mut second = asleep_in("make");
    assert_eq!(family.once.get().expect("it is no fork"), None);
    first.kill();
    second.hears("makes");
    second.tell("on");
    second.hears("1");
    assert_eq!(family.once.get().expect("it is whole"), Some([1; 16]));
    drop(first);
}

fn a_detach_gives_back_forgotten_guards() {
    let family = create();
    let mut other = that_has("take", "has");
    other.ends_well();
    let all = family.inner.permits.acquire_many_timeout(2, LONG);
    drop(all.expect("it is gone"));
}

fn a_waiter_for_a_value_is_woken_despite_deaths() {
    let family = create();
    let mut victim = asleep_in("await");
    let mut survivors = [asleep_in("await"), asleep_in("await")];
    let mut holder = that_has("hold mutex", "holds");
    victim.kill();
    holder.kill();
    let mut changer = that_has("change", "changed");
    for survivor in &mut survivors {
        survivor.hears("9");
    }
    changer.kill();
    drop(family.mutex.lock_timeout(LONG).expect("it is free"));
    let waits = family.mutex.lock().expect("it is free");
    let late = waits.wait_while_timeout(SHORT, |it| it[0] == 9).map(drop);
    assert_eq!(late.expect_err("nobody does").kind(), ErrorKind::Timeout);
    drop(family.mutex.try_lock().expect("it was released"));
}

fn a_waiter_for_an_initial_value_gets_it() {
    let family = create();
    let late = family
        .once
        .wait_timeout(SHORT)
        .expect_err("nobody makes it");
    assert_eq!(late.kind(), ErrorKind::Timeout);
    let mut waiters = [asleep_in("await first"), asleep_in("await first")];
    let mut maker = that_has("make", "makes");
    maker.kill();
    family.once.get_or_init(|| [4; 16]).expect("it comes free");
    for waiter in &mut waiters {
        waiter.hears("4");
    }
}
