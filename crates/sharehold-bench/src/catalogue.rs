//! The peers: what else processes use to lock and share memory, and where each program comes from.

use crate::process::Program;

/// One way to lock or share memory, other than ours.
#[derive(Debug)]
pub(crate) struct Peer {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// What people call it.
    pub(crate) title: &'static str,
    pub(crate) can: &'static [Skill],
    pub(crate) source: Source,
    /// The Debian package that brings what it needs beyond a C compiler.
    pub(crate) package: Option<&'static str>,
}

/// What can be measured of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skill {
    /// Counting together.
    Count,
    /// All that one does with a lock.
    Lock,
    /// Taking turns: a change, and a waiter for it.
    Turns,
    /// The life of shared memory.
    Life,
    /// Attaching to and copying through large memory.
    Memory,
    /// Reading a value that others may change.
    Read,
    /// Reading, and writing alone.
    ReadWrite,
}

/// Where a peer's program comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file of `peers`, compiled with these flags.
    C(&'static str, &'static [&'static str]),
    /// The same in C++; the second list names what `pkg-config` knows.
    Cxx(
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    ),
    /// A script.
    Python(&'static str),
    /// A program in Rust, on our own harness, and the crates it needs besides.
    Rust(&'static str, &'static str),
}

/// A peer that can be run.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) peer: &'static Peer,
    pub(crate) program: Program,
}

/// What `peers` lays beside each source.
pub(crate) const HEADERS: &[(&str, &str)] = &[
    ("common.h", include_str!("../peers/common.h")),
    ("harness.h", include_str!("../peers/harness.h")),
];

/// The manifest of a peer in Rust, before the crates of its own.
pub(crate) const MANIFEST: &str = "\
[package]
name = \"peer\"
version = \"0.0.0\"
edition = \"2024\"

# No member of a workspace around it.
[workspace]

[dependencies]
anyhow = \"1.0\"
rustix = { version = \"1.1\", features = [\"mm\", \"time\"] }
";

/// What stands beside a peer in Rust.
pub(crate) const MODULES: &[(&str, &str)] = &[
    ("harness.rs", include_str!("harness.rs")),
    ("page.rs", include_str!("../peers/page.rs")),
];

const LOCK: &[Skill] = &[Skill::Count, Skill::Lock];
const PTHREAD: &str = include_str!("../peers/pthread.c");
const FUTEX: &str = include_str!("../peers/futex.c");
const BOOST: &str = include_str!("../peers/boost.cpp");
const QT: &str = include_str!("../peers/qt.cpp");
const VALUE: &str = include_str!("../peers/value.c");
const LIFE: &str = include_str!("../peers/life.c");

/// The peers of a run that is not full: what the targets name, and the system's own locks.
pub(crate) const USUAL: &[&str] = &[
    "fetch-add",
    "futex",
    "bare-futex",
    "pthread-robust",
    "pthread-rwlock",
    "semaphore",
    "flock",
    "qt5",
    "qt6",
    "bare",
    "seqlock",
];

/// All peers, in the order in which they are shown.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "fetch-add",
        title: "fetch_add, no lock",
        can: &[Skill::Count],
        source: Source::C(include_str!("../peers/fetch_add.c"), &[]),
        package: None,
    },
    Peer {
        name: "futex",
        title: "3-state futex, no spin",
        can: LOCK,
        source: Source::C(FUTEX, &[]),
        package: None,
    },
    Peer {
        name: "bare-futex",
        title: "bare futex, no lock",
        can: &[Skill::Turns],
        source: Source::C(include_str!("../peers/turns.c"), &[]),
        package: None,
    },
    Peer {
        name: "futex-yield",
        title: "3-state futex, 10 yields",
        can: LOCK,
        source: Source::C(FUTEX, &["-DYIELDS=10"]),
        package: None,
    },
    Peer {
        name: "pthread",
        title: "pthread mutex",
        can: LOCK,
        source: Source::C(PTHREAD, &["-pthread"]),
        package: None,
    },
    Peer {
        name: "pthread-robust",
        title: "pthread mutex, robust",
        can: LOCK,
        source: Source::C(PTHREAD, &["-pthread", "-DROBUST"]),
        package: None,
    },
    Peer {
        name: "pthread-rwlock",
        title: "pthread rwlock",
        can: &[Skill::ReadWrite],
        source: Source::C(include_str!("../peers/rwlock.c"), &["-pthread"]),
        package: None,
    },
    Peer {
        name: "semaphore",
        title: "POSIX semaphore",
        can: LOCK,
        source: Source::C(include_str!("../peers/semaphore.c"), &["-pthread"]),
        package: None,
    },
    Peer {
        name: "flock",
        title: "flock",
        can: LOCK,
        source: Source::C(include_str!("../peers/flock.c"), &[]),
        package: None,
    },
    Peer {
        name: "sysv",
        title: "System V semaphore, undo",
        can: LOCK,
        source: Source::C(include_str!("../peers/sysv.c"), &[]),
        package: None,
    },
    Peer {
        name: "boost",
        title: "Boost interprocess_mutex",
        can: LOCK,
        source: Source::Cxx(BOOST, &["-pthread"], &[]),
        package: Some("libboost-dev"),
    },
    Peer {
        name: "boost-named",
        title: "Boost named_mutex",
        can: LOCK,
        source: Source::Cxx(BOOST, &["-pthread", "-DNAMED"], &[]),
        package: Some("libboost-dev"),
    },
    Peer {
        name: "raw-sync",
        title: "raw_sync (Rust)",
        can: LOCK,
        source: Source::Rust(
            include_str!("../peers/raw_sync.rs"),
            "raw_sync = \"=0.1.5\"",
        ),
        package: None,
    },
    Peer {
        name: "iceoryx2",
        title: "iceoryx2 mutex, robust",
        can: LOCK,
        source: Source::Rust(
            include_str!("../peers/iceoryx2.rs"),
            "iceoryx2-bb-posix = \"=0.10.0\"\niceoryx2-bb-loggers = \"=0.10.0\"",
        ),
        package: None,
    },
    Peer {
        name: "python",
        title: "Python multiprocessing",
        can: &[Skill::Count],
        source: Source::Python(include_str!("../peers/python.py")),
        package: Some("python3"),
    },
    Peer {
        name: "qt5",
        title: "Qt 5 QSharedMemory",
        can: &[Skill::Count, Skill::Lock, Skill::Life],
        source: Source::Cxx(QT, &["-fPIC"], &["Qt5Core"]),
        package: Some("qtbase5-dev"),
    },
    Peer {
        name: "qt6",
        title: "Qt 6 QSharedMemory",
        can: &[Skill::Count, Skill::Lock, Skill::Life],
        source: Source::Cxx(QT, &["-fPIC", "-std=c++17"], &["Qt6Core"]),
        package: Some("qt6-base-dev"),
    },
    Peer {
        name: "bare",
        title: "bare calls, unnamed file",
        can: &[Skill::Life, Skill::Memory],
        source: Source::C(LIFE, &["-DWAY=UNNAMED"]),
        package: None,
    },
    Peer {
        name: "bare-shm-open",
        title: "bare calls, shm_open",
        can: &[Skill::Life],
        source: Source::C(LIFE, &["-DWAY=SHM_OPEN"]),
        package: None,
    },
    Peer {
        name: "bare-sysv",
        title: "bare calls, System V",
        can: &[Skill::Life],
        source: Source::C(LIFE, &["-DWAY=SYSTEM_V"]),
        package: None,
    },
    Peer {
        name: "seqlock",
        title: "seqlock",
        can: &[Skill::Read],
        source: Source::C(VALUE, &["-pthread", "-DWAY=SEQLOCK"]),
        package: None,
    },
    Peer {
        name: "rwlock",
        title: "pthread rwlock",
        can: &[Skill::Read],
        source: Source::C(VALUE, &["-pthread", "-DWAY=RWLOCK"]),
        package: None,
    },
];
