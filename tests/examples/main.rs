//! The programs in `examples/`, run as their documentation says: what they print, and what the
//! others print when one of them is killed.
//!
//! A test reads lines and presses Enter, as a user does in several terminals.

mod alone;
mod groups;
mod values;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;
use std::{env, io};

use sharehold::{DestroyMode, Segment};
use sharehold_testkit::{Child, Talk};

fn main() -> ExitCode {
    sharehold_testkit::main([alone::suite(), groups::suite(), values::suite()])
}

/// Starts an example. It is killed when its test ends.
fn start(example: &str, arguments: &[&str]) -> Child {
    let program = path(example).expect("the test knows where it is");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{example}.rs"));
    assert!(
        modified(&program) >= modified(&source),
        "{} is older than its source; build it with `cargo build --examples`",
        program.display()
    );
    Child::with(become_example, [&[example], arguments].concat())
}

/// The role of a child: the example in its first argument, in place of this program. So the
/// example is killed when this program is interrupted.
pub(crate) fn become_example(talk: &mut Talk) {
    let program = path(&talk.argument(0)).expect("the test knows where it is");
    let error = Command::new(program).args(env::args().skip(2)).exec();
    panic!("the example does not start: {error}");
}

/// The path of an example, which Cargo builds in a directory beside the one of the tests.
fn path(example: &str) -> io::Result<PathBuf> {
    let mut path = env::current_exe()?;
    path.pop();
    path.pop();
    Ok(path.join("examples").join(example))
}

/// The time of the last change of a file.
fn modified(path: &Path) -> SystemTime {
    let time = path.metadata().and_then(|found| found.modified());
    time.unwrap_or_else(|error| {
        panic!(
            "{}: {error}; build the examples with `cargo build --examples`",
            path.display()
        )
    })
}

/// Presses Enter in the terminal of an example.
fn enter(example: &mut Child) {
    example.tell("");
}

/// Reads the lines of an example until this one.
///
/// An example that prints the newest value may print some of the earlier values before it.
fn hears_finally(example: &mut Child, line: &str) {
    while example.hear() != line {}
}

/// Removes what is left of a segment after all of its processes were killed.
fn remove_stale(key: &str) {
    let removed = Segment::remove_stale(key).expect("it can be looked at");
    assert!(removed, "{key} is stale");
}

/// Removes a persistent segment that no process uses any more.
fn remove_persistent(key: &str) {
    Segment::destroy(key, DestroyMode::Immediate).expect("it is there");
}
