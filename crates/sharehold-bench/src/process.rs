//! Starting programs: one word at a time from each, all behind one start line, none left behind.
//!
//! Each program has a limit for everything that is waited for. One that hangs is killed at that
//! limit, with the processes that it made, and that is an error like any other.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::thread::{CpuSet, sched_setaffinity};

/// How a peer is run: the program, and what stands before the verb.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) before: Vec<OsString>,
    /// Ours takes a key where others take a file's path, and keeps its segments here.
    pub(crate) segments: Option<PathBuf>,
    /// Whether one start of it makes all the processes: its locks are only shared by fork.
    pub(crate) forks: bool,
    /// How long it may take to say or do the next thing.
    pub(crate) patience: Duration,
}

/// Marks an error as a peer's.
#[derive(Debug)]
pub(crate) struct OfPeer;

impl fmt::Display for OfPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer failed")
    }
}

impl Program {
    pub(crate) fn at(path: PathBuf) -> Program {
        Program {
            path,
            before: Vec::new(),
            segments: None,
            forks: false,
            patience: Duration::from_secs(60),
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.segments.is_some()
    }

    /// Does something with this program; if it fails and is a peer, the error says so.
    pub(crate) fn blamed<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let done = work();
        if self.is_ours() {
            done
        } else {
            done.context(OfPeer)
        }
    }

    pub(crate) fn command(&self, verb: &str, place: &str, numbers: &[u64]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.before).arg(verb).arg(place);
        command.args(numbers.iter().map(u64::to_string));
        if let Some(segments) = &self.segments {
            command.env("SHAREHOLD_DIR", segments);
        }
        command
    }

    /// Starts a process that does a verb.
    pub(crate) fn start(
        &self,
        verb: &str,
        place: &str,
        numbers: &[u64],
        input: Stdio,
    ) -> Result<Process> {
        Process::start(self.command(verb, place, numbers), input, self.patience)
    }

    /// Runs a verb that measures nothing.
    pub(crate) fn call(&self, verb: &str, place: &str, numbers: &[u64]) -> Result<()> {
        self.start(verb, place, numbers, Stdio::null())?.finish()
    }

    /// Runs a verb under a tool; returns what the tool says.
    pub(crate) fn under(
        &self,
        mut tool: Command,
        verb: &str,
        place: &str,
        numbers: &[u64],
    ) -> Result<String> {
        let inner = self.command(verb, place, numbers);
        tool.arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            if let Some(value) = value {
                tool.env(name, value);
            }
        }
        tool.stderr(Stdio::piped());
        Process::start(tool, Stdio::null(), self.patience)?.said()
    }

    /// Starts a process for each list of numbers, lets all of them go at once and returns what each
    /// says at the end.
    pub(crate) fn race(
        &self,
        verb: &str,
        place: &str,
        numbers: &[Vec<u64>],
    ) -> Result<Vec<Answer>> {
        let (start, gun) = io::pipe()?;
        let mut runners = Vec::new();
        if self.forks {
            let mut command = self.command(verb, place, numbers.first().map_or(&[], Vec::as_slice));
            command.env("PEER_PROCESSES", numbers.len().to_string());
            let input = start.try_clone()?.into();
            runners.push(Process::start(command, input, self.patience)?);
        } else {
            for numbers in numbers {
                runners.push(self.start(verb, place, numbers, start.try_clone()?.into())?);
            }
        }
        drop(start);
        if !self.forks {
            for (number, runner) in runners.iter().enumerate() {
                runner.pin(number)?;
            }
        }
        let each = numbers.len() / runners.len();
        for runner in &mut runners {
            for _ in 0..each {
                runner.expect("ready")?;
            }
        }
        drop(gun);
        let mut answers = Vec::new();
        for mut runner in runners {
            for _ in 0..each {
                answers.push(runner.answer()?);
            }
            runner.finish()?;
        }
        Ok(answers)
    }
}

/// What a process says at its end: names and numbers.
#[derive(Debug)]
pub(crate) struct Answer(HashMap<String, String>);

