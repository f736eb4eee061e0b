//! Starting programs: one word at a time from each, all behind one start line, none left behind.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

/// No measurement takes as long as this.
const PATIENCE: Duration = Duration::from_mins(5);

/// How a peer is run: the program, and what stands before the verb.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) before: Vec<OsString>,
    /// Ours takes a key where others take a file's path, and keeps its segments here.
    pub(crate) segments: Option<PathBuf>,
    /// Whether one start of it makes all the processes: its locks are only shared by fork.
    pub(crate) forks: bool,
}

impl Program {
    pub(crate) fn at(path: PathBuf) -> Program {
        Program {
            path,
            before: Vec::new(),
            segments: None,
            forks: false,
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

    /// Runs a verb that measures nothing.
    pub(crate) fn call(&self, verb: &str, place: &str, numbers: &[u64]) -> Result<()> {
        let status = self
            .command(verb, place, numbers)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        ensure!(
            status.success(),
            "{} {verb} {place}: {status}",
            self.path.display()
        );
        Ok(())
    }

    /// Starts a process for each list of numbers, lets all of them go at once and returns what each says at the end.
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
            runners.push(Process::start(command, start.try_clone()?.into())?);
        } else {
            for numbers in numbers {
                let command = self.command(verb, place, numbers);
                runners.push(Process::start(command, start.try_clone()?.into())?);
            }
        }
        drop(start);
        if !self.forks {
            for (number, runner) in runners.iter().enumerate() {
                runner.pin(number)?;
            }
        }
        let each = numbers.len() / runners.len();
        for runner in &runners {
            for _ in 0..each {
                runner.expect("ready")?;
            }
        }
        drop(gun);
        let mut answers = Vec::new();
        for runner in runners {
            for _ in 0..each {
                answers.push(runner.answer(PATIENCE)?.context("it takes too long")?);
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

/// A running program; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    name: String,
}

impl Process {
    pub(crate) fn start(mut command: Command, input: Stdio) -> Result<Process> {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
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
        Ok(Process { child, lines, name })
    }

    /// The next line, or nothing when there is none in time.
    pub(crate) fn line(&self, limit: Duration) -> Result<Option<String>> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("{} ended early", self.name),
        }
    }

    pub(crate) fn answer(&self, limit: Duration) -> Result<Option<Answer>> {
        Ok(self.line(limit)?.map(|line| Answer::parse(&line)))
    }

    pub(crate) fn expect(&self, word: &str) -> Result<()> {
        let line = self.line(PATIENCE)?;
        ensure!(
            line.as_deref() == Some(word),
            "{} says {line:?}, not {word:?}",
            self.name
        );
        Ok(())
    }

    /// Sends an empty line.
    pub(crate) fn nudge(&mut self) -> Result<()> {
        let input = self.child.stdin.as_mut().context("its input is a pipe")?;
        input.write_all(b"\n")?;
        Ok(input.flush()?)
    }

    /// Keeps it on one processor, the processes on all of them in turn: a scheduler that lets them run one after another
    /// measures a lock that nobody wants.
    fn pin(&self, number: usize) -> Result<()> {
        let cores = thread::available_parallelism()?.get();
        let mut one = CpuSet::new();
        one.set(number % cores);
        let pid = Pid::from_raw(self.child.id().cast_signed());
        Ok(sched_setaffinity(pid, &one)?)
    }

    /// Lets it end by itself.
    fn finish(mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "{}: {status}", self.name);
        Ok(())
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
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder on the memory file system for all that a run shares; removed at its end, or by the next run.
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
