//! Running each test in its own process, in its own directory.

use std::any::type_name;
use std::env;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::child::{ROLE, Talk};

/// Names the test that this process is to run.
const TEST: &str = "SHAREHOLD_TEST";
/// Where the library keeps its segments.
const DIRECTORY: &str = "SHAREHOLD_DIR";
/// A test that takes longer hangs. No test is meant to take a tenth of it.
const HANGS: Duration = Duration::from_secs(300);

type Body = Box<dyn Fn() + Send>;
type RoleBody = Box<dyn Fn(&mut Talk)>;

/// The tests of one file, and the roles that their children play.
#[derive(Default)]
pub struct Suite {
    tests: Vec<(String, Body)>,
    roles: Vec<(&'static str, RoleBody)>,
}

impl Suite {
    /// Begins an empty one.
    pub fn new() -> Suite {
        Suite::default()
    }

    /// Adds a test, called as its function is.
    pub fn test<F: Fn() + Send + 'static>(mut self, body: F) -> Suite {
        let (_, name) = type_name::<F>()
            .split_once("::")
            .expect("a function stands in a crate");
        self.tests.push((name.to_owned(), Box::new(body)));
        self
    }

    /// Adds a role, to be played by a [`Child::of`](crate::Child::of) it.
    pub fn role<F: Fn(&mut Talk) + 'static>(mut self, body: F) -> Suite {
        self.roles.push((type_name::<F>(), Box::new(body)));
        self
    }
}

/// The `main` of a test program.
pub fn main(suites: impl IntoIterator<Item = Suite>) -> ExitCode {
    let mut tests = Vec::new();
    let mut roles = Vec::new();
    for suite in suites {
        tests.extend(suite.tests);
        roles.extend(suite.roles);
    }
    if env::var_os(ROLE).is_some() || env::var_os(TEST).is_some() {
        // An interrupted test run leaves no processes behind.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .expect("any process may ask for it");
    }
    if let Ok(wanted) = env::var(ROLE) {
        let (_, role) = roles
            .iter()
            .find(|(name, _)| *name == wanted)
            .unwrap_or_else(|| panic!("{wanted} is no role of this program; add it to its suite"));
        role(&mut Talk::new());
        return ExitCode::SUCCESS;
    }
    if let Ok(wanted) = env::var(TEST) {
        let (_, test) = tests
            .iter()
            .find(|(name, _)| *name == wanted)
            .expect("the test that this process was started for");
        test();
        return ExitCode::SUCCESS;
    }
    let trials = tests
        .into_iter()
        .map(|(name, _)| Trial::test(name.clone(), move || run(&name)))
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Runs one test in a process of its own and says why it failed.
fn run(name: &str) -> Result<(), Failed> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Not below a directory that only one user may enter: some tests let another user in.
    let directory = PathBuf::from(format!(
        "/dev/shm/sharehold-test-{}-{number}",
        std::process::id()
    ));
    fs::create_dir(&directory)?;
    let outcome = run_in(name, &directory);
    let left = names_in(&directory);
    fs::remove_dir_all(&directory)?;
    let (ended, said) = outcome?;
    match ended {
        Ended::Hung => Err(format!("it hung, and was killed\n{said}").into()),
        Ended::By(status) if !status.success() => Err(match status.signal() {
            Some(signal) => format!("it was ended by signal {signal}\n{said}").into(),
            None => said.into(),
        }),
        Ended::By(_) if !left.is_empty() => {
            Err(format!("it left in its directory: {left:?}\n{said}").into())
        }
        Ended::By(_) => Ok(()),
    }
}

enum Ended {
    By(ExitStatus),
    Hung,
}

fn run_in(name: &str, directory: &Path) -> io::Result<(Ended, String)> {
    let mut test = Command::new(env::current_exe()?)
        .env(TEST, name)
        .env(DIRECTORY, directory)
        .env("RUST_BACKTRACE", "0")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stderr = test.stderr.take().expect("it is piped");
    let said = thread::spawn(move || {
        let mut said = Vec::new();
        // What was read before it failed is worth showing.
        let _ = stderr.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    });
    let group = Pid::from_child(&test);
    let (has_ended, ended) = mpsc::channel();
    thread::spawn(move || {
        // Not reaped yet, so that its number still names its group.
        let seen = rustix::process::waitid(
            WaitId::Pid(group),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        );
        // After a hang no process reads this.
        let _ = has_ended.send(seen);
    });
    let hung = ended.recv_timeout(HANGS).is_err();
    // Children that outlived their test, or all of a test that hangs; the call fails if no process
    // is left.
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
    let status = test.wait()?;
    let said = said.join().expect("reading does not panic");
    let ended = if hung { Ended::Hung } else { Ended::By(status) };
    Ok((ended, said))
}

/// The directory that the running test has for its segments.
pub fn directory() -> PathBuf {
    env::var_os(DIRECTORY)
        .expect("a test has a directory")
        .into()
}

/// The names of what stands in the running test's directory.
pub fn left_in_directory() -> Vec<String> {
    names_in(&directory())
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the test's directory is readable");
    let names = entries.map(|entry| {
        let name = entry.expect("the test's directory is readable").file_name();
        name.to_string_lossy().into_owned()
    });
    names.collect()
}

/// Fails the test unless it may change users and namespaces.
pub fn need_root(what: &str) {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs to be root, to {what}; run the tests as root"
    );
}
