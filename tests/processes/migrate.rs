//! Migration: one step under the key, while old processes are attached and get the error, even if
//! any process dies meanwhile.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sharehold::{
    Contents, DestroyMode, ErrorKind, Mutex, Policy, Result, Segment, SegmentOptions, Shareable,
    Shared,
};
use sharehold_testkit::raw::lock_byte;
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory};

use crate::roles::{KEY, LONG, attached, created, describe, holding, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_value_is_migrated_and_its_users_get_an_error)
        .test(bytes_are_migrated_and_waiters_for_their_lock_get_an_error)
        .test(what_is_migrated_already_is_attached_to)
        .test(of_many_that_migrate_at_once_one_does)
        .test(a_migration_that_fails_changes_nothing)
        .test(a_migrator_killed_at_work_leaves_the_old_value_to_its_users)
        .test(what_a_dead_migrator_left_is_removed)
        .test(a_migrator_killed_at_its_last_step_blocks_no_process)
        .test(an_older_format_is_exported_and_migrated)
        .test(an_older_format_in_use_is_not_migrated)
        .test(an_older_format_is_exported_as_of_the_last_commit)
        .test(parts_are_not_migrated)
        .role(old_user)
        .role(migrator)
        .role(dies_in_a_transaction)
        .role(asks_without_descriptors)
}

/// What the release before had.
#[derive(Debug, Shareable)]
#[repr(C)]
struct Old {
    done: u64,
}

/// What this one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Shareable)]
#[repr(C)]
struct New {
    done: u64,
    failed: u64,
}

fn options() -> SegmentOptions {
    Segment::options().policy(Policy::Persistent).mode(0o640)
}

fn made(done: u64) -> Shared<Old> {
    options()
        .create_shared(KEY, &Old { done })
        .expect("nothing has the key")
}

/// The new value of an old one, with the first byte for plain bytes.
fn new(old: &Contents) -> New {
    let done = match old.get("done") {
        Ok(done) => done.to_string().parse().expect("it is a number"),
        Err(_) => u64::from(old.bytes()[0]),
    };
    New { done, failed: 0 }
}

fn migrate() -> Result<Shared<New>> {
    Segment::options().migrate_shared(KEY, |old| Ok(new(old)))
}

fn path() -> PathBuf {
    let names = left_in_directory();
    assert_eq!(names.len(), 1, "{names:?}");
    directory().join(&names[0])
}

fn destroyed() {
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");
    assert!(left_in_directory().is_empty());
}

/// Uses the old type as it is told.
fn old_user(test: &mut Talk) {
    let shared = Shared::<Old>::attach(KEY).expect("it is there");
    let reader = Shared::<Old>::attach_read_only(KEY).expect("it is there");
    test.say("attached");
    let told =
        |result: Result<String>| result.unwrap_or_else(|error| format!("{:?}", error.kind()));
    loop {
        let said = match test.hear().as_str() {
            "" => break,
            "get" => shared.get().map(|it| it.done.to_string()),
            "set" => shared.set(&Old { done: 99 }).map(|()| "set".to_owned()),
            "wait" => {
                let done = shared.wait_while(|it| it.done < 1000);
                done.map(|it| it.done.to_string())
            }
            "wait read-only" => {
                let done = reader.wait_while(|it| it.done < 1000);
                done.map(|it| it.done.to_string())
            }
            other => panic!("no such order: {other}"),
        };
        test.say(told(said));
    }
}

fn used() -> Child {
    let mut child = Child::of(old_user);
    child.hears("attached");
    child
}

fn a_value_is_migrated_and_its_users_get_an_error() {
    let old = made(7);
    let mut user = used();
    let mut waiter = used();
    let mut reader = used();
    waiter.tell("wait");
    reader.tell("wait read-only");
    waiter.waits_for_memory();
    reader.waits_for_memory();

    let shared = migrate().expect("it can be migrated");
    assert_eq!(
        shared.get().expect("it is whole"),
        New { done: 7, failed: 0 }
    );
    assert_eq!(shared.segment().policy(), Policy::Persistent);
    let mode = fs::metadata(path())
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(
        shared.segment().attachments().expect("one may look").len(),
        1
    );

    waiter.hears("Migrated");
    reader.hears("Migrated");
    for child in [&mut user, &mut waiter, &mut reader] {
        assert_eq!(child.ask("set"), "Migrated");
        assert_eq!(child.ask("wait"), "Migrated");
        assert_eq!(child.ask("get"), "7");
    }
    let error = old.set(&Old { done: 8 }).expect_err("it was migrated");
    assert!(error.to_string().contains("attach again"), "{error}");
    assert_eq!(
        kind(old.segment().try_lock().map(drop).map_err(Into::into)),
        Some(ErrorKind::Migrated)
    );
    assert_eq!(
        kind(Shared::<Old>::attach(KEY)),
        Some(ErrorKind::TypeMismatch)
    );
    // Their end does not touch the new one.
    for mut child in [user, waiter] {
        child.ends_well();
    }
    reader.kill();
    drop(old);
    drop(shared);
    let again = Shared::<New>::attach(KEY).expect("it is persistent");
    assert_eq!(again.get().expect("it is whole").done, 7);
    destroyed();
}

