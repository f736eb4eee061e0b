//! A place of its own for every test, and the programs that act there.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use sharehold::qt::SharedMemory;

/// Set in the process that runs the body of a test: its temporary directory.
const WORLD: &str = "SHAREHOLD_QT_WORLD";

/// Set, also from outside, when tests run among the machine's objects, in no namespaces of their
/// own.
const SHARED: &str = "SHAREHOLD_QT_SHARED";

/// Only guards against a hang; nothing is measured by it.
const HANG: Duration = Duration::from_secs(120);

/// A test whose body runs in a [`World`].
macro_rules! world_tests {
    ($($(#[$doc:meta])* fn $name:ident($world:ident) $body:block)+) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            $crate::world::run(concat!(module_path!(), "::", stringify!($name)), |$world| $body);
        }
    )+};
}
pub(crate) use world_tests;

/// Runs `body` in a process of its own, in namespaces of its own where that can be had.
pub(crate) fn run(test: &str, body: impl FnOnce(&World)) {
    if let Some(directory) = std::env::var_os(WORLD) {
        let world = World {
            directory: directory.into(),
            private: std::env::var_os(SHARED).is_none(),
            keys: Mutex::default(),
        };
        body(&world);
        world.expect_nothing_left();
        return;
    }
    let private = std::env::var_os(SHARED).is_none() && has_namespaces();
    // In memory in any case, where files get inode numbers one after the other; with namespaces,
    // the test's own memory.
    let base = if private {
        std::env::temp_dir()
    } else {
        "/dev/shm".into()
    };
    // Named after this process and the test, so that runs beside each other do not meet.
    let (_crate, test) = test
        .split_once("::")
        .expect("a test is in a module of this crate");
    let own_name = format!(
        "sharehold-qt-{}-{}",
        std::process::id(),
        test.replace("::", "-")
    );
    let directory = base.join(own_name);
    fs::create_dir(&directory).expect("the test's directory is new");
    fs::set_permissions(&directory, Permissions::from_mode(0o1777)).expect("it is ours");

    let enter = "mount -t tmpfs -o mode=1777 tmpfs \"$TMPDIR\" && mount -t tmpfs -o mode=1777 tmpfs /dev/shm && exec \"$@\"";
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "240"]);
    if private {
        command.args(["unshare", "--ipc", "--mount", "sh", "-c", enter, "sh"]);
    } else {
        command.env(SHARED, "1");
    }
    command.arg(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", test, "--nocapture"]);
    let output = command
        .env(WORLD, &directory)
        .env("TMPDIR", &directory)
        .output();
    let output = output.expect("coreutils has `timeout`");
    fs::remove_dir_all(&directory).expect("the directory is this test's");
    let said = String::from_utf8_lossy(&output.stderr);
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(
        output.status.success() && ran,
        "{test} ended with {}:\n{said}",
        output.status
    );
}

fn has_namespaces() -> bool {
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--ipc", "--mount", "true"])
        .stderr(Stdio::null());
    unshare.status().is_ok_and(|status| status.success())
}

/// The temporary directory, and with it all objects, of one test.
pub(crate) struct World {
    directory: PathBuf,
    /// Whether nobody else has objects here.
    pub(crate) private: bool,
    /// The keys that were given out.
    keys: Mutex<Vec<String>>,
}

/// A kind of program that takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Qt5,
    Qt6,
    /// `PySide6` 6.5.3, the last before Qt changed its protocol.
    OldPySide,
    NewestPySide,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] = [
        Kind::Ours,
        Kind::Qt5,
        Kind::Qt6,
        Kind::OldPySide,
        Kind::NewestPySide,
    ];
    pub(crate) const QT: [Kind; 4] = [Kind::Qt5, Kind::Qt6, Kind::OldPySide, Kind::NewestPySide];

    fn command(self) -> Command {
        let program = match self {
            Kind::Ours => {
                let mut command =
                    Command::new(std::env::current_exe().expect("this program has a path"));
                command
                    .args(["--exact", "world::ours::peer", "--nocapture"])
                    .env(ours::PEER, "1");
                return command;
            }
            Kind::Qt5 => "qt5",
            Kind::Qt6 => "qt6",
            Kind::OldPySide => "pyside-6.5.3-peer",
            Kind::NewestPySide => "pyside-newest-peer",
        };
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("it is in the target directory");
        let program = target.join("qt-peers").join(program);
        assert!(
            program.exists(),
            "{} is missing: run ci/qt-peers",
            program.display()
        );
        Command::new(program)
    }
}

impl World {
    /// Where key files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A key that no other test, of this run or of one beside it, has.
    pub(crate) fn key(&self, part: &str) -> String {
        let mut keys = self.keys.lock().unwrap();
        let key = format!("{part}.{}.{}", std::process::id(), keys.len());
        keys.push(key.clone());
        key
    }

