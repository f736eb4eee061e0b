//! A terminal that a program runs on, and what can be seen on it.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

/// Longer than anything takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program on a terminal of its own, killed when dropped.
pub(crate) struct Screen {
    child: Child,
    keyboard: File,
    terminal: File,
    before: Termios,
    parser: Arc<Mutex<vt100::Parser>>,
}

impl Screen {
    /// Starts the command on a terminal of so many rows and columns.
    pub(crate) fn start(mut command: Command, rows: u16, columns: u16) -> Screen {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master: OwnedFd = openpt(flags).expect("there are terminals");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let terminal = open(&name);
        resize(&master, rows, columns);
        let before = tcgetattr(&terminal).expect("it is a terminal");
        let end = || terminal.try_clone().expect("there are descriptors");
        let child = command
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("the command starts");
        let keyboard = File::from(master);
        let mut from = keyboard.try_clone().expect("there are descriptors");
        let parser = Arc::new(Mutex::new(vt100::Parser::new(
            whole(rows),
            whole(columns),
            0,
        )));
        let seen = Arc::clone(&parser);
        // Ends with the terminal.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = from.read(&mut bytes) {
                let mut parser = seen.lock().unwrap_or_else(PoisonError::into_inner);
                parser.process(&bytes[..len]);
            }
        });
        Screen {
            child,
            keyboard,
            terminal,
            before,
            parser,
        }
    }

    /// What is on the screen now.
    pub(crate) fn now(&self) -> vt100::Screen {
        let parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        parser.screen().clone()
    }

    /// Looks until the screen is as wanted, and returns what it shows then.
    #[track_caller]
    pub(crate) fn until(&self, wanted: impl Fn(&vt100::Screen) -> bool) -> vt100::Screen {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.now();
            if wanted(&screen) {
                return screen;
            }
            assert!(Instant::now() < end, "never so:\n{}", screen.contents());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Looks until all of these words are on the screen.
    #[track_caller]
    pub(crate) fn shows(&self, words: &[&str]) -> vt100::Screen {
        self.until(|screen| words.iter().all(|word| screen.contents().contains(word)))
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("it is a terminal");
    }

    /// Changes the size of the terminal.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let mut parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        parser.screen_mut().set_size(whole(rows), whole(columns));
        drop(parser);
        resize(&self.terminal, rows, columns);
        // The terminal is not its controlling one, so that the kernel does not say it.
        self.signal(Signal::WINCH);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is a child");
    }

    /// Waits for the end of the program, after which the terminal must be as it was.
    #[track_caller]
    pub(crate) fn ends(mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                break status;
            }
            assert!(
                Instant::now() < end,
                "it does not end:\n{}",
                self.now().contents()
            );
            thread::sleep(Duration::from_millis(5));
        };
        let after = tcgetattr(&self.terminal).expect("it is a terminal");
        assert_eq!(
            format!("{:?}", self.before),
            format!("{after:?}"),
            "how it treats input"
        );
        let screen = self.until(|screen| !screen.alternate_screen() && !screen.hide_cursor());
        assert!(
            !screen.contents().contains("sharehold top"),
            "{}",
            screen.contents()
        );
        status
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn whole(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal has a row and a column")
}

fn open(name: &CStr) -> File {
    let path = std::ffi::OsStr::from_bytes(name.to_bytes());
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .open(path)
        .expect("it is ours")
}

fn resize(terminal: impl AsFd, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("it is a terminal");
}
