//! What others put where a segment, or the directory of segments, would be: refused, not followed, not waited for.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use sharehold::{ErrorKind, Policy, Segment, When};
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory, need_root};

use crate::peers::{KEY, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_file_of_another_owner_is_refused)
        .test(what_is_no_regular_file_is_refused_at_once)
        .test(a_symbolic_link_is_refused_and_not_followed)
        .test(a_directory_of_another_owner_is_refused)
        .test(a_directory_that_others_may_write_is_refused)
        .test(what_is_no_directory_is_refused_as_one)
        .test(a_directory_whose_parent_is_missing_is_an_error)
        .role(tries_everything)
}

const STRANGER: u32 = 12_345;

/// What each way to ask for the key answers.
fn answers() -> Vec<(&'static str, Option<ErrorKind>)> {
    let options = Segment::options().size(8);
    vec![
        ("attach", kind(Segment::attach(KEY))),
        ("look", kind(Segment::attach_read_only(KEY))),
        ("exists", kind(Segment::exists(KEY))),
        ("create", kind(options.create(KEY))),
        ("open or create", kind(options.open_or_create(KEY))),
        ("destroy", kind(Segment::destroy(KEY, When::Now))),
        ("destroy unused", kind(Segment::destroy(KEY, When::Unused))),
    ]
}

#[track_caller]
fn all_refuse(what: &str) {
    for (asked, answer) in answers() {
        assert_eq!(
            answer,
            Some(ErrorKind::NotTrusted),
            "{asked}, where there is {what}"
        );
    }
}

/// A whole segment's file for [`KEY`], put aside, and the path that such a file has.
fn real_file() -> (PathBuf, PathBuf) {
    let options = Segment::options().size(8).policy(Policy::Persistent);
    drop(options.create(KEY).expect("nothing has the key"));
    let path = directory().join(left_in_directory().remove(0));
    let aside = directory().join("aside");
    fs::rename(&path, &aside).expect("one may");
    (path, aside)
}

fn a_file_of_another_owner_is_refused() {
    need_root("give files away");
    let (path, aside) = real_file();
    fs::copy(&aside, &path).expect("one may");
    for mode in [0o600, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("one may");
        chown(&path, Some(STRANGER), None).expect("root may");
        all_refuse("a file of another owner");
        let error = Segment::attach(KEY).expect_err("it is not trusted");
        assert!(
            error
                .to_string()
                .contains("belongs to uid 12345, not to uid 0"),
            "{error}"
        );
    }
    assert!(path.exists(), "it is not this user's to remove");
    fs::remove_file(&path).expect("root may");
    fs::remove_file(&aside).expect("it is there");
}

fn what_is_no_regular_file_is_refused_at_once() {
    let (path, aside) = real_file();
    let plant: [(&str, &dyn Fn()); 3] = [
        ("a directory", &|| fs::create_dir(&path).expect("one may")),
        ("a pipe", &|| run("mkfifo", &[&path])),
        ("a socket", &|| {
            let short = directory().join("socket");
            drop(UnixListener::bind(&short).expect("one may"));
            fs::rename(&short, &path).expect("one may");
        }),
    ];
    for (what, plant) in plant {
        plant();
        all_refuse(what);
        assert!(fs::symlink_metadata(&path).is_ok(), "{what} was removed");
        let removed = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        removed.expect("it is there");
    }
    fs::remove_file(&aside).expect("it is there");
}

fn run(program: &str, arguments: &[&Path]) {
    let status = Command::new(program).args(arguments).status();
    assert!(status.expect("it starts").success());
}

fn a_symbolic_link_is_refused_and_not_followed() {
    let (path, aside) = real_file();
    let before = fs::read(&aside).expect("it is there");
    for target in [&aside, &directory(), &directory().join("missing"), &path] {
        symlink(target, &path).expect("one may");
        all_refuse("a symbolic link");
        assert!(fs::symlink_metadata(&path).is_ok(), "the link was removed");
        fs::remove_file(&path).expect("it is there");
    }
    assert!(
        !directory().join("missing").exists(),
        "the link was followed"
    );
    assert_eq!(
        fs::read(&aside).expect("it is there"),
        before,
        "the link was followed"
    );
    fs::remove_file(&aside).expect("it is there");
}

