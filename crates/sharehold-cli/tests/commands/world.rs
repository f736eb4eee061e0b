//! A directory of segments of a test's own, the command in it, and processes that hold locks there
//! and are killed.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longer than anything takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World(TempDir);

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl World {
    pub(crate) fn new() -> World {
        World(TempDir::new_in("/dev/shm").expect("the memory file system has room"))
    }

    /// A place for files that are no segments.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the segments are; made with the first one.
    pub(crate) fn segments(&self) -> PathBuf {
        self.path().join("segments")
    }

    /// A command, which finds `sharehold` by its name.
    pub(crate) fn command(&self, program: &str) -> Command {
        let own = Path::new(env!("CARGO_BIN_EXE_sharehold"));
        let folder = own.parent().expect("it is in a folder");
        let others = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .env("PATH", format!("{}:{others}", folder.display()))
            .env("SHAREHOLD_DIR", self.segments())
            .env("TMPDIR", self.path())
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn sharehold<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_sharehold"));
        command.args(arguments);
        command
    }

    /// Runs the command with these words, set apart by spaces.
    pub(crate) fn run(&self, words: &str) -> Said {
        said(self.sharehold(words.split_whitespace()))
    }

    /// Runs the command with these arguments.
    pub(crate) fn run_with<const N: usize>(&self, arguments: [&str; N]) -> Said {
        said(self.sharehold(arguments))
    }

    /// Runs the command with something to read.
    pub(crate) fn feed(&self, words: &str, input: &[u8]) -> Said {
        let mut command = self.sharehold(words.split_whitespace());
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut to = child.stdin.take().expect("it is piped");
        // A command that refuses does not read to the end.
        let _ = to.write_all(input);
        drop(to);
        outcome(child.wait_with_output().expect("it is a child"))
    }

    /// Runs the command, which must succeed; what it printed.
    #[track_caller]
    pub(crate) fn ok(&self, words: &str) -> String {
        let said = self.run(words);
        assert_eq!(said.code, 0, "{words}: {said:?}");
        said.out
    }

    /// Makes a persistent value that the tests change.
    pub(crate) fn create_job(&self, key: &str) {
        let fields = "value:u8, limit:i16, rate:f64, open:bool, name:text8, marks:[u16; 2], \
                      state:enum u8 {Idle=0, Busy=1}";
        let said = self.run_with(["create", key, "--fields", fields]);
        assert_eq!(said.code, 0, "{said:?}");
    }

    /// The file of the segment with this key, which is made of harmless characters.
    pub(crate) fn file(&self, key: &str) -> PathBuf {
        let entries = self.segments().read_dir().expect("the directory is there");
        let mut paths = entries.map(|entry| entry.expect("it can be listed").path());
        let found = paths.find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&format!("{key}."))
        });
        found.expect("there is a segment with this key")
    }

    fn open(&self, key: &str) -> File {
        let mut options = OpenOptions::new();
        options
            .write(true)
            .open(self.file(key))
            .expect("it is ours")
    }

    /// Overwrites the segment's header.
    pub(crate) fn scribble(&self, key: &str) {
        let file = self.open(key);
        file.write_all_at(&[0x5A; 64], 0).expect("it is ours");
    }

    /// Makes it say that it was made by another version of the format.
    pub(crate) fn make_foreign(&self, key: &str) {
        self.make_of_version(key, 99);
    }

    /// Makes it say that it was made by this version of the format.
    pub(crate) fn make_of_version(&self, key: &str, version: u32) {
        let file = self.open(key);
        file.write_all_at(&version.to_ne_bytes(), 8)
            .expect("it is ours");
    }

    /// Lets a persistent segment that nobody is attached to be one that goes with its last user.
    pub(crate) fn make_stale(&self, key: &str) {
        let file = self.open(key);
        file.write_all_at(&0_u32.to_ne_bytes(), 12)
            .expect("it is ours");
    }

    /// Leaves a segment whose only user was killed.
    pub(crate) fn leave_stale(&self, key: &str) {
        self.hold(key).kill();
    }

    /// Starts a process that holds the lock of the segment, which it makes if it is missing, and
    /// waits until it does.
    pub(crate) fn hold(&self, key: &str) -> Holder {
        self.hold_as("sh", key)
    }

    /// The same with a shell under another name, which is what others see.
    pub(crate) fn hold_as(&self, shell: &str, key: &str) -> Holder {
        let script = "echo locked; exec sleep 1000";
        let words = ["lock", "--create", key, "--", shell, "-c", script];
        let mut command = self.sharehold(words);
        let mut child = command.spawn().expect("the command starts");
        let out = child.stdout.as_mut().expect("it is piped");
        let mut line = [0; 7];
        out.read_exact(&mut line).expect("it gets the lock");
        Holder(child)
    }

    /// Lets a process die that holds the segment's lock.
    pub(crate) fn abandon(&self, key: &str) -> u32 {
        let mut holder = self.hold(key);
        holder.kill();
        holder.0.id()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let entries = self.segments().read_dir();
        entries.map_or(true, |mut entries| entries.next().is_none())
    }
}

/// Copies the command to a path from where others can run it.
///
/// Another process does it: a file that this one has open for writing cannot be run, also while a
/// child that another test just started has it open, too.
pub(crate) fn copy_command(to: &Path) {
    let mut copy = Command::new("cp");
    let copied = copy.arg(env!("CARGO_BIN_EXE_sharehold")).arg(to).status();
    assert!(copied.expect("it is installed").success(), "there is room");
}

/// Looks until it is so.
#[track_caller]
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never was so");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A process that is killed when dropped.
pub(crate) struct Holder(pub(crate) Child);

impl Holder {
    /// Lets it end by a signal that it hands to its command, and release the lock.
    pub(crate) fn stop(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).expect("it is a child");
        self.0.wait().expect("it is a child");
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("it is a child");
        self.0.wait().expect("it is a child");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command to its end.
pub(crate) fn said(mut command: Command) -> Said {
    outcome(command.output().expect("the command starts"))
}

pub(crate) fn outcome(output: Output) -> Said {
    use std::os::unix::process::ExitStatusExt as _;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let status = output.status;
    Said {
        code: status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or(0)),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// What a command refused with.
#[track_caller]
pub(crate) fn assert_refused(said: &Said, code: i32, words: &str) {
    assert_eq!(said.code, code, "{said:?}");
    assert!(said.out.is_empty(), "{said:?}");
    assert!(said.err.starts_with("sharehold: "), "{said:?}");
    assert!(said.err.contains(words), "`{words}` is not in {said:?}");
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
}