fn bytes_are_migrated_and_waiters_for_their_lock_get_an_error() {
    let bytes = options()
        .size(100)
        .create(KEY)
        .expect("nothing has the key");
    bytes
        .lock()
        .expect("it is free")
        .write(0, &[42])
        .expect("there is room");
    let mut sleeper = attached();
    let sleepers = std::sync::Mutex::new(&mut sleeper);
    let shared = Segment::options().migrate_shared(KEY, |old| {
        assert_eq!((old.schema(), old.bytes().len()), (None, 100));
        assert!(old.is_consistent());
        // It runs under the lock.
        let mut sleeper = sleepers.lock().expect("nobody panicked");
        sleeper.tell("lock");
        sleeper.waits_for_memory();
        Ok(new(old))
    });
    let shared = shared.expect("it can be migrated");
    assert_eq!(shared.get().expect("it is whole").done, 42);
    let said = sleeper.hear();
    assert!(said.starts_with("Migrated"), "{said}");
    assert!(sleeper.ask("try").starts_with("Migrated"));
    drop(bytes);
    drop(shared);
    destroyed();
}

fn what_is_migrated_already_is_attached_to() {
    let first = options().create_shared(KEY, &New { done: 1, failed: 1 });
    let first = first.expect("nothing has the key");
    let again = Segment::options().migrate_shared(KEY, |_| -> Result<New> {
        panic!("there is nothing to migrate")
    });
    let again = again.expect("it is there");
    again.set(&New { done: 2, failed: 2 }).expect("it is free");
    assert_eq!(first.get().expect("it is whole").done, 2);
    drop((first, again));
    destroyed();
    assert_eq!(kind(migrate()), Some(ErrorKind::NotFound));
}

/// Migrates, or says that it is about to and is killed.
fn migrator(test: &mut Talk) {
    let waits = test.argument(0) == "waits";
    if !waits {
        test.say("ready");
        test.hear();
    }
    let talk = std::cell::RefCell::new(test);
    let shared = Segment::options().migrate_shared(KEY, |old| {
        if waits {
            let mut test = talk.borrow_mut();
            test.say("inside");
            test.wait_for_end();
        }
        let New { done, failed } = new(old);
        Ok(New {
            done: done + 1,
            failed,
        })
    });
    let done = shared.and_then(|shared| Ok(shared.get()?.done));
    let test = talk.into_inner();
    match done {
        Ok(done) => test.say(done),
        Err(error) => test.say(error),
    }
    test.wait_for_end();
}

fn of_many_that_migrate_at_once_one_does() {
    let old = made(1);
    let mut migrators: Vec<Child> = (0..8).map(|_| Child::with(migrator, ["at once"])).collect();
    for child in &mut migrators {
        child.hears("ready");
    }
    for child in &mut migrators {
        child.tell("go");
    }
    for child in &mut migrators {
        child.hears("2");
        child.ends_well();
    }
    assert_eq!(kind(old.set(&Old { done: 5 })), Some(ErrorKind::Migrated));
    drop(old);
    destroyed();
}

fn a_migration_that_fails_changes_nothing() {
    let old = made(7);
    let failed = Segment::options().migrate_shared(KEY, |_| -> Result<New> {
        Err(Segment::attach("nobody has this").expect_err("nobody has it"))
    });
    assert_eq!(kind(failed), Some(ErrorKind::NotFound));
    old.set(&Old { done: 8 }).expect("nobody has the lock");
    assert_eq!(
        kind(Shared::<New>::attach(KEY)),
        Some(ErrorKind::TypeMismatch)
    );
    drop(old);
    destroyed();
}

fn a_migrator_killed_at_work_leaves_the_old_value_to_its_users() {
    let old = made(7);
    let mut waiter = used();
    waiter.tell("wait");
    waiter.waits_for_memory();
    let mut child = Child::with(migrator, ["waits"]);
    child.hears("inside");
    child.kill();
    old.set(&Old { done: 1000 })
        .expect("the dead one has the lock no more");
    waiter.hears("1000");
    drop(old);
    waiter.ends_well();
    destroyed();
}

