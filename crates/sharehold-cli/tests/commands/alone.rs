//! Tests that have the memory file system and System V's objects to themselves, in namespaces of
//! their own: what they do to whatever they find there is done to nobody else, and what they count
//! is theirs.

use std::env;
use std::process::{Command, Stdio};

use rustix::process::geteuid;

/// Set in the process that runs the body of a test.
const INSIDE: &str = "SHAREHOLD_ALONE";
const ENTER: &str = "mount -t tmpfs -o mode=1777 tmpfs /dev/shm && exec \"$@\"";

/// A test whose body runs alone.
macro_rules! alone {
    ($($(#[$doc:meta])* fn $name:ident() $body:block)+) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            $crate::alone::run(concat!(module_path!(), "::", stringify!($name)), || $body);
        }
    )+};
}
pub(crate) use alone;

/// Runs `body` in a process of its own, in namespaces of its own.
pub(crate) fn run(test: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    let tried = inside("true").output().expect("coreutils has `timeout`");
    let refused = String::from_utf8_lossy(&tried.stderr);
    assert!(
        tried.status.success(),
        "this test needs mount and IPC namespaces of its own, and has none: {}",
        refused.trim().replace('\n', "; ")
    );
    let (_crate, test) = test.split_once("::").expect("it is in a module");
    let own = env::current_exe().expect("this program has a path");
    let mut command = inside(own.to_str().expect("it is plain"));
    let output = command.args(["--exact", test, "--nocapture"]).output();
    let output = output.expect("coreutils has `timeout`");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        // Indented, so that its summary is not taken for that of this program.
        "{test} ended with {}:\n    {}",
        output.status,
        (said + String::from_utf8_lossy(&output.stderr)).replace('\n', "\n    ")
    );
}

/// A program in new namespaces, which is killed if it takes longer than anything does.
fn inside(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "240", "unshare", "--mount", "--ipc"]);
    if !geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["sh", "-c", ENTER, "sh", program])
        .env(INSIDE, "1")
        .stdin(Stdio::null());
    command
}
