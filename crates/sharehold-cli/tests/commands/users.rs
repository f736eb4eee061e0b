//! Segments that users share with each other, with a group, and with root, through real user
//! numbers.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, id};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::world::{Holder, Said, World, assert_refused, copy_command, said};

/// How many tests of this process have users of their own.
static TESTS: AtomicU32 = AtomicU32::new(0);

/// Users and a group that this machine does not have otherwise, and a copy of the command that they
/// can run.
struct Users {
    world: World,
    folder: TempDir,
    first: u32,
}

/// Where a command looks for segments.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// Where every user has a directory.
    Default,
    Directory(&'a Path),
}

impl Users {
    fn new() -> Users {
        assert!(
            geteuid().is_root(),
            "run as root: this test becomes other users"
        );
        let folder = TempDir::new_in("/dev/shm").expect("there is room");
        let program = folder.path().join("sharehold");
        copy_command(&program);
        for path in [folder.path(), &program] {
            open_to_all(path, 0o755);
        }
        Users {
            world: World::new(),
            folder,
            first: 1_000_000 + 32 * id() + 4 * TESTS.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn alice(&self) -> u32 {
        self.first
    }

    fn bob(&self) -> u32 {
        self.first + 1
    }

    fn carol(&self) -> u32 {
        self.first + 2
    }

    /// The group of Alice and Bob.
    fn group(&self) -> u32 {
        self.first + 3
    }

    fn command(&self, place: Place<'_>, user: u32, words: &str) -> Command {
        let mut command = self.world.command("setpriv");
        let groups = if user == self.carol() {
            "--clear-groups".to_owned()
        } else {
            format!("--groups={}", self.group())
        };
        command
            .args([format!("--reuid={user}"), format!("--regid={user}"), groups])
            .arg(self.folder.path().join("sharehold"))
            .args(words.split_whitespace())
            .current_dir("/")
            .env_remove("SHAREHOLD_DIR");
        if let Place::Directory(directory) = place {
            command.env("SHAREHOLD_DIR", directory);
        }
        command
    }

    fn run(&self, place: Place<'_>, user: u32, words: &str) -> Said {
        said(self.command(place, user, words))
    }

    #[track_caller]
    fn ok(&self, place: Place<'_>, user: u32, words: &str) -> String {
        let said = self.run(place, user, words);
        assert_eq!(said.code, 0, "{words}: {said:?}");
        said.out
    }

    fn as_root(&self, words: &str) -> Said {
        let mut command = self.world.sharehold(words.split_whitespace());
        command.env_remove("SHAREHOLD_DIR");
        said(command)
    }

    /// Leaves a segment of Alice's whose only user was killed.
    fn leave_stale(&self, place: Place<'_>, key: &str) {
        let words = format!("lock --create {key} -- sh -c");
        let mut command = self.command(place, self.alice(), &words);
        // `setpriv` becomes the command that holds the lock.
        command.arg("echo locked; exec sleep 1000");
        let mut child = command.spawn().expect("the command starts");
        let mut line = [0; 1];
        let out = child.stdout.as_mut().expect("it is piped");
        out.read_exact(&mut line).expect("it gets the lock");
        Holder(child).kill();
    }

    fn directory_of(user: u32) -> PathBuf {
        PathBuf::from(format!("/dev/shm/sharehold-{user}"))
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        for user in [self.alice(), self.bob(), self.carol()] {
            let _ = fs::remove_dir_all(Users::directory_of(user));
        }
    }
}

fn open_to_all(path: &Path, mode: u32) {
    let open = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, open).expect("it is ours");
}

/// Every command that names a key reaches the segment of another user that has admitted the group.
/// Users outside of the group do not reach it.
#[test]
fn a_group_shares_a_segment() {
    let users = Users::new();
    let (alice, bob, carol) = (users.alice(), users.bob(), users.carol());
    let place = Place::Default;
    let group = users.group();
    users.ok(
        place,
        alice,
        &format!("create k --fields n:u64 --mode 0660 --group {group}"),
    );
    users.ok(
        place,
        alice,
        &format!("create plain --size 8 --max-size 16 --mode 0660 --group {group}"),
    );
    // Bob has no such segment, and the error names the user that has one.
    let told = format!("add `--owner {alice}` if you trust that user");
    assert_refused(&users.run(place, bob, "get k n"), 3, &told);
    let ok = |words: &str| users.ok(place, bob, &format!("{words} --owner {alice}"));
    assert_eq!(ok("get k n"), "0\n");
    ok("set k n 5");
    assert_eq!(ok("incr k n"), "6\n");
    ok("cas k n 6 7");
    ok("wait k n == 7");
    ok("wait k");
    assert!(ok("show k").contains("mode 0660"));
    assert_eq!(ok("read k").as_bytes(), 7_u64.to_ne_bytes());
    ok("write plain");
    ok("grow plain 16");
    users.ok(place, bob, &format!("lock k --owner {alice} -- true"));
    let mut watch = users.command(place, bob, &format!("watch k n --owner {alice}"));
    let mut watch = Holder(watch.spawn().expect("it starts"));
    let mut first = [0; 1];
    let out = watch.0.stdout.as_mut().expect("it is piped");
    out.read_exact(&mut first).expect("it prints the value");
    watch.kill();
    assert_eq!(users.ok(place, alice, "get k n"), "7\n");

    // Bob cannot remove what is in Alice's directory, and is not told to.
    let refused = users.run(place, bob, &format!("rm k --owner {alice}"));
    assert_refused(&refused, 6, "cannot remove `k`");
    assert!(!refused.err.contains("remove the file"), "{refused:?}");
    let remedy = "only its owner, or root, can remove it";
    assert!(refused.err.contains(remedy), "{refused:?}");
    let stranger = users.run(place, carol, &format!("get k n --owner {alice}"));
    assert_refused(
        &stranger,
        6,
        "see `--mode` and `--group` of `sharehold create`",
    );
    let nobody = users.run(place, carol, "get k n --owner nobody-has-this-name");
    assert_eq!(nobody.code, 2, "{nobody:?}");

    users.ok(place, alice, "rm k plain");
}

/// A group that may only read is told which commands need no more than that, and each of these
/// works.
#[test]
fn a_group_that_may_only_read() {
    let users = Users::new();
    let (alice, bob) = (users.alice(), users.bob());
    let place = Place::Default;
    let group = users.group();
    users.ok(
        place,
        alice,
        &format!("create k --size 5 --mode 0640 --group {group}"),
    );
    for words in ["read k", "write k", "grow k 6"] {
        let refused = users.run(place, bob, &format!("{words} --owner {alice}"));
        assert_refused(&refused, 6, "you may only read it: `sharehold get`, `show`");
    }
    for words in ["show k", "export --raw k", "wait k"] {
        users.ok(place, bob, &format!("{words} --owner {alice}"));
    }
    users.ok(place, alice, "rm k");
}

/// Root lists, checks and clears all users' directories; with a directory named, only that one.
#[test]
fn root_sees_all_users() {
    let users = Users::new();
    let alice = users.alice();
    let key = format!("com.example.of-alice.{alice}");
    users.ok(Place::Default, alice, &format!("create {key} --size 8"));
    users.leave_stale(Place::Default, "left");
    let listed = users.as_root("ls").out;
    assert!(listed.starts_with("OWNER"), "{listed}");
    let line = listed.lines().find(|line| line.contains(&key));
    let line = line.unwrap_or_else(|| panic!("{key} is not in {listed}"));
    assert!(line.starts_with(&format!("{alice} ")), "{line}");
    let would = users.as_root("gc --dry-run").out;
    let expected = format!("would remove left of {alice} ");
    assert!(would.contains(&expected), "{would}");
    let found = users.as_root("doctor").out;
    let expected = format!("segment left --owner {alice}: stale");
    assert!(found.contains(&expected), "{found}");
    let owned = format!("get {key} --owner {alice}");
    assert_refused(&users.as_root(&owned), 5, "plain bytes");

    // A user sees only its own, and another directory only what is in it.
    let own = users.ok(Place::Default, alice, "ls");
    assert!(own.starts_with("KEY") && own.contains(&key), "{own}");
    let others = users.ok(Place::Default, users.bob(), "ls");
    assert!(!others.contains(&key), "{others}");
    assert!(!users.world.ok("ls").contains(&key));

    users.ok(Place::Default, alice, &format!("rm {key}"));
    users.ok(Place::Default, alice, "gc");
}

/// Where a directory is named, its owner lets others in, and each of them names the owner.
#[test]
fn users_share_a_directory() {
    let users = Users::new();
    let alice = users.alice();
    open_to_all(users.world.path(), 0o755);
    let directory = users.world.segments();
    fs::create_dir(&directory).expect("there is room");
    open_to_all(&directory, 0o755);
    let place = Place::Directory(&directory);
    users.world.ok("create shared --fields n:u8 --mode 0666");
    assert_refused(
        &users.run(place, alice, "get shared n"),
        6,
        "root has a segment with this key: add `--owner root` if you trust that user",
    );
    users.ok(place, alice, "set shared n 3 --owner root");
    assert_eq!(users.world.ok("get shared n"), "3\n");
    let listed = users.ok(place, alice, "ls");
    let line = listed.lines().nth(1).unwrap_or_default();
    assert!(line.starts_with("root   shared "), "{listed}");
    users.world.ok("rm shared");
}