fn what_a_dead_migrator_left_is_removed() {
    for how in ["listed", "migrated", "destroyed"] {
        let old = made(7);
        let mut left = path().into_os_string();
        left.push(".next");
        fs::copy(path(), &left).expect("there is memory");
        match how {
            "listed" => {
                let listed = sharehold::list().expect("one may look");
                assert_eq!(listed.len(), 2);
                assert!(!listed[0].is_stale() && listed[1].is_stale());
                assert!(listed[1].remove_stale().expect("one may"));
                path();
                destroyed();
            }
            "migrated" => {
                drop(migrate().expect("it can be migrated"));
                path();
                destroyed();
            }
            _ => destroyed(),
        }
        drop(old);
    }
}

/// Has no descriptor left when it asks for the lock, and so cannot open the directory.
fn asks_without_descriptors(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    test.say("attached");
    test.hear();
    let none = Rlimit {
        current: Some(0),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, none).expect("it may");
    test.say(describe(segment.lock_timeout(LONG)));
}

fn a_migrator_killed_at_its_last_step_blocks_no_process() {
    const REPLACING: u64 = 104;
    let segment = created();
    let mut waiter = Child::of(asks_without_descriptors);
    waiter.hears("attached");
    let mut migrator = holding();
    let file = File::options().write(true).open(path());
    file.and_then(|file| file.write_all_at(&1_u32.to_le_bytes(), REPLACING))
        .expect("it is ours");
    migrator.kill();
    let said = waiter.ask("go");
    assert!(said.starts_with("Abandoned"), "{said}");
    waiter.ends_well();
    drop(segment);
}

/// Makes the file one of the format before.
fn make_older() -> File {
    let file = File::options()
        .read(true)
        .write(true)
        .open(path())
        .expect("it is ours");
    file.write_all_at(&3_u32.to_le_bytes(), 8)
        .expect("it is there");
    file
}

fn an_older_format_is_exported_and_migrated() {
    drop(made(7));
    make_older();
    let contents = Segment::contents(KEY).expect("it can be read");
    assert_eq!(contents.format_version(), 3);
    assert_eq!(contents.get("done").expect("it is there").to_string(), "7");
    let error = Shared::<Old>::attach(KEY).expect_err("it is older");
    assert_eq!(error.kind(), ErrorKind::WrongVersion);
    assert!(error.to_string().contains("migrate"), "{error}");
    let shared = migrate().expect("it can be migrated");
    assert_eq!(shared.get().expect("it is whole").done, 7);
    drop(shared);
    assert_eq!(
        Segment::contents(KEY)
            .expect("it is there")
            .format_version(),
        5
    );
    destroyed();
    // Also to the same type.
    drop(made(8));
    make_older();
    let same = Segment::options().migrate_shared(KEY, |old| {
        Ok(Old {
            done: new(old).done,
        })
    });
    assert_eq!(
        same.expect("it can be migrated")
            .get()
            .expect("it is whole")
            .done,
        8
    );
    destroyed();
}

fn an_older_format_in_use_is_not_migrated() {
    const SLOTS: u64 = 1 << 40;
    drop(made(7));
    let other = make_older();
    assert!(lock_byte(&other, SLOTS, true));
    assert_eq!(kind(migrate()), Some(ErrorKind::Busy));
    path();
    drop(other);
    drop(migrate().expect("nobody is left"));
    destroyed();
}

/// Overwrites bytes in a transaction, in which it is killed.
fn dies_in_a_transaction(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let done: Result<()> = segment.transaction(|tx| {
        tx.write(0, b"NEW")?;
        tx.write(90, b"NEW")?;
        test.say("inside");
        test.wait_for_end();
        Ok(())
    });
    done.expect("the log has room");
}

fn an_older_format_is_exported_as_of_the_last_commit() {
    let first = |bytes: &mut sharehold::SegmentData<'_>| bytes.fill(0..100, 7);
    let options = options().size(100).log(256);
    drop(
        options
            .create_with(KEY, first)
            .expect("nothing has the key"),
    );
    let mut child = Child::of(dies_in_a_transaction);
    child.hears("inside");
    child.kill();
    for is_older in [false, true] {
        if is_older {
            make_older();
        }
        let contents = Segment::contents(KEY).expect("it can be read");
        assert_eq!(contents.bytes(), [7; 100]);
        assert_eq!(contents.schema(), None);
    }
    drop(migrate().expect("it can be migrated"));
    destroyed();
}

fn parts_are_not_migrated() {
    let part: Mutex<u64> = options().create_part(KEY, 7).expect("nothing has the key");
    assert_eq!(kind(migrate()), Some(ErrorKind::TypeMismatch));
    assert_eq!(kind(Segment::contents(KEY)), Some(ErrorKind::TypeMismatch));
    *part.lock().expect("it is free") = 8;
    drop(part);
    make_older();
    assert_eq!(kind(migrate()), Some(ErrorKind::TypeMismatch));
    destroyed();
}
