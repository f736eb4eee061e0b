//! Other users: shut out unless the creator lets them in, and then only as far as it says.

use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::Mode;
use sharehold::{DestroyMode, LockError, ReadOnlySegment, Result, Segment};
use sharehold_testkit::raw::become_user;
use sharehold_testkit::{Child, Suite, Talk, directory, need_root};

use crate::roles::{KEY, LONG, describe, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(another_user_is_refused_with_the_name_of_the_owner)
        .test(the_group_is_admitted_when_the_mode_says_so)
        .test(everybody_is_admitted_when_the_mode_says_so)
        .test(others_may_look_when_the_mode_says_no_more)
        .test(the_umask_takes_nothing_from_the_mode)
        .test(sharing_one_segment_opens_the_directory_and_no_other_segment)
        .test(a_holder_of_another_user_is_taken_over_from)
        .test(a_holder_that_becomes_a_program_which_may_not_be_looked_into_is_taken_over_from)
        .test(a_stale_segment_is_not_found_by_a_user_that_may_not_remove_it)
        .test(no_user_creates_for_another_user)
        .role(user)
}

const STRANGER: &str = "12345";
const GROUP: u32 = 23_456;

/// The directory of the segments, made by the library: private unless something in it is shared.
fn place() -> PathBuf {
    directory().join("segments")
}

/// Starts a process of the user, with the group that some segments are shared with, or without.
fn start(user_id: &str, in_group: bool) -> Child {
    need_root("become other users");
    let place = format!("SHAREHOLD_DIR={}", place().display());
    let arguments = [user_id.to_owned(), in_group.to_string()];
    Child::under(["env", &place], user, arguments)
}

/// Becomes the user and does what it is told, saying what comes of it.
fn user(test: &mut Talk) {
    let id = u32::try_from(test.number(0)).expect("a user's number is small");
    let in_group = test.argument(1) == "true";
    if id != 0 {
        become_user(id, id, if in_group { &[GROUP] } else { &[] });
    }
    let options = || Segment::options().owner(0);
    let mut segment = None;
    let mut reader: Option<ReadOnlySegment> = None;
    loop {
        let told = test.hear();
        let (order, argument) = told.split_once(' ').unwrap_or((&told, ""));
        let mode = || u32::from_str_radix(argument, 8).expect("a mode");
        match order {
            "" => break,
            "create" => {
                let created = Segment::options()
                    .size(8)
                    .mode(mode())
                    .group(GROUP)
                    .create(KEY);
                let said = outcome(&created);
                segment = created.ok();
                test.say(said);
            }
            "create-for-root" => test.say(outcome(
                &options().size(8).open_or_create("com.example.new"),
            )),
            "create-private" => {
                let created = Segment::create("com.example.private", 8);
                test.say(outcome(&created));
                std::mem::forget(created);
            }
            "umask" => {
                rustix::process::umask(Mode::from_raw_mode(mode()));
                test.say("done");
            }
            "attach" => {
                let key = if argument.is_empty() { KEY } else { argument };
                let attached = options().attach(key);
                let said = outcome(&attached);
                segment = attached.ok();
                test.say(said);
            }
            "look" => {
                let attached = options().attach_read_only(KEY);
                let said = outcome(&attached);
                reader = attached.ok();
                test.say(said);
            }
            "lock" => {
                let segment = segment.as_ref().expect("it is attached");
                let locked = segment.lock_timeout(LONG);
                let said = describe_and_keep(locked);
                test.say(said);
            }
            "detach" => {
                drop(reader.take());
                let left = segment.take().map_or(Ok(()), Segment::detach);
                test.say(outcome(&left));
            }
            "become" => panic!("{}", Command::new(argument).arg("600").exec()),
            "destroy" => test.say(outcome(&Segment::destroy(KEY, DestroyMode::Immediate))),
            other => panic!("no such order: {other}"),
        }
    }
}

/// `done`, or the error with its kind.
fn outcome<T: Debug>(result: &Result<T>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => format!("{:?}: {error}", error.kind()),
    }
}

/// Says how locking went and keeps the lock until the process ends.
fn describe_and_keep<T>(locked: std::result::Result<T, LockError<'_>>) -> String {
    match locked {
        Ok(guard) => {
            std::mem::forget(guard);
            "locked".to_owned()
        }
        other => describe(other),
    }
}