    /// All keys that were given out.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap().clone()
    }

    /// Starts a program.
    pub(crate) fn peer(&self, kind: Kind) -> Peer {
        self.start(kind.command())
    }

    /// Starts a program as the user `nobody`, who may not be able to reach where it is.
    pub(crate) fn peer_of_nobody(&self, kind: Kind) -> Peer {
        let program = self.directory.join("program");
        fs::copy(kind.command().get_program(), &program).expect("it can be read");
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(&program);
        let mut peer = self.start(command);
        peer.tell("pid -");
        fs::remove_file(program).expect("it is there");
        peer
    }

    fn start(&self, mut command: Command) -> Peer {
        Peer::start(command.env("TMPDIR", &self.directory))
    }

    fn expect_nothing_left(&self) {
        let files = |directory: &Path| -> Vec<PathBuf> {
            let entries = fs::read_dir(directory).expect("the directory is there");
            entries
                .map(|entry| entry.expect("it can be listed").path())
                .collect()
        };
        assert_eq!(
            files(&self.directory),
            Vec::<PathBuf>::new(),
            "key files are left"
        );
        if self.private {
            assert_eq!(
                kernel_objects("shm"),
                Vec::<String>::new(),
                "segments are left"
            );
            assert_eq!(
                kernel_objects("sem"),
                Vec::<String>::new(),
                "semaphores are left"
            );
            assert_eq!(
                files(Path::new("/dev/shm")),
                Vec::<PathBuf>::new(),
                "POSIX objects are left"
            );
        }
    }
}

/// What the kernel has in one of its lists: shm or sem.
fn kernel_objects(list: &str) -> Vec<String> {
    let list =
        fs::read_to_string(format!("/proc/sysvipc/{list}")).expect("the kernel has System V");
    list.lines().skip(1).map(str::to_owned).collect()
}

/// A running program that obeys.
pub(crate) struct Peer {
    child: Child,
    orders: ChildStdin,
    answers: Receiver<String>,
}

/// Qt's error number and text.
pub(crate) type Refusal = (u8, String);

impl Peer {
    fn start(command: &mut Command) -> Peer {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let orders = child.stdin.take().expect("it was asked for");
        let lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        let (sender, answers) = channel();
        thread::spawn(move || {
            let is_answer = |line: &String| line.starts_with("= ") || line.starts_with("! ");
            for line in lines.map_while(Result::ok).filter(is_answer) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Peer {
            child,
            orders,
            answers,
        }
    }

    /// Gives an order, and does not wait.
    pub(crate) fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the peer lives");
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Result<String, Refusal> {
        let line = self.answers.recv_timeout(HANG).expect("the peer answers");
        if let Some(answer) = line.strip_prefix("= ") {
            return Ok(answer.to_owned());
        }
        let (code, words) = line[2..].split_once(' ').unwrap_or((&line[2..], ""));
        Err((
            code.parse().expect("an error has a number"),
            words.to_owned(),
        ))
    }

    /// Whether nothing was answered yet.
    pub(crate) fn is_silent(&mut self) -> bool {
        matches!(
            self.answers.recv_timeout(Duration::ZERO),
            Err(RecvTimeoutError::Timeout)
        )
    }

    /// Waits until the program sleeps in a System V semaphore's system call.
    pub(crate) fn until_it_waits(&self) {
        let place = format!("/proc/{}/syscall", self.child.id());
        let waits = |call: String| {
            let number = call
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok());
            matches!(number, Some(libc::SYS_semtimedop | libc::SYS_semop))
        };
        until("the peer waits", || {
            fs::read_to_string(&place).is_ok_and(waits)
        });
    }

    /// Gives an order, and waits for the answer.
    pub(crate) fn ask(&mut self, order: &str) -> Result<String, Refusal> {
        self.order(order);
        self.answer()
    }

    /// As `ask`, for what must succeed.
    pub(crate) fn tell(&mut self, order: &str) -> String {
        self.ask(order)
            .unwrap_or_else(|refusal| panic!("{order}: {refusal:?}"))
    }

    /// As `ask`, for what must fail: Qt's error number.
    pub(crate) fn fails(&mut self, order: &str) -> u8 {
        match self.ask(order) {
            Ok(answer) => panic!("{order} did not fail: {answer}"),
            Err((code, _)) => code,
        }
    }

    /// Makes an object `m` with a text key.
    pub(crate) fn open(&mut self, key: &str) {
        self.tell(&format!("new m {}", hex(key)));
    }

    /// Ends the program at once, wherever it is.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the peer lives");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may be dead already; then there is nothing to end.
        let _ = writeln!(self.orders, "exit");
        if thread::panicking() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes
        .as_ref()
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits = text
        .as_bytes()
        .chunks(2)
        .map(|pair| str::from_utf8(pair).expect("hex is ASCII"));
    digits
        .map(|pair| u8::from_str_radix(pair, 16).expect("it is hex"))
        .collect()
}

/// Waits until `done`.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < HANG, "{what} did not happen");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until so many processes wait for the lock of a key.
pub(crate) fn until_waiting(key: &str, number: u32) {
    let memory = SharedMemory::new(key);
    until("the peers wait for the lock", || {
        let status = memory.status().expect("it can be looked at");
        status.and_then(|status| status.lock?.waiters) == Some(number)
    });
}

pub(crate) mod ours;
