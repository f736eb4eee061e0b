//! What others put where a segment, or the directory of segments, would be: refused, not followed,
//! not waited for.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::Mode;
use sharehold::{DestroyMode, ErrorKind, Policy, Segment};
use sharehold_testkit::raw::{become_user, before_each_system_call};
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory, need_root};

use crate::roles::{KEY, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_file_of_another_owner_is_refused)
        .test(what_is_no_regular_file_is_refused_at_once)
        .test(a_symbolic_link_is_refused_and_not_followed)
        .test(a_directory_of_another_owner_is_refused)
        .test(a_directory_that_others_may_write_is_refused)
        .test(what_is_no_directory_is_refused_as_one)
        .test(a_directory_whose_parent_is_missing_is_an_error)
        .test(a_squatter_is_named_with_remedies_that_work)
        .test(a_relative_directory_is_refused)
        .test(a_link_put_in_place_of_a_new_directory_is_not_followed)
        .test(a_new_directory_has_its_mode_whatever_the_umask)
        .test(a_directory_among_segments_is_not_to_be_removed)
        .role(tries_everything)
        .role(creates_as_user)
        .role(creates_while_its_directory_is_replaced)
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
        (
            "destroy",
            kind(Segment::destroy(KEY, DestroyMode::Immediate)),
        ),
        (
            "destroy unused",
            kind(Segment::destroy(KEY, DestroyMode::WhenUnused)),
        ),
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

/// The answer of a process that uses this path for its segments.
fn answers_in(place: &Path) -> Vec<String> {
    let variable = format!("SHAREHOLD_DIR={}", place.display());
    let mut child = Child::under(["env", &variable], tries_everything, [""; 0]);
    let said = answers().iter().map(|_| child.hear()).collect();
    child.ends_well();
    said
}

#[track_caller]
fn all_answer_in(place: &Path, expected: &str, what: &str) {
    for answer in answers_in(place) {
        assert!(
            answer.ends_with(&format!("Some({expected})")),
            "{answer}, where there is {what}"
        );
    }
}

#[track_caller]
fn all_refuse_in(place: &Path, what: &str) {
    all_answer_in(place, "NotTrusted", what);
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
    // Also where nobody can remove another's file: anybody could put one there first.
    for mode in [0o777, 0o770, 0o702, 0o720, 0o1777] {
        fs::set_permissions(&place, Permissions::from_mode(mode)).expect("one may");
        all_refuse_in(&place, "a directory that others may write");
    }
    all_refuse_in(Path::new("/dev/shm"), "a directory that others may write");
    for mode in [0o700, 0o755] {
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
        all_answer_in(&place, "InvalidOption", what);
        fs::remove_file(&place).expect("it is there");
    }
    for place in [&place, &place.join("inside")] {
        fs::write(directory().join("place"), "").expect("one may");
        all_answer_in(place, "InvalidOption", "a file in its path");
        fs::remove_file(directory().join("place")).expect("it is there");
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
            "Some(InvalidOption)"
        } else if answer.starts_with("exists") {
            "None"
        } else {
            "Some(NotFound)"
        };
        assert!(answer.ends_with(expected), "{answer}");
    }
    assert!(left_in_directory().is_empty());
}

/// Becomes a user, with a umask, and says what comes of creating a segment.
fn creates_as_user(test: &mut Talk) {
    let user = u32::try_from(test.number(0)).expect("a user's number is small");
    let umask = u32::try_from(test.number(1)).expect("a mode is small");
    become_user(user, user, &[]);
    rustix::process::umask(Mode::from_raw_mode(umask));
    match Segment::options().size(8).mode(0o600).create(KEY) {
        Ok(_) => test.say("created"),
        Err(error) => test.say(format!("{:?}: {error}", error.kind())),
    }
}

/// What a user's process says that creates a segment at this path.
fn created_by(user: u32, umask: u32, place: &Path) -> String {
    let variable = format!("SHAREHOLD_DIR={}", place.display());
    let arguments = [user.to_string(), umask.to_string()];
    let mut child = Child::under(["env", &variable], creates_as_user, arguments);
    let said = child.hear();
    child.ends_well();
    said
}