/// The permission bits of the directory, and of the only file in it.
fn modes() -> (u32, u32) {
    let mode = |path: PathBuf| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o7777
    };
    let mut entries = fs::read_dir(place()).expect("it is there");
    let file = entries
        .next()
        .expect("it has a file")
        .expect("it is readable");
    (mode(place()), mode(file.path()))
}

/// Ends them all, the last one a process that may remove everything, and the directory with them.
fn clean_up(users: impl IntoIterator<Item = Child>) {
    for mut user in users {
        user.ends_well();
    }
    fs::remove_dir(place()).expect("it is there, and empty");
}

fn another_user_is_refused_with_the_name_of_the_owner() {
    let mut owner = start("0", false);
    let mut stranger = start(STRANGER, false);
    assert_eq!(owner.ask("create 600"), "done");
    assert_eq!(modes(), (0o700, 0o600));
    // The directory is private: the stranger cannot even see the file.
    for order in ["attach", "look"] {
        let said = stranger.ask(order);
        assert!(said.starts_with("PermissionDenied"), "{said}");
    }
    // Where the directory may be entered, the error names the file's owner.
    fs::set_permissions(place(), fs::Permissions::from_mode(0o711)).expect("root may");
    for order in ["attach", "look"] {
        let said = stranger.ask(order);
        assert!(said.starts_with("PermissionDenied"), "{said}");
        assert!(
            said.contains("it belongs to uid 0, mode 0600; ask its owner"),
            "{said}"
        );
    }
    // Nor does the stranger destroy it, or stand in for it.
    let said = stranger.ask("destroy");
    assert!(!said.starts_with("done"), "{said}");
    assert!(start("0", false).ask("attach").starts_with("done"));
    clean_up([stranger, owner]);
}

fn the_group_is_admitted_when_the_mode_says_so() {
    let mut owner = start("0", false);
    let mut member = start(STRANGER, true);
    let mut stranger = start("12346", false);
    assert_eq!(owner.ask("create 660"), "done");
    assert_eq!(modes(), (0o711, 0o660));
    assert_eq!(member.ask("attach"), "done");
    assert_eq!(member.ask("lock"), "locked");
    assert!(stranger.ask("attach").starts_with("PermissionDenied"));
    assert!(stranger.ask("look").starts_with("PermissionDenied"));
    clean_up([stranger, member, owner]);
}

fn everybody_is_admitted_when_the_mode_says_so() {
    let mut owner = start("0", false);
    let mut stranger = start(STRANGER, false);
    assert_eq!(owner.ask("create 666"), "done");
    assert_eq!(stranger.ask("attach"), "done");
    assert_eq!(stranger.ask("look"), "done");
    // The last attachment cannot remove it from the owner's directory, and detaches all the same.
    assert_eq!(owner.ask("detach"), "done");
    assert_eq!(stranger.ask("detach"), "done");
    let said = owner.ask("attach");
    assert!(said.starts_with("NotFound"), "{said}");
    clean_up([stranger, owner]);
}

fn others_may_look_when_the_mode_says_no_more() {
    let mut owner = start("0", false);
    let mut stranger = start(STRANGER, false);
    assert_eq!(owner.ask("create 644"), "done");
    assert_eq!(stranger.ask("look"), "done");
    let said = stranger.ask("attach");
    assert!(
        said.starts_with("PermissionDenied") && said.contains("mode 0644"),
        "{said}"
    );
    // The reader keeps it, and its end leaves it to the owner's next process.
    assert_eq!(owner.ask("detach"), "done");
    assert_eq!(owner.ask("attach"), "done");
    assert_eq!(owner.ask("detach"), "done");
    assert_eq!(stranger.ask("detach"), "done");
    assert!(owner.ask("attach").starts_with("NotFound"));
    clean_up([stranger, owner]);
}

fn the_umask_takes_nothing_from_the_mode() {
    for umask in ["077", "777", "000"] {
        let mut owner = start("0", false);
        assert_eq!(owner.ask(&format!("umask {umask}")), "done");
        assert_eq!(owner.ask("create 666"), "done");
        assert_eq!(modes(), (0o711, 0o666));
        let mut stranger = start(STRANGER, false);
        assert_eq!(stranger.ask("attach"), "done");
        clean_up([stranger, owner]);
    }
    let mut owner = start("0", false);
    assert_eq!(owner.ask("umask 000"), "done");
    assert_eq!(owner.ask("create 600"), "done");
    assert_eq!(modes(), (0o700, 0o600));
    clean_up([owner]);
}