impl Answer {
    fn parse(line: &str) -> Answer {
        let pairs = line.split_whitespace().filter_map(|it| it.split_once('='));
        Answer(pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).collect())
    }

    pub(crate) fn text(&self, name: &str) -> Result<&str> {
        let text = self.0.get(name).map(String::as_str);
        text.with_context(|| format!("the peer does not say its {name}"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<f64> {
        Ok(self.text(name)?.parse()?)
    }

    /// From the first one's start to the last one's end, in nanoseconds.
    pub(crate) fn elapsed(answers: &[Answer]) -> Result<f64> {
        let (mut begin, mut end) = (f64::INFINITY, 0.0_f64);
        for answer in answers {
            begin = begin.min(answer.number("begin")?);
            end = end.max(answer.number("end")?);
        }
        Ok(end - begin)
    }
}

/// A running program; killed when dropped, with the processes that it made.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    name: String,
    patience: Duration,
}

impl Process {
    fn start(mut command: Command, input: Stdio, patience: Duration) -> Result<Process> {
        let name = format!("{command:?}");
        // In a group of its own, to be killed with what it starts.
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let output = child.stdout.take().context("its output is a pipe")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Process {
            child,
            lines,
            name,
            patience,
        })
    }

    /// The next line, or nothing when there is none in time.
    fn line(&mut self, limit: Duration) -> Result<Option<String>> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.wait()?;
                bail!("{} ended early: {status}", self.name)
            }
        }
    }

    /// Waits for what it says at its end.
    pub(crate) fn answer(&mut self) -> Result<Answer> {
        let line = self.line(self.patience)?;
        Ok(Answer::parse(&line.ok_or_else(|| self.hangs())?))
    }

    /// The same, or nothing if it says nothing in time.
    pub(crate) fn answer_within(&mut self, limit: Duration) -> Result<Option<Answer>> {
        Ok(self.line(limit)?.map(|line| Answer::parse(&line)))
    }

    pub(crate) fn expect(&mut self, word: &str) -> Result<()> {
        let line = self.line(self.patience)?.ok_or_else(|| self.hangs())?;
        ensure!(line == word, "{} says {line:?}, not {word:?}", self.name);
        Ok(())
    }

    fn hangs(&self) -> Error {
        let seconds = self.patience.as_secs();
        Error::msg(format!(
            "{} hung, and was killed after {seconds} s",
            self.name
        ))
    }

    /// Sends an empty line.
    pub(crate) fn nudge(&mut self) -> Result<()> {
        let input = self.child.stdin.as_mut().context("its input is a pipe")?;
        input.write_all(b"\n")?;
        Ok(input.flush()?)
    }

    /// Keeps it on one processor, the processes on all of them in turn: a scheduler that lets them
    /// run one after another measures an uncontended lock.
    fn pin(&self, number: usize) -> Result<()> {
        let cores = thread::available_parallelism()?.get();
        let mut one = CpuSet::new();
        one.set(number % cores);
        let pid = Pid::from_raw(self.child.id().cast_signed());
        Ok(sched_setaffinity(pid, &one)?)
    }

    /// Waits for its end, which must be a success.
    fn finish(mut self) -> Result<()> {
        let status = self.wait()?;
        ensure!(status.success(), "{}: {status}", self.name);
        Ok(())
    }

    /// The same for a tool; returns what it said.
    fn said(mut self) -> Result<String> {
        let mut stderr = self.child.stderr.take().context("it is a pipe")?;
        let reader = thread::spawn(move || {
            let mut said = Vec::new();
            // What was read before an error is worth showing.
            let _ = stderr.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        });
        let status = self.wait()?;
        let said = reader.join().map_err(|_| Error::msg("it cannot be read"))?;
        ensure!(status.success(), "{}: {status}: {said}", self.name);
        Ok(said)
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        let end = Instant::now() + self.patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                return Err(self.hangs());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill()?)
    }

    /// Ends its input, which is what it waits for.
    pub(crate) fn let_go(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Until it is reaped, its group keeps its number. A reaped process left no group behind.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// A folder on the memory file system for all that a run shares; removed at its end, or by the next
/// run.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    const PARENT: &str = "/dev/shm";
    const PREFIX: &str = "sharehold-bench-";

    pub(crate) fn new() -> Result<Folder> {
        Folder::remove_left_over()?;
        let path =
            Path::new(Folder::PARENT).join(format!("{}{}", Folder::PREFIX, std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Folder { path })
    }

    /// Where the peers' files are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what runs left that were killed.
    fn remove_left_over() -> Result<()> {
        for entry in fs::read_dir(Folder::PARENT)? {
            let entry = entry?;
            let name = entry.file_name();
            let pid = name
                .to_str()
                .and_then(|name| name.strip_prefix(Folder::PREFIX));
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The next run removes what cannot be removed now.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// This program as sharehold's own side.
pub(crate) fn ourselves(folder: &Folder) -> Result<Program> {
    Ok(Program {
        before: vec!["worker".into()],
        segments: Some(folder.path.join("segments")),
        ..Program::at(env::current_exe()?)
    })
}
