//! Whole runs of the bench: what a peer that crashes or hangs costs, how a run is continued, and
//! when it fails.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Stands for the C compiler, in the folder of the peer that it makes. Three peers become scripts:
/// `pthread` crashes at once, `flock` ends in the middle, and `semaphore` says nothing until its
/// input ends.
const COMPILER: &str = r#"#!/bin/sh
case ${PWD##*/} in
    pthread) body='kill -SEGV $$' ;;
    flock) body='case $1 in make | unmake) ;; *) exit 3 ;; esac' ;;
    semaphore) body='case $1 in make | unmake) ;; *) exec cat ;; esac' ;;
    *) PATH=${PATH#*:} exec cc "$@" ;;
esac
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\n%s\n' "$body" >"$2"
chmod +x "$2"
"#;

/// A folder with the bench, a compiler for its peers, and its results.
struct Lab(PathBuf);

impl Lab {
    fn new(name: &str) -> Lab {
        let name = format!("bench-{name}-{}", std::process::id());
        let lab = Lab(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        fs::create_dir_all(lab.0.join("bin")).expect("there is room");
        lab.write_program("bin/cc", COMPILER);
        fs::hard_link(env!("CARGO_BIN_EXE_sharehold-bench"), lab.0.join("bench"))
            .expect("it is on this file system");
        lab
    }

    fn write_program(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::write(&path, text).expect("there is room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    /// The bench, with the peers that are named, to measure one job as quickly as can be.
    fn bench(&self, peers: &str, patience: &str) -> Command {
        let mut command = Command::new(self.0.join("bench"));
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(["uncontended", "--rounds=1", "--millis=1", "--fair=1"])
            .args(["--idle=1", "--peers", peers, "--patience", patience])
            .arg("--results")
            .arg(self.0.join("results"))
            .env("PATH", format!("{}:{path}", self.0.join("bin").display()))
            .stdin(Stdio::null());
        command
    }

    /// The names of the steps that the file of results has.
    fn steps(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.join("results")).expect("it was written");
        let lines = text.lines().map(serde_json::from_str);
        let lines = lines.map(|line: Result<Value, _>| line.expect("each line is JSON"));
        let names = lines.filter_map(|line| Some(line["step"]["name"].as_str()?.to_owned()));
        names.collect()
    }

    /// Fails if a process runs that the bench started.
    fn expect_nobody(&self) {
        let own = std::process::id().to_string();
        let path = self.0.to_str().expect("it is plain").as_bytes();
        for entry in fs::read_dir("/proc").expect("it is mounted").flatten() {
            // A process that has ended, or is another user's, cannot be read.
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let is_ours = environment.windows(path.len()).any(|it| it == path);
            assert!(
                !is_ours || entry.file_name() == own.as_str(),
                "process {} is left",
                entry.file_name().display()
            );
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The folder is in the target folder, where nothing is lost if it stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(output: &Output) -> String {
    let said = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    said.concat()
}

#[test]
fn a_peer_that_crashes_or_hangs_costs_its_own_rows() {
    let lab = Lab::new("peers");
    let output = lab.bench("futex,pthread,flock,semaphore", "1").output();
    let output = output.expect("it starts");
    let said = text(&output);
    assert!(output.status.success(), "a peer is not ours:\n{said}");
    for case in ["lock + unlock", "lock + increment + unlock"] {
        let line = |peer: &str| {
            let begin = format!("uncontended: {case}, {peer}: FAILED: the peer failed: ");
            let mut lines = said.lines().filter(|line| line.starts_with(&begin));
            let line = lines.next();
            line.unwrap_or_else(|| panic!("{begin} is not in:\n{said}"))
        };
        assert!(line("pthread").contains("SIGSEGV"), "{said}");
        assert!(line("flock").contains("exit status: 3"), "{said}");
        assert!(line("semaphore").contains("hung, and was killed"), "{said}");
    }
    let rows = said.lines().filter(|line| line.contains("3-state futex"));
    // Once each as it was measured, and once each in the table.
    assert_eq!(rows.count(), 4, "{said}");
    assert_eq!(lab.steps().len(), 8, "{said}");
    lab.expect_nobody();
}

#[test]
fn an_interrupted_run_is_continued_and_a_whole_one_is_not() {
    let lab = Lab::new("continued");
    let mut first = lab.bench("futex,semaphore,sysv", "600");
    let mut first = first.stdout(Stdio::piped()).spawn().expect("it starts");
    let out = BufReader::new(first.stdout.take().expect("it is piped"));
    let mut lines = out.lines().map(|line| line.expect("it is text"));
    // The first step is measured, the second one hangs.
    assert!(lines.any(|line| line.contains("3-state futex")));
    first.kill().expect("it runs");
    first.wait().expect("it is a child");
    assert_eq!(lab.steps(), ["uncontended: lock + unlock, futex"]);

    lab.write_program("bench-peers/semaphore/peer", "#!/bin/sh\nexit 3\n");
    let continued = lab.bench("futex,semaphore,sysv", "600").output();
    let said = text(&continued.expect("it starts"));
    assert!(said.contains("6 steps, 1 of them done before"), "{said}");
    let mut steps = lab.steps();
    assert_eq!(steps.len(), 6, "{said}");
    steps.sort();
    steps.dedup();
    assert_eq!(steps.len(), 6, "a step was done twice: {said}");
    let rows = said.lines().filter(|line| line.contains("3-state futex"));
    assert_eq!(rows.count(), 4, "what was done before is shown: {said}");

    let again = lab.bench("futex,semaphore,sysv", "600").output();
    let said = text(&again.expect("it starts"));
    assert!(said.contains("6 steps, 0 of them done before"), "{said}");
    assert_eq!(lab.steps().len(), 12, "what was measured earlier is kept");
    lab.expect_nobody();
}

#[test]
fn a_failure_of_our_own_fails_the_run() {
    let lab = Lab::new("ours");
    let built = lab.bench("futex", "60").output().expect("it starts");
    assert!(built.status.success(), "{}", text(&built));
    fs::remove_file(lab.0.join("results")).expect("it was written");
    // No file may have more than 4096 bytes: enough for the peer and the results, and too little
    // for a segment.
    let bench = lab.bench("futex", "60");
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 8; exec \"$@\"", "sh"]);
    shell.arg(bench.get_program()).args(bench.get_args());
    for (name, value) in bench.get_envs() {
        shell.env(name, value.expect("nothing is unset"));
    }
    let output = shell.stdin(Stdio::null()).output().expect("it starts");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("lock + unlock, futex: FAILED: our own side failed: "),
        "{said}"
    );
    assert_eq!(lab.steps().len(), 2, "{said}");
}