fn sharing_one_segment_opens_the_directory_and_no_other_segment() {
    let mut owner = start("0", false);
    let mut stranger = start(STRANGER, false);
    assert_eq!(owner.ask("create-private"), "done");
    assert_eq!(modes(), (0o700, 0o600));
    assert_eq!(owner.ask("create 666"), "done");
    assert_eq!(modes().0, 0o711);
    assert_eq!(stranger.ask("attach"), "done");
    let said = stranger.ask("attach com.example.private");
    assert!(said.starts_with("PermissionDenied"), "{said}");
    owner.kill();
    stranger.ends_well();
    fs::remove_dir_all(place()).expect("it is there");
}

fn a_holder_of_another_user_is_taken_over_from() {
    let mut owner = start("0", false);
    let mut stranger = start(STRANGER, false);
    assert_eq!(owner.ask("create 666"), "done");
    assert_eq!(stranger.ask("attach"), "done");
    assert_eq!(stranger.ask("lock"), "locked");
    stranger.kill();
    let said = owner.ask("lock");
    assert!(
        said.starts_with(&format!("Abandoned: pid {}", stranger.pid())),
        "{said}"
    );
    let mut stranger = start(STRANGER, false);
    assert_eq!(stranger.ask("attach"), "done");
    let said = stranger.ask("lock");
    assert!(said.starts_with("Abandoned"), "{said}");
    clean_up([stranger, owner]);
}

fn a_holder_that_becomes_a_program_which_may_not_be_looked_into_is_taken_over_from() {
    // The directory of the segments may be one that nothing is executed in.
    let programs = tempfile::tempdir().expect("there is room");
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(programs.path(), everybody).expect("root may");
    let stranger = STRANGER.parse().expect("a number");
    // One that its user may look into, one of another user, and one that its user may not read.
    for (mode, looked_at_by) in [(0o755, stranger), (0o4755, 0), (0o711, 0)] {
        let program = programs.path().join(format!("{mode:o}"));
        fs::copy("/bin/sleep", &program).expect("there is room");
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(&program, permissions).expect("root may");
        let mut owner = start("0", false);
        let mut holder = start(STRANGER, false);
        let mut waiter = start(STRANGER, false);
        assert_eq!(owner.ask("create 666"), "done");
        assert_eq!(holder.ask("attach"), "done");
        assert_eq!(waiter.ask("attach"), "done");
        assert_eq!(holder.ask("lock"), "locked");
        holder.tell(&format!("become {}", program.display()));
        let said = waiter.ask("lock");
        let died = format!("Abandoned: pid {}", holder.pid());
        assert!(said.starts_with(&died), "mode {mode:o}: {said}");
        let shown = fs::metadata(format!("/proc/{}/stat", holder.pid()));
        let user = shown.expect("the program runs").uid();
        assert_eq!(
            user, looked_at_by,
            "mode {mode:o} on a file system that ignores it?"
        );
        clean_up([waiter, owner]);
    }
}

fn a_stale_segment_is_not_found_by_a_user_that_may_not_remove_it() {
    let mut owner = start("0", false);
    let mut stranger = start(STRANGER, false);
    for mode in ["666", "644"] {
        assert_eq!(owner.ask(&format!("create {mode}")), "done");
        owner.kill();
        for order in ["attach", "look"] {
            let said = stranger.ask(order);
            let expected = if (mode, order) == ("644", "attach") {
                "PermissionDenied"
            } else {
                "NotFound"
            };
            assert!(
                said.starts_with(expected),
                "{order} with mode {mode}: {said}"
            );
        }
        owner = start("0", false);
        assert!(owner.ask("attach").starts_with("NotFound"));
    }
    clean_up([stranger, owner]);
}

fn no_user_creates_for_another_user() {
    need_root("have something to lose");
    let foreign = Segment::options().size(8).owner(12_345);
    let refused = Some(sharehold::ErrorKind::InvalidOption);
    assert_eq!(kind(foreign.create(KEY)), refused);
    assert_eq!(kind(foreign.open_or_create(KEY)), refused);
    let mut stranger = start(STRANGER, false);
    assert!(stranger.ask("create-for-root").starts_with("InvalidOption"));
    assert!(!place().exists());
}
