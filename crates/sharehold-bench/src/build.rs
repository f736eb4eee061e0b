//! Makes the peers' programs beside our own, or says what each of them lacks.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::catalogue::{Found, HEADERS, MANIFEST, MODULES, PEERS, Peer, Source, USUAL};
use crate::process::Program;

/// The peers that were asked for: those that can be run, and what the others lack.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) found: Vec<Found>,
    pub(crate) missing: Vec<(&'static Peer, String)>,
}

/// Makes the named peers, or else the usual ones or all of them.
pub(crate) fn all(names: &[String], full: bool) -> Result<Peers> {
    for name in names {
        if !PEERS.iter().any(|peer| peer.name == name) {
            let known: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
            bail!("there is no peer {name}; there are {}", known.join(", "));
        }
    }
    let mut peers = Peers {
        found: Vec::new(),
        missing: Vec::new(),
    };
    let wanted = |peer: &&Peer| match names {
        [] => full || USUAL.contains(&peer.name),
        names => names.iter().any(|name| name == peer.name),
    };
    for peer in PEERS.iter().filter(wanted) {
        match one(peer) {
            Ok(program) => peers.found.push(Found { peer, program }),
            Err(error) => peers.missing.push((peer, format!("{error:#}"))),
        }
    }
    Ok(peers)
}

/// Installs the Debian packages that the peers and the tools need.
pub(crate) fn install() -> Result<()> {
    let mut packages = vec!["gcc", "strace", "valgrind"];
    packages.extend(PEERS.iter().filter_map(|peer| peer.package));
    packages.sort_unstable();
    packages.dedup();
    let mut apt = Command::new("apt-get");
    apt.args(["-q", "-y", "install", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    let status = apt.stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot start {apt:?}"))?;
    ensure!(status.success(), "{apt:?}: {status}");
    Ok(())
}

/// Makes one peer's program, unless it is there already.
fn one(peer: &Peer) -> Result<Program> {
    let folder = env::current_exe()?
        .with_file_name("bench-peers")
        .join(peer.name);
    fs::create_dir_all(&folder)?;
    let program = folder.join("peer");
    let mut fresh = program.exists();
    for (name, text) in HEADERS {
        fresh &= keep(&folder.join(name), text)?;
    }
    match &peer.source {
        Source::C(text, flags) => {
            fresh &= keep(&folder.join("peer.c"), text)?;
            if !fresh {
                compile(peer, "cc", &folder, "peer.c", flags)?;
            }
        }
        Source::Cxx(text, flags, libraries) => {
            fresh &= keep(&folder.join("peer.cpp"), text)?;
            if !fresh {
                let known = pkg_config(peer, libraries)?;
                let flags: Vec<&str> = flags
                    .iter()
                    .copied()
                    .chain(known.split_whitespace())
                    .collect();
                compile(peer, "c++", &folder, "peer.cpp", &flags)?;
            }
        }
        Source::Rust(text, crates) => {
            fs::create_dir_all(folder.join("src"))?;
            fresh &= keep(&folder.join("Cargo.toml"), &format!("{MANIFEST}{crates}\n"))?;
            fresh &= keep(&folder.join("src/main.rs"), text)?;
            for (name, text) in MODULES {
                fresh &= keep(&folder.join("src").join(name), text)?;
            }
            if !fresh {
                cargo(&folder)?;
            }
        }
        Source::Python(text) => {
            keep(&folder.join("peer.py"), text)?;
            let asked = Command::new("python3").arg("--version").output();
            ensure!(asked.is_ok(), "{}", advice(peer));
            return Ok(Program {
                before: vec![folder.join("peer.py").into()],
                forks: true,
                ..Program::at("python3".into())
            });
        }
    }
    Ok(Program::at(program))
}

/// Writes a file unless it says that already; returns whether it did.
fn keep(path: &Path, text: &str) -> Result<bool> {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(true);
    }
    fs::write(path, text)?;
    Ok(false)
}

fn compile(peer: &Peer, compiler: &str, folder: &Path, source: &str, flags: &[&str]) -> Result<()> {
    let draft: PathBuf = folder.join("draft");
    let output = Command::new(compiler)
        .args(["-O2", "-Wall", "-o"])
        .arg(&draft)
        .arg(source)
        .args(flags)
        .current_dir(folder)
        .output()
        .with_context(|| format!("{compiler} cannot be started; {}", advice(peer)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().find(|line| line.contains("error"));
        bail!(
            "{} ({})",
            advice(peer),
            first.unwrap_or("the compiler says nothing").trim()
        );
    }
    // A draft that is cut off is never taken for a program.
    Ok(fs::rename(draft, folder.join("peer"))?)
}

/// Builds a peer in Rust.
fn cargo(folder: &Path) -> Result<()> {
    let output = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--target-dir", "target"])
        .current_dir(folder)
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().find(|line| line.contains("error"));
        bail!("cargo: {}", first.unwrap_or("it says nothing").trim());
    }
    // Copied, and named when it is whole: see `compile`.
    let draft = folder.join("draft");
    fs::copy(folder.join("target/release/peer"), &draft)?;
    Ok(fs::rename(draft, folder.join("peer"))?)
}

fn pkg_config(peer: &Peer, libraries: &[&str]) -> Result<String> {
    if libraries.is_empty() {
        return Ok(String::new());
    }
    let output = Command::new("pkg-config")
        .args(["--cflags", "--libs"])
        .args(libraries)
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(String::from_utf8(output.stdout)?),
        _ => bail!("{}", advice(peer)),
    }
}

fn advice(peer: &Peer) -> String {
    format!(
        "needs apt-get install {} (--install does it)",
        peer.package.unwrap_or("gcc libc6-dev")
    )
}