/// Asks for the key in every way and says what came of it.
fn tries_everything(test: &mut Talk) {
    for (asked, answer) in answers() {
        test.say(format!("{asked}: {answer:?}"));
    }
}

/// What a process answers whose segments are to be at this path.
fn answers_in(place: &Path) -> Vec<String> {
    let variable = format!("SHAREHOLD_DIR={}", place.display());
    let mut child = Child::under(["env", &variable], tries_everything, [""; 0]);
    let said = answers().iter().map(|_| child.hear()).collect();
    child.ends_well();
    said
}

#[track_caller]
fn all_refuse_in(place: &Path, what: &str) {
    for answer in answers_in(place) {
        assert!(
            answer.ends_with("Some(NotTrusted)"),
            "{answer}, where there is {what}"
        );
    }
}

fn a_directory_of_another_owner_is_refused() {
    need_root("give directories away");
    let place = directory().join("place");
    fs::create_dir(&place).expect("one may");
    for mode in [0o700, 0o755, 0o1777] {
        fs::set_permissions(&place, Permissions::from_mode(mode)).expect("one may");
        chown(&place, Some(STRANGER), None).expect("root may");
        all_refuse_in(&place, "a directory of another owner");
    }
    assert_eq!(fs::read_dir(&place).expect("root may").count(), 0);
    fs::remove_dir(&place).expect("root may");
}

fn a_directory_that_others_may_write_is_refused() {
    let place = directory().join("place");
    fs::create_dir(&place).expect("one may");
    for mode in [0o777, 0o770, 0o702, 0o720] {
        fs::set_permissions(&place, Permissions::from_mode(mode)).expect("one may");
        all_refuse_in(&place, "a directory that others may write");
    }
    // Where nobody removes another's files, as in `/dev/shm` itself, it is no danger.
    for mode in [0o1777, 0o700, 0o755] {
        fs::set_permissions(&place, Permissions::from_mode(mode)).expect("one may");
        let answers = answers_in(&place);
        assert!(
            answers.contains(&"create: None".to_owned()),
            "mode {mode:o}: {answers:?}"
        );
    }
    fs::remove_dir(&place).expect("it is empty again");
}

fn link_to(target: &str, path: &Path) {
    symlink(target, path).expect("one may");
}

fn what_is_no_directory_is_refused_as_one() {
    let place = directory().join("place");
    let real = directory().join("real");
    fs::create_dir(&real).expect("one may");
    let plant: [(&str, &dyn Fn()); 5] = [
        ("a file", &|| drop(File::create(&place).expect("one may"))),
        ("a pipe", &|| run("mkfifo", &[&place])),
        ("a link to a directory", &|| link_to("real", &place)),
        ("a link to nothing", &|| link_to("missing", &place)),
        ("a link to itself", &|| link_to("place", &place)),
    ];
    for (what, plant) in plant {
        plant();
        all_refuse_in(&place, what);
        fs::remove_file(&place).expect("it is there");
    }
    assert_eq!(fs::read_dir(&real).expect("it is there").count(), 0);
    fs::remove_dir(&real).expect("it is there");
    assert!(left_in_directory().is_empty());
}

fn a_directory_whose_parent_is_missing_is_an_error() {
    let place = directory().join("missing").join("place");
    let answers = answers_in(&place);
    for answer in &answers {
        let expected = if answer.contains("create") {
            "Some(System)"
        } else if answer.starts_with("exists") {
            "None"
        } else {
            "Some(NotFound)"
        };
        assert!(answer.ends_with(expected), "{answer}");
    }
    assert!(left_in_directory().is_empty());
}