fn a_squatter_is_named_with_remedies_that_work() {
    const VICTIM: u32 = 23_456;
    need_root("become other users");
    // As `/dev/shm` is.
    let shared = directory().join("shared");
    fs::create_dir(&shared).expect("one may");
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).expect("one may");
    let place = shared.join("place");
    assert_eq!(created_by(STRANGER, 0o022, &place), "created");
    let said = created_by(VICTIM, 0o022, &place);
    assert!(said.starts_with("NotTrusted"), "{said}");
    assert!(
        said.contains("belongs to uid 12345, not to uid 23456; ask uid 12345 or an administrator to remove it, or set SHAREHOLD_DIR"),
        "{said}"
    );
    assert_eq!(created_by(VICTIM, 0o022, &shared.join("own")), "created");
    fs::remove_dir(&place).expect("an administrator may");
    assert_eq!(created_by(VICTIM, 0o022, &place), "created");
    // What is no directory is not this user's to remove either.
    fs::remove_dir(&place).expect("an administrator may");
    for squat in [link_to_nothing, file_at] {
        squat(&place);
        let said = created_by(VICTIM, 0o022, &place);
        assert!(said.starts_with("NotTrusted"), "{said}");
        assert!(
            said.contains("ask uid 12345 or an administrator to remove it"),
            "{said}"
        );
        fs::remove_file(&place).expect("an administrator may");
    }
    fs::remove_dir_all(&shared).expect("an administrator may");
}

fn link_to_nothing(path: &Path) {
    link_to("missing", path);
    lchown(path, Some(STRANGER), None).expect("root may");
}

fn file_at(path: &Path) {
    fs::write(path, "").expect("one may");
    chown(path, Some(STRANGER), None).expect("root may");
}

fn a_relative_directory_is_refused() {
    let here = directory();
    for relative in ["place", "./place"] {
        let variable = format!("SHAREHOLD_DIR={relative}");
        let wrapper = ["env", "-C", here.to_str().expect("it is plain"), &variable];
        let mut child = Child::under(wrapper, tries_everything, [""; 0]);
        for _ in answers() {
            let answer = child.hear();
            assert!(answer.ends_with("Some(InvalidOption)"), "{answer}");
        }
        child.ends_well();
    }
    assert!(left_in_directory().is_empty());
}

/// Creates the first segment in a new directory, which is replaced by a link before the system call
/// with this number after it was made.
fn creates_while_its_directory_is_replaced(test: &mut Talk) {
    let (mut left, place) = (test.number(0), directory());
    let aside = place.with_file_name("aside");
    before_each_system_call(move || {
        if aside.exists() || !place.is_dir() {
            return;
        }
        if left == 0 {
            fs::rename(&place, &aside).expect("one may");
            symlink("victim", &place).expect("one may");
        }
        left = left.wrapping_sub(1);
    });
    rustix::process::umask(Mode::from_raw_mode(0o077));
    // Whether there is a segment depends on the moment; that nothing happens to others does not.
    let created = Segment::options().size(8).mode(0o666).create(KEY);
    test.say(created.is_ok());
}

fn a_link_put_in_place_of_a_new_directory_is_not_followed() {
    let (victim, place) = (directory().join("victim"), directory().join("place"));
    let aside = directory().join("aside");
    fs::create_dir(&victim).expect("one may");
    fs::set_permissions(&victim, Permissions::from_mode(0o750)).expect("one may");
    let variable = format!("SHAREHOLD_DIR={}", place.display());
    for number in 0..6 {
        let mut child = Child::under(
            ["env", &variable],
            creates_while_its_directory_is_replaced,
            [number.to_string()],
        );
        child.hear();
        child.ends_well();
        let mode = fs::metadata(&victim)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o750, "before system call {number}");
        assert_eq!(fs::read_dir(&victim).expect("it is there").count(), 0);
        fs::remove_file(&place).expect("the link is there");
        fs::remove_dir_all(&aside).expect("it is there");
    }
    fs::remove_dir(&victim).expect("it is there");
}

fn a_new_directory_has_its_mode_whatever_the_umask() {
    need_root("become another user");
    let shared = directory().join("shared");
    fs::create_dir(&shared).expect("one may");
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).expect("one may");
    for umask in [0, 0o077, 0o177, 0o777] {
        let place = shared.join("place");
        assert_eq!(created_by(STRANGER, umask, &place), "created");
        let mode = fs::metadata(&place)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o700, "umask {umask:o}");
        fs::remove_dir(&place).expect("it is empty again");
    }
    fs::remove_dir(&shared).expect("it is empty again");
}

fn a_directory_among_segments_is_not_to_be_removed() {
    let other = directory().join("other");
    fs::create_dir(&other).expect("one may");
    let listed = sharehold::list().expect("one may look");
    let [found] = &listed[..] else {
        panic!("{listed:?}")
    };
    let said = format!("{found:?}");
    assert!(said.contains("not a regular file"), "{said}");
    assert!(!said.contains("remove"), "{said}");
    fs::remove_dir(&other).expect("it is empty");
}
